"""Networks of ImageNet's size, converted: do the integer networks agree with the float ones on photographs.

    python -m benchmarks.imagenet --out DIR [--tflite mobilenet_v1_0.25_128_quant.tflite] [--network [NAME ...]]
        [--images 200] [--burst 15] [--calibration 24] [--calibrate-weights]

ResNet-18 and MobileNet-v2 as their authors describe them, at 3x224x224 with 1,000 classes, and VGG-16 at 3x32x32, with
weights by He and batch norms that know the photographs; with ``--tflite`` Google's trained MobileNet-v1 0.25 as well.
The photographs are crops of the two that scikit-learn ships, of random sizes and places. Each network is converted at
T = 1 with bursts to `--burst`, then written to DIR with its photographs: `python -m benchmarks.tasks NET=DATA` takes
them to the core for a board.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

from benchmarks.tables import add_files, report
from examples.families import settled
from examples.families.blocks import head, norm_act
from examples.families.mobile import FULL, MobileNetV2
from examples.families.residual import resnet18
from gen.method.builder import seen
from gen.method.checks import input_scale
from gen.method.convert import convert
from gen.method.simulate import activations
from gen.model.load import load
from gen.netfile import save_network
from sim.golden import Golden

SETTLING, BATCH = 8, 10  # photographs for the batch norms; of those that are judged, at a time
VGG = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool")
COLUMNS = {"weights": "{:,}", "agreement": "{:.1%}", "events": "{:,.0f}", "operations": "{:,.0f}", "seconds": "{:.0f}"}


def vgg16() -> nn.Module:
    """Return Simonyan and Zisserman's network D with batch norm, for pictures of 32x32, 10 classes."""
    layers, inputs = [], 3
    for width in VGG:
        layers.append(nn.MaxPool2d(2) if width == "pool" else norm_act(inputs, width))
        inputs = inputs if width == "pool" else width
    return nn.Sequential(*layers, head(inputs))


MODELS = {
    "resnet18": (lambda: resnet18((64, 128, 256, 512), 1000), 224),
    "mobilenet_v2": (lambda: MobileNetV2(FULL, 32, 1280, 1000), 224),
    "vgg16": (vgg16, 32),
}


def photographs(size: int, count: int, seed: int) -> np.ndarray:
    """Return uint8 [count, 3, size, size]: crops of scikit-learn's photographs, half of them mirrored."""
    rng = np.random.default_rng(seed)
    pictures, found = load_sample_images().images, []
    for _ in range(count):
        picture = Image.fromarray(pictures[rng.integers(len(pictures))])
        side = int(rng.integers(96, min(picture.size)))
        left, top = (int(rng.integers(0, length - side)) for length in picture.size)
        crop = picture.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        found.append(np.asarray(crop)[:, :: 1 - 2 * int(rng.integers(2))])
    return np.ascontiguousarray(np.stack(found).transpose(0, 3, 1, 2))


def random_model(name: str) -> tuple[nn.Module, int]:
    """Return a network with random weights, in eval, and the side of its pictures."""
    make, size = MODELS[name]
    torch.manual_seed(0)
    module = settled(make(), (3, size, size), 2)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
    with torch.no_grad():
        module.train()(torch.from_numpy(photographs(size, SETTLING, 1)) / 255)
    return module.eval(), size


def measure(name: str, model, size: int, options: argparse.Namespace) -> dict:
    """Convert a network, write it and its photographs; return its figures."""
    began = time.monotonic()
    float_network = load(model, (3, size, size))
    scale = input_scale(float_network, 0.0, 1.0, frames=False)  # what is written into the model itself
    pixels = photographs(size, options.calibration, 2)
    network = convert(
        model, pixels, timesteps=1, max_burst=options.burst, calibrate_weights=options.calibrate_weights)
    save_network(network, options.out / f"{name}.safetensors")
    x, y = photographs(size, options.images, 3), []
    for first in range(0, options.images, BATCH):
        part = seen(x[first : first + BATCH], *scale)
        y.append(activations(float_network, part)[network.readout.name][:, :, 0, 0].argmax(1).numpy())
    np.savez(options.out / f"{name}.npz", x=x, y=np.concatenate(y))
    result = Golden(network).run(x)
    return {
        "weights": sum(s.weight.size for layer in network.layers if layer.weighted for s in layer.synapses),
        "agreement": float((result.classes == np.concatenate(y)).mean()), "events": float(np.mean(result.events)),
        "operations": float(np.mean(result.synaptic_ops)), "seconds": time.monotonic() - began,
    }


def figures(options) -> Iterator[tuple[str, dict]]:
    """Yield (name, figures) of every network asked for."""
    for name in options.network if options.network is not None else MODELS:
        yield name, measure(name, *random_model(name), options)
    if options.tflite:
        name = options.tflite.stem
        yield name, measure(name, options.tflite, 128, options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tflite", type=Path)
    parser.add_argument("--network", nargs="*", choices=MODELS, help="default: all; with --tflite too")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--burst", type=int, default=15, help="largest burst; 15")
    parser.add_argument("--calibration", type=int, default=24, help="photographs of a conversion; 24")
    parser.add_argument("--calibrate-weights", action="store_true", help="as of `adafire convert`")
    add_files(parser)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    report(figures(options), COLUMNS, options)


if __name__ == "__main__":
    main()
