"""`hw.core.lanes` against sums and maxima, tile behind tile, with cycles that add nothing between."""

import numpy as np
import pytest

from hw.core.lanes import Lanes
from tests.kit.streams import play

NOTHING = {"value": 0, "first": 0, "last": 0}


def draw(rng, p, length, dense, maximum):
    """Return the events of a tile and what each brings to the lanes."""
    events, brought = [], []
    low, high = (-8, 8) if p.signed else (0, 16)
    for i in range(length):
        word, whole = rng.integers(low, high, p.width), int(rng.random() < dense)
        value = int(rng.integers(-256, 256))
        weights = rng.integers(1, 2, p.width) if maximum else rng.integers(-128, 128, p.width)
        event = {"value": value, "first": i == 0, "last": i == length - 1}
        events.append(({**event, "dense": whole, "word": word.tolist()} if p.dense else event, weights.tolist()))
        brought.append((word if whole else value) * weights)
    return events, brought


@pytest.mark.parametrize("changes, dense, maximum", [
    ({}, 0.5, 0), ({"signed": 1}, 0.5, 0), ({"dense": 0}, 0, 0), ({"maximum": 0}, 0.5, 0),
    ({}, 1, 1), ({"signed": 1}, 1, 1), ({"width": 8}, 0.3, 0),
])
@pytest.mark.parametrize("seed", range(2))
def test_sums_and_maxima_of_tiles(sizes, seed, changes, dense, maximum):
    rng, p = np.random.default_rng(seed), sizes(**changes)
    first = {"event": NOTHING}
    rows, expected, ends = [{"maximum": maximum, **first} if p.maximum else first], [], []
    for _ in range(60):
        events, brought = draw(rng, p, int(rng.integers(1, 6)), dense, maximum)
        expected.append((np.max(brought, axis=0) if maximum else np.sum(brought, axis=0)).tolist())
        for event, weights in events:
            rows[-1]["event"] = event
            rows.append({"event": NOTHING, "weights": weights})
            if event["last"]:
                ends.append(len(rows) - 2)
            rows += [{"event": NOTHING, "weights": rng.integers(-128, 128, p.width).tolist()}
                     for _ in range(rng.integers(3))]
    seen = play(Lanes(p), rows + [{"event": NOTHING}] * 3, "done", "sums")
    done = [(cycle, sums) for cycle, (high, sums) in enumerate(seen) if high]
    assert [sums for _, sums in done] == expected, f"seed {seed}"
    assert {cycle - end for (cycle, _), end in zip(done, ends)} == {2}, "complete two cycles after the last event"


def test_a_tile_without_events_is_zero(sizes):
    rows = [{"event": {**NOTHING, "first": 1, "last": 1}, "weights": [9, 9, 9, 9]}] + [{"event": NOTHING}] * 3
    assert [sums for done, sums in play(Lanes(sizes()), rows, "done", "sums") if done] == [[0] * 4]
