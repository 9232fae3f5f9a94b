"""`sim.hyperram`: a transaction as the data sheet draws it, and each rule broken once, by itself."""

from dataclasses import replace

import pytest
from amaranth.back import verilog

from hw.core.contents import ContentFiles
from hw.memory.hyperram_part import TANG_NANO_9K, configuration
from sim.hyperram import REGISTER_WRITE, RULES, HyperRamModel
from tests.kit.streams import play

CLOCK = 60e6  # latency 3, recovery 3 cycles, selected for 240 at most
PART = replace(TANG_NANO_9K, dies=1, address_bits=8, power_up_us=0.1)
UP = [{"pins.reset": 1}, *[{"pins.reset": 0}] * 8]
IDLE = {"pins.cs": 0, "pins.ck": 0, "pins.dq_oe": 0, "pins.rwds_oe": 0, "pins.rwds_o": 0}
REST = [IDLE] * 5
READ, WRITE = 0xA000_0000_0000, 0x2000_0000_0000
SHORTEST = configuration(3)


def command(word, address=0, drives=1):
    """Return the rows of a selection, and of command and address, byte by byte."""
    word |= (address >> 3) << 16 | address & 7
    rows = [{"pins.cs": 1}]
    for n in (32, 16, 0):
        first, second = word >> n + 8 & 255, word >> n & 255
        rows.append({"pins.ck": 1, "pins.dq_oe": drives, "pins.dq_o": first | second << 8})
    return rows


def configure(value=SHORTEST):
    return [*command(REGISTER_WRITE), {"pins.dq_o": value >> 8 | (value & 255) << 8}, *REST]


def write(words, address=0, wait=5, **changes):
    """Return the rows of a write, ``wait`` clocks between the command and its words."""
    words = [{"pins.dq_oe": 1, "pins.rwds_oe": 1, "pins.dq_o": word} | changes for word in words]
    return [*command(WRITE, address), *[{"pins.dq_oe": 0}] * wait, *words, *REST]


def read(count, address=0, wait=5, **changes):
    return [*command(READ, address), *[{"pins.dq_oe": 0}] * wait, *[changes] * count, *REST]


def seen(rows, *outputs, part=PART):
    """Play rows; return the broken rules and the outputs of every cycle."""
    made = play(HyperRamModel(part, CLOCK), rows, "broken", "violations", *outputs)
    broken, violations = made[-1][:2]
    assert bool(violations) == any(broken.values())
    return {rule for rule in RULES if broken[rule]}, [row[2:] for row in made]


def test_words_come_back_from_where_they_were_written():
    begin = [*UP, *configure(), *write([0x1111, 0x2222, 0x3333], address=13)]
    rows = [*begin, *read(3, address=13), *read(2, address=15)]
    broken, pins = seen(rows, "pins.rwds_i", "pins.dq_i")
    assert broken == set()
    # The strobe is high for both halves while the command comes, and in a word's first half.
    assert [word for strobe, word in pins[len(begin) :] if strobe == 1] == [0x1111, 0x2222, 0x3333, 0x3333, 0]
    first = next(n for n, (strobe, _) in enumerate(pins) if n > len(begin) and strobe == 1)
    assert first == len(begin) + 1 + 2 + 2 * 3 + 2  # selection, clocks of the data sheet, the model's delay


BREACHES = {
    "early": ({"power_up"}, [{"pins.reset": 0}, {}, *configure()]),
    "not selected": ({"clock"}, [*UP, {"pins.ck": 1}, IDLE]),
    "at once": ({"clock"}, [*UP, {"pins.cs": 1, "pins.ck": 1}, IDLE, *REST]),
    "nobody drives": ({"command"}, [*UP, *configure(), *command(READ, drives=0), *REST]),
    "wrapped": ({"command"}, [*UP, *configure(), *command(READ & ~(1 << 45)), {"pins.dq_oe": 0}, {}, *REST]),
    "another register": ({"command"}, [*UP, *command(0xE000_0000_0000), {"pins.dq_oe": 0}, {}, *REST]),
    "latency of refreshes": ({"latency"}, [*UP, *configure(0x8FE7), *read(1)]),
    "recovery": ({"recovery"}, [*UP, *configure(), *read(1)[:-3], *read(1)]),
    "select": ({"select"}, [*UP, *configure(), *read(235)]),
    "not driven": ({"bus"}, [*UP, *configure(), *write([1, 2], **{"pins.dq_oe": 0})]),
    "masked": ({"bus"}, [*UP, *configure(), *write([1, 2], **{"pins.rwds_o": 1})]),
    "strobe not driven": ({"bus"}, [*UP, *configure(), *write([1, 2], **{"pins.rwds_oe": 0})]),
    "words too late": ({"bus"}, [*UP, *configure(), *write([1, 2], wait=6)]),
    "both drive": ({"bus"}, [*UP, *configure(), *read(2, **{"pins.dq_oe": 1})]),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_broken_rule_is_found_and_named(name):
    rules, rows = BREACHES[name]
    assert seen(rows)[0] == rules


def test_a_latency_too_short_for_the_clock_is_found():
    assert seen([*UP, *configure(), *read(1)], part=replace(PART, latency_mhz=((4, 100.0),)))[0] == {"latency"}


def test_every_rule_is_planted():
    assert set().union(*(rules for rules, _ in BREACHES.values())) == set(RULES)


def test_words_are_spoiled_once_a_rule_is_broken():
    begin = [*UP, *configure(), *write([0x1234]), {"pins.ck": 1}, *REST]
    _, pins = seen([*begin, *read(1)], "pins.rwds_i", "pins.dq_i")
    assert [word for strobe, word in pins[len(begin) :] if strobe == 1] == [0x1234 ^ 0xFFFF]


def test_the_model_is_verilog_too():
    files = ContentFiles()
    text = verilog.convert(HyperRamModel(TANG_NANO_9K, CLOCK), name="hyperram", platform=files, emit_src=False)
    assert "adafire_ram" in text and files.texts == {}
