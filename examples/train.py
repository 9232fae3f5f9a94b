"""Train one of the reference networks and save it for `adafire convert`.

    python examples/train.py fashion fashion_mnist --out fashion.pt2

The data are named as for `adafire evaluate --data`: mnist, fashion_mnist, or an .npz file. Networks:

    fashion    28,944 weights, three convolutions, for Fashion-MNIST
    mnist_cnn   9,064 weights, two convolutions, for MNIST
    mnist_mlp 101,632 weights, 784-128-10, that of the published spiking accelerators, for MNIST
    vgg, resnet, mobilenet, mobilenet_v2    those of examples/architectures.py, for Fashion-MNIST
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from architectures import mobilenet, mobilenet_v2, resnet, vgg  # beside this script, as the next one
from kit import script
from torch import nn

from gen.data.datasets import open_dataset
from gen.data.train import accuracy, fit, save

TEST_IMAGES = 5000


@dataclass(frozen=True)
class Recipe:
    """A network for 28x28 images and 10 classes, and how `gen.data.train.fit` trains it."""

    module: Callable
    epochs: int
    rate: float
    fit: dict = field(default_factory=dict)


def block(inputs, outputs):
    """Return the layers conv, batch norm, ReLU and 2x2 average pool."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU(), nn.AvgPool2d(2)


RECIPES = {
    "fashion": Recipe(
        lambda: nn.Sequential(
            *block(1, 16), *block(16, 32), *block(32, 64), nn.Flatten(), nn.Linear(64 * 3 * 3, 10)
        ),
        epochs=40, rate=1e-2, fit={"flip": True, "smoothing": 0.05},
    ),
    "mnist_cnn": Recipe(
        lambda: nn.Sequential(*block(1, 8), *block(8, 16), nn.Flatten(), nn.Linear(16 * 7 * 7, 10)),
        epochs=12, rate=1e-2,
    ),
    "mnist_mlp": Recipe(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
        epochs=30, rate=3e-3,
    ),
    **{
        make.__name__: Recipe(make, epochs=24, rate=1e-2, fit={"flip": True, "smoothing": 0.05})
        for make in (vgg, resnet, mobilenet)
    },
    "mobilenet_v2": Recipe(mobilenet_v2, epochs=10, rate=1e-2, fit={"flip": True, "smoothing": 0.05}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", choices=RECIPES)
    parser.add_argument("data", help="mnist, fashion_mnist, or an .npz file")
    parser.add_argument("--out", help="default: the network's name with .pt2")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    recipe, out = RECIPES[options.network], options.out or f"{options.network}.pt2"
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    x, y = open_dataset(options.data, "train", need_labels=True).load()
    x_test, y_test = open_dataset(options.data, "test", need_labels=True).load(TEST_IMAGES)
    x, x_test = x[:, None], x_test[:, None]
    module = recipe.module().to(memory_format=torch.channels_last)
    fit(module, x, y, epochs=options.epochs or recipe.epochs, rate=recipe.rate, shift=1, seed=options.seed,
        progress=lambda text, done: print(text, flush=True), **recipe.fit)
    print(f"accuracy on {len(x_test)} test images: {100 * accuracy(module, x_test, y_test):.2f} %")
    save(module.to(memory_format=torch.contiguous_format), x[:2], out)
    print(f"saved {out}")


if __name__ == "__main__":
    script(main)
