# amaranth: UnusedElaboratable=no
"""A board's SDRAM in time: registers in the I/O cells, the phase of its clock, wires and part at their worst."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat, DomainRenamer, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from hw.board.board_top import TOP, BoardTop
from hw.board.boards import find_board
from hw.board.dram import BoardDram, clock_step, pin_figures
from hw.board.flows import FLOWS, Command, synthesis
from hw.board.mig import MT41K128M16JT_125
from hw.board.plls import PLLS
from hw.board.steps import UTILISATION
from hw.board.tools import run_tool
from hw.memory.bus import MemoryBus
from hw.memory.sdram_part import COLORLIGHT_I5, ULX3S
from hw.memory.sdram_timing import PADS
from sim.sdram import RULES, SdramModel
from tests.hw.memory.traffic import check, random_bursts
from tests.kit.streams import plain

PARTS = {part.width: replace(part, row_bits=4, column_bits=6, power_up_us=1) for part in (ULX3S, COLORLIGHT_I5)}
CYCLE = 1e-6  # of the simulator, for a period of the clock
STEPS = 48


def words(part):
    """Return the bus of a part, 16 or 32 pins wide, with words of 32 bits."""
    return MemoryBus(part.address_bits - (32 // part.width - 1), 32)


class Board(wiring.Component):
    """A memory at its pins, and the part in a domain of its own, ``part``.

    Outputs and the part's clock need alike long to it. On the way back a word is wrong until the part has it, and
    from where it may change, both seen by an FPGA's register ``leaves`` ns behind the part's clock.
    """

    def __init__(self, part, clock_hz, monkeypatch):
        self.ports = SimpleNamespace(
            clk=io.SimulationPort("o", 1), dq=io.SimulationPort("io", part.width), a=io.SimulationPort("o", 11),
            ba=io.SimulationPort("o", 2), dqm=io.SimulationPort("o", 2), cs=io.SimulationPort("o", 1, invert=True),
            **{name: io.SimulationPort("o", 1, invert=True) for name in ("ras", "cas", "we")},
        )
        monkeypatch.setattr(io.DDRBuffer, "elaborate", lambda *_: Module())  # the simulator has none
        self.dram, self.model = BoardDram(part, clock_hz, words(part)), SdramModel(part, clock_hz)
        super().__init__({})

    def elaborate(self, platform):
        m, ports, pins = Module(), self.ports, self.model.pins
        m.submodules.dram = self.dram.elaborate(SimpleNamespace(request=lambda *_, **__: ports))
        m.submodules.model = DomainRenamer("part")(self.model)
        m.d.comb += [
            pins.a.eq(ports.a.o), pins.ba.eq(ports.ba.o), pins.dqm.eq(ports.dqm.o[0]),
            pins.dq_o.eq(ports.dq.o), pins.dq_oe.eq(ports.dq.oe.all()),
            *(getattr(pins, name).eq(~getattr(ports, name).o) for name in ("ras", "cas", "we")),
        ]
        return m

    def wires(self, clock_hz, first, leaves, part):
        """Return background tasks that carry words back from a part whose first edge is at ``first``."""
        def scaled(ns):
            return round(ns * clock_hz / 1e9 * CYCLE, 15)

        changes = scaled(leaves + part.hold_ns - PADS.hold_ns)
        stands = scaled(leaves + part.access_ns + PADS.setup_ns)

        def carry(turn, turns=4):
            async def task(ctx):
                await ctx.delay(first + turn * CYCLE + CYCLE / 1000)
                while True:
                    word = ctx.get(self.model.pins.dq_i)
                    await ctx.delay(changes)
                    ctx.set(self.ports.dq.i, ~word & (1 << part.width) - 1)
                    await ctx.delay(stands - changes)
                    ctx.set(self.ports.dq.i, word)
                    await ctx.delay(turns * CYCLE - stands)
            return task
        return [carry(turn) for turn in range(4)]


def run(monkeypatch, width, mhz, leaves, off=0, seed=0):
    """Run random bursts with a clock that is late by ``off`` more steps than it should be."""
    part, clock_hz, seen = PARTS[width], mhz * 1e6, {}
    board = Board(part, clock_hz, monkeypatch)
    step = clock_step(part, clock_hz, STEPS) + off
    first = CYCLE / 2 + step / STEPS * CYCLE

    def around(bench):
        for task in board.wires(clock_hz, first, leaves, part):
            bench.add(task, background=True)

    check(
        board, board.dram.bus, random_bursts(seed, 12, address_bits=board.dram.bus.signature.address_bits, width=32,
                                             longest=30),
        seed=seed, stall=0.2, around=around, clocks={"pins": CYCLE, "part": (CYCLE, first)},
        after=lambda ctx: seen.update(plain(ctx.get(board.model.broken))),
    )
    assert [rule for rule in RULES if seen[rule]] == []


SLOW, FAST = (ways + wires for ways, wires in zip(reversed(PADS.output_ns), reversed(PADS.wires_ns)))


@pytest.mark.parametrize("leaves", [FAST, SLOW])
@pytest.mark.parametrize("width, mhz", [(16, 48), (16, 80), (16, 96), (32, 80), (32, 108)])
def test_every_word_is_caught_when_all_is_slow_and_when_all_is_fast(monkeypatch, width, mhz, leaves):
    run(monkeypatch, width, mhz, leaves)


@pytest.mark.parametrize("off, leaves", [(8, SLOW), (-8, FAST)])
def test_another_phase_would_be_seen_here(monkeypatch, off, leaves):
    """A sixth of a period: a word comes too late, or goes too soon."""
    with pytest.raises(AssertionError, match="seed 0: word 0 read is"):
        run(monkeypatch, 16, 96, leaves, off)


def test_other_memories_take_no_such_clock():
    assert clock_step(MT41K128M16JT_125, 80e6, STEPS) is None and clock_step(None, 80e6, STEPS) is None


def test_a_report_says_the_phase_and_what_is_to_spare():
    assert pin_figures(ULX3S, 80e6, 80) == {"sdram": {"phase_degrees": 288, "margins_ns": {
        "write setup": 7.99, "write hold": 1.19, "read setup": 2.75, "read hold": 1.27}}}
    assert pin_figures(MT41K128M16JT_125, 80e6, STEPS) == {}


class Traffic(wiring.Component):
    """A design that moves words to and fro, so that no pin is left out."""

    def __init__(self, part):
        super().__init__({"rx": In(1), "tx": Out(1), "active": Out(1), "memory": Out(words(part))})

    def elaborate(self, platform):
        m, bus = Module(), self.memory
        drawn, mixed = Signal(40, init=1), Signal(32)
        m.d.sync += [drawn.eq(Cat(drawn[39] ^ drawn[20] ^ self.rx, drawn)), self.tx.eq(mixed.xor())]
        m.d.comb += [
            bus.request.valid.eq(1), bus.request.payload.eq(drawn), bus.write.valid.eq(1),
            bus.write.payload.eq(mixed), bus.read.ready.eq(1), self.active.eq(mixed[0]),
        ]
        with m.If(bus.read.valid):
            m.d.sync += mixed.eq(mixed.rotate_left(1) ^ bus.read.payload)
        return m


@pytest.mark.slow
@pytest.mark.parametrize("name, cells", [
    ("ulx3s_85f", {"IOLOGIC": 37}), ("colorlight_i5", {"IOLOGIC": 4, "SIOLOGIC": 45}),
    ("tang_nano_20k", {"IOLOGICI": 32, "IOLOGICO": 53}),
])
def test_the_router_finds_the_registers_beside_the_pads(name, cells, tmp_path):
    """All but chip select and clock enable, of the clock one; an ECP5's cell has all of a pin, Gowin's one way."""
    board = find_board(name)
    target, flow = board.target, FLOWS[board.target.family]
    setting = PLLS[target.family].setting(target.clock_mhz, target.core_mhz)
    files = board.make_platform().prepare(BoardTop(board, setting, Traffic(board.memory)), TOP, emit_src=False).files
    for suffix in (".il", flow.constraints):
        (tmp_path / f"{TOP}{suffix}").write_text(files[f"{TOP}{suffix}"])
    place = flow.place(target, f"{TOP}{flow.constraints}")
    packing = Command(flow.router, "pack.log", (*place, "--json", f"{TOP}.json", "--pack-only"))
    for command in (synthesis(flow, TOP), packing):
        run_tool(tmp_path, command, tmp_path)
    used = {kind: int(count) for kind, count, _ in UTILISATION.findall((tmp_path / packing.log).read_text())}
    assert {kind: used.get(kind, 0) for kind in cells} == cells and sum(
        count for kind, count in used.items() if "IOLOGIC" in kind) == sum(cells.values())
