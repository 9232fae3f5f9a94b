"""`hw.core.drain`: lanes in order, one of each neuron a cycle, two tiles without a gap."""

import numpy as np
import pytest

from hw.core.drain import READ, Drain
from tests.kit.streams import play


def expected_beats(params, readout, lanes):
    """Return for each cycle of a tile (word of parameters, first lane, whose lanes count)."""
    n = params.neurons
    if readout:
        return [(lane // n, lane - lane % n, 1 << lane % n) for lane in range(lanes)]
    return [(first // n, first, (1 << min(n, lanes - first)) - 1) for first in range(0, lanes, n)]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("gap", [0, 1, 3])
@pytest.mark.parametrize("neurons, readout", [(n, readout) for n in (1, 2, 4, 8) for readout in (0, 1)])
def test_each_lane_comes_at_its_cycle(sizes, seed, gap, neurons, readout):
    width = 16 if neurons == 8 else 8
    params, rng = sizes(width=width, neurons=neurons, parameters=32), np.random.default_rng([seed, gap, neurons])
    rows, beats, totals = [{"layer.readout": readout}], {}, {}
    for _ in range(20):
        lanes, first, last = int(rng.integers(1, width + 1)), int(rng.integers(2)), int(rng.integers(2))
        sums = rng.integers(-(2**23), 2**23, width).tolist()
        parameter = int(rng.integers(params.parameters - width))
        tile = {"parameter": parameter, "first": first, "last": last, "lanes": lanes - 1}
        at, expected = len(rows), expected_beats(params, readout, lanes)
        rows.append({"done": 1, "sums": sums, "tiles.payload": tile, "tiles.valid": 1})
        rows += [{"done": 0, "sums": [0] * width}] * (len(expected) - 1 + int(rng.integers(gap + 1)))
        for cycle, (word, lane, own) in enumerate(expected, at + 1):
            beats[cycle] = (first, last, int(cycle == at + len(expected)), parameter + word, own)
            totals[cycle + READ] = sums[lane : lane + neurons]
    seen = play(Drain(params), rows + [{"done": 0}] * 8, "beat", "parameter", "totals", "tiles.ready")
    found = {
        cycle: (beat["first"], beat["last"], beat["ends"], parameter, beat.get("own", 1))
        for cycle, (beat, parameter, _, _) in enumerate(seen) if beat["valid"]
    }
    where = f"seed {seed}, gap {gap}, {neurons} neurons, readout {readout}"
    assert found == beats, where
    for cycle, expected in totals.items():
        own = beats[cycle - READ][-1]
        assert all(
            total == value for n, (total, value) in enumerate(zip(seen[cycle][2], expected)) if own >> n & 1
        ), where
    assert [ready for *_, ready in seen] == [row.get("done", 0) for row in rows] + [0] * 8
