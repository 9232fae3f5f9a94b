"""Readouts whose inputs the groups share, on compiled cores: values, the probe, a fault in one group, cycles."""

from dataclasses import replace

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, INVERSE_LEAKY, Source, Synapse
from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.regions import Room
from sim.compiled_core import CompiledCore
from tests.gen.plan.networks import readout, spiking
from tests.kit.compared import differences
from tests.kit.random_networks import SECOND, random_network, random_staged_network
from tests.kit.random_sharing import networks_that_share

IMAGES = 3
KINDS = {
    "steps": lambda seed: random_network(seed, contract=SECOND),
    "frames": lambda seed: random_network(seed, contract=SECOND, sources=("frames",)),
    "two-phase": lambda seed: random_network(seed, contract=SECOND, neuron=INVERSE_LEAKY),
    "ruleless": lambda seed: random_network(seed, contract=SECOND, rules=("off",)),
    "staged": lambda seed: random_staged_network(seed, max_layers=3),
}
CORES = [(4, 2, 2), (4, 4, 1), (16, 4, 2)]  # lanes of a group, groups, neurons of a group
WEIGHTS, MAPS = Room(weights=1), Room(weights=1, maps=1, states=0, parameters=0)


def check(networks, width, groups, neurons, room=None):
    """Run [(name, seed, network)] one after the other on one core; return it."""
    options = {"room": room} if room else {}
    plans = [make_plan(network, width=width, groups=groups, neurons=neurons, **options) for *_, network in networks]
    params = covering(plans, room)
    core, wrong = CompiledCore.for_plan(plan_on(plans[0].network, params, room), stalls=0.3, seed=width), {}
    for name, seed, network in networks:
        core.load(plan_on(network, params, room))
        core.stalls = 0.3 * (seed % 3 > 0)
        if found := differences(core, network, seed, IMAGES):
            wrong[name] = found
    assert not wrong
    return core


def drawn(number, width, groups, first, **options):
    """Return [(name, seed, network)], of every kind so many networks that share, and one that does not share."""
    found = []
    for kind, draw in KINDS.items():
        share = networks_that_share(number, width, groups, draw, first, **options)
        found += [(f"{kind} {seed}", seed, network) for seed, network in share]
    alone = random_network(2, contract=SECOND)
    assert not make_plan(alone, width=width, groups=groups, **options).layout.shared
    return [*found[::2], ("alone", 2, alone), *found[1::2]]


@pytest.mark.parametrize("width, groups, neurons, number", [
    (*CORES[1], 1), *(pytest.param(*core, 12, marks=pytest.mark.slow) for core in CORES),
])
def test_shared_inputs_change_no_bit(width, groups, neurons, number):
    """Networks of all kinds follow each other on one core, and between them one that does not share."""
    core = check(drawn(number, width, groups, 100 * groups), width, groups, neurons)
    assert core.plan.params.shared and core.plan.params.windows


@pytest.mark.slow
@pytest.mark.parametrize("room", [WEIGHTS, MAPS], ids=["weights", "all else"])
@pytest.mark.parametrize("width, groups, neurons", CORES[:2])
def test_with_weights_and_all_else_outside_the_chip_they_change_none_either(width, groups, neurons, room):
    """Each group fetches weights of its own."""
    check(drawn(6, width, groups, 500, room=room), width, groups, neurons, room)


@pytest.mark.parametrize("groups, number", [(2, 4), pytest.param(4, 40, marks=pytest.mark.slow)])
def test_nor_in_cores_of_dense_layers_alone(groups, number):
    def draw(seed):
        return random_network(seed, linear=True, max_layers=3)

    networks = [(seed, seed, network) for seed, network in networks_that_share(number, 4, groups, draw)]
    core = check(networks, 4, groups, 1)
    assert core.plan.params.shared and not core.plan.params.windows


def test_a_wrong_weight_of_any_group_is_found():
    """Of those that the readout has: the value of an output is wrong, and it is said which."""
    (seed, network), = networks_that_share(1, 4, 2, KINDS["ruleless"], 7)
    plan = make_plan(network, width=4, groups=2)
    core, last = CompiledCore.for_plan(plan), plan.passes[-1]
    assert not differences(core, network, seed, IMAGES)
    for group in (0, 1):
        words = list(plan.contents[f"weights_{group}"])
        base, size = last.weights[0], last.sizes[0]
        words[base : base + size] = [word ^ 1 for word in words[base : base + size]]  # the lowest bit of lane 0
        damaged = replace(plan)
        damaged.__dict__["contents"] = plan.contents | {f"weights_{group}": words}
        core.load_stream(damaged.load_stream)
        found = differences(core, network, seed, IMAGES)
        assert found and all(f"layer {last.layer.name!r}" in text and ", output: " in text for text in found)


@pytest.mark.slow
def test_all_groups_work_for_a_readout():
    """Of one that takes 2,048 events for each of three tiles, four groups save three quarters of the cycles."""
    rng = np.random.default_rng(4)
    layers = [
        spiking("a", [Synapse(INPUT, np.ones((32, 1, 1, 1), int))]),
        readout("out", Synapse("a", rng.integers(-7, 8, (10, 32, 8, 8))), bits=8),
    ]
    network = IntegerNetwork(Source((1, 8, 8)), layers, 1)
    cycles = {}
    for shared in (False, True):
        core = CompiledCore.for_plan(make_plan(network, width=4, groups=4, shared=shared))
        cycles[shared] = int(core.run(np.full((1, 1, 8, 8), 9, np.uint8)).cycles[0])
    saved = 3 * 2048 * 3 // 4
    assert 0.999 * saved < cycles[False] - cycles[True] < saved  # sums are a cycle late
