"""Every clock cycle told apart, and the parts added up: random networks on one core with a look into it."""

import numpy as np
import pytest

from gen.layers import INVERSE_LEAKY
from gen.plan.plan import covering, make_plan, plan_on
from sim.compare import answer_difference
from sim.profile import KINDS, MACHINE_KINDS, PASS_KINDS, ProfiledCore
from sim.traffic import rounds_of_stages
from sim.golden import Golden
from tests.kit.random_networks import SECOND, random_images, random_network, random_staged_network

WIDTH, GROUPS, IMAGES = 4, 2, 6
NETWORKS = {
    **{f"second {seed}": random_network(seed, contract=SECOND) for seed in (0, 8, 9, 11, 14, 21)},
    **{f"two-phase {seed}": random_network(seed, neuron=INVERSE_LEAKY) for seed in (1, 5)},
    "staged": random_staged_network(2, sources=("direct",), max_layers=3),
}


@pytest.fixture(scope="module")
def core():
    params = covering([make_plan(network, width=WIDTH, groups=GROUPS) for network in NETWORKS.values()])
    return ProfiledCore.for_plan(plan_on(NETWORKS["second 0"], params))


@pytest.fixture(params=NETWORKS)
def profiled(request, core):
    network = NETWORKS[request.param]
    core.load(plan_on(network, core.plan.params))
    x = random_images(network, 1, IMAGES)
    return network, core.plan, x, core.profile(x)


def test_every_cycle_is_of_one_kind(profiled, core):
    network, plan, x, profile = profiled
    result, golden = profile.result, Golden(network)
    assert (sum(profile.cycles.values()).sum(axis=(1, 2)) == result.cycles).all()
    assert (profile.group_cycles.sum(axis=(1, 2)) == result.busy_cycles).all()
    assert (profile.lane_cycles.sum(axis=(1, 2)) == result.synaptic_ops).all()
    busy = profile.cycles["busy"][:, :, :-1]
    assert (busy <= profile.group_cycles).all() and (profile.group_cycles <= GROUPS * busy).all()
    assert (profile.lane_cycles <= WIDTH * profile.group_cycles).all()
    for n, image in enumerate(x):
        assert answer_difference(plan, golden.traces(image), result, n) is None
    assert (core.run(x).busy_cycles == result.busy_cycles).all()


def test_kinds_belong_to_passes_or_to_the_machine(profiled):
    _, plan, _, profile = profiled
    assert set(profile.cycles) == set(KINDS)
    assert not any(profile.cycles[kind][:, :, -1].any() for kind in PASS_KINDS)
    assert not any(profile.cycles[kind][:, :, :-1].any() for kind in MACHINE_KINDS)
    for stage, rounds in zip(plan.stages, rounds_of_stages(plan, profile.result)):
        for p in stage.passes:
            spent = sum(cycles[:, :, p.index] for cycles in profile.cycles.values())
            assert ((spent > 0).sum(axis=1) == rounds).all(), p.title


def test_events_of_every_pass_are_those_of_the_golden_model(profiled):
    network, plan, x, profile = profiled
    for n, image in enumerate(x):
        for stage, trace in zip(plan.stages, Golden(network).traces(image)):
            for p in stage.passes:
                if not p.stored or all(not reader.weighted for reader in stage.network.readers[p.stored]):
                    assert not profile.events[n, :, p.index].any(), p.title
                    continue
                stored = trace.counts[p.stored]
                if p.steps == 1 and p.stores_at:
                    stored = stored[[p.stores_at - 1]]
                found = np.count_nonzero(stored, axis=(1, 2, 3))
                expected = [found.sum()] if p.steps > 1 else found
                assert (profile.events[n, : len(expected), p.index] == expected).all(), p.title
