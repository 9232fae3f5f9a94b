"""The curve of exits, and what it says at a number of operations."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.equal_operations import accuracy_at, exit_curve
from gen.exit_rule import ExitRule
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network


def test_between_the_points_of_a_curve_and_beyond():
    curve = [(100.0, 0.8), (200.0, 0.9)]
    assert accuracy_at(150, curve) == pytest.approx(0.85)
    assert (accuracy_at(100, curve), accuracy_at(200, curve)) == (0.8, 0.9)
    assert accuracy_at(99, curve) is None and accuracy_at(201, curve) is None


def test_a_curve_goes_from_few_operations_to_those_of_few_exits():
    network = random_network(10, sources=("direct",), rules=("entropy",))
    network = replace(network, provenance={"logit_scale": 20.0})
    images = random_images(network, 10, 800)
    labels = Golden(network).all_logits(images)[:, -1].argmax(axis=1)  # the full run is always right
    curve = exit_curve(network, (images[:400], labels[:400]), (images[400:], labels[400:]))
    operations, accuracy = np.transpose(curve)
    full = Golden(replace(network, exit_rule=ExitRule())).run(images[400:])
    assert len(curve) > 2 and (np.diff(operations) > 0).all() and operations[-1] < full.synaptic_ops.mean()
    assert accuracy[0] < accuracy[-1] == 1
