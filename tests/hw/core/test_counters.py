"""`hw.core.counters` against sums over the cycles of one image."""

import numpy as np
import pytest

from hw.core.counters import COUNTED, Counters
from tests.kit.streams import play

QUIET = {"running": 0, "busy": 0, "counted": 0, "active": 0}


@pytest.mark.parametrize("seed", range(3))
def test_the_sums_of_an_image_come_one_after_another(sizes, seed):
    rng = np.random.default_rng(seed)
    p = sizes(groups=4)
    rows = [{"running": 1, "busy": int(rng.integers(5)), "counted": int(rng.integers(5)),
             "active": int(rng.integers(p.lanes + 1))} for _ in range(40)]
    told = [{**QUIET, "clear": 1}, {"clear": 0}, *rows, QUIET, QUIET]
    shifts = [row for _ in range(len(COUNTED) + 1) for row in ({"shift": 0}, {"shift": 0}, {"shift": 1})]
    seen = [value for value, in play(Counters(p), [*told, *shifts, {"shift": 0, "clear": 1}, {"clear": 0}], "o")]
    read = seen[len(told) + 1 : -2 : 3]
    sums = [len(rows), *(sum(row[name] for row in rows) for name in ("busy", "counted", "active"))]
    assert read == [*sums, sums[0]], f"seed {seed}"
    assert seen[-1] == 0
