"""`gen.plan.weights`: which layers are narrow, how wide a word is, and the bits that come of it."""

from dataclasses import replace

import pytest

from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.weights import ideal_bits, stored_bits, word_bits
from tests.gen.plan.networks import layered


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
    plan = make_plan(network, 4)
    assert word_bits(network) == plan.params.weight_bits == word
    assert [p.narrow for p in plan.passes] == narrow and plan.params.narrow == max(narrow)
    sizes = [synapse.weight.size for layer in network.layers for synapse in layer.synapses]
    costs = {w: sum(n * stored_bits(b, w) for n, b in zip(sizes, bits)) for w in range(max(bits), 9)}
    assert ideal_bits(network, word) == costs[word] == min(costs.values())


@pytest.mark.parametrize("lanes", [4, 16])
def test_four_bits_beside_eight_take_half_the_words(lanes):
    wide, mixed = (make_plan(layered(8, b, b, channels=32), lanes).params for b in (8, 4))
    kept = -(-32 // lanes)  # the first layer has one word for each tile
    assert wide.weights - mixed.weights == (wide.weights - kept) // 2


def test_a_core_without_halves_takes_a_mixed_network_that_its_words_hold():
    network = layered(8, 4, 4)
    plan = make_plan(network, 4)
    plain = replace(plan.params, narrow=0, weights=2 * plan.params.weights)
    on = plan_on(network, plain)
    assert not any(p.narrow for p in on.passes)
    assert len(on.contents["weights_0"]) > len(plan.contents["weights_0"])


def test_a_core_with_halves_stores_a_network_of_half_its_width_in_them():
    small, core = make_plan(layered(4, 4, 4), 4), make_plan(layered(8, 4, 4), 4)
    assert small.params.weights > core.params.weights
    plan = plan_on(small.network, covering([small, core]))
    assert all(p.narrow for p in plan.passes)
    assert len(plan.contents["weights_0"]) <= core.params.weights


def test_cores_for_several_networks_hold_each_of_them():
    networks = [layered(8, 4, 4), layered(8, 8, 8), layered(4, 4, 4), layered(6, 3, 3, channels=40), layered(7, 7, 7)]
    plans = [make_plan(network, 4) for network in networks]
    for one in plans:
        for other in plans:
            both = covering([one, other])
            assert both.narrow == max(one.params.narrow, other.params.narrow)
            assert all(plan_on(plan.network, both).params == both for plan in (one, other))
