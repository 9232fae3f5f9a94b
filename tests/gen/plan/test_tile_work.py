"""Work of tiles against the words that the program makes the machine gather."""

from dataclasses import replace

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.intnet import STEPS, TILES
from gen.layers import INPUT, INVERSE_LEAKY
from gen.plan.lanes import LANES
from gen.plan.plan import make_plan
from gen.plan.tile_work import tile_work
from tests.gen.plan.reader import gathered, read_program, stored_at, tiles_of
from tests.kit.random_networks import SECOND, random_network

SMALL = {"max_neurons": 200, "max_weights": 700, "max_size": 6, "max_timesteps": 3}


def _maps(network, rng):
    """Return name to random bools [1, C, H, W] of the input and of every map."""
    names = [INPUT, *(layer.name for layer in network.layers if layer.emits)]
    return {name: rng.random((1, *network.shapes[name])) < rng.choice([0.05, 0.3, 0.9]) for name in names}


def _lanes(plan, p, key, nonzero):
    """Return address to the bools of its lanes, of a map in its memory."""
    region = plan.regions[p.stage, *key]
    channels = nonzero.size if region.line else len(nonzero)
    values = nonzero.reshape(channels, region.rows, region.columns)
    found = {}
    for offset, lanes in enumerate(stored_at(region, channels)):
        found[region.base + offset] = [c >= 0 and bool(values[c, y, x]) for c, y, x in lanes]
    return found


def _costs(words, fields, whole):
    """Return (cycles, words with events) of a tile that reads these words, lanes of each given."""
    if fields.get("dense"):
        words = [lanes for lanes in words if whole or any(lanes)]
        return len(words), len(words)
    return sum(map(sum, words)), sum(map(any, words))


@pytest.mark.parametrize("seed", range(12))
def test_events_of_every_tile_are_those_of_its_words(seed):
    """Cycles of the events and words in the queue, counted word by word from the program, of every group's tiles."""
    lanes = sorted(LANES)[seed % len(LANES)]
    neuron = {"neuron": INVERSE_LEAKY} if seed % 4 == 3 else {}
    network = random_network(seed, contract=SECOND, **SMALL, **neuron)
    plan = make_plan(network, lanes)
    rng, (_, _, blocks), seen = np.random.default_rng(seed), read_program(plan), 0
    maps = _maps(network, rng)
    for p, block in zip(plan.passes, blocks):
        work = tile_work(p, plan.regions, plan.params, [maps[source] for source, _ in p.reads])
        whole = block["maximum"] and plan.params.signed
        for group in range(plan.params.groups):
            expected = [(0, 0)] * len(tiles_of(block, group))
            for index, key in enumerate(p.reads):
                memory = _lanes(plan, p, key, maps[key[0]][0])
                words = gathered(block, index, group)
                own = [_costs([memory.get(at, [False]) for at, _ in tile], block["sources"][index][0], whole)
                       for tile in words]
                expected = [tuple(np.add(*pair)) for pair in zip(expected, own)]
            present = work.runs[group]
            found = np.stack([work.taken[0, group, present], work.words[0, group, present]], axis=1)
            if p.steps == 1 or not p.keep:  # in tile order a kept current is gathered once
                assert found.tolist() == [[max(1, n) for n in pair] for pair in expected], f"{seed}: {p.title}, {group}"
                seen += len(expected)
            assert not work.taken[0, group, ~present].any()
    assert seen


@pytest.mark.parametrize("lanes", (16, 32, 64))
def test_in_tile_order_a_kept_current_is_gathered_once(lanes):
    """At the first timestep of every tile, as in the other order; the others wait for an empty entry."""
    network = replace(random_network(0, contract=SECOND, **SMALL), exit_rule=ExitRule())
    steps, tiles = (make_plan(replace(network, order=order), lanes) for order in (STEPS, TILES))
    maps, seen = _maps(network, np.random.default_rng(lanes)), 0
    for p, other in zip(tiles.passes, steps.passes):
        if p.keep:
            read = [maps[source] for source, _ in p.reads]
            found = tile_work(p, tiles.regions, tiles.params, read)
            expected = tile_work(other, steps.regions, steps.params, read)
            for name in ("taken", "words"):
                entries = getattr(found, name)
                assert np.array_equal(entries[..., :: p.steps], getattr(expected, name))
                assert np.array_equal(entries[0, :, 1 :: p.steps], found.runs[:, 1 :: p.steps])
            seen += p.steps > 1
    assert seen
