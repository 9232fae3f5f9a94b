"""`sim.flash`: each rule broken once, by itself, and every bit inverted from then on."""

from dataclasses import replace

import pytest

from hw.memory.flash import IS25LP128_W25Q128
from sim.flash import RULES, FlashModel
from tests.kit.streams import Bench, plain, ticks

CLOCK, ADDRESS = 100e6, 0x1234
PART = replace(IS25LP128_W25Q128, select_ns=20, hold_ns=15)  # two cycles each
CONTENTS = b"\xa5\x3c"
TOLD = [0x03, 0x00, 0x12, 0x34]


def play(steps):
    """Set (cs, clk, copi) for so many cycles; return the broken rules, and what cipo was at the end of each step."""
    dut, seen, broken = FlashModel(PART, CLOCK, CONTENTS, ADDRESS), [], {}
    bench = Bench(dut, limit=5000)

    async def drive(ctx):
        for cycles, cs, clk, copi in steps:
            for pin, level in ((dut.pins.cs, cs), (dut.pins.clk, clk), (dut.pins.copi, copi)):
                ctx.set(pin, level)
            await ticks(ctx, cycles - 1)
            _, _, bit = await ctx.tick().sample(dut.pins.cipo)
            seen.append(bit)
        await ctx.tick()
        broken.update(plain(ctx.get(dut.broken)))

    bench.add(drive)
    bench.run()
    return [rule for rule in RULES if broken[rule]], seen


def bits(data):
    return [byte >> n & 1 for byte in data for n in reversed(range(8))]


def clocked(data, low=2, high=2):
    """Return the steps that tell bytes: each bit is there as the clock falls, or as the flash is selected."""
    return [step for bit in bits(data) for step in ((low, 1, 0, bit), (high, 1, 1, bit))]


def byte_of(seen):
    """Return the byte that is there at the end of the low halves of the last eight bits."""
    return int("".join(map(str, seen[-16::2])), 2)


REST = [(10, 0, 0, 0)]


def test_bytes_come_one_behind_the_other():
    broken, seen = play(REST + clocked(TOLD + [0, 0, 0]) + REST)
    assert broken == []
    whole = seen[len(REST) : -len(REST)]
    assert [byte_of(whole[: 16 * n]) for n in (5, 6, 7)] == [*CONTENTS, 0xFF]


SPOILED = [
    ("clock", REST + [(2, 1, 0, 0), *clocked(TOLD, low=1)[1:]]),
    ("mode", REST + [(5, 0, 1, 0), (5, 1, 1, 0)] + clocked(TOLD)),
    ("select", REST + [(1, 1, 0, 0), *clocked(TOLD)[1:]]),
    ("deselect", REST + clocked(TOLD) + [(4, 0, 0, 0)] + clocked(TOLD)),
    ("setup", REST + [(2, 1, 0, 1), (2, 1, 1, 0), *clocked(TOLD)[2:]]),
    ("hold", REST + [(2, 1, 0, 0), (1, 1, 1, 0), (1, 1, 1, 1), (2, 1, 0, 0), *clocked(TOLD)[3:]]),
    ("command", REST + clocked([0x0B, *TOLD[1:]])),
    ("command", REST + clocked(TOLD[:2]) + REST),
]


@pytest.mark.parametrize("rule, steps", SPOILED, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(SPOILED)])
def test_a_rule_broken_is_named(rule, steps):
    assert play(steps)[0] == [rule]


def test_every_rule_is_broken_above():
    assert {rule for rule, _ in SPOILED} == set(RULES)


def test_what_is_read_after_a_broken_rule_is_inverted():
    _, seen = play(REST + clocked([0x03, 0x00]) + REST + clocked(TOLD + [0]))
    assert byte_of(seen) == CONTENTS[0] ^ 0xFF
