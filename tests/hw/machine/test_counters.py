"""`hw.machine.counters` against sums over the cycles of one image."""

import numpy as np
import pytest

from hw.machine.counters import Counters
from hw.machine.sequencer import COUNTERS
from tests.kit.streams import play


@pytest.mark.parametrize("seed", range(3))
def test_counts_from_the_first_word_to_the_result(sizes, seed):
    rng = np.random.default_rng(seed)
    wait, work, answer = (int(n) for n in rng.integers(3, 40, 3))
    rows = [{"clear": 1, "taken": 0, "given": 0, "busy": 0, "counted": 0, "active": 0}]
    rows += [{"clear": 0}] * wait + [{"taken": 1}]
    rows += [{"taken": int(rng.integers(2)), "busy": int(rng.integers(2)), "counted": int(rng.integers(2)),
              "active": int(rng.integers(0, 4))} for _ in range(work)]
    rows += [{"taken": 0, "given": 1, "busy": 0, "counted": 0, "active": 0}] * answer
    (totals,), (cleared,) = play(Counters(sizes()), [*rows, {"clear": 1}, {}], "o")[-2:]
    worked = rows[wait + 2 : wait + 2 + work]
    sums = [sum(row[name] for row in worked) for name in ("busy", "counted", "active")]
    assert dict(zip(COUNTERS, totals)) == dict(zip(COUNTERS, [work + 1, *sums]))
    assert cleared == [0] * len(COUNTERS)
