"""Train the reference Fashion-MNIST network, 28,944 weights, and save it for `adafire convert`.

    python examples/train_fashion.py fashion_mnist.npz --out fashion.pt2

The data file holds x_train uint8 [60000, 28, 28], y_train, x_test, y_test.
"""

import argparse
import sys

import torch
from torch import nn

from gen.errors import InputError
from gen.train import accuracy, fit, load_npz, save


def block(inputs, outputs):
    """Return the layers conv, batch norm, ReLU and 2x2 average pool."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU(), nn.AvgPool2d(2)


def network():
    """Return the untrained network: 28x28 images to 10 classes."""
    blocks = *block(1, 16), *block(16, 32), *block(32, 64)
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64 * 3 * 3, 10))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", help="the .npz file")
    parser.add_argument("--out", default="fashion.pt2")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    try:
        x, y, x_test, y_test = load_npz(options.data, "x_train", "y_train", "x_test", "y_test")
    except InputError as error:
        sys.exit(f"error: {error}")
    x, x_test, y_test = x[:, None], x_test[:5000, None], y_test[:5000]
    module = network().to(memory_format=torch.channels_last)
    fit(module, x, y, epochs=options.epochs, rate=1e-2, shift=1, flip=True, smoothing=0.05, seed=options.seed,
        progress=lambda text, done: print(text, flush=True))
    print(f"accuracy on {len(x_test)} test images: {100 * accuracy(module, x_test, y_test):.2f} %")
    save(module.to(memory_format=torch.contiguous_format), x[:2], options.out)
    print(f"saved {options.out}")


if __name__ == "__main__":
    main()
