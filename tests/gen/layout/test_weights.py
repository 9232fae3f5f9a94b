"""`gen.layout.weights`: which layers are narrow, how wide a word is, and the bits that come of it."""

from dataclasses import replace

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Readout, Source, Spiking, Synapse
from gen.layout.estimate import estimate_memories, weight_memory
from gen.layout.image import memory_image
from gen.layout.passes import segment_words
from gen.layout.schedule import build_schedule, schedule_on
from gen.layout.weights import stored_bits, word_bits
from tests.kit.random_networks import random_network

MIXED = dict(layer_bits=(2, 3, 4, 8))


def layered(*bits, channels=8):
    """Return a network of one layer for each of ``bits``, its largest weight as large as they allow."""
    layers, source, inputs = [], INPUT, 1
    for number, b in enumerate(bits):
        outputs = 2 if number == len(bits) - 1 else channels
        synapse = Synapse(source, np.full((outputs, inputs, 1, 1), 2 ** (b - 1) - 1))
        ones = np.ones(outputs, int)
        last = number == len(bits) - 1
        layers.append(
            Readout("out", [synapse], ones, b * ones) if last else
            Spiking(f"layer{number}", [synapse], ones, 99 * ones, ones, 3, 12, b * ones)
        )
        source, inputs = f"layer{number}", outputs
    return IntegerNetwork(Source((1, 1, 1)), layers, 1)


@pytest.mark.parametrize("bits, widest, stored", [
    (8, 8, 8), (5, 8, 8), (4, 8, 4), (2, 8, 4), (4, 6, 6), (3, 6, 3), (3, 7, 7), (2, 5, 5), (2, 4, 2), (2, 2, 2),
    (8, 7, 7),
])
def test_half_a_word_or_a_whole_one(bits, widest, stored):
    assert stored_bits(bits, widest) == stored


@pytest.mark.parametrize("bits, word, narrow", [
    ((8, 8, 8), 8, [0, 0, 0]), ((4, 4, 4), 4, [0, 0, 0]), ((8, 4, 3), 8, [0, 1, 1]), ((8, 5, 8), 8, [0, 0, 0]),
    ((6, 4, 4), 8, [0, 1, 1]),  # 8 weights of 6 bits in 8 cost less than 80 of 4 in 6
    ((4, 6, 4), 6, [0, 0, 0]), ((7, 4, 4), 8, [0, 1, 1]), ((7, 7, 4), 7, [0, 0, 0]), ((5, 3, 3), 6, [0, 1, 1]),
])
def test_a_word_is_as_wide_as_stores_the_weights_in_least_memory(bits, word, narrow):
    network = layered(*bits)
    s = build_schedule(network, 4)
    assert word_bits(network) == s.params.weight_bits == word
    assert [p.narrow for p in s.passes] == narrow and s.params.narrow == max(narrow)
    sizes = [synapse.weight.size for layer in network.layers for synapse in layer.synapses]
    assert weight_memory(network) == sum(n * stored_bits(b, word) for n, b in zip(sizes, bits))
    assert weight_memory(network) == min(sum(n * stored_bits(b, w) for n, b in zip(sizes, bits))
                                         for w in range(max(bits), 9))


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_four_bits_beside_eight_take_half_the_words(lanes):
    wide, mixed = (build_schedule(layered(8, b, b, channels=32), lanes).params for b in (8, 4))
    saved = wide.weights - mixed.weights
    kept = -(-32 // lanes)  # the first layer has one word for each tile
    assert saved == (wide.weights - kept) // 2
    for network, p in ((layered(8, b, b, channels=32), p) for b, p in ((8, wide), (4, mixed))):
        width, words = estimate_memories(p)["weights"]
        assert weight_memory(network, lanes) == width * words == p.lanes * p.weight_bits * p.weights
    assert mixed.spram_blocks == 0 and replace(mixed, spram=1).spram_blocks == -(-lanes * 8 // 16)


def test_a_core_without_halves_takes_a_mixed_network_that_its_words_hold():
    network = layered(8, 4, 4)
    s = build_schedule(network, 4)
    plain = replace(s.params, narrow=0, weights=2 * s.params.weights)
    plain = replace(plain, program=plain.program_words)
    on = schedule_on(network, plain)
    assert not any(p.narrow for p in on.passes)
    assert len(memory_image(on)["weights"]) > len(memory_image(s)["weights"])


def test_a_core_with_halves_stores_a_network_of_half_its_width_in_them():
    small, core = layered(4, 4, 4), build_schedule(layered(8, 4, 4), 4).params
    assert build_schedule(small, 4).params.weights > core.weights
    s = schedule_on(small, core)
    assert all(p.narrow for p in s.passes) and len(memory_image(s)["weights"]) <= core.weights


def test_cores_for_several_networks_hold_each_of_them():
    networks = [layered(8, 4, 4), layered(8, 8, 8), layered(4, 4, 4), layered(6, 3, 3, channels=40), layered(7, 7, 7)]
    params = [build_schedule(network, 4).params for network in networks]
    for one in params:
        for other in params:
            both = one.covering(other)
            assert both.narrow == max(one.narrow, other.narrow)
            for network, own in zip(networks, params):
                if own in (one, other):
                    assert schedule_on(network, both).params == both


def test_random_mixed_networks_hold_what_narrow_words_make_hard():
    """What the simulations of them rely on."""
    seen = set()
    for seed in range(220, 270):
        s = build_schedule(random_network(seed, **MIXED), 4)
        for p in s.passes:
            if p.narrow:
                seen |= {"pool"} if not p.layer.weighted else {"residual"} if len(p.synapses) > 1 else {"plain"}
                for synapse in p.synapses:
                    words, segments = segment_words(synapse, p.tile_channels)
                    if p.layer.weighted and words % 2 and segments * synapse.kernel[0] * p.tiles > 1:
                        seen.add("odd segments")
                    if synapse.groups > 1 and p.layer.weighted:
                        seen.add("depthwise" if synapse.weight.shape[1] == 1 else "grouped")
            else:
                seen.add("wide beside narrow" if s.params.narrow else "wide alone")
    assert seen == {
        "pool", "residual", "plain", "odd segments", "depthwise", "grouped", "wide beside narrow", "wide alone",
    }
