"""What a plan's memories say, run by the machine in plain Python, is what the golden model says: every bit of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from gen.inputs import input_stream, together
from gen.layers import ADAFIRE, INVERSE_LEAKY
from gen.plan.lanes import LEAST_BEATS, NEURONS
from gen.plan.plan import covering, make_plan, plan_on
from sim.compare import expected_probe, first_difference
from sim.golden.plain import plain_traces
from tests.kit.machine import Machine
from tests.kit.random_images import random_images
from tests.kit.random_pools import networks_with_pools_apart
from tests.kit.random_networks import FIRST, SECOND, random_batch_network, random_network, random_staged_network
from tests.kit.random_sharing import networks_that_share

SMALL = {"max_neurons": 250, "max_weights": 900, "max_size": 6, "max_timesteps": 4}
SHAPES = [(4, 1), (4, 2), (4, 4), (8, 1), (8, 2), (8, 4), (16, 1), (16, 2), (16, 4)]
KINDS = {
    "first": lambda seed: random_network(seed, contract=FIRST, **SMALL),
    "second": lambda seed: random_network(seed, contract=SECOND, **SMALL),
    "frames": lambda seed: random_network(seed, contract=SECOND, sources=("frames",), **SMALL),
    "two-phase": lambda seed: random_network(seed, contract=SECOND, neuron=INVERSE_LEAKY, **SMALL),
    "tiles": lambda seed: _in_tiles(seed),
    "staged": lambda seed: random_staged_network(seed, sources=("direct",), **SMALL),
    "staged frames": lambda seed: random_staged_network(seed, sources=("frames",), **SMALL),
}


def _in_tiles(seed):
    """Return a network that runs all timesteps of a tile before the next tile."""
    for number in range(50 * seed, 50 * seed + 50):
        network = random_network(number, contract=SECOND, neuron=ADAFIRE, rules=("off",), **SMALL)
        if network.order == "tiles" and network.timesteps > 1:
            return network
    raise AssertionError(f"none of the networks from {50 * seed} on is in tile order")


def _compare(plan, seed, images=2):
    """Run random images, and compare every neuron of every group and the answer."""
    machine, network = Machine(plan.params, plan.contents), plan.network
    batch = plan.layout.images
    runs = together(random_images(network, seed, images), batch)
    for number, words in enumerate(input_stream(network, np.concatenate(runs), batch)):
        traces = [trace for image in runs[number] for trace in plain_traces(network, image)]
        run, where = machine.run(words), f"seed {seed}, image {number}"
        assert run.timesteps == sum(trace.exit_step for trace in traces), where
        assert batch > 1 or (run.stages, run.passed) == (len(traces), traces[-1].passed), where
        fired = [(group, *vars(neuron).values()) for group, row in enumerate(run.fired) for neuron in row]
        columns = np.array(fired, np.int64).reshape(-1, 4).T
        probe = SimpleNamespace(**dict(zip(("group", "index", "count", "state"), columns)))
        assert first_difference(plan, expected_probe(plan, traces), probe) is None, where
        outputs = [trace.outputs[name][-1].transpose(1, 2, 0).ravel()
                   for trace in traces[-batch:] for name in network.outputs]
        assert run.outputs == np.concatenate(outputs).tolist(), where
        assert run.classes == np.ravel(traces[-1].class_).tolist(), where
        assert run.events == sum(trace.events for trace in traces), where
        assert run.synaptic_ops == sum(trace.synaptic_ops for trace in traces), where


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_runs_as_the_golden_model(kind, shape):
    """Random networks of every kind, on cores of every shape."""
    width, groups = shape
    for seed in range(3):
        seed = 3 * SHAPES.index(shape) + seed
        neurons = [n for n in NEURONS if n * LEAST_BEATS <= width]
        plan = make_plan(KINDS[kind](seed), width=width, groups=groups, neurons=neurons[seed % len(neurons)])
        _compare(plan, seed)


@pytest.mark.parametrize("images", [2, 3])
@pytest.mark.parametrize("shape", SHAPES[::2], ids=lambda shape: "x".join(map(str, shape)))
def test_a_batch_runs_each_of_its_images_as_alone(images, shape):
    width, groups = shape
    for seed in range(10 * SHAPES.index(shape), 10 * SHAPES.index(shape) + 3):
        network = random_batch_network(seed, **SMALL)
        _compare(make_plan(network, width=width, groups=groups, batch=images), seed, 2 * images - 1)


@pytest.mark.parametrize("shape", [(4, 1), (8, 4), (16, 2)], ids=lambda shape: "x".join(map(str, shape)))
def test_a_core_for_several_networks_runs_each(shape):
    """On the core that covers them all, no network depends on what its own smallest core leaves out."""
    width, groups = shape
    networks = [make(100 + width) for make in KINDS.values()]
    params = covering([make_plan(network, width=width, groups=groups, neurons=2) for network in networks])
    for network in networks:
        _compare(plan_on(network, params), 100 + width, images=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [
    (4, 2), *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(4, 4), (8, 2)]),
], ids=lambda shape: "x".join(map(str, shape)))
def test_shared_inputs_of_readouts_change_no_bit(kind, shape):
    width, groups = shape
    for seed, network in networks_that_share(2, width, groups, KINDS[kind], 1000 + 10 * groups):
        _compare(make_plan(network, width=width, groups=groups, neurons=1 + seed % 2), seed)


@pytest.mark.parametrize("groups", [2, 4])
def test_shared_inputs_of_dense_networks_change_no_bit(groups):
    """Cores without windows know no positions: groups read shares as they would read parts."""
    def draw(seed):
        return random_network(seed, linear=True, max_layers=3, **SMALL)

    for seed, network in networks_that_share(6, 4, groups, draw):
        plan = make_plan(network, width=4, groups=groups, neurons=1 + seed % 2)
        assert not plan.params.windows
        _compare(plan, seed)


@pytest.mark.parametrize("options", [{}, {"sources": ("frames",)}, {"neuron": INVERSE_LEAKY}, {"rules": ("off",)}],
                         ids=["second", "frames", "two-phase", "ruleless"])
@pytest.mark.parametrize("shape", [(4, 2), (8, 4), (16, 2)], ids=lambda shape: "x".join(map(str, shape)))
def test_pools_by_themselves_change_no_bit(options, shape):
    width, groups = shape
    for seed, network in networks_with_pools_apart(2, width, groups, 1000 * SHAPES.index(shape), **SMALL, **options):
        _compare(make_plan(network, width=width, groups=groups, neurons=1 + seed % 2, unfused=1), seed)
