import json
import re

import numpy as np
import pytest

from gen.errors import InputError
from gen.result import Result
from sim.golden import Golden
from sim.metrics import Figures, evaluate
from tests.kit.random_networks import random_images, random_network, random_staged_network


class Device:
    """Four images a run: classes 0, 1, 2, 1, exits after 1, 3, 3, 1 timesteps."""

    lanes = 4

    def __init__(self, cycles=None):
        self.cycles = cycles

    def run(self, x, progress=None):
        classes = np.array([0, 1, 2, 1])[: len(x)]
        steps, events, ops = np.array([[1, 3, 3, 1], [4, 0, 2, 2], [10, 20, 30, 40]])[:, : len(x)]
        if progress:
            progress(len(x), len(x))
        return Result(classes, steps, np.eye(3, dtype=np.int64)[classes], events, ops, self.cycles)


X = np.zeros((4, 1, 2, 2), np.uint8)


def test_the_figures():
    figures = evaluate(Device(), X, np.array([0, 1, 2, 2]))
    assert figures.pop("seconds") >= 0
    assert figures == {
        "images": 4, "accuracy": 0.75, "mean_timesteps": 2.0, "exit_histogram": [2, 0, 2],
        "exit_accuracy": [0.5, None, 1.0], "events_per_image": 2.0, "synaptic_ops_per_image": 25.0,
    }


def test_a_device_that_counts_cycles():
    figures = evaluate(Device(np.array([5, 5, 10, 20])), X)
    assert figures["cycles_per_image"] == 10.0 and figures["lane_utilization"] == 100 / (4 * 40)
    assert figures["accuracy"] is None and figures["exit_accuracy"] is None and json.dumps(figures)


def test_a_limit_and_progress():
    seen = []
    figures = evaluate(Device(), X, [0, 0, 0, 0], limit=3, batch=2, progress=lambda *told: seen.append(told))
    assert (figures["images"], figures["accuracy"], len(seen)) == (3, 2 / 3, 2)
    (first, half), (second, all_of_it) = seen
    assert re.fullmatch(r"2 of 3 images, [\d,.]+/s", first) and half == 2 / 3
    assert re.fullmatch(r"3 of 3 images, [\d,.]+/s, 50.00 % so far", second) and all_of_it == 1.0


@pytest.mark.parametrize("batch", [1, 3, 64, 1000])
def test_batches_change_nothing(batch):
    network = random_network(11)
    images = random_images(network, 11, 70)
    labels = np.arange(70) % network.classes
    whole, parts = (evaluate(Golden(network), images, labels, batch=size) for size in (70, batch))
    assert parts | {"seconds": 0} == whole | {"seconds": 0}


def test_those_who_watch_see_every_batch():
    seen = []
    evaluate(Device(), X, np.array([0, 1, 2, 2]), batch=3, watch=[lambda *batch: seen.append(batch)])
    assert [(len(x), y.tolist(), result.classes.tolist()) for x, y, result in seen] == [
        (3, [0, 1, 2], [0, 1, 2]), (1, [2], [0]),
    ]


def test_figures_add_up():
    figures, device = Figures(lanes=4), Device(np.array([5, 5, 10, 20]))
    for _ in range(2):
        figures.add(device.run(X), np.array([0, 1, 2, 2]), seconds=1.5)
    assert figures.accuracy == 0.75 and figures.as_dict() == {
        "images": 8, "accuracy": 0.75, "mean_timesteps": 2.0, "exit_histogram": [4, 0, 4],
        "exit_accuracy": [0.5, None, 1.0], "events_per_image": 2.0, "synaptic_ops_per_image": 25.0, "seconds": 3.0,
        "cycles_per_image": 10.0, "lane_utilization": 100 / (4 * 40),
    }


@pytest.mark.parametrize(
    ("x", "y", "limit", "text"),
    [
        (X, None, 0, "The limit must be at least one image, not 0"),
        (X, [0, 1], None, "There are 2 labels for 4 images: give one label for each image"),
        (X[:0], None, None, "There are no images to evaluate: give at least one"),
        (X, [0, 1, 2, 3], None, r"The labels lie in 0..3, the network has classes 0..2"),
        (X, [0, 1, 2, -1], None, r"The labels lie in -1..2, the network has classes 0..2"),
    ],
)
def test_bad_input(x, y, limit, text):
    with pytest.raises(InputError, match=text):
        evaluate(Device(), x, y, limit)


def test_the_golden_model():
    network = random_network(11)
    images = random_images(network, 11, 70)
    result = Golden(network).run(images)
    figures = evaluate(Golden(network), images, result.classes)
    assert figures["accuracy"] == 1.0 and sum(figures["exit_histogram"]) == 70
    assert figures["mean_timesteps"] == result.exit_steps.mean() and "cycles_per_image" not in figures


class DenseDevice:
    """Two images, maps of 1 x 2 positions; the second is answered by the second stage."""

    def run(self, x, progress=None):
        classes, n = np.array([[[0, 1]], [[1, 1]]])[: len(x)], len(x)
        logits = np.moveaxis(np.eye(2, dtype=np.int64)[classes], -1, 1)
        steps, events, ops, stages = np.array([[1, 3], [4, 0], [10, 20], [0, 1]])[:, :n]
        return Result(classes, steps, logits, events, ops, stages=stages)


def test_labels_that_are_maps_and_stages():
    figures = evaluate(DenseDevice(), X[:2], np.array([[[0, 1]], [[1, 0]]]))
    assert figures["accuracy"] == 0.75 and figures["exit_accuracy"] == [1.0, None, 0.5]
    assert figures["exit_histogram"] == [1, 0, 1] and figures["stages"] == [1, 1]
    with pytest.raises(InputError, match=r"The labels of a batch have shape \(2,\), the answers \(2, 1, 2\): give one"):
        evaluate(DenseDevice(), X[:2], np.array([0, 1]))
    with pytest.raises(InputError, match=r"The labels lie in 0..2, the network has classes 0..1"):
        evaluate(DenseDevice(), X[:2], np.array([[[0, 1]], [[2, 0]]]))


def test_stages_in_the_golden_model():
    for seed in range(6):
        network = random_staged_network(seed)
        images = random_images(network, seed, 20)
        result = Golden(network).run(images)
        figures = evaluate(Golden(network), images, result.classes)
        assert figures["accuracy"] == 1.0
        assert figures["stages"] == np.bincount(result.stages).tolist(), seed
        assert figures["exit_histogram"] == np.bincount(result.exit_steps)[1:].tolist(), seed
