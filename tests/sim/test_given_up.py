"""An image given up in any cycle leaves nothing behind: no result comes, and the next images are whole."""

from dataclasses import replace

import pytest

from gen.plan.plan import Plan, make_plan
from sim.compiled_core import CompiledCore
from sim.golden import Golden
from tests.kit.random_networks import SECOND, random_batch_network, random_images, random_network

SMALL = {"max_neurons": 60, "max_weights": 200, "max_size": 4, "max_classes": 4, "contract": SECOND}
KINDS = {  # name: network, images that are run together, neurons, whether the core keeps steps
    "image": (lambda: random_network(4, sources=("direct",), max_timesteps=2, **SMALL), 1, 1, 0),
    "quick": (lambda: random_network(3, sources=("direct",), max_timesteps=3, **SMALL | {"max_size": 5}), 1, 2, 1),
    "frames": (lambda: random_network(3, sources=("frames",), max_timesteps=3, **SMALL), 1, 1, 0),
    "batch": (lambda: random_batch_network(3, **SMALL), 2, 1, 0),
}


@pytest.mark.parametrize("kind", [
    kind if kind == "batch" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS
])
def test_an_image_given_up_in_any_cycle_leaves_nothing(kind):
    make, images, neurons, quick = KINDS[kind]
    network = make()
    plan = make_plan(network, 4, batch=images, neurons=neurons)
    core = CompiledCore.for_plan(Plan(network, replace(plan.params, quick=quick), plan.layout))
    x = random_images(network, 1, 2 * images)
    golden, answers = Golden(network).run(x), []
    core.run(x[:images])
    for cycle in range(core.cycles + 10):
        answers.append(core.abort(x[:images], cycle))
        found = core.run(x)
        assert (found.logits == golden.logits).all() and (found.exit_steps == golden.exit_steps).all(), cycle
    assert answers == sorted(answers) and set(answers) == {0, 1}, kind  # it comes once it could not be held back
