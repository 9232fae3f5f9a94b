"""Cycles foretold from counts, against those of the compiled core."""

from dataclasses import replace

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.inputs import input_values, together
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Source, Synapse
from gen.plan.estimate import PACE, estimate_cycles
from gen.plan.plan import Plan, make_plan
from gen.plan.regions import WHOLE, Room
from sim.compiled_core import CompiledCore
from sim.golden import Golden
from tests.gen.plan.networks import readout, spiking

IMAGES, SIZE = 6, 14
WITHIN = 0.02  # what `gen.plan.estimate` promises
OUTSIDE = 0.03  # where rows of maps, or states, come from outside


def _layer(name, *synapses, theta):
    made = spiking(name, list(synapses), bits=8, burst=7)
    made.theta.setflags(write=True)
    made.theta[:] = theta
    return made


def _synapse(rng, source, *shape, **window):
    return Synapse(source, rng.integers(-7, 8, shape), **window)


def _network(rng, timesteps=3):
    """Return a convolution, a depthwise one with a residual beside it, a pointwise one, a pool and a readout."""
    layers = [
        _layer("wide", _synapse(rng, INPUT, 16, 1, 3, 3, padding=(1, 1)), theta=900),
        _layer("depthwise", _synapse(rng, "wide", 16, 1, 3, 3, padding=(1, 1), groups=16), theta=9),
        _layer("point", _synapse(rng, "depthwise", 32, 16, 1, 1), _synapse(rng, "wide", 32, 16, 1, 1), theta=20),
        Pool("pool", "point", "sum", (2, 2), (2, 2)),
        _layer("deep", _synapse(rng, "pool", 24, 32, 3, 3, stride=(2, 2)), theta=60),
        readout("out", _synapse(rng, "deep", 10, 24, 3, 3), bits=8),
    ]
    rule = ExitRule("entropy", 4, 20000, (200,) * timesteps)
    return IntegerNetwork(Source((1, SIZE, SIZE)), layers, timesteps, rule)


def _narrow_network(rng, timesteps=1):
    """Return layers narrower than a group, with few events a word: groups side by side wait for each other."""
    layers = [
        _layer("first", _synapse(rng, INPUT, 8, 1, 3, 3, padding=(1, 1)), theta=800),
        _layer("second", _synapse(rng, "first", 16, 8, 3, 3, padding=(1, 1)), theta=40),
        Pool("pool", "second", "sum", (2, 2), (2, 2)),
        readout("out", _synapse(rng, "pool", 10, 16, 7, 7), bits=8),
    ]
    return IntegerNetwork(Source((1, SIZE, SIZE)), layers, timesteps)


def _within(network, plan, images, bound, where):
    """Hold the estimate of every image, or of every run of a batch, against the cycles of the compiled core."""
    golden, result, batch = Golden(network), CompiledCore.for_plan(plan).run(images), plan.layout.images
    for run, cycles in zip(together(images, batch), result.cycles.reshape(-1, batch).mean(axis=1)):
        traces = golden.traces_of(run)
        values = np.repeat(input_values(network, run), len(traces) // batch, axis=0)
        counts = [{INPUT: own[None], **trace.counts} for own, trace in zip(values, traces)]
        found = estimate_cycles(plan, counts, [trace.exit_step for trace in traces], PACE)
        assert found.cycles == pytest.approx(cycles, rel=bound), where


def _images(rng):
    shape = IMAGES, 1, SIZE, SIZE
    return (rng.integers(0, 256, shape, np.uint8) * (rng.random(shape) < 0.4)).astype(np.uint8)


@pytest.mark.parametrize("lanes, neurons, room", [
    (4, 1, WHOLE), (16, 2, Room(weights=1)), (8, 1, Room(weights=1, maps=1)),
    (16, 1, Room(weights=1, maps=1, image=0, parameters=0)), (32, 1, Room(states=0)),
    (8, 1, Room(weights=1, maps=1, states=0, parameters=0)),
    *(pytest.param(*core, marks=pytest.mark.slow)
      for core in ((16, 2, WHOLE), (32, 1, WHOLE), (8, 1, Room(weights=1)))),
])
def test_cycles_are_foretold_within_few_percent(lanes, neurons, room):
    """With ``room`` for a word all weights lie outside the chip: with 16 lanes their fetching bounds some layers."""
    rng = np.random.default_rng(lanes)
    network, images = _network(rng), _images(rng)
    within = WITHIN if room.maps is room.states is None else OUTSIDE
    _within(network, make_plan(network, lanes, neurons=neurons, room=room), images, within, f"seed {lanes}")


@pytest.mark.parametrize("quick", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_tiles_of_few_events_are_foretold(quick):
    """Where steps are kept the walker makes them twice as fast, and the layers bound by that take half as long."""
    rng = np.random.default_rng(8)
    network, images = _narrow_network(rng, timesteps=3), _images(rng)[:2]
    images[:, :, 3:] = 0
    plan = make_plan(network, 8, neurons=4)
    plan = Plan(network, replace(plan.params, quick=quick), plan.layout)
    _within(network, plan, images, WITHIN, f"quick {quick}")


def test_depthwise_layers_alone_are_foretold():
    """They take a word a cycle, as fast as the walker sends them: with many neurons nothing hides a cycle too many."""
    rng = np.random.default_rng(3)
    layers = [_layer("wide", _synapse(rng, INPUT, 16, 1, 3, 3, padding=(1, 1)), theta=200)]
    for number in range(4):
        before = layers[-1].name
        layers.append(_layer(f"{number}", _synapse(rng, before, 16, 1, 3, 3, padding=(1, 1), groups=16), theta=9))
    layers.append(readout("out", _synapse(rng, "3", 4, 16, SIZE, SIZE)))
    network = IntegerNetwork(Source((1, SIZE, SIZE)), layers, 1)
    _within(network, make_plan(network, 16, neurons=8), _images(rng)[:2], WITHIN, "seed 3")


@pytest.mark.parametrize("lanes, neurons", [(32, 4), pytest.param(64, 2, marks=pytest.mark.slow)])
def test_groups_that_wait_for_each_other_are_foretold(lanes, neurons):
    rng = np.random.default_rng(lanes)
    network, images = _narrow_network(rng), _images(rng)
    images[..., :2, :] = images[..., :5] = 0  # so groups have unequal work
    _within(network, make_plan(network, lanes, neurons=neurons), images, WITHIN, f"seed {lanes}")


@pytest.mark.parametrize("lanes, batch", [(4, 3), (16, 2)])
def test_cycles_of_several_images_together_are_foretold(lanes, batch):
    """The weights of the last layer come once for all of them."""
    rng = np.random.default_rng(lanes)
    network, images = _network(rng, timesteps=1), _images(rng)
    plan = make_plan(network, lanes, room=Room(weights=1), batch=batch)
    assert any(p.again and p.streamed for p in plan.passes)
    _within(network, plan, images, WITHIN, f"seed {lanes}")
