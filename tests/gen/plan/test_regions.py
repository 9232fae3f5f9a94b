"""`gen.plan.regions`: memory is shared only by what never lives together, and nothing has memory that nobody reads."""

from dataclasses import replace
from itertools import combinations

import pytest

from gen.intnet import TILES
from gen.layers import INPUT, Source
from gen.plan.lanes import LANES
from gen.plan.plan import make_plan
from tests.gen.plan.networks import SHAPE, chained
from tests.kit.random_networks import SECOND, random_network, random_staged_network

CHAIN = {"a": [INPUT], "b": ["a"], "c": ["b"]}
PLACES = SHAPE[1] * SHAPE[2]


def lifetimes(stage):
    """Return {map: (pass that writes it, last pass that reads it)}."""
    lives = {p.writes: [n, n] for n, p in enumerate(stage.passes) if p.stored}
    for n, p in enumerate(stage.passes):
        for read in p.reads:
            if read[0] != INPUT:
                lives[read][1] = max(lives[read][1], n)
    return lives


@pytest.mark.parametrize("seed", range(40))
def test_maps_that_live_together_do_not_share_memory(seed):
    plan = make_plan(random_network(seed, contract=SECOND, max_neurons=800), sorted(LANES)[seed % 5])
    (stage,) = plan.stages
    lives = lifetimes(stage)
    extents = {key: (region.base, region.base + region.versions * region.words)
               for key in lives for region in [plan.regions[0, *key]]}
    for one, other in combinations(lives, 2):
        if lives[one][0] <= lives[other][1] and lives[other][0] <= lives[one][1]:
            (a, b), (c, d) = extents[one], extents[other]
            assert b <= c or d <= a, f"seed {seed}: {one} and {other}"
    assert plan.params.map_words == max([1, *(end for _, end in extents.values())])


@pytest.mark.parametrize("seed", range(40))
def test_states_and_currents_of_all_layers_have_their_own_words(seed):
    plan = make_plan(random_network(seed, contract=SECOND, max_neurons=800, rules=["margin"]), sorted(LANES)[seed % 5])
    states, currents = [p for p in plan.passes if p.layer.fires], [p for p in plan.passes if p.keep]
    if plan.network.timesteps == 1:
        assert plan.params.states == plan.params.currents == 0
        return
    for passes, field in ((states, "state"), (currents, "current")):
        end = 0
        for p in passes:
            assert getattr(p, field) == end, f"seed {seed}: {p.title}"
            assert sum(p.order(0)[3]) == p.state_words and all(sum(p.order(g)[3]) <= p.state_words for g in range(4))
            end += p.state_words
        assert getattr(plan.params, f"{field}s") == end


def test_one_timestep_has_no_states():
    params = make_plan(chained(CHAIN, timesteps=1), 4).params
    assert params.states == params.currents == 0
    assert make_plan(chained(CHAIN, timesteps=2), 4).params.states == 3 * 4 * PLACES


def test_tile_order_keeps_all_timesteps_of_a_map_and_the_states_of_a_tile():
    plan = make_plan(chained(CHAIN, timesteps=5, order=TILES), 4)
    assert (plan.params.states, plan.params.currents, plan.params.map_words) == (4, 4, 2 * 5 * PLACES)
    assert [plan.regions[0, "a", t].base for t in range(1, 6)] == [t * PLACES for t in range(5)]
    assert all(p.walk.turns["steps"] == 5 for p in plan.passes) and plan.stages[0].rounds == 1


def test_a_recording_in_tile_order_is_one_image():
    network = chained(CHAIN, timesteps=5, order=TILES)
    frames = replace(network, source=Source(network.source.shape, "frames"))
    for order, versions in ((TILES, 5), ("steps", 1)):
        plan = make_plan(replace(frames, order=order), 4)
        assert plan.regions[0, INPUT, 0].versions == versions
        assert plan.params.image_words == versions * PLACES


def test_stages_share_maps_and_states():
    plan = make_plan(random_staged_network(3, max_neurons=500, sources=("direct",)), 8)
    alone = [make_plan(stage, 8).params for stage in plan.network.stages]
    for name in ("states", "currents", "map_words"):
        assert getattr(plan.params, name) == max(getattr(params, name) for params in alone), name
    assert plan.params.parameters == sum(params.parameters for params in alone)
    assert [p.index for p in plan.passes] == list(range(len(plan.passes)))
