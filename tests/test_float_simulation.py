"""The simulation that the golden model is timed against does compute the network."""

import numpy as np
import pytest
import torch

from benchmarks.float_simulation import AdaFire, FloatSimulation
from gen.layers import INPUT
from gen.method.simulate import activations
from gen.model.network import FloatNetwork, FloatPool, FloatSynapse, FloatLayer


def small():
    rng = np.random.default_rng(2)
    return FloatNetwork((1, 6, 6), (
        FloatLayer("a", (FloatSynapse(INPUT, rng.normal(size=(4, 1, 3, 3)), padding=(1, 1)),), rng.random(4)),
        FloatPool("p", "a", "sum", (2, 2), (2, 2), divisor=4.0),
        FloatLayer("b", (FloatSynapse("p", rng.normal(size=(4, 4, 3, 3)) / 4, padding=(1, 1)),
                    FloatSynapse("p", np.ones((4, 1, 1, 1)), groups=4)), rng.random(4)),
        FloatLayer("z", (FloatSynapse("b", rng.normal(size=(3, 4, 3, 3))),), rng.normal(size=3), fires=False),
    ))


@pytest.mark.parametrize("burst", [3, 7])
def test_over_many_timesteps_it_computes_the_float_network(burst):
    network, x = small(), torch.as_tensor(np.random.default_rng(3).random((5, 1, 6, 6))).float()
    maps = activations(network, x)
    neurons = {name: (maps[name].amax((0, 2, 3)).numpy(), burst) for name in ("a", "b")}
    wanted = maps["z"].flatten(1)
    errors = [(FloatSimulation(network, neurons, t).run(x) - wanted).abs().max() for t in (4, 200)]
    assert errors[1] < 0.02 * wanted.abs().max() and errors[1] < errors[0] / 4


def test_a_run_leaves_nothing_behind_and_a_silent_channel_is_silent():
    network, x = small(), torch.ones(1, 1, 6, 6)
    simulation = FloatSimulation(network, {"a": (np.array([1.0, 0, 1, 1]), 7), "b": (np.zeros(4), 7)}, 3)
    first = simulation.run(x)
    assert torch.equal(first, simulation.run(x))
    torch.testing.assert_close(first[0].double(), torch.as_tensor(network.layers[-1].bias))


def test_counts_under_the_least_burst_wait_in_the_membrane():
    neurons = AdaFire(np.array([1.0]), 7, least=2)
    current = torch.full((1, 1, 1, 1), 0.75)
    assert [float(neurons(current)) for _ in range(4)] == [0, 2, 0, 0] and float(neurons.v) == 1.5
