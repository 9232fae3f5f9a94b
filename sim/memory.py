"""A memory behind a `MemoryBus` for simulation: it answers late and with gaps, all from a seed."""
# pyright: reportAttributeAccessIssue=false
# Ports are attributes that Amaranth makes from a component's signature.

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hw.core.contents import add_ram
from hw.link.queue import Queue
from hw.memory.bus import LENGTH_BITS, MemoryBus, memory_request

__all__ = ["BusModel"]

AHEAD = 2  # requests that wait behind the one under way
ROOM = 8  # words read that wait to be taken
DRAWN = 8  # bits of a random number


class BusModel(wiring.Component):
    """Answer a memory bus from a RAM, after a random latency before each burst and with random gaps in it.

    It is a component like those of the core, and so runs in Amaranth's simulator, and as Verilog (its RAM is that of
    `hw.core.contents`) in every other one. Its random numbers come from a shift register that begins with ``seed``: the
    same traffic takes the same cycles everywhere. A stall is drawn anew in every cycle.

    Parameters
    ----------
    address_bits, width : int
        As of `MemoryBus`.
    depth : int or None
        Words of the RAM; None: ``2 ** address_bits``. A burst that leaves it raises ``fault``; it reads what an address
        taken modulo a power of two finds, and writes nothing.
    init : list of int
        Contents, from address 0; the rest is 0.
    latency : (int, int)
        Least and most cycles before the first word of a burst, drawn for each burst; 0 to 65535.
    stall : float
        Probability that a word of a burst waits another cycle; 0 to less than 1, in steps of 1 / 256.
    seed : int
    file : str
        Name of the RAM's file where Verilog is emitted with contents.

    Members
    -------
    bus : In(MemoryBus)
    flip : In(width)
        What is inverted of the words that are read from the RAM in this cycle: faults of the memory for tests.
    fail : In(1)
        Raises ``bus.fault``.

    Raises
    ------
    ValueError
        For parameters out of their ranges.
    """

    def __init__(
        self, address_bits: int, width: int, *, depth: int | None = None, init: Sequence[int] = (),
        latency: tuple[int, int] = (0, 0), stall: float = 0.0, seed: int = 0, file: str = "memory",
    ):
        self._depth = 2**address_bits if depth is None else depth
        if not 2 <= self._depth <= 2**address_bits:
            raise ValueError(f"a memory of {depth!r} words does not fit {address_bits} bits of address")
        if not 0 <= latency[0] <= latency[1] < 1 << 16:
            raise ValueError(f"a latency must be 0 <= least <= most < 65536, not {latency!r}")
        if not 0 <= stall < 1:
            raise ValueError(f"a stall must be at least 0 and less than 1, not {stall!r}")
        self._width, self._init, self._latency, self._file = width, list(init), latency, file
        self._gaps, self._seed = int(stall * 2**DRAWN), seed
        super().__init__({"bus": In(MemoryBus(address_bits, width)), "flip": In(width), "fail": In(1)})

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        shape = memory_request(bus.request.payload.address.shape().width)
        m.submodules.requests = requests = Queue(shape, depth=AHEAD)
        m.submodules.found = found = Queue(self._width, depth=ROOM)
        wiring.connect(m, wiring.flipped(bus.request), requests.i)
        wiring.connect(m, found.o, wiring.flipped(bus.read))

        random = self._random(m)
        runs, late = Signal(), Signal(range(self._latency[1] + 1))
        address, left, write = Signal(len(requests.o.payload.address) + 1), Signal(LENGTH_BITS), Signal()
        asked, goes, inside, flip = Signal(), Signal(), Signal(), Signal(self._width)
        m.d.comb += [
            requests.o.ready.eq(~runs), inside.eq(address < self._depth),
            goes.eq(runs & (late == 0) & (random[:DRAWN] >= self._gaps)),
            bus.write.ready.eq(goes & write),
            found.i.valid.eq(asked),
        ]
        word, moves = Signal(self._width), Signal()
        m.d.comb += moves.eq(goes & Mux(write, bus.write.valid, found.level + asked < ROOM))
        m.d.sync += [asked.eq(moves & ~write), flip.eq(self.flip)]
        add_ram(
            m, platform, "words", file=self._file, depth=self._depth, init=self._init, block=True,
            enable=moves & write & inside, write_address=address, word=bus.write.payload, address=address, data=word,
        )
        m.d.comb += found.i.payload.eq(word ^ flip)
        with m.If(runs & (late != 0)):
            m.d.sync += late.eq(late - 1)
        with m.If(moves):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1), runs.eq(left != 0)]
        with m.If(requests.o.valid & requests.o.ready):
            asks, (least, most) = requests.o.payload, self._latency
            m.d.sync += [
                runs.eq(1), address.eq(asks.address), left.eq(asks.length), write.eq(asks.write),
                late.eq(least + ((random[DRAWN:] * (most - least + 1)) >> len(random[DRAWN:]))),
            ]
        with m.If(self.fail | (runs & ~inside)):
            m.d.sync += bus.fault.eq(1)
        return m

    def _random(self, m):
        """Return 24 random bits, new ones in every cycle: George Marsaglia's xorshift32 (13, 17, 5), never 0."""
        state = Signal(32, init=(self._seed * 0x9E3779B9 ^ 0x2545F491) & 0xFFFFFFFF or 1)
        first, second = Signal(32), Signal(32)
        m.d.comb += [
            first.eq(state ^ Cat(Const(0, 13), state[:19])), second.eq(first ^ first[17:]),
        ]
        m.d.sync += state.eq(second ^ Cat(Const(0, 5), second[:27]))
        return state[8:]
