"""`gen.plan.two_phase`: every timestep is taken and fired once, in an order that can be run."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY
from gen.plan.plan import make_plan
from tests.gen.plan.networks import SHAPE, chained
from tests.kit.random_networks import random_network

SEEDS = range(40)
CHAIN = {"a": [INPUT], "b": ["a"], "c": ["b"]}
RESIDUAL = {"a": [INPUT], "b": ["a"], "c": ["b", "a"]}


def titles(plan):
    return [p.title for p in plan.passes]


def two_phase(wiring, timesteps=4):
    return make_plan(chained(wiring, timesteps, INVERSE_LEAKY), 4)


def test_a_chain_takes_every_timestep_as_soon_as_it_is_fired():
    assert titles(two_phase(CHAIN, 2)) == [
        "a, timestep 1 fired", "b, timestep 1 taken", "a, timestep 2 fired",
        "b, timestep 1 fired", "c, timestep 1 taken", "b, timestep 2 fired",
        "c, timestep 1 fired", "out, timestep 1 taken", "c, timestep 2 fired", "out, timestep 2 taken",
    ]


def test_one_timestep_is_one_pass_for_every_layer_and_needs_no_states():
    plan = two_phase(RESIDUAL, 1)
    assert titles(plan) == [f"{name}, timestep 1 fired" for name in "abc"] + ["out, timestep 1 taken"]
    assert all(p.biased and not p.resumes for p in plan.passes)
    assert plan.params.states == 0


def test_what_a_layer_reads_of_the_input_comes_with_the_last_timestep():
    plan = two_phase({"a": [INPUT], "b": [INPUT, "a"]}, 3)
    assert {p.title: list(p.reads) for p in plan.passes if p.layer.name == "b"} == {
        "b, timestep 1 taken": [("a", 1)], "b, timestep 2 taken": [("a", 2)],
        "b, timestep 1 fired": [(INPUT, 0), ("a", 3)], "b, timestep 2 fired": [], "b, timestep 3 fired": [],
    }
    fused = next(p for p in plan.passes if p.title == "b, timestep 1 fired")
    taken = next(p for p in plan.passes if p.title == "b, timestep 2 taken")
    assert taken.weights == fused.weights[1:], "the same words"


def random_plan(seed):
    return make_plan(random_network(seed, neuron=INVERSE_LEAKY), (4, 8, 16, 32, 64)[seed % 5])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_map_is_stored_before_it_is_read_and_every_update_is_run_once(seed):
    plan = random_plan(seed)
    last, stored, updates = plan.network.timesteps, {(INPUT, 0)}, {}
    for p in plan.passes:
        assert set(p.reads) <= stored, p.title
        if p.stored:
            assert p.writes not in stored, p.title
            stored.add(p.writes)
        if p.layer.weighted:
            assert p.update == updates.get(p.layer.name, 0) + 1
            updates[p.layer.name] = p.update
            assert p.resumes == (p.update > 1)
            assert p.biased == (p.reads_at == last)
    names = {p.stored for p in plan.passes if p.stored}
    assert stored == {(INPUT, 0), *((name, t) for name in names for t in range(1, last + 1))}
    for layer in plan.network.layers:
        if layer.weighted:
            taken = 1 if all(source == INPUT for source in layer.sources) else last
            assert updates[layer.name] == taken + (last - 1 if layer.emits else 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_synapse_takes_every_timestep_of_its_source_once(seed):
    plan = random_plan(seed)
    taken = Counter(
        (p.layer.name, base, *key) for p in plan.passes if p.layer.weighted for base, key in zip(p.weights, p.reads)
    )
    assert max(taken.values()) == 1, f"seed {seed}"
    for layer in plan.network.layers:
        if layer.weighted:
            steps = Counter((source, t) for name, _, source, t in taken if name == layer.name)
            expected = Counter()
            for source in layer.sources:
                expected.update((source, t) for t in ([0] if source == INPUT else range(1, plan.network.timesteps + 1)))
            assert steps == expected, f"seed {seed}, layer {layer.name}"


@pytest.mark.parametrize("seed", SEEDS)
def test_states_that_live_together_have_their_own_words(seed):
    plan, lives, words = random_plan(seed), {}, {}
    if plan.network.timesteps == 1:
        return
    for i, p in enumerate(plan.passes):
        if p.layer.fires:
            lives[p.layer.name] = (lives.get(p.layer.name, (i,))[0], i)
            assert words.setdefault(p.layer.name, (p.state, p.state_words)) == (p.state, p.state_words)
    for one, other in combinations(lives, 2):
        if lives[one][0] <= lives[other][1] and lives[other][0] <= lives[one][1]:
            (a, n), (b, m) = words[one], words[other]
            assert a + n <= b or b + m <= a, f"seed {seed}: {one} and {other}"
    assert plan.params.states == max(base + neurons for base, neurons in words.values())


def test_a_chain_stores_one_timestep_of_a_map_and_the_states_of_two_layers():
    plan = two_phase({"a": [INPUT], **{f"l{n}": ["a" if n == 0 else f"l{n - 1}"] for n in range(6)}})
    assert plan.params.states == 2 * int(np.prod(SHAPE))
    # The last layer to fire and the one that takes its spikes, which in one pass fires its own first.
    assert plan.params.map_words == 2 * SHAPE[1] * SHAPE[2]


def test_a_residual_keeps_every_timestep_until_it_is_taken():
    few, many = (two_phase(RESIDUAL, t).params.map_words for t in (2, 6))
    assert many - few == 4 * SHAPE[1] * SHAPE[2]


def test_weights_are_there_once():
    contents = [make_plan(chained(RESIDUAL, neuron=neuron), 4).contents for neuron in (INVERSE_LEAKY, ADAFIRE)]
    assert contents[0]["weights_0"] == contents[1]["weights_0"]
