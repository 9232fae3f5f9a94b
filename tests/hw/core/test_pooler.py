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
        expected += [{"valid": 1, "count": int(count), "lane": lane, "ends": int(lane == lanes - 1), "address": address}
                     for lane, count in enumerate(pooled)]
    seen = [row for row, in play(Pooler(params), [*rows, {"beat.valid": 0}, {}], "o")]
    assert [row for row in seen if row["valid"]] == expected
