"""Train the MNIST network 784-128-10 of the published spiking accelerators and save it for `adafire convert`.

    python examples/train_mnist.py mnist.npz --out mnist_mlp.pt2

The data file holds x_train uint8 [60000, 28, 28], y_train, x_test, y_test.
"""

import argparse
import sys

import torch
from torch import nn

from gen.errors import InputError
from gen.train import accuracy, fit, load_npz, save


def network():
    """Return the untrained network: 28x28 images to 10 classes."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", help="the .npz file")
    parser.add_argument("--out", default="mnist_mlp.pt2")
    parser.add_argument("--epochs", type=int, default=30)
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
    module = network()
    fit(module, x, y, epochs=options.epochs, rate=3e-3, shift=1, seed=options.seed,
        progress=lambda text, done: print(text, flush=True))
    print(f"accuracy on {len(x_test)} test images: {100 * accuracy(module, x_test, y_test):.2f} %")
    save(module, x[:2], options.out)
    print(f"saved {options.out}")


if __name__ == "__main__":
    main()
