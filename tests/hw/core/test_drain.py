"""`hw.core.drain`: lanes in order, a lane a cycle, two tiles without a gap."""

import numpy as np
import pytest

from hw.core.drain import READ, Drain
from tests.kit.streams import play


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("gap", [0, 1, 3])
def test_each_lane_comes_at_its_cycle(sizes, seed, gap):
    params, rng = sizes(), np.random.default_rng([seed, gap])
    rows, beats, totals = [], {}, {}
    for _ in range(30):
        lanes, first, last = int(rng.integers(1, 5)), int(rng.integers(2)), int(rng.integers(2))
        sums = rng.integers(-(2**23), 2**23, 4).tolist()
        parameter = int(rng.integers(params.parameters - 4))
        tile = {"parameter": parameter, "first": first, "last": last, "lanes": lanes - 1}
        at = len(rows)
        rows.append({"done": 1, "sums": sums, "tiles.payload": tile, "tiles.valid": 1})
        rows += [{"done": 0, "sums": [0] * 4}] * (lanes - 1 + int(rng.integers(gap + 1)))
        for lane in range(lanes):
            beats[at + 1 + lane] = (first, last, int(lane == lanes - 1), parameter + lane)
            totals[at + 1 + lane + READ] = sums[lane]
    seen = play(Drain(params), rows + [{"done": 0}] * 8, "beat", "parameter", "total", "tiles.ready")
    found = {cycle: (beat["first"], beat["last"], beat["ends"], parameter)
             for cycle, (beat, parameter, _, _) in enumerate(seen) if beat["valid"]}
    assert found == beats, f"seed {seed}, gap {gap}"
    assert {cycle: seen[cycle][2] for cycle in totals} == totals, f"seed {seed}, gap {gap}"
    assert [ready for *_, ready in seen] == [row.get("done", 0) for row in rows] + [0] * 8
