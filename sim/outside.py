"""The memory outside the chip in simulation: the board's controller before the model of its part, for harnesses in C++.

Both are the Verilog of what `hw.memory.sdram` and `sim.sdram` describe, so refreshes, rows and latencies are those of
the part at its clock. A harness is linked with them (``outside.hpp``), and is told of every rule of the part that is
broken. The part is up when the core begins, as it is on a board long before the first byte comes.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import AdafireError
from gen.plan.params import WORD_BITS
from hw.board.boards import BOARDS, find_board
from hw.core.contents import ContentFiles, ram_verilog
from hw.memory.bus import MemoryBus
from hw.memory.sdram import SdramController
from hw.memory.sdram_part import SdramPart
from sim.sdram import RULES, SdramModel
from sim.verilate import compile_part

__all__ = ["BOARD", "HEADERS", "Linked", "RuleBroken", "check_rules", "linked"]

BOARD = "ulx3s_85f"  # whose memory a core has that is for no board with one
TOP = "adafire_dram"
HARNESS = Path(__file__).with_name("dram.cpp")
HEADERS = [HARNESS.with_name(name) for name in ("outside.hpp", "dram.hpp")]
ROUNDS = 64  # refreshes at power-up, and what else the controller does until it takes requests, fit in so many tRFC


class RuleBroken(AdafireError):
    """A controller did not keep the times of its part."""


class Linked(NamedTuple):
    """What a harness with ``outside.hpp`` is compiled with: options, and objects to link; empty if all is inside."""

    defines: list[str]
    objects: list[Path]


class Dram(wiring.Component):
    """The controller of a part, and the part.

    Members
    -------
    bus : In(MemoryBus)
    broken : Out
        A bit for each of `RULES`, for good.
    """

    def __init__(self, part: SdramPart, clock_hz: float):
        self._controller = SdramController(part, clock_hz, width=WORD_BITS)
        self._model = SdramModel(part, clock_hz)
        bus = self._controller.bus.signature
        super().__init__({"bus": In(MemoryBus(bus.address_bits, bus.width)), "broken": Out(len(RULES))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller, m.submodules.model = controller, model = self._controller, self._model
        wiring.connect(m, wiring.flipped(self.bus), controller.bus)
        wiring.connect(m, controller.pins, model.pins)
        m.d.comb += self.broken.eq(model.broken.as_value())
        return m


def _verilog(dram):
    """Return the Verilog of a `Dram` that is never reset, its ports named with one underscore."""
    m, clock = Module(), ClockDomain("sync", reset_less=True)
    m.domains.sync, m.submodules.dram = clock, dram
    ports = {"_".join(path): (Value.cast(port), None) for path, _, port in dram.signature.flatten(dram)}
    return verilog.convert(m, name=TOP, ports={"clk": (clock.clk, None), **ports}, platform=ContentFiles(), emit_src=False)


@lru_cache
def _compiled(part, clock_hz):
    """Return (bits of an address, the objects) of a part behind its controller."""
    dram, timing = Dram(part, clock_hz), part.timing(clock_hz)
    text = _verilog(dram)
    ram = ram_verilog().replace("words [0:DEPTH-1]", "words [0:DEPTH-1] /*verilator public_flat_rw*/")
    bits, beats = dram.bus.signature.address_bits, WORD_BITS // part.width
    defines = [
        f"-DBEATS={beats}", f"-DWORDS={2**bits}", f"-DPOWER_UP_CYCLES={timing.power_up + ROUNDS * timing.rfc}",
    ]
    return bits, compile_part(TOP, [text, ram], HARNESS, defines, headers=HEADERS[1:])


def linked(params, board: str | None = None) -> Linked:
    """Return what a harness is linked with around a core of ``params`` on ``board``, at the clock that it has there."""
    if not params.outside:
        return Linked([], [])
    chosen = find_board(board if board in BOARDS and BOARDS[board].sdram else BOARD)
    bits, objects = _compiled(chosen.sdram, chosen.target.core_mhz * 1e6)
    return Linked([f"-DOUTSIDE_BITS={params.outside_bits}", f"-DDRAM_BITS={bits}"], objects)


def check_rules(broken: int):
    """Raise `RuleBroken` where the controller has broken rules of the part, a bit for each of `RULES`."""
    rules = [f"{rule} ({text})" for bit, (rule, text) in enumerate(RULES.items()) if broken >> bit & 1]
    if rules:
        raise RuleBroken(
            f"The controller of the SDRAM broke {'a rule' if len(rules) == 1 else 'rules'} of the part: "
            f"{', '.join(rules)}. What was computed since means nothing."
        )
