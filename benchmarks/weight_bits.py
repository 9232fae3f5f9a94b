"""Accuracy of few-bit weights, without training: plain rounding, bias correction, weight calibration.

    python -m benchmarks.weight_bits --data DIR --models DIR [--model resnet] [--bits 8,4] [--timesteps 4]

DIR holds fashion_mnist.npz (x_train, y_train, x_test, y_test); the models are those that examples/train.py saves.
The calibration images are the first of the training set, the accuracy is that of all timesteps on the first test
images.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from gen.data.datasets import open_dataset
from gen.errors import InputError
from gen.method.builder import normalised
from gen.method.calibrate import correct
from gen.method.quantize import quantize_with_scales
from gen.method.rounding import calibrate_weights
from gen.method.simulate import activations, readout_sums
from gen.method.thresholds import thresholds
from gen.model.load import load

MODELS = ("fashion", "vgg", "resnet", "mobilenet")
STEPS = ("plain rounding", "bias correction", "weight calibration")


class Subject:
    """A trained model, and what its conversion at any number of bits has in common."""

    def __init__(self, path, x, timesteps, burst):
        self.x, self.settings = x, {"timesteps": timesteps, "max_burst": burst}
        self.network = load(path, x.shape[1:])
        self.maps = self.activations(x)
        self.thresholds = thresholds(self.network, self.maps, timesteps, burst)

    def activations(self, x):
        """Return the float network's maps for pixels ``x``."""
        return activations(self.network, normalised(x, np.zeros(1), np.ones(1)))

    def float_accuracy(self, x, y):
        """Return the fraction of ``x`` that the float network puts in class ``y``."""
        readout = self.network.layers[-1].name
        found = [self.activations(part)[readout].flatten(1).argmax(1).numpy() for part in np.array_split(x, 20)]
        return float((np.concatenate(found) == y).mean())

    def networks(self, bits):
        """Yield (step, integer network, seconds that the step took)."""
        plain = quantize_with_scales(self.network, self.thresholds, weight_bits=bits, **self.settings)
        yield STEPS[0], plain.network, 0.0
        shapes, means = plain.network.shapes, {}
        for layer in plain.network.layers:
            if layer.weighted:
                _, height, width = shapes[layer.name]
                means[layer.name] = self.maps[layer.name][..., :height, :width].double().mean((0, 2, 3)).numpy()
        start = time.process_time()
        net = correct(plain, self.x, means)
        yield STEPS[1], net, time.process_time() - start
        start = time.process_time()
        net = calibrate_weights(plain, self.network, self.maps, self.x, means).network
        yield STEPS[2], net, time.process_time() - start


def measure(subject, bits, x, y):
    """Return step to its accuracy, and to its processor time as ``seconds``."""
    result = {"bits": bits, "seconds": {}}
    for step, net, seconds in subject.networks(bits):
        result[step] = float((readout_sums(net, x)[:, -1].argmax(1) == y).mean())
        result["seconds"][step] = seconds
    return result


def table(name, accuracy, rows):
    """Return the figures of a model as a table."""
    result = Table(title=f"{name}: float {100 * accuracy:.2f} %")
    for heading in ("bits", *STEPS, "processor seconds"):
        result.add_column(heading, justify="right")
    for row in rows:
        spent = " + ".join(f"{row['seconds'][step]:.1f}" for step in STEPS[1:])
        result.add_row(str(row["bits"]), *(f"{100 * row[step]:.2f}" for step in STEPS), spent)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder of fashion_mnist.npz")
    parser.add_argument("--models", default=".", help="folder of the trained .pt2 files")
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--bits", default="8,6,5,4,3", help="comma between them")
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--burst", type=int, default=7)
    parser.add_argument("--calibration", type=int, default=512, help="images")
    parser.add_argument("--images", type=int, default=5000, help="of the test set")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    paths = {name: Path(options.models) / f"{name}.pt2" for name in options.model or MODELS}
    missing = [str(path) for path in paths.values() if not path.exists()]
    if missing:
        raise InputError(f"There is no {', '.join(missing)}: train it with examples/train.py.")
    data = Path(options.data) / "fashion_mnist.npz"
    calibration, _ = open_dataset(data, "train").load(options.calibration)
    x, y = open_dataset(data, need_labels=True).load(options.images)
    x = x[:, None]
    results, console = {}, Console()
    with torch.no_grad():
        for name, path in paths.items():
            subject = Subject(path, calibration[:, None], options.timesteps, options.burst)
            accuracy = subject.float_accuracy(x, y)
            rows = [measure(subject, int(bits), x, y) for bits in options.bits.split(",")]
            results[name] = {"float": accuracy, "rows": rows}
            if not options.json:
                console.print(table(name, accuracy, rows))
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
