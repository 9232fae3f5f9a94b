"""Cores that run several images together: the compiled RTL against the golden model, image by image."""

import numpy as np
import pytest

from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.regions import Room
from sim.checked import checked
from sim.compiled_core import CompiledCore
from sim.golden import Golden
from tests.kit.random_networks import random_batch_network, random_images

CORES = [  # lanes of a group, groups, neurons of a group, images together, what a group may have on the chip
    (4, 4, 1, 3, Room(weights=1, maps=1, image=0, parameters=0)), (8, 1, 4, 3, Room(weights=1, maps=1)),
    (4, 2, 2, 2, Room()),
]
NETWORKS = 12
SMALL = {"max_neurons": 1500, "max_weights": 5000}


@pytest.mark.parametrize("width, groups, neurons, images, room", [
    core if core is CORES[0] else pytest.param(*core, marks=pytest.mark.slow) for core in CORES
])
def test_images_together_give_what_each_gives_alone(width, groups, neurons, images, room):
    """Behind a run that was given up anywhere, with pauses; the last run has fewer images than the core takes."""
    first = 100 * width + 10 * groups
    networks = {seed: random_batch_network(seed, **SMALL) for seed in range(first, first + NETWORKS)}
    plans = [make_plan(network, width=width, groups=groups, neurons=neurons, room=room, batch=images)
             for network in networks.values()]
    if room.image is not None:
        networks = {seed: network for (seed, network), plan in zip(networks.items(), plans) if plan.params.image_ring}
        plans = [plan for plan in plans if plan.params.image_ring]
    params = covering(plans, None if room == Room() else room)
    core, wrong = CompiledCore.for_plan(plan_on(plans[0].network, params, room), stalls=0.3, seed=width), {}
    for seed, network in networks.items():
        core.load(plan_on(network, params, room))
        core.stalls = 0.3 * (seed % 3 > 0)
        x, golden, rng = random_images(network, seed, 2 * images - 1), Golden(network), np.random.default_rng(seed)
        alone = core.run(x[:1])
        core.abort(x, int(rng.integers(0, 2 * images * alone.cycles[0] + 100)))
        found = [record["difference"] for record in checked(core, golden, x) if record["difference"]]
        expected, got = golden.run(x), core.run(x)
        same = all((expected.outputs[name] == got.outputs[name]).all() for name in network.outputs)
        if found or not same or (expected.classes != got.classes).any() or len(got.classes) != len(x):
            wrong[f"seed {seed}"] = found
    assert len(networks) >= NETWORKS // 3 and not wrong
