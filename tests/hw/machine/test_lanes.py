"""`hw.machine.lanes` against sums and maxima, tile behind tile."""

import numpy as np
import pytest

from hw.machine.lanes import Lanes
from tests.kit.streams import play

NEVER = {"value": 0, "first": 0, "last": 0}


@pytest.mark.parametrize("maximum", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_sums_and_maxima_of_tiles(sizes, seed, maximum):
    rng = np.random.default_rng([seed, maximum])
    rows, expected = [{"maximum": maximum, **NEVER}], []
    for _ in range(60):
        length = int(rng.integers(1, 6))
        values = rng.integers(0 if maximum else -256, 256, length)
        weights = rng.integers(0, 2, (length, 3)) if maximum else rng.integers(-127, 128, (length, 3))
        products = values[:, None] * weights
        expected.append((products.max(axis=0) if maximum else products.sum(axis=0)).tolist())
        for i in range(length):
            rows += [dict(NEVER)] * int(rng.integers(0, 2) if i else 0)
            rows.append({"value": int(values[i]), "weights": weights[i].tolist(),
                         "first": i == 0, "last": i == length - 1})
    ends = [cycle for cycle, row in enumerate(rows) if row["last"]]
    seen = play(Lanes(sizes()), rows + [NEVER] * 3, "done", "sums")
    done = [(cycle, sums) for cycle, (high, sums) in enumerate(seen) if high]
    assert [sums for _, sums in done] == expected, f"seed {seed}"
    latency = {cycle - end for (cycle, _), end in zip(done, ends)}
    assert latency == {2}, "the sums are complete two cycles after the last value"
