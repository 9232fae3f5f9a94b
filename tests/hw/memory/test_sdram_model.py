"""`sim.sdram`: words where they belong, in time, and each rule broken once, by itself."""

from dataclasses import replace

import pytest
from amaranth.back import verilog

from hw.core.contents import ContentFiles
from hw.memory.sdram_part import ULX3S
from hw.memory.sdram_pins import ALL_BANKS, Command, mode_register
from sim.sdram import RULES, SdramModel
from tests.kit.streams import Bench, plain

CLOCK = 100e6
PART = replace(
    ULX3S, row_bits=4, column_bits=5, power_up_us=0.2, refreshes=4, retention_ms=0.002, rc_ns=90.0, rrd_ns=40.0,
    ras_max_ns=1500.0,
)
A10 = 1 << ALL_BANKS
UP = [
    ("wait", 20), (Command.PRECHARGE, 0, A10), ("wait", 1),
    *[step for _ in range(8) for step in ((Command.REFRESH, 0, 0), ("wait", 6))],
]


def mode(burst=1, cas=2):
    return [(Command.MODE, 0, mode_register(burst, cas)), ("wait", 1)]


def play(steps, part=PART, settle=8):
    """Play (command, bank, address[, words]) one a cycle; return the broken rules and what is read by cycle."""
    dut, seen, broken = SdramModel(part, CLOCK), {}, {}
    bench, pins = Bench(dut), dut.pins

    async def drive(ctx):
        cycle = 0

        async def tick(command=Command.NOP, bank=0, address=0, word=None):
            nonlocal cycle
            for n, name in enumerate(("ras", "cas", "we")):
                ctx.set(getattr(pins, name), command >> n & 1)
            ctx.set(pins.ba, bank)
            ctx.set(pins.a, address)
            ctx.set(pins.dq_oe, word is not None)
            ctx.set(pins.dq_o, word or 0)
            _, _, seen[cycle] = await ctx.tick().sample(pins.dq_i)
            cycle += 1

        for step in [*steps, ("wait", settle)]:
            if step[0] == "wait":
                for _ in range(step[1]):
                    await tick()
            elif step[0] == "drive":
                await tick(word=step[1])
            elif len(step) == 4:
                command, bank, address, words = step
                await tick(command, bank, address, words[0])
                for word in words[1:]:
                    await tick(word=word)
            else:
                await tick(*step)
        broken.update(plain(ctx.get(dut.broken)), violations=ctx.get(dut.violations), words=ctx.get(dut.words))

    bench.add(drive)
    bench.run()
    return broken, seen


def cycle_of(steps):
    """Return the cycle in which the step after these takes place."""
    return sum(step[1] if step[0] == "wait" else len(step[3]) if len(step) == 4 else 1 for step in steps)


@pytest.mark.parametrize("cas", [2, 3])
@pytest.mark.parametrize("burst", [1, 2, 4, 8])
def test_words_come_the_latency_after_their_read_and_a_burst_goes_around_its_block(burst, cas):
    words = [0x1000 + n for n in range(burst)]
    steps = [
        *UP, *mode(burst, cas), (Command.ACTIVE, 1, 3), ("wait", 1), (Command.WRITE, 1, 11, words),
        (Command.WRITE, 1, 24, [7] * burst), ("wait", 4),
    ]
    read = cycle_of(steps)
    broken, seen = play([*steps, (Command.READ, 1, 11), ("wait", burst + cas), (Command.READ, 1, 24)], settle=12)
    assert {rule for rule in RULES if broken[rule]} == set() and broken["words"] == 4 * burst
    assert [seen[read + cas + n] for n in range(burst)] == words
    late = read + 1 + burst + cas + cas
    assert [seen[late + n] for n in range(burst)] == [7] * burst
    # The block's first column holds what a burst that began inside the block has written to it.
    broken, seen = play([*steps, (Command.READ, 1, 11 // burst * burst)], settle=12)
    turned = words[burst - 11 % burst :] + words[: burst - 11 % burst]
    assert [seen[read + cas + n] for n in range(burst)] == turned


OPEN = [*UP, *mode(), (Command.ACTIVE, 1, 3)]
BREACHES = {
    "early": ({"power_up"}, [("wait", 5), (Command.PRECHARGE, 0, A10)]),
    "not initialised": ({"power_up"}, [("wait", 20), (Command.ACTIVE, 0, 0)]),
    "mode before refreshes": ({"power_up"}, [("wait", 20), (Command.PRECHARGE, 0, A10), ("wait", 1), *mode()]),
    "mode": ({"mode"}, [*UP, *mode(cas=1)]),
    "mrd": ({"mrd"}, [*UP, (Command.MODE, 0, mode_register(1, 2)), (Command.ACTIVE, 0, 0)]),
    "opened twice": ({"state"}, [*OPEN, ("wait", 12), (Command.ACTIVE, 1, 4)]),
    "closed": ({"state"}, [*OPEN, ("wait", 2), (Command.READ, 0, 0)]),
    "refresh with a row open": ({"state"}, [*OPEN, ("wait", 9), (Command.REFRESH, 0, 0)]),
    "automatic precharge": ({"state"}, [*OPEN, ("wait", 2), (Command.READ, 1, A10)]),
    "stop": ({"state"}, [*OPEN, ("wait", 2), (Command.STOP, 0, 0)]),
    "rcd": ({"rcd"}, [*OPEN, (Command.READ, 1, 0)]),
    "rcd of a write": ({"rcd"}, [*OPEN, (Command.WRITE, 1, 0, [1])]),
    "rp": ({"rp"}, [*OPEN, ("wait", 9), (Command.PRECHARGE, 1, 0), (Command.ACTIVE, 1, 0)]),
    "rp of a refresh": ({"rp"}, [*OPEN, ("wait", 9), (Command.PRECHARGE, 0, A10), (Command.REFRESH, 0, 0)]),
    "ras": ({"ras"}, [*OPEN, ("wait", 3), (Command.PRECHARGE, 1, 0)]),
    "ras of all banks": ({"ras"}, [*OPEN, ("wait", 3), (Command.PRECHARGE, 0, A10)]),
    "ras_max": ({"ras_max"}, [*OPEN, ("wait", 160)]),
    "rc": ({"rc"}, [*OPEN, ("wait", 4), (Command.PRECHARGE, 1, 0), ("wait", 1), (Command.ACTIVE, 1, 0)]),
    "rrd": ({"rrd"}, [*OPEN, ("wait", 2), (Command.ACTIVE, 0, 0)]),
    "wr": ({"wr"}, [*OPEN, ("wait", 8), (Command.WRITE, 1, 0, [1]), (Command.PRECHARGE, 1, 0)]),
    "rfc": ({"rfc"}, [*UP, *mode(), (Command.REFRESH, 0, 0), ("wait", 5), (Command.ACTIVE, 0, 0)]),
    "retention": ({"retention"}, [*UP, *mode(), ("wait", 210)]),
    "bus": ({"bus"}, [*OPEN, ("wait", 1), (Command.READ, 1, 0), ("wait", 1), (Command.WRITE, 1, 0, [1])]),
    "bus without a cycle between": (
        {"bus"}, [*OPEN, ("wait", 1), (Command.READ, 1, 0), ("wait", 2), (Command.WRITE, 1, 0, [1])]),
    "nobody drives": ({"bus"}, [*OPEN, ("wait", 1), (Command.WRITE, 1, 0)]),
}
LEGAL = {
    "rcd": [*OPEN, ("wait", 1), (Command.READ, 1, 0)],
    "rp": [*OPEN, ("wait", 9), (Command.PRECHARGE, 1, 0), ("wait", 1), (Command.ACTIVE, 1, 0)],
    "ras": [*OPEN, ("wait", 4), (Command.PRECHARGE, 1, 0)],
    "ras_max": [*OPEN, ("wait", 148), (Command.PRECHARGE, 1, 0), ("wait", 10)],
    "rc": [*OPEN, ("wait", 4), (Command.PRECHARGE, 1, 0), ("wait", 3), (Command.ACTIVE, 1, 0)],
    "rrd": [*OPEN, ("wait", 3), (Command.ACTIVE, 0, 0)],
    "wr": [*OPEN, ("wait", 8), (Command.WRITE, 1, 0, [1]), ("wait", 1), (Command.PRECHARGE, 1, 0)],
    "rfc": [*UP, *mode(), (Command.REFRESH, 0, 0), ("wait", 6), (Command.ACTIVE, 0, 0)],
    "retention": [*UP, *mode(), *[("wait", 170), (Command.REFRESH, 0, 0), *[
        step for _ in range(3) for step in (("wait", 6), (Command.REFRESH, 0, 0))]] * 2],
    "bus": [*OPEN, ("wait", 1), (Command.READ, 1, 0), ("wait", 3), (Command.WRITE, 1, 0, [1])],
    "banks beside each other": [
        *OPEN, ("wait", 3), (Command.ACTIVE, 2, 3), (Command.READ, 1, 0), (Command.READ, 2, 0),
        (Command.PRECHARGE, 1, 0)],
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_broken_rule_is_found_and_named_and_spoils_what_is_read(name):
    rules, steps = BREACHES[name]
    broken, _ = play(steps)
    assert {rule for rule in RULES if broken[rule]} == rules
    assert broken["violations"] >= 1


def test_every_rule_is_planted():
    assert set().union(*(rules for rules, _ in BREACHES.values())) == set(RULES)


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_just_in_time_breaks_nothing(name):
    broken, _ = play(LEGAL[name])
    assert {rule for rule in RULES if broken[rule]} == set() and broken["violations"] == 0


def test_a_word_read_too_soon_is_wrong():
    write = [*OPEN, ("wait", 2), (Command.WRITE, 1, 5, [0x1234]), ("wait", 3), (Command.PRECHARGE, 1, 0), ("wait", 4)]
    for wait, word in ((1, 0x1234), (0, 0x1234 ^ 0xFFFF)):
        steps = [*write, (Command.ACTIVE, 1, 3), ("wait", wait)]
        _, seen = play([*steps, (Command.READ, 1, 5)])
        assert seen[cycle_of(steps) + 2] == word


def test_the_model_is_verilog_too():
    files = ContentFiles()
    text = verilog.convert(SdramModel(ULX3S, CLOCK), name="sdram", platform=files, emit_src=False)
    assert "adafire_ram" in text and files.texts == {} and len(text) < 3_000_000
