"""Cycle estimates: cases that can be counted by hand, and what must hold of any."""

from dataclasses import replace

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.inputs import input_values
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Source, Synapse
from gen.plan import pass_cycles as following
from gen.plan.estimate import estimate_cycles, expected_cycles
from gen.plan.pass_cycles import CYCLES, pass_cycles
from gen.plan.plan import make_plan
from gen.plan.program_words import spacing
from gen.plan.tile_work import tile_work
from sim.golden import Golden
from tests.gen.plan.networks import chained, readout, spiking
from tests.kit.random_images import random_images
from tests.kit.random_networks import SECOND, random_network

SMALL = {"max_neurons": 200, "max_weights": 700, "max_size": 6, "max_timesteps": 4}


def _fixed(plan, p):
    """Return the cycles of a pass that no event changes."""
    return CYCLES["pass"] + plan.params.neuron_latency + p.tile_channels


def _convolution(channels=16, size=12, kernel=3):
    """Return a network of a wide convolution over a map of ``channels``, and its plan."""
    def weights(*shape):
        return np.ones(shape, int)

    first = spiking("a", [Synapse(INPUT, weights(channels, 1, 1, 1))])
    second = spiking("b", [Synapse("a", weights(16, channels, kernel, kernel))])
    out = readout("out", Synapse("b", weights(2, 16, size + 1 - kernel, size + 1 - kernel)))
    network = IntegerNetwork(Source((1, size, size)), [first, second, out], 2)
    return network, make_plan(network, 16)


def _of_pass(plan, number, maps):
    p = plan.passes[number]
    return pass_cycles(plan, p, tile_work(p, plan.regions, plan.params, maps))


def test_a_dense_map_costs_an_event_a_cycle():
    _, plan = _convolution()
    cycles = _of_pass(plan, 1, [np.ones((1, 16, 12, 12))])
    events = 100 * 9 * 16
    assert events <= cycles[0] - _fixed(plan, plan.passes[1]) <= events + 16


def test_a_sparse_map_costs_the_spacing_of_its_tiles():
    """With one event a tile, the neurons of a tile take longer than its gather."""
    _, plan = _convolution()
    sparse = np.zeros((1, 16, 12, 12))
    sparse[0, 3, ::3, ::3] = 1
    p = plan.passes[1]
    apart = spacing(p, plan.params)
    cycles = _of_pass(plan, 1, [sparse])[0] - _fixed(plan, p)
    assert 99 * apart <= cycles <= 100 * apart + 16 and apart == 16


def test_a_narrow_tile_costs_what_the_walker_takes():
    """Where there is neither much to gather nor to fire, a tile costs its words or what making it takes."""
    network = chained({"a": [INPUT], "b": ["a"]}, timesteps=2)
    plan = make_plan(network, 4)
    work = tile_work(plan.passes[1], plan.regions, plan.params, [np.zeros((1, 4, 6, 6))])
    cycles = _of_pass(plan, 1, [np.zeros((1, 4, 6, 6))])[0] - _fixed(plan, plan.passes[1])
    assert work.made >= 4 and 35 * work.made <= cycles <= 36 * work.made + 16


def test_a_kept_current_is_gathered_once():
    network = chained({"a": [INPUT], "b": ["a"]}, timesteps=3)
    plan = make_plan(network, 4)
    assert plan.passes[0].keep
    work = tile_work(plan.passes[0], plan.regions, plan.params, [np.ones((3, 1, 6, 6))])
    assert work.taken[:, 0].sum(axis=1).tolist() == [36, 36, 36] and (work.sent[1:] == 1).all()


def test_more_groups_are_faster_and_share_the_tiles():
    network, _ = _convolution(size=14)
    maps = [np.ones((1, 16, 14, 14))]
    one, four = (_of_pass(make_plan(network, lanes), 1, maps)[0] for lanes in (16, 64))
    assert 3.5 < one / four < 4.1


def test_long_passes_are_followed_side_by_side(monkeypatch):
    """Cut into runs of tiles a pass costs the same, to a fraction of a percent."""
    network, plan = _convolution(size=30)
    maps = [np.random.default_rng(0).random((1, 16, 30, 30)) < 0.1]
    cut = _of_pass(plan, 1, maps)[0]
    monkeypatch.setattr(following, "TOGETHER", 10_000)
    assert cut == pytest.approx(_of_pass(plan, 1, maps)[0], rel=3e-3)


def _counts(network, image):
    values = input_values(network.stages[0], image[None])
    values = values if network.source.kind == "frames" else values[:, None]
    traces = Golden(network).traces(image)
    return [{INPUT: values[0], **trace.counts} for trace in traces], [trace.exit_step for trace in traces]


@pytest.mark.parametrize("seed", range(8))
def test_an_image_costs_no_less_than_its_events(seed):
    """On random networks of the second contract, from traces of the golden model."""
    network = random_network(seed, contract=SECOND, **SMALL)
    plan = make_plan(network, 16)
    for image in random_images(network, seed, 2):
        found = estimate_cycles(plan, *_counts(network, image))
        assert found.timesteps == Golden(network).trace(image).exit_step
        assert found.cycles > Golden(network).trace(image).synaptic_ops / 16
        assert found.interval >= found.cycles and found.fps(50) == pytest.approx(5e7 / found.interval)


def test_an_early_exit_saves_its_timesteps():
    network = replace(random_network(0, contract=SECOND, **SMALL), exit_rule=ExitRule(), order="steps")
    plan, image = make_plan(network, 8), random_images(network, 0, 1)[0]
    counts, steps = _counts(network, image)
    shorter = [{name: maps[:1] for name, maps in counts[0].items()}]
    assert steps[0] > 1 and estimate_cycles(plan, shorter, [1]).cycles < estimate_cycles(plan, counts, steps).cycles


@pytest.mark.parametrize("seed", range(3))
def test_a_mean_image_is_foretold_without_images(seed):
    network = random_network(seed, contract=SECOND, **SMALL)
    found = expected_cycles(make_plan(network, 16))
    assert found.timesteps == network.timesteps and "third of the counts" in found.basis and found.cycles > 0
