"""`hw.link.urgent`: how long everything is stopped, for each command; the last one counts."""

import pytest

from hw.link.urgent import RESET_CYCLES, Urgent
from hw.regmap import Command
from tests.kit.streams import play

OUTPUTS = ("flush", "stop", "clear", "abort", "core_reset", "restarted", "o.valid", "reset")


def lines(rows, *, cycles=60):
    """Run rows, then idle cycles; return {output: set of cycles in which it is high}."""
    seen = play(Urgent(), [*rows, *[{}] * (cycles - len(rows))], *OUTPUTS, "o.payload")
    high = {name: {n for n, row in enumerate(seen) if row[i]} for i, name in enumerate(OUTPUTS)}
    answers = [row[-1] for row in seen if row[OUTPUTS.index("o.valid")]]
    return high, [(answer["command"], answer["sequence"]) for answer in answers]


def request(command, sequence=7):
    return {"urgent": 1, "command": command, "sequence": sequence}


@pytest.mark.parametrize("command", [Command.ABORT, Command.RESET])
def test_everything_is_stopped_until_the_core_is_idle_and_the_answer_taken(command):
    rows = [request(command), {"urgent": 0}, *[{}] * 18, {"idle": 1}, *[{}] * 4, {"stopped": 1}, *[{}] * 5]
    high, answers = lines([*rows, {"o.ready": 1}])
    asked, taken = len(rows) - 6 + 1, len(rows)
    assert high["flush"] == {1} and high["stop"] == set(range(2, taken + 1))
    assert high["clear"] == set(range(2, asked)) and high["o.valid"] == set(range(asked, taken + 1))
    assert high["abort"] == (high["clear"] if command == Command.ABORT else set())
    assert len(high["core_reset"]) == (RESET_CYCLES - 1 if command == Command.RESET else 0)
    assert high["core_reset"] <= high["clear"]
    assert set(answers) == {(command, 7)}


def test_a_core_that_never_becomes_idle_is_reset_by_the_next_command():
    rows = [request(Command.ABORT, 1), {"urgent": 0, "stopped": 1}, *[{}] * 20, request(Command.RESET, 2),
            {"urgent": 0}, *[{}] * 10, {"idle": 1}, {"o.ready": 1}]
    high, answers = lines(rows)
    assert answers == [(Command.RESET, 2)]
    assert len(high["core_reset"]) == RESET_CYCLES - 1


@pytest.mark.parametrize("state", range(2, 25))
def test_a_second_command_takes_the_place_of_the_first(state):
    rows = [request(Command.RESET, 1), {"urgent": 0, "stopped": 1, "idle": 1}, *[{}] * 30]
    rows[state] = rows[state] | request(Command.ABORT, 2)
    rows[state + 1] = rows[state + 1] | {"urgent": 0}
    high, answers = lines([*rows, {"o.ready": 1}])
    assert answers[-1] == (Command.ABORT, 2)
    assert high["flush"] == {1, state + 1}


def test_a_restart_resets_the_core_and_says_nothing():
    rows = [{}, {"restart": 1}, *[{}] * RESET_CYCLES, {"restart": 0}]
    high, answers = lines(rows)
    assert not answers and not high["stop"] and len(high["core_reset"]) == RESET_CYCLES - 1
    assert max(high["core_reset"]) < min(high["restarted"]) + 1 and len(high["restarted"]) == 1
    assert high["core_reset"] <= high["clear"]
