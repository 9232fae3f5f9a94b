# amaranth: UnusedElaboratable=no
"""`hw.memory.sdram` before a part that keeps its times: every word, no rule broken, bursts without gaps."""

from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.memory.sdram import SdramController
from hw.memory.sdram_part import COLORLIGHT_I5, ULX3S
from sim.sdram import RULES, SdramModel
from tests.hw.memory.traffic import check, random_bursts
from tests.kit.streams import plain

SMALL = {"row_bits": 4, "column_bits": 6, "power_up_us": 1, "refreshes": 16, "retention_ms": 0.05}
WIDE = {"row_bits": 4, "column_bits": 5, "power_up_us": 1, "refreshes": 16, "retention_ms": 0.06}
PARTS = {16: replace(ULX3S, **SMALL), 32: replace(COLORLIGHT_I5, **WIDE)}


class Board(wiring.Component):
    """A controller and its part."""

    def __init__(self, part, clock_hz, **settings):
        self.controller, self.part = SdramController(part, clock_hz, **settings), SdramModel(part, clock_hz)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller, m.submodules.part = self.controller, self.part
        wiring.connect(m, self.controller.pins, self.part.pins)
        return m


def run(part, clock_hz, bursts, *, width=None, **settings):
    """Run bursts; return (words read as `Taken`, words that the part moved). No rule may be broken."""
    board, seen = Board(part, clock_hz, width=width), {}

    def look(ctx):
        seen.update(plain(ctx.get(board.part.broken)), words=ctx.get(board.part.words))

    taken = check(board, board.controller.bus, bursts, after=look, **settings)
    assert [rule for rule in RULES if seen[rule]] == [], f"seed {settings['seed']}"
    return taken, seen["words"]


def bits(part, width):
    return part.address_bits - (width // part.width).bit_length() + 1


@pytest.mark.parametrize("seed, pins, width, clock_hz, stalls", [
    (0, 16, 16, 100e6, (0, 0, 0)), (1, 16, 16, 133e6, (0.5, 0.5, 0.5)), (2, 16, 32, 100e6, (0, 0.8, 0.2)),
    (3, 16, 64, 80e6, (0.8, 0, 0.9)), (4, 16, 128, 130e6, (0.9, 0.9, 0)), (5, 32, 32, 100e6, (0.1, 0.3, 0.95)),
    (6, 32, 64, 140e6, (0, 0, 0.5)), (7, 32, 128, 40e6, (0.3, 0.3, 0.3)), (8, 16, 16, 12e6, (0, 0, 0)),
    (9, 16, 16, 100e6, (0.98, 0, 0)),
])
def test_every_word_is_right_and_no_rule_is_broken(seed, pins, width, clock_hz, stalls):
    part = PARTS[pins]
    if clock_hz < 20e6:
        part = replace(part, retention_ms=0.4, ras_max_ns=1e6)
    bursts = random_bursts(seed, 25, address_bits=bits(part, width), width=width, longest=60)
    _, moved = run(part, clock_hz, bursts, width=width, seed=seed, stall=None, stalls=stalls)
    assert moved == sum(length for _, length, _ in bursts) * width // pins
