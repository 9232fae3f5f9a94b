"""What a network file says of its calibration images, against the golden model's own maps."""

from dataclasses import replace

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.inputs import input_values
from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY
from gen.method.activity import measure_activity
from gen.plan.activity import COUNT_DENSITY, INPUT_DENSITY, find_activity
from sim.golden import Golden
from tests.kit.random_images import random_images
from tests.kit.random_networks import SECOND, random_network, random_staged_network

SMALL = {"max_neurons": 150, "max_weights": 500, "max_size": 6, "max_timesteps": 4}


@pytest.mark.parametrize("neuron", [ADAFIRE, INVERSE_LEAKY])
@pytest.mark.parametrize("seed", range(4))
def test_nonzero_values_are_those_of_the_golden_model(seed, neuron):
    """Means over the images still running, at every timestep, of every map that is sent."""
    network = replace(random_network(seed, contract=SECOND, neuron=neuron, **SMALL), exit_rule=ExitRule())
    images, steps = random_images(network, seed, 6), network.timesteps
    exits = np.random.default_rng(seed).integers(1, steps + 1, len(images))
    exits[0] = steps
    record = measure_activity(network, images, exits, batch=4)
    assert record["exit_steps"] == np.bincount(exits - 1, minlength=steps).tolist()
    values = input_values(network, images)
    values = values[:, None] if network.source.kind == "direct" else values
    traces = [{INPUT: found, **Golden(network).trace(image).counts} for found, image in zip(values, images)]
    assert record["maps"].keys() == traces[0].keys()
    for name, entry in record["maps"].items():
        for t, mean in enumerate(entry["nonzero"]):
            running = [(trace[name][t] != 0).sum() for trace, exit_step in zip(traces, exits) if exit_step > t]
            assert mean == pytest.approx(np.mean(running), rel=1e-3), f"seed {seed}: {name}, timestep {t + 1}"


def test_a_file_is_read_as_it_was_written():
    """Densities have the mean that was measured, and rows and columns their shares of it."""
    network = random_network(1, contract=SECOND, **SMALL)
    steps = network.timesteps
    images = random_images(network, 1, 5)
    record = measure_activity(network, images, np.arange(5) % steps + 1)
    activity = find_activity(replace(network, provenance={"activity": record}))
    assert activity.basis == "5 calibration images"
    (stage,) = activity.stages
    stopped = np.array(record["exit_steps"])
    assert stage.running.tolist() == pytest.approx([stopped[t:].sum() / 5 for t in range(steps)])
    for name, density in stage.maps.items():
        assert density.sum((1, 2, 3)) == pytest.approx(record["maps"][name]["nonzero"], rel=0.02, abs=1e-6), name
        assert density.max() <= 1


def test_without_calibration_images_the_densities_are_fixed():
    network = random_network(2, contract=SECOND, **SMALL)
    activity = find_activity(network)
    assert "third of the counts" in activity.basis
    maps = dict(activity.stages[0].maps)
    assert (maps.pop(INPUT) == INPUT_DENSITY).all() and all((d == COUNT_DENSITY).all() for d in maps.values())
    assert activity.stages[0].running.tolist() == [1] * network.timesteps


def test_a_later_stage_runs_for_the_images_that_the_first_did_not_settle():
    network = random_staged_network(2, sources=("direct",), max_layers=3)
    records = []
    for stage in network.stages:
        images = random_images(stage, 0, 4)
        records.append({"activity": measure_activity(stage, images, np.full(4, stage.timesteps))})
    steps = network.stages[0].timesteps
    cascade = {"believed": 0.75, "exit_steps": [3, *[0] * (steps - 2), 1] if steps > 1 else [4]}
    activity = find_activity(replace(network, provenance={"stages": records, "cascade": cascade}))
    first, second = activity.stages[:2]
    assert first.running.tolist() == [1.0, *[0.25] * (steps - 1)]
    assert second.running.tolist() == [0.25] * network.stages[1].timesteps
