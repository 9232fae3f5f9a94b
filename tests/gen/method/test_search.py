"""Searches on a small network: budgets are kept, and what is taken is what the front says."""

import numpy as np
import pytest
import torch
from torch import nn

from gen.errors import InputError
from gen.method.builder import Builder, normalised
from gen.method.dynamics import Dynamics, Neurons
from gen.method.front import Front
from gen.method.pareto import Point
from gen.method.search import (
    FEW_RATIOS, RATIOS, Sensitivity, cheapest, search_bursts, search_compression, search_weight_bits,
)
from gen.method.settings import Settings
from gen.model.load import load

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = np.random.default_rng(8).integers(0, 256, (32, 1, 8, 8), dtype=np.uint8)
SCALE = np.zeros(1), np.ones(1)


def module():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
                         nn.Flatten(), nn.Linear(32, 4))


@pytest.fixture(scope="module")
def tried():
    """Return (network, plan, activations, bench) of 4 timesteps, a cap of 5, no early exit."""
    with torch.no_grad():
        network = load(module(), (1, 8, 8))
        settings = Settings(timesteps=4, max_burst=5)
        builder = Builder(network, IMAGES, settings)
        plan = builder.uniform({"conv1": 8, "conv2": 8, "fc1": 8})
        return network, plan, builder.maps, bench(network, plan)


def bench(network, plan, exits=None):
    neurons = {name: Neurons(theta, plan.bursts[name]) for name, theta in plan.thresholds.items()}
    return Sensitivity(Dynamics(network, normalised(IMAGES, *SCALE), 4), neurons, exits)


@pytest.mark.parametrize("fraction", [0.85, 0.9, 1.0, 2.0])
def test_burst_caps_keep_the_budget(tried, fraction):
    network, _, maps, measuring = tried
    with torch.no_grad():
        front = search_bursts(measuring, network, maps, fraction, "operations")
    uniform = sum(map(measuring.cost, measuring.neurons))
    assert {255, 63, 15, 1} <= set(front.values["conv1"])
    taken = front.points[front.taken]
    assert front.reference == pytest.approx(uniform) and taken.cost <= fraction * uniform * (1 + 1e-9)
    assert all(point.loss >= taken.loss for point in front.points if point.cost <= fraction * uniform)
    assert set(front.choice()) == {"conv1", "conv2"} and all(5 in values for values in front.values.values())


def test_counts_of_over_four_bits_cost_what_their_width_moves(tried):
    *_, measuring = tried
    assert [measuring.width("conv1", cap) for cap in (1, 7, 15)] == [0, 0, 0]
    maps = 6 * 8 * 8 * 4  # neurons times timesteps
    assert [measuring.width("conv1", cap) for cap in (16, 31, 255)] == [2 * maps / 8, 2 * maps / 8, 8 * maps / 8]


def test_what_no_burst_cap_reaches_is_said(tried):
    network, _, maps, measuring = tried
    with torch.no_grad(), pytest.raises(InputError, match=r"costs 0\.02 of the uniform network's .* least is 0\.\d\d"):
        search_bursts(measuring, network, maps, 0.02, "operations")


def test_higher_ratios_cost_less_and_one_changes_nothing(tried):
    *_, measuring = tried
    with torch.no_grad():
        front = search_compression(measuring, "operations")
    for name, values in front.values.items():
        for min_burst in (1, 2, 4):
            ratios = tuple(ratio for ratio, least in values if least == min_burst)
            assert ratios == (RATIOS if min_burst == 1 else FEW_RATIOS)[: len(ratios)] and len(ratios) > 1, name
    untouched = [front.choice(i) for i, point in enumerate(front.points) if abs(point.loss) < 1e-9]
    assert untouched == [{"conv1": (1.0, 1), "conv2": (1.0, 1)}]
    assert front.points[0].cost < 0.7 * front.reference < front.points[-1].cost * 1.01


def stored(bits, widest):
    """Two words' worth in one where half the width will do."""
    return widest // 2 if bits <= widest // 2 else widest


def test_weights_are_squeezed_into_the_memory(tried):
    network, plan, _, measuring = tried
    sizes = {"conv1": 54, "conv2": 432, "fc1": 128}
    with torch.no_grad():
        for budget in (8 * 614, 8 * 400, 4 * 614, 2 * 614):
            front = search_weight_bits(measuring, network, plan, stored, budget)
            widest = max(front.choice().values())
            spent = min(sum(n * stored(front.choice()[name], w) for name, n in sizes.items())
                        for w in range(widest, 9))
            assert spent <= front.points[front.taken].cost <= budget, budget
        assert min(front.choice().values()) == 2
        with pytest.raises(InputError, match="614 weights take at least [0-9,]+ bits, more than the 100 of"):
            search_weight_bits(measuring, network, plan, stored, 100)


def test_timesteps_that_hardly_an_image_reaches_are_not_counted(tried):
    network, plan, _, late = tried
    with torch.no_grad():
        early = bench(network, plan, exits=network.outputs[0])
    assert all(early.cost(name) < late.cost(name) for name in plan.thresholds)


LINE = Front("compression", "operations", {"a": (1, 2, 3, 4)}, 40.0, (
    Point(10, 0.1, (3,)), Point(20, 0.01, (2,)), Point(30, 0.003, (1,)), Point(40, 0.0, (0,)),
))


@pytest.mark.parametrize("lost, timesteps, ratio", [
    ({1: 0, 2: 0.1, 3: 0.2, 4: 0.3}, {1: 1, 2: 1, 3: 1, 4: 1}, 4),   # all the way
    ({1: 0, 2: 0.1, 3: 0.6, 4: 0.8}, {1: 1, 2: 1, 3: 1, 4: 1}, 2),   # as far as is allowed
    ({1: 0, 2: 0.1, 3: 0.6, 4: 0.3}, {1: 1, 2: 1, 3: 1, 4: 1}, 4),   # a loss that falls again was chance in part
    ({1: 0, 2: 0.1, 3: 1.6, 4: 0.1}, {1: 1, 2: 1, 3: 1, 4: 1}, 2),   # far beyond, nothing more is tried
    ({1: 0, 2: 0.1, 3: 0.2, 4: 0.3}, {1: 1, 2: 1, 3: 2, 4: 4}, 2),   # timesteps eat up what a timestep saves
])
def test_the_cheapest_point_that_keeps_the_accuracy(lost, timesteps, ratio):
    front = cheapest(LINE, lambda choice: (lost[choice["a"]], timesteps[choice["a"]]), 0.5)
    assert front.choice() == {"a": ratio}


def test_nothing_is_taken_where_everything_loses_too_much():
    assert cheapest(LINE, lambda choice: (1.0, 1.0), 0.5) is None
