"""The demo's data and network: scikit-learn's embedded digits, a residual CNN trained on them in seconds."""

import numpy as np
import torch
from torch import nn

from gen.data.train import fit

__all__ = ["load_digits", "network_module", "small_module", "train"]

TRAINING_IMAGES = 1300


def load_digits():
    """Return x_train uint8 [1300, 1, 8, 8], y_train int64 [1300], x_test [497, 1, 8, 8] and y_test [497].

    The split is always the same.
    """
    from sklearn import datasets

    pixels, labels = map(np.asarray, datasets.load_digits(return_X_y=True))
    x = np.rint(pixels.reshape(-1, 1, 8, 8) * 255 / 16).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], labels[order].astype(np.int64)
    return x[:TRAINING_IMAGES], y[:TRAINING_IMAGES], x[TRAINING_IMAGES:], y[TRAINING_IMAGES:]


class Residual(nn.Module):
    """ReLU(x + conv(ReLU(conv(x)))), batch norm after each convolution."""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.first_norm(self.first(x)).relu()
        return (x + self.second_norm(self.second(y))).relu()


def small_module():
    """Return an untrained network for the smallest parts: [N, 1, 8, 8] to [N, 10], no residual, 1,864 weights."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )


def network_module():
    """Return the untrained network: [N, 1, 8, 8] to [N, 10], 10,640 weights."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2),
        Residual(16),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )


def train(seed=0, progress=None, make=network_module):
    """Return the network of ``make`` trained on the 1,300 training images, in eval mode.

    It runs on one thread: with batches this small, more of them only wait for each other.
    """
    x, y, _, _ = load_digits()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = make()
        return fit(module, x, y, epochs=60, batch=50, rate=1e-2, smoothing=0.1, seed=seed, progress=progress)
    finally:
        torch.set_num_threads(threads)
