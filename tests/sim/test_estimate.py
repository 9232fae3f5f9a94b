"""Cycles foretold from counts, against those of the compiled core."""

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.inputs import input_values
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Source, Synapse
from gen.plan.estimate import PACE, estimate_cycles
from gen.plan.plan import make_plan
from gen.plan.regions import WHOLE, Room
from sim.compiled_core import CompiledCore
from sim.golden import Golden
from tests.gen.plan.networks import readout, spiking

IMAGES, SIZE = 6, 14
WITHIN = 0.02  # what `gen.plan.estimate` promises
OUTSIDE = 0.03  # where rows of maps, or states, come from outside


def _network(rng, timesteps=3):
    """Return a convolution, a depthwise one with a residual beside it, a pointwise one, a pool and a readout."""
    def synapse(source, *shape, **window):
        return Synapse(source, rng.integers(-7, 8, shape), **window)

    def layer(name, *synapses, theta):
        made = spiking(name, list(synapses), bits=8, burst=7)
        made.theta.setflags(write=True)
        made.theta[:] = theta
        return made

    layers = [
        layer("wide", synapse(INPUT, 16, 1, 3, 3, padding=(1, 1)), theta=900),
        layer("depthwise", synapse("wide", 16, 1, 3, 3, padding=(1, 1), groups=16), theta=9),
        layer("point", synapse("depthwise", 32, 16, 1, 1), synapse("wide", 32, 16, 1, 1), theta=20),
        Pool("pool", "point", "sum", (2, 2), (2, 2)),
        layer("deep", synapse("pool", 24, 32, 3, 3, stride=(2, 2)), theta=60),
        readout("out", synapse("deep", 10, 24, 3, 3), bits=8),
    ]
    rule = ExitRule("entropy", 4, 20000, (200,) * timesteps)
    return IntegerNetwork(Source((1, SIZE, SIZE)), layers, timesteps, rule)


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
    network = _network(rng)
    images = rng.integers(0, 256, (IMAGES, 1, SIZE, SIZE), np.uint8) * (rng.random((IMAGES, 1, SIZE, SIZE)) < 0.4)
    plan, golden = make_plan(network, lanes, neurons=neurons, room=room), Golden(network)
    run = CompiledCore.for_plan(plan).run(images.astype(np.uint8))
    for image, cycles, values in zip(images, run.cycles, input_values(network, images.astype(np.uint8))):
        traces = golden.traces(image)
        counts = [{INPUT: values[None], **trace.counts} for trace in traces]
        found = estimate_cycles(plan, counts, [trace.exit_step for trace in traces], PACE)
        within = WITHIN if room.maps is room.states is None else OUTSIDE
        assert found.cycles == pytest.approx(cycles, rel=within), f"{lanes} lanes, seed {lanes}"
