"""Neurons in floating point against the integer network, costs against its golden model."""

import numpy as np
import pytest
import torch
from torch import nn

from gen.layers import INPUT
from gen.method.builder import normalised
from gen.method.convert import convert
from gen.method.dynamics import Dynamics, Neurons, fanouts, symmetric_divergence
from gen.model.load import load
from sim.golden import Golden

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = np.random.default_rng(5).integers(0, 256, (24, 2, 8, 8), dtype=np.uint8)


class Small(nn.Module):
    """A residual, a depthwise convolution, a stride and a pool."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.down = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8 * 4, 5)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.relu(self.depthwise(x) + x)
        x = nn.functional.avg_pool2d(torch.relu(self.down(x)), 2)
        return self.head(x.flatten(1))


@pytest.fixture(scope="module")
def network():
    return load(Small(), (2, 8, 8))


@pytest.fixture(scope="module")
def integer():
    return convert(Small(), IMAGES, timesteps=3, max_burst=4, exit="off")


def dynamics_of(network, integer, lanes=None):
    """Return the dynamics of the thresholds that an integer network was made with, and the neurons."""
    x = normalised(IMAGES, np.zeros(2), np.ones(2))
    thresholds = integer.provenance["thresholds"]
    neurons = {name: Neurons(np.array(theta), 4) for name, theta in thresholds.items()}
    return Dynamics(network, x, 3, lanes), neurons


def test_logits_and_costs_are_near_those_of_the_integer_network(network, integer):
    with torch.no_grad():
        dynamics, neurons = dynamics_of(network, integer)
        maps = dynamics.run(neurons)
        z = dynamics.logits(maps)[network.outputs[0]].numpy()
    golden = Golden(integer)
    exact = golden.all_logits(IMAGES) / integer.provenance["logit_scale"]
    assert np.abs(z - exact).mean() < 0.2 * np.abs(exact - exact.mean()).mean()
    direct = sum(
        Golden(integer).fanout[INPUT].sum() * 2 for _ in range(1)
    )  # every pixel but the zeros, once
    operations = sum(dynamics.cost(maps, name).sum() for name in neurons)
    measured = golden.run(IMAGES).synaptic_ops.mean()
    assert abs(operations + direct - measured) < 0.1 * measured


def test_a_replay_is_a_run_with_the_change(network, integer):
    with torch.no_grad():
        dynamics, neurons = dynamics_of(network, integer)
        maps = dynamics.run(neurons)
        for name in neurons:
            changed = {**neurons, name: Neurons(1.7 * neurons[name].threshold, 2)}
            replayed, again = dynamics.replay(maps, changed, name), dynamics.run(changed)
            assert all(torch.equal(replayed[key], again[key]) for key in again), name
            assert any(not torch.equal(maps[key], again[key]) for key in again), name


def test_a_threshold_of_zero_never_fires(network, integer):
    with torch.no_grad():
        dynamics, neurons = dynamics_of(network, integer)
        silent = {**neurons, "conv1": Neurons(np.where(np.arange(6) < 3, 0, neurons["conv1"].threshold), 4)}
        maps = dynamics.run(silent)
    assert not maps["conv1"][:, :, :3].any() and maps["conv1"][:, :, 3:].any()


def test_fanouts_are_those_of_the_golden_model(network, integer):
    """What a count of one more event there costs the golden model is known exactly."""
    exact = Golden(integer).fanout
    for name, fanout in fanouts(network, integer.shapes).items():
        np.testing.assert_array_equal(fanout.ravel(), exact[name], err_msg=name)


def test_cycles_count_an_event_once_for_a_tile(network, integer):
    one, eight, four = (fanouts(network, integer.shapes, lanes) for lanes in (1, 8, 4))
    operations = fanouts(network, integer.shapes)
    np.testing.assert_array_equal(one["conv1"], operations["conv1"])
    # the down layer's 8 channels are one tile of 8 lanes, two of 4
    np.testing.assert_array_equal(four["dw2"], 2 * eight["dw2"])
    np.testing.assert_array_equal(operations["dw2"], 8 * eight["dw2"])


def test_divergence_is_symmetric_and_nothing_for_equal_answers():
    rng = np.random.default_rng(0)
    a, b = (torch.as_tensor(rng.normal(size=(7, 1, 4))) for _ in range(2))
    forth = symmetric_divergence(a, b.softmax(2))
    back = symmetric_divergence(b, a.softmax(2))
    torch.testing.assert_close(forth, back)
    assert (forth > 0).all() and symmetric_divergence(a, a.softmax(2)).abs().max() < 1e-12
    # sums over timesteps are averaged: twice the sum after twice the time says the same
    doubled = torch.cat([a, 2 * a], dim=1)
    torch.testing.assert_close(*symmetric_divergence(doubled, b.softmax(2)).T)
