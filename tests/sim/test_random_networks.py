from collections import Counter

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import KINDS
from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY
from gen.netfile import network_hash
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network

SEEDS = range(300)


def features(network):
    """Yield the name of every feature that the network has."""
    readers = {name: [layer for layer in layers] for name, layers in network.readers.items()}
    pools = [layer for layer in network.layers if not layer.weighted]
    neurons = [layer for layer in network.layers if layer.weighted]
    yield network.exit_rule.kind
    yield network.source.kind
    yield f"T{network.timesteps}"
    yield "signed input" if network.source.range[0] < 0 else "unsigned input"
    yield "rectangular map" if network.source.shape[1] != network.source.shape[2] else "square map"
    yield "no hidden layer" if len(network.layers) == 1 else "hidden layers"
    yield "few classes" if network.classes < 4 else "many classes"
    yield "one class" if network.classes == 1 else "classes"
    for pool in pools:
        shape = network.shapes[pool.source]
        yield f"{pool.kind} pool"
        yield "padded pool" if any(pool.padding) else "unpadded pool"
        yield "overlapping pool" if any(s < k for s, k in zip(pool.stride, pool.kernel)) else "separate pool"
        yield "gap in pool" if any(s > k for s, k in zip(pool.stride, pool.kernel)) else "no gap"
        yield "global pool" if shape[1:] == pool.kernel and max(shape[1:]) > 1 else "local pool"
        yield "pool of pool" if pool.source in {other.name for other in pools} else "pool of spikes"
        yield "two pools on a map" if sum(other.source == pool.source for other in pools) > 1 else "one pool"
    for layer in neurons:
        sources = [synapse.source for synapse in layer.synapses]
        yield f"{min(len(set(sources)), 3)} sources"
        yield "input as second source" if INPUT in sources and len(set(sources)) > 1 else "no residual input"
        yield "one source twice" if len(set(sources)) < len(sources) else "each source once"
        yield "mixed bits" if len(set(layer.weight_bits)) > 1 else "equal bits"
        yield from (f"{bits} bits" for bits in set(layer.weight_bits))
        yield "dead channel" if any(not any(s.weight[c].any() for s in layer.synapses)
                                    for c in range(len(layer.bias))) else "live channels"
        for synapse in layer.synapses:
            outputs, inputs, *kernel = synapse.weight.shape
            shape = network.shapes[synapse.source]
            yield from (f"stride {s}" for s in synapse.stride)
            yield "padding" if any(synapse.padding) else "no padding"
            yield "dilation" if max(synapse.dilation) > 1 else "no dilation"
            yield "rectangular kernel" if kernel[0] != kernel[1] else "square kernel"
            yield "linear" if kernel == list(shape[1:]) else "convolution"
            if kernel == [1, 1] and len(layer.synapses) > 1 and layer.fires:
                yield "residual identity" if synapse.groups == outputs == shape[0] > 1 else "residual 1x1"
            if synapse.groups > 1:
                yield "depthwise" if inputs == 1 else "grouped"
            if (synapse.weight.reshape(outputs, -1).max(axis=1) < 0).any():
                yield "negative channel"
    for layer in neurons[:-1]:
        kinds = {not reader.weighted for reader in readers[layer.name]}
        yield "read by pool and synapse" if len(kinds) == 2 else "one kind of reader"
        yield f"burst {layer.burst}"
        yield "dead, positive bias" if any(layer.bias[c] > 0 and not any(s.weight[c].any() for s in layer.synapses)
                                           for c in range(len(layer.bias))) else "other"
        yield "power of two" if not (layer.theta & (layer.theta - 1)).any() and layer.theta.max() > 1 else "any theta"
        whole = {s.output_shape(network.shapes[s.source]) for s in layer.synapses}
        yield "cut map" if network.shapes[layer.name] not in whole else "whole map"
        yield "1x1 map" if network.shapes[layer.name][1:] == (1, 1) else "larger map"


WANTED = [
    *KINDS, "direct", "frames", *(f"T{t}" for t in range(1, 9)), "signed input", "unsigned input", "rectangular map",
    "square map", "no hidden layer", "few classes", "many classes", "one class", "sum pool", "max pool", "padded pool",
    "overlapping pool", "separate pool", "gap in pool", "global pool", "local pool", "pool of pool",
    "two pools on a map", "1 sources", "2 sources", "3 sources", "input as second source", "one source twice",
    "mixed bits", "equal bits", *(f"{b} bits" for b in range(2, 9)), "dead channel", "dead, positive bias",
    "negative channel", "stride 1", "stride 2", "stride 3", "padding", "dilation", "rectangular kernel", "linear",
    "convolution", "residual identity", "residual 1x1", "depthwise", "grouped", "read by pool and synapse",
    *(f"burst {b}" for b in range(1, 16)), "power of two", "cut map", "1x1 map", "larger map",
]


@pytest.fixture(scope="module")
def networks():
    return [random_network(seed) for seed in SEEDS]


def test_every_feature_occurs(networks):
    found = Counter(feature for network in networks for feature in set(features(network)))
    rare = {feature: found[feature] for feature in WANTED if found[feature] < 3}
    assert not rare


def test_images_exit_at_every_step_and_states_saturate(networks):
    exits, silent, capped, saturated = Counter(), 0, 0, 0
    for seed, network in enumerate(networks[:120]):
        device, images = Golden(network), random_images(network, seed, 12)
        result = device.run(images)
        if network.exit_rule.kind != "off":
            exits.update((network.exit_rule.kind, t) for t in set(result.exit_steps))
        trace = device.trace(images[0])
        for layer in network.layers:
            if layer.fires:
                limit = 2 ** (layer.state_bits - 1)
                state, counts = trace.states[layer.name], trace.counts[layer.name]
                saturated += bool(((state == -limit) | (state == limit - 1)).any())
                capped += bool((counts == layer.burst).any())
                silent += not counts.any()
    for kind in ("entropy", "confidence", "margin"):
        assert all(exits[kind, t] >= 3 for t in (1, 2, 3, 4)), exits
    assert saturated > 20 and capped > 20 and 5 < silent < 100


TWO_PHASE = [
    "off", "direct", *(f"T{t}" for t in range(1, 9)), "signed input", "rectangular map", "sum pool", "padded pool",
    "overlapping pool", "global pool", "pool of pool", "two pools on a map", "3 sources", "input as second source",
    "one source twice", "mixed bits", "dead channel", "stride 2", "stride 3", "padding", "dilation", "linear",
    "residual identity", "residual 1x1", "depthwise", "grouped", "read by pool and synapse", "burst 1", "cut map",
]


def test_two_phase_networks_have_every_feature_and_saturate():
    found, layers = Counter(), Counter()
    for seed in range(150):
        network = random_network(seed, neuron=INVERSE_LEAKY)
        assert network.two_phase
        found.update(set(features(network)))
        trace = Golden(network).trace(random_images(network, seed, 1)[0])
        for layer in network.layers:
            if layer.fires:
                state, spikes, limit = trace.states[layer.name], trace.counts[layer.name], 2 ** (layer.state_bits - 1)
                before = state[: len(state) - network.timesteps]
                layers["silent"] += not spikes.any()
                layers["full"] += bool(spikes.all(axis=0).any())
                layers["low"] += bool((state == -limit).any())
                layers["high"] += bool((state == limit - 1).any())
                layers["early"] += bool(((before == -limit) | (before == limit - 1)).any())
                layers["all"] += 1
    assert not {feature: found[feature] for feature in TWO_PHASE if found[feature] < 3}
    assert not {"max pool", "frames", "margin"} & set(found)
    assert layers["early"] > 5 and min(layers["low"], layers["high"], layers["full"]) > 20, layers
    assert layers["silent"] < layers["all"] / 3, layers


def test_same_seed_same_network_and_images():
    first, second = random_network(7), random_network(7)
    assert first.shapes == second.shapes and first.exit_rule == second.exit_rule
    for a, b in zip(first.layers, second.layers):
        for s, t in zip(a.synapses, b.synapses):
            np.testing.assert_array_equal(s.weight, t.weight)
    np.testing.assert_array_equal(random_images(first, 3, 9), random_images(second, 3, 9))
    assert random_network(8).shapes != first.shapes


@pytest.mark.parametrize("seed", range(20))
def test_limits_bound_the_network(seed):
    network = random_network(
        seed, max_layers=3, max_neurons=100, max_weights=300, max_channels=8, max_size=5, max_timesteps=3,
        max_classes=4, sources=("direct",), rules=("margin", "off"),
    )
    shapes = [network.shapes[layer.name] for layer in network.layers]
    weights = sum(s.weight.size for layer in network.layers for s in layer.synapses)
    assert len(network.layers) <= 4 and sum(map(np.prod, shapes)) <= 100 and weights <= 300
    assert max(shape[0] for shape in network.shapes.values()) <= 8
    assert max(max(shape[1:]) for shape in [network.source.shape]) <= 5
    assert network.timesteps <= 3 and network.classes <= 4
    assert network.source.kind == "direct" and network.exit_rule.kind in ("margin", "off")


def test_images_fit_the_source_and_hold_an_all_zero_one():
    for seed in range(30):
        network = random_network(seed)
        images = random_images(network, seed, 8)
        steps = () if network.source.kind == "direct" else (network.timesteps,)
        assert images.dtype == np.uint8 and images.shape == (8, *steps, *network.source.shape)
        assert network.source.low <= images.min() and images.max() <= network.source.high
        assert (images[3] == network.source.offset[:, None, None]).all()


def test_every_map_is_read(networks):
    for network in networks:
        assert all(network.readers[name] for name in network.shapes if name != network.readout.name)


def test_no_images():
    network = random_network(0)
    assert len(random_images(network, 0, 0)) == 0


def test_limits_that_nothing_meets():
    with pytest.raises(InputError, match="None of 1000 random networks has at most 0 neurons and 9 weights: allow"):
        random_network(0, max_neurons=0, max_weights=9)


@pytest.mark.parametrize(("seed", "neuron", "digest"), [
    (0, ADAFIRE, "5a2133df3c9cdcf0"), (1, ADAFIRE, "ce56d73074b03248"), (17, ADAFIRE, "e18bf918cf04770c"),
    (42, ADAFIRE, "ac98bbd4417b491a"), (0, INVERSE_LEAKY, "7c387aa36a3afbb4"), (5, INVERSE_LEAKY, "6e7fcf6e59282a8a"),
])
def test_a_seed_of_the_first_contract_names_the_network_it_always_did(seed, neuron, digest):
    """The machine's tests name seeds; what they found once they find again."""
    assert network_hash(random_network(seed, neuron=neuron)).startswith(digest)
