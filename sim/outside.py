"""The memory outside the chip in simulation: the board's controller before the model of its part, for harnesses in C++.

Refreshes, rows and latencies are those of an SDRAM at its clock. Of a memory on AXI only the mean rate is the board's
(`gen.plan.target.Dram`); latencies are drawn. A harness is linked with `sim.dram`, which it reaches
through ``outside.hpp``, and is told of every rule of the part that is broken.
"""

from pathlib import Path
from typing import NamedTuple

from gen.errors import AdafireError

__all__ = ["BOARD", "HEADERS", "Linked", "RuleBroken", "check_rules", "linked"]

LEAST_BITS = 20  # of an address of a memory on AXI
BOARD = "ulx3s_85f"  # whose memory a core has that is for no board with one
HEADERS = [Path(__file__).with_name(name) for name in ("outside.hpp", "dram.hpp")]


class RuleBroken(AdafireError):
    """A controller did not keep the times of its part."""


class Linked(NamedTuple):
    """What a harness with ``outside.hpp`` is compiled with: options, and objects to link; empty if all is inside."""

    defines: list[str]
    objects: list[Path]


def linked(params, board: str | None = None) -> Linked:
    """Return what a harness is linked with around a core of ``params`` on ``board``, at the clock that it has there."""
    if not params.outside:
        return Linked([], [])
    from hw.board.boards import BOARDS, find_board
    from hw.memory.sdram_part import SdramPart
    from sim.dram import compiled_axi, compiled_dram

    chosen = find_board(board if board in BOARDS and BOARDS[board].memory else BOARD)
    memory, target = chosen.memory, chosen.target
    if isinstance(memory, SdramPart):
        bits, objects = compiled_dram(memory, target.core_mhz * 1e6)
    else:
        bits, objects = compiled_axi(max(LEAST_BITS, params.outside_bits), round(1 / target.pace, 2))
    return Linked([f"-DOUTSIDE_BITS={params.outside_bits}", f"-DDRAM_BITS={bits}"], objects)


def check_rules(broken: int):
    """Raise `RuleBroken` where the controller has broken rules of the part, a bit for each of `RULES`."""
    if not broken:
        return
    from sim.sdram import RULES

    rules = [f"{rule} ({text})" for bit, (rule, text) in enumerate(RULES.items()) if broken >> bit & 1]
    which = "a rule" if len(rules) == 1 else "rules"
    raise RuleBroken(
        f"The controller of the SDRAM broke {which} of the part: {', '.join(rules)}. "
        "What was computed since means nothing."
    )
