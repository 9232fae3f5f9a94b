"""The phase of an SDRAM's clock and the edge of its words, against margins reckoned by hand."""

import pytest

from hw.memory.sdram_part import COLORLIGHT_I5, TANG_NANO_20K, ULX3S
from hw.memory.sdram_timing import PADS, pin_timing

WORST = ["write setup", "write hold", "read setup", "read hold"]


def test_the_margins_are_those_of_the_data_sheets():
    """A period of 12.5 ns in 80 steps: the part's clock rises 64 of them, 10 ns, behind the core's.

    What is sent stands from 0 to 12.5. A word leaves the part's pins 6.5 ns behind its clock at the latest and stays
    until 2.5 ns behind the next edge; clock and word take 4.1 + 0.8 at the slowest, 2.05 + 0.2 at the fastest.
    """
    timing = pin_timing(ULX3S, 80e6, 80)
    assert (timing.steps, timing.step, timing.edges) == (80, 64, 2)
    assert timing.margins == pytest.approx({
        "write setup": 10 - 1.5 - 0.51, "write hold": 2.5 - 0.8 - 0.51,
        "read setup": 25 - 0.85 - (10 + 4.1 + 0.8 + 6.5), "read hold": (22.5 + 2.05 + 0.2 + 2.5) - 25 - 0.98,
    })
    assert list(timing.margins) == WORST and timing.least == min(timing.margins.values())


@pytest.mark.parametrize("part, mhz, steps, edges, degrees, least", [
    (ULX3S, 47.9167, 96, 1, 90, 3.21), (ULX3S, 80, 80, 2, 288, 1.19), (ULX3S, 95.8333, 48, 2, 262.5, 0.94),
    (ULX3S, 100, 64, 2, 253.125, 0.72), (COLORLIGHT_I5, 80, 80, 2, 283.5, 1.11),
    (TANG_NANO_20K, 108, 16, 2, 247.5, 0.4), (ULX3S, 132.5, 40, 2, 162, -0.55),
])
def test_the_phase_with_the_most_room(part, mhz, steps, edges, degrees, least):
    """At the clocks of boards the worst figures leave some; a slow clock catches an edge sooner, a fast one may not."""
    timing = pin_timing(part, mhz * 1e6, steps)
    assert (timing.edges, 360 * timing.step / steps, timing.least) == (edges, degrees, least)


def test_no_other_step_has_more_room():
    period, chosen = 1e3 / 96, pin_timing(ULX3S, 96e6, 48)
    for step in range(48):
        late = period * step / 48
        setup = 2 * period - late - 4.9 - 6.5 - 0.85
        hold = late - period + 2.25 + 2.5 - 0.98
        assert min(setup, hold, late - 2.01, period - late - 1.31) <= chosen.least + 0.006


def test_the_shortest_way_out_of_the_fpga_is_half_the_longest():
    """The data sheet has none: docs/memory.md says so."""
    assert PADS.output_ns[0] == PADS.output_ns[1] / 2
