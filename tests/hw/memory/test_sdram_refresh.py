# amaranth: UnusedElaboratable=no
"""`hw.memory.sdram_refresh`: how often, how late, and the beginning."""

from dataclasses import replace

import pytest

from gen.errors import InputError
from hw.memory.sdram_part import COLORLIGHT_I5, ULX3S
from hw.memory.sdram_refresh import AT_POWER_UP, RefreshPlan, RefreshTimer
from tests.kit.streams import Bench


@pytest.mark.parametrize("part, clock_hz, interval, postponed", [
    (ULX3S, 100e6, 777, 8), (ULX3S, 50e6, 388, 8), (COLORLIGHT_I5, 100e6, 1555, 5), (COLORLIGHT_I5, 133e6, 2068, 5),
])
def test_the_plan(part, clock_hz, interval, postponed):
    timing = part.timing(clock_hz)
    plan = RefreshPlan(timing, part.refreshes)
    assert (plan.interval, plan.postponed) == (interval, postponed)
    assert (part.refreshes + postponed + 1) * interval + timing.power_up < timing.retention
    assert (postponed + 1) * interval < timing.ras_max


def test_a_clock_too_slow_to_refresh_is_refused():
    with pytest.raises(InputError, match="8192 refreshes in 320000 cycles .*: ask for a faster clock"):
        RefreshPlan(ULX3S.timing(5e6), ULX3S.refreshes)


def test_a_timer_counts_what_is_due_and_says_when_it_must():
    part = replace(ULX3S, power_up_us=5, refreshes=16, retention_ms=0.05)
    timing = part.timing(100e6)
    plan = RefreshPlan(timing, part.refreshes)
    dut, events = RefreshTimer(timing, part.refreshes), []
    bench = Bench(dut, limit=20_000)

    async def refresh(ctx):
        async def until(signal, value):
            while ctx.get(signal) != value:
                await ctx.tick()

        async def pulse(count):
            for _ in range(count):
                ctx.set(dut.done, 1)
                await ctx.tick()
                ctx.set(dut.done, 0)
                await ctx.tick()

        await until(dut.must, 1)
        events.append(bench.cycle)
        await pulse(AT_POWER_UP)
        events.append((ctx.get(dut.due), ctx.get(dut.must)))
        await until(dut.due, 1)
        await until(dut.must, 1)
        events.append(bench.cycle)
        await pulse(plan.postponed - 1)
        events.append((ctx.get(dut.due), ctx.get(dut.must)))
        await pulse(1)
        events.append((ctx.get(dut.due), ctx.get(dut.must)))

    bench.add(refresh)
    bench.run()
    assert events[0] >= timing.power_up
    assert events[1] == (0, 0) and events[3] == (1, 1) and events[4] == (0, 0)
    turns = round((events[2] - events[0]) / plan.interval)
    assert turns == plan.postponed
