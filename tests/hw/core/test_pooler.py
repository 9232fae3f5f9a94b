"""`hw.core.pooler` against sums and maxima in Python."""

import numpy as np
import pytest

from hw.core.pooler import Pooler
from tests.kit.streams import play


@pytest.mark.parametrize("signed, maximum, largest", [(0, 0, 0), (0, 1, 0), (0, 1, 1), (1, 1, 0), (1, 1, 1)])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_windows(sizes, size, signed, maximum, largest):
    rng = np.random.default_rng([size, signed, maximum, largest])
    params = sizes(signed=signed, maximum=maximum, count_bits=6)
    rows, expected = [{"layer.fused_maximum": largest} if maximum else {}], []
    for address in range(20):
        lanes = int(rng.integers(1, 5))
        counts = rng.integers(-8 if signed else 0, 8, (size, lanes))
        for turn in range(size):
            for lane in range(lanes):
                rows += [{"beat.valid": 0}] * int(rng.integers(2) if lane == 0 else 0)
                rows.append({
                    "beat": {"valid": 1, "first": 0, "last": 0, "ends": lane == lanes - 1},
                    "count": int(counts[turn, lane]),
                    "tile": {"address": address, "window_first": turn == 0, "window_last": turn == size - 1},
                })
        pooled = counts.max(0) if largest else counts.sum(0)
        expected += [{"valid": 1, "count": int(count), "beat": lane, "ends": int(lane == lanes - 1), "address": address}
                     for lane, count in enumerate(pooled)]
    seen = [row for row, in play(Pooler(params), [*rows, {"beat.valid": 0}, {}], "o")]
    assert [row for row in seen if row["valid"]] == expected


def test_windows_of_several_timesteps(sizes):
    """In tile order every timestep of a tile has a window of its own; a pass begins with the first, whatever was."""
    rng = np.random.default_rng(7)
    rows, expected = [{"layer.rewind": 1}], []
    for steps, size in ((3, 4), (1, 2), (3, 1), (2, 3)):
        lanes = int(rng.integers(1, 5))
        counts = rng.integers(0, 4, (size, steps, lanes))
        rows += [_row(1, 0, 0, steps, 1, 0, 1)] if steps > 1 else []  # one that was given up
        rows.append({"beat.valid": 0, "begin": 1})
        for turn, step, lane in np.ndindex(counts.shape):
            count = int(counts[turn, step, lane])
            rows.append({"begin": 0, **_row(lanes, step, lane, steps, size, turn, count)})
        expected += [(int(count), lane) for step in counts.sum(0) for lane, count in enumerate(step)]
        given_up = [(1, 0)] if steps > 1 else []
        expected[-steps * lanes:] = given_up + expected[-steps * lanes:]
    seen = [row for row, in play(Pooler(sizes(pool_steps=3, count_bits=6)), [*rows, {"beat.valid": 0}, {}], "o")]
    assert [(row["count"], row["beat"]) for row in seen if row["valid"]] == expected


def _row(lanes, step, lane, steps, size, turn, count):
    return {
        "beat": {"valid": 1, "first": step == 0, "last": step == steps - 1, "ends": lane == lanes - 1},
        "count": count, "tile": {"address": 0, "window_first": turn == 0, "window_last": turn == size - 1},
    }
