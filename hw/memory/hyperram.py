"""Controller of HyperRAM: bursts of the bus become transactions, their words wait in block RAM on both sides."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import InputError
from hw.link.queue import Queue
from hw.memory.bus import LENGTH_BITS, MemoryBus
from hw.memory.cutter import Cutter
from hw.memory.hyperram_part import CA_CLOCKS, HyperRamPart, configuration, hyperram_pins

__all__ = ["HyperRamController"]

PIECE_BITS = 7  # a transaction moves 128 words at most: both queues hold two of them
QUEUED = 2 << PIECE_BITS
PATIENCE = 32  # cycles after the last clock in which the words of a read must have come
OVERHEAD = 8  # cycles of a transaction beside command, latency and words
CONFIGURE = 0x6000_0100_0000  # the command that writes configuration register 0
LINEAR = Const(1, 1)


class HyperRamController(wiring.Component):
    """Answer a memory bus from HyperRAM, one word a clock: both edges of all dies.

    A transaction may not stop for a taker or a giver, nor last longer than the part lets it: bursts are cut into pieces
    of 128 words or fewer. A read begins when all its words have room, a write when all its words are there. The part is
    told to wait twice its initial latency always, so that nothing depends on its refreshes.

    The words of a read are found by the strobe that comes with them, in either half of a cycle. Where it does not come
    the part does not answer: ``bus.fault``, and words that mean nothing.

    Parameters
    ----------
    part : HyperRamPart
    clock_hz : float
        Of ``sync``, which is the part's clock as well.

    Members
    -------
    bus : In(MemoryBus)
        As wide as both halves of the pins.
    pins : Out(hyperram_pins)

    Raises
    ------
    InputError
        Where the clock is faster than the part, or so slow that a transaction has no room for words.
    """

    def __init__(self, part: HyperRamPart, clock_hz: float):
        self._part, self._timing = part, part.timing(clock_hz)
        words = self._timing.select - CA_CLOCKS - 2 * self._timing.latency - OVERHEAD
        if words < 2:
            raise InputError(
                f"The HyperRAM {part.title} lets a transaction take {self._timing.select} cycles at {clock_hz / 1e6:g} "
                "MHz, less than it needs: ask for a faster clock of the core."
            )
        self._piece_bits = min(PIECE_BITS, words.bit_length() - 1)
        super().__init__({"bus": In(MemoryBus(part.address_bits, part.width)), "pins": Out(hyperram_pins(part))})

    def elaborate(self, platform):
        m = Module()
        part, t, bus, pins = self._part, self._timing, self.bus, self.pins
        m.submodules.cutter = cutter = Cutter(part.address_bits, self._piece_bits)
        m.submodules.written = written = Queue(part.width, depth=QUEUED)
        m.submodules.read = read = Queue(part.width, depth=QUEUED)
        for port, inside in ((bus.request, cutter.i), (bus.write, written.i), (bus.read, read.o)):
            wiring.connect(m, wiring.flipped(port), inside)

        piece, data_at = cutter.o.payload, CA_CLOCKS - 1 + 2 * t.latency
        room = Signal()
        m.d.sync += room.eq(cutter.o.valid & Mux(
            piece.write, written.level > piece.length, read.level < QUEUED - (1 << PIECE_BITS)))
        step, waits = Signal(range(data_at + 1)), Signal(range(max(t.power_up, t.recovery, PATIENCE) + 1))
        waits_over, left, missing = Signal(), Signal(LENGTH_BITS), Signal(LENGTH_BITS)
        m.d.comb += waits_over.eq(waits == 0)
        with m.If(~waits_over):
            m.d.sync += waits.eq(waits - 1)

        configures = Signal()
        command, setting = self._command(m, configures, piece)
        sent = {}
        for name in ("cs", "ck", "dq_oe", "rwds_oe"):
            sent[name] = Signal(name=f"next_{name}")
            m.d.sync += getattr(pins, name).eq(sent[name])
        dq = Signal(part.width)
        m.d.sync += pins.dq_o.eq(dq)
        m.d.comb += [dq.eq(written.o.payload), pins.rwds_o.eq(0)]
        reading = Signal()
        with m.FSM(init="RESET"):
            with m.State("RESET"):
                m.d.sync += [pins.reset.eq(0), waits.eq(t.power_up), configures.eq(1)]
                m.next = "REST"
            with m.State("REST"):  # between two transactions
                m.d.sync += [step.eq(0), left.eq(piece.length), missing.eq(piece.length)]
                with m.If(waits_over & (configures | room)):
                    m.d.comb += sent["cs"].eq(1)
                    m.next = "COMMAND"
            with m.State("COMMAND"):
                m.d.comb += [
                    sent["cs"].eq(1), sent["ck"].eq(1), sent["dq_oe"].eq(1), dq.eq(command[step[:2]]),
                ]
                m.d.sync += step.eq(step + 1)
                with m.If(step == CA_CLOCKS - 1):
                    m.next = "WAIT"
                    with m.If(configures):
                        m.next = "CONFIGURE"
            with m.State("CONFIGURE"):
                m.d.comb += [sent["cs"].eq(1), sent["ck"].eq(1), sent["dq_oe"].eq(1), dq.eq(setting)]
                m.d.sync += configures.eq(0)
                m.next = "END"
            with m.State("WAIT"):  # for the latency
                m.d.comb += [
                    sent["cs"].eq(1), sent["ck"].eq(1), sent["rwds_oe"].eq(piece.write & (step == data_at - 1)),
                ]
                m.d.sync += step.eq(step + 1)
                with m.If(step == data_at - 1):
                    m.next = "WORDS"
            with m.State("WORDS"):
                m.d.comb += [
                    sent["cs"].eq(1), sent["ck"].eq(1), sent["dq_oe"].eq(piece.write), sent["rwds_oe"].eq(piece.write),
                    written.o.ready.eq(piece.write), reading.eq(~piece.write),
                ]
                m.d.sync += [left.eq(left - 1), waits.eq(PATIENCE)]
                with m.If(left == 0):
                    m.next = "ARRIVE"
                    with m.If(piece.write):
                        m.d.comb += cutter.o.ready.eq(1)
                        m.next = "END"
            with m.State("ARRIVE"):  # the last words are on their way
                m.d.comb += [sent["cs"].eq(~waits_over), reading.eq(1)]
                with m.If(waits_over):
                    m.d.sync += bus.fault.eq(1)
                with m.If((missing == 0) & read.i.valid):
                    m.d.comb += cutter.o.ready.eq(1)
                    m.next = "END"
            with m.State("END"):
                m.d.sync += waits.eq(t.recovery)
                m.next = "REST"

        # A word begins with the half in which the strobe is high, and ends with the next one.
        late, late_strobe = Signal(part.width // 2), Signal()
        half = part.width // 2
        straight, crossed = pins.rwds_i == 0b01, late_strobe & ~pins.rwds_i[0]
        m.d.sync += [late.eq(pins.dq_i[half:]), late_strobe.eq(pins.rwds_i[1] & reading)]
        m.d.comb += [
            read.i.payload.eq(Mux(crossed, Cat(late, pins.dq_i[:half]), pins.dq_i)),
            read.i.valid.eq(reading & (straight | crossed | (bus.fault & waits_over))),
        ]
        with m.If(read.i.valid):
            m.d.sync += missing.eq(missing - 1)
        return m

    def _command(self, m, configures, piece):
        """Return what is sent in each clock of command and address, an `Array`, and the configuration after it."""
        dies, address_bits = self._part.dies, self._part.address_bits
        chosen = Signal(48)  # the first byte to be sent highest
        m.d.comb += chosen.eq(Mux(configures, CONFIGURE, Cat(
            piece.address[:3], Const(0, 13), piece.address[3:], Const(0, 32 - address_bits), LINEAR, Const(0, 1),
            ~piece.write,
        )))
        pairs = [(chosen[at + 8 : at + 16], chosen[at : at + 8]) for at in (32, 16, 0)]
        value = configuration(self._timing.latency)
        pairs.append((Const(value >> 8, 8), Const(value & 255, 8)))
        *command, setting = (Cat(first.replicate(dies), second.replicate(dies)) for first, second in pairs)
        return Array(command), setting
