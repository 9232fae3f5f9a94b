# amaranth: UnusedElaboratable=no
"""`hw.memory.hyperram` before a part that keeps its times: every word, wherever in a cycle it comes, no rule broken."""

from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from gen.errors import InputError
from hw.memory.hyperram import HyperRamController
from hw.memory.hyperram_part import TANG_NANO_9K, HyperRamTiming, configuration
from sim.hyperram import RULES, HyperRamModel
from tests.hw.memory.traffic import check, random_bursts
from tests.kit.streams import plain

PART = replace(TANG_NANO_9K, address_bits=10, power_up_us=1)


class Board(wiring.Component):
    """A controller and its part."""

    def __init__(self, part, clock_hz, **settings):
        self.controller, self.part = HyperRamController(part, clock_hz), HyperRamModel(part, clock_hz, **settings)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller, m.submodules.part = self.controller, self.part
        wiring.connect(m, self.controller.pins, self.part.pins)
        return m


def run(clock_hz, bursts, *, part=PART, dead=False, values=True, rules=(), **settings):
    """Run bursts; return (words read as `Taken`, whether there was a fault)."""
    model = {name: settings.pop(name) for name in ("delay", "crossed") if name in settings}
    board, seen = Board(part, clock_hz, **model), {}

    def look(ctx):
        seen.update(plain(ctx.get(board.part.broken)), words=ctx.get(board.part.words),
                    fault=ctx.get(board.controller.bus.fault))

    taken = check(board, board.controller.bus, bursts, after=look, values=values,
                  before=lambda ctx: ctx.set(board.part.dead, dead), **settings)
    assert [rule for rule in RULES if seen[rule]] == list(rules), f"seed {settings['seed']}"
    assert dead or seen["words"] == sum(length for _, length, _ in bursts)
    return taken, seen["fault"]


@pytest.mark.parametrize("seed, dies, clock_hz, delay, crossed, stalls", [
    (0, 2, 60e6, 1, False, (0, 0, 0)), (1, 2, 60e6, 2, True, (0.5, 0.5, 0.5)), (2, 2, 27e6, 3, False, (0, 0.9, 0)),
    (3, 1, 100e6, 4, True, (0.9, 0, 0.9)), (4, 1, 160e6, 5, False, (0, 0, 0.3)),
    (5, 2, 120e6, 1, True, (0.2, 0.2, 0.8)),
])
def test_every_word_is_right_and_no_rule_is_broken(seed, dies, clock_hz, delay, crossed, stalls):
    part = replace(PART, dies=dies)
    bursts = random_bursts(seed, 20, address_bits=10, width=part.width, longest=200)
    _, fault = run(clock_hz, bursts, part=part, delay=delay, crossed=crossed, seed=seed, stall=None, stalls=stalls)
    assert fault == 0


def test_a_part_that_does_not_answer_is_a_fault_and_nothing_stops():
    words, fault = run(60e6, [(0, 5, None), (3, 2, [1, 2]), (100, 150, None)], dead=True, values=False, seed=0, stall=0)
    assert fault == 1 and len(words) == 155


def test_sequential_bursts_reach_most_of_the_peak():
    words, _ = run(80e6, [(256 * n, 256, None) for n in range(4)], seed=0, stall=0)
    assert 1024 / (words[-1].cycle - words[0].cycle + 1) > 0.85


def test_times_in_cycles():
    assert TANG_NANO_9K.timing(60e6) == HyperRamTiming(latency=3, recovery=3, select=240, power_up=9000)
    assert TANG_NANO_9K.timing(100.1e6).latency == 5 and TANG_NANO_9K.width == 32
    assert [hex(configuration(clocks)) for clocks in (3, 6)] == ["0x8fef", "0x8f1f"]


@pytest.mark.parametrize("clock_hz, text", [(170e6, "166 MHz at most, .* is 170 MHz"), (2e6, "8 cycles at 2 MHz")])
def test_a_clock_that_cannot_be_is_refused(clock_hz, text):
    with pytest.raises(InputError, match=text):
        HyperRamController(TANG_NANO_9K, clock_hz)
