"""`gen.layout.passes`: a two-phase network's passes take and fire every timestep once, in an order that can be run."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from gen.errors import DoesNotFit
from gen.intnet import IntegerNetwork
from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY, Readout, Source, Spiking, Synapse
from gen.layout.image import memory_image
from gen.layout.schedule import build_schedule, schedule_on
from tests.kit.random_networks import random_network

SEEDS = range(60)
SHAPE = (4, 6, 6)


def network(wiring, timesteps=4, neuron=INVERSE_LEAKY):
    """Return a network of maps of one size, ``wiring`` naming every layer's sources; the readout reads the last."""
    ones, layers = np.ones(SHAPE[0], int), []
    for name, sources in wiring.items():
        synapses = [
            Synapse(source, np.ones((SHAPE[0], 1 if source == INPUT else SHAPE[0], 1, 1), int)) for source in sources
        ]
        layers.append(Spiking(name, synapses, ones, ones, 0 * ones, 1, 8, 4 * ones, neuron))
    whole = Synapse(layers[-1].name, np.ones((2, *SHAPE), int))
    readout = Readout("out", [whole], np.zeros(2, int), np.full(2, 4))
    return IntegerNetwork(Source((1, *SHAPE[1:])), [*layers, readout], timesteps)


CHAIN = {"a": [INPUT], "b": ["a"], "c": ["b"]}
RESIDUAL = {"a": [INPUT], "b": ["a"], "c": ["b", "a"]}


def titles(schedule):
    return [p.title for p in schedule.passes]


def test_a_chain_takes_every_timestep_as_soon_as_it_is_fired():
    assert titles(build_schedule(network(CHAIN, timesteps=2), 4)) == [
        "a, timestep 1 fired", "b, timestep 1 taken", "a, timestep 2 fired",
        "b, timestep 1 fired", "c, timestep 1 taken", "b, timestep 2 fired",
        "c, timestep 1 fired", "out, timestep 1 taken", "c, timestep 2 fired", "out, timestep 2 taken",
    ]


def test_one_timestep_is_one_pass_for_every_layer():
    schedule = build_schedule(network(RESIDUAL, timesteps=1), 4)
    assert titles(schedule) == [f"{name}, timestep 1 fired" for name in "abc"] + ["out, timestep 1 taken"]
    assert all(p.biased and not p.resumes for p in schedule.passes)


def test_what_a_layer_reads_of_the_input_comes_with_the_last_timestep():
    schedule = build_schedule(network({"a": [INPUT], "b": [INPUT, "a"]}, timesteps=3), 4)
    read = {p.title: [key for key in p.reads] for p in schedule.passes if p.layer.name == "b"}
    assert read == {
        "b, timestep 1 taken": [("a", 1)], "b, timestep 2 taken": [("a", 2)],
        "b, timestep 1 fired": [(INPUT, 0), ("a", 3)], "b, timestep 2 fired": [], "b, timestep 3 fired": [],
    }
    fused = next(p for p in schedule.passes if p.title == "b, timestep 1 fired")
    taken = next(p for p in schedule.passes if p.title == "b, timestep 2 taken")
    assert taken.weight_bases == fused.weight_bases[1:], "the same words"


def random_schedule(seed):
    return build_schedule(random_network(seed, neuron=INVERSE_LEAKY), (1, 3, 4, 8, 16)[seed % 5])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_map_is_stored_before_it_is_read_and_every_update_is_run_once(seed):
    s = random_schedule(seed)
    last, stored, updates = s.network.timesteps, {(INPUT, 0)}, {}
    for p in s.passes:
        assert set(p.reads) <= stored, p.title
        if p.stored:
            assert p.writes not in stored, p.title
            stored.add(p.writes)
        if p.layer.weighted:
            assert p.update == updates.get(p.layer.name, 0) + 1
            updates[p.layer.name] = p.update
            assert p.resumes == (p.update > 1)
            assert p.biased == (p.reads_at == last)
    names = {p.stored for p in s.layers if p.stored}
    assert stored == {(INPUT, 0), *((name, t) for name in names for t in range(1, last + 1))}
    for p in s.layers:
        direct = all(synapse.source == INPUT for synapse in p.synapses)
        if p.layer.weighted:
            taken = 1 if direct else last
            assert updates[p.layer.name] == taken + (last - 1 if p.stored else 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_synapse_takes_every_timestep_of_its_source_once(seed):
    s = random_schedule(seed)
    taken = Counter((p.layer.name, base, *key) for p in s.passes for base, key in zip(p.weight_bases, p.reads))
    expected = Counter()
    for p in s.layers:
        for synapse, base in zip(p.synapses, p.weight_bases):
            steps = [0] if synapse.source == INPUT else range(1, s.network.timesteps + 1)
            expected.update((p.layer.name, base, synapse.source, t) for t in steps)
    assert taken == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_states_that_live_together_have_their_own_words(seed):
    s, lives, words = random_schedule(seed), {}, {}
    for i, p in enumerate(s.passes):
        if p.layer.fires:
            lives[p.layer.name] = (lives.get(p.layer.name, (i,))[0], i)
            assert words.setdefault(p.layer.name, (p.state_base, p.runs)) == (p.state_base, p.runs)
    for one, other in combinations(lives, 2):
        if lives[one][0] <= lives[other][1] and lives[other][0] <= lives[one][1]:
            (a, n), (b, m) = words[one], words[other]
            assert a + n <= b or b + m <= a, f"{one} and {other}"
    assert s.params.states == max(base + runs for base, runs in words.values())


def test_a_chain_stores_one_timestep_of_a_map_and_the_states_of_two_layers():
    lanes, size = 4, int(np.prod(SHAPE))
    s = build_schedule(network({"a": [INPUT], **{f"l{n}": ["a" if n == 0 else f"l{n - 1}"] for n in range(6)}}), lanes)
    assert s.params.states == 2 * SHAPE[1] * SHAPE[2]
    # The last layer to fire and the one that takes its spikes, which in one pass fires its own first.
    assert s.params.events <= 2 * size + SHAPE[1] * SHAPE[2]


def test_a_residual_keeps_every_timestep_until_it_is_taken():
    few, many = (build_schedule(network(RESIDUAL, timesteps=t), 4).params.events for t in (2, 6))
    assert many - few == 4 * int(np.prod(SHAPE))


def test_weights_and_parameters_are_there_once():
    separated, other = (build_schedule(network(RESIDUAL, neuron=neuron), 4) for neuron in (INVERSE_LEAKY, ADAFIRE))
    for memory in ("weights", "bias", "v_init"):
        assert memory_image(separated)[memory] == memory_image(other)[memory]
    tops = [word << 3 for word in memory_image(other)["theta"]]
    assert separated.params.theta_bits == other.params.theta_bits + 3
    assert [word % 2**4 for word in memory_image(separated)["theta"][:3]] == [word % 2**4 for word in tops[:3]]


def test_a_core_without_inverse_leaky_neurons_refuses_them():
    wanted = network(CHAIN)
    plain = build_schedule(network(CHAIN, neuron=ADAFIRE), 4).params
    large = replace(plain.covering(build_schedule(wanted, 4).params), separated=0)
    text = "The network does not fit the core. inverse-leaky neurons: the network needs them, the core has none"
    with pytest.raises(DoesNotFit, match=text + r"\. Generate a larger core"):
        schedule_on(wanted, large)
    with pytest.raises(DoesNotFit, match="inverse-leaky neurons"):
        schedule_on(wanted, plain)


def test_a_core_for_them_runs_other_networks():
    other = network(CHAIN, neuron=ADAFIRE)
    core = build_schedule(network(CHAIN), 4).params.covering(build_schedule(other, 4).params)
    schedule = schedule_on(other, core)
    assert schedule.rounds == 4 and schedule.passes == schedule.layers
    memory_image(schedule)
