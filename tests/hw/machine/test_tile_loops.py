"""`hw.machine.tile_loops` against nested Python loops."""

from itertools import product

import numpy as np
import pytest

from hw.machine.tile_loops import KERNEL_LOOPS, LOOPS, TILE_LOOPS, TileLoops
from tests.kit.streams import play


def candidates(layer, synapses, gather):
    """Yield (tile turns, synapse, kernel turns) of every candidate of a pass, in order."""
    for tile in product(*(range(layer[loop] + 1) for loop in TILE_LOOPS)):
        if not gather:
            yield tile, 0, (0, 0)
            continue
        for index, synapse in enumerate(synapses[: layer["synapses"] + 1]):
            for kernel in product(*(range(synapse[loop] + 1) for loop in KERNEL_LOOPS)):
                yield tile, index, kernel


def advancing(now, then):
    """Return the loop that takes its next turn between two candidates; none where the synapse changes."""
    (tile, synapse, kernel), (next_tile, next_synapse, next_kernel) = now, then
    if tile != next_tile:
        return next(loop for loop, a, b in zip(TILE_LOOPS, tile, next_tile) if a != b)
    if synapse != next_synapse:
        return None
    return next(loop for loop, a, b in zip(KERNEL_LOOPS, kernel, next_kernel) if a != b)


@pytest.mark.parametrize("gather", [1, 0])
@pytest.mark.parametrize("seed", range(6))
def test_every_candidate_in_order(sizes, seed, gather):
    rng = np.random.default_rng([seed, gather])
    draw = lambda names: {name: int(rng.integers(0, 3)) for name in names}  # noqa: E731
    layer = draw(TILE_LOOPS) | {"synapses": int(rng.integers(0, 2))}
    synapses = [draw(KERNEL_LOOPS) for _ in range(2)]
    every = list(candidates(layer, synapses, gather))
    rows = [{"begin": 1, "gather": gather, "layer": layer, "synapses": synapses}]
    expected = [None]
    for now, then in zip(every, every[1:] + [None]):
        tile, synapse, _ = now
        turn = dict(zip(TILE_LOOPS, tile))
        tile_done = then is None or then[0] != tile
        loop = then and advancing(now, then)
        pooled = [turn["pool_rows"] == turn["pool_columns"] == 0,
                  turn["pool_rows"] == layer["pool_rows"] and turn["pool_columns"] == layer["pool_columns"],
                  turn["tiles"] == layer["tiles"]]
        for _ in range(int(rng.integers(0, 2))):
            rows.append({"begin": 0, "step": 0})
            expected.append((synapse, dict.fromkeys(LOOPS, 0), 0, 0, *pooled))
        rows.append({"begin": 0, "step": 1})
        strobes = {name: int(name == loop) for name in LOOPS}
        expected.append((synapse, strobes, tile_done, then is None, *pooled))
    names = ("synapse", "advance", "tile_done", "pass_done", "window_first", "window_last", "tile_last")
    seen = play(TileLoops(sizes()), rows, *names)
    for cycle, (got, wanted) in enumerate(zip(seen, expected)):
        assert wanted is None or got == wanted, f"seed {seed}, cycle {cycle}: {dict(zip(names, got))}"
