"""The demo's pictures for a dense task, scikit-learn's digits scattered on larger ones, and a network for them."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gen.data.digits import load_digits
from gen.data.train import descend

__all__ = ["CLASSES", "SIZE", "Segmenter", "scatter", "train_segmenter"]

SIZE = HEIGHT, WIDTH = 32, 48
CLASSES = ("nothing", *map(str, range(10)))
DIGIT = 8  # pixels, either way
MOST = 8  # digits of a picture
INK = 64  # a pixel of a digit from here on
NOISE = 40  # of the ground, at most
PICTURES, BATCH = 960, 32


def scatter(digits: np.ndarray, labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` pictures of digits on noisy ground, and what each of their pixels is.

    Parameters
    ----------
    digits : uint8 [N, 1, 8, 8]; labels : int64 [N]

    Returns
    -------
    x : uint8 [count, 1, 32, 48]
    y : int64 [count, 32, 48], 0 for nothing, 1 for a 0 and so on, as in `CLASSES`
    """
    rng = np.random.default_rng(seed)
    x = rng.integers(0, NOISE, (count, 1, HEIGHT, WIDTH)).astype(np.uint8)
    y = np.zeros((count, HEIGHT, WIDTH), np.int64)
    for picture, classes in zip(x[:, 0], y):
        free = np.ones((HEIGHT - DIGIT + 1, WIDTH - DIGIT + 1), bool)  # top left corners where a digit may still lie
        for number in rng.integers(0, len(digits), rng.integers(3, MOST + 1)):
            corners = np.argwhere(free)
            if not len(corners):
                break
            top, left = corners[rng.integers(len(corners))]
            place = slice(top, top + DIGIT), slice(left, left + DIGIT)
            picture[place] = np.maximum(picture[place], digits[number, 0])
            classes[place][digits[number, 0] >= INK] = labels[number] + 1
            free[max(top - DIGIT + 1, 0) : top + DIGIT, max(left - DIGIT + 1, 0) : left + DIGIT] = False
    return x, y


class Segmenter(nn.Module):
    """Pictures [N, 1, H, W], H and W even, to scores [N, 11, H, W].

    What a digit is comes from half the picture's size, where its ink is from the full one; the two are added.
    """

    def __init__(self):
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.coarse = nn.Sequential(
            nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=2, dilation=2, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        )
        self.what = nn.ConvTranspose2d(32, len(CLASSES), 2, 2)
        self.where = nn.Conv2d(16, len(CLASSES), 3, padding=1)

    def forward(self, x):
        fine = self.fine(x)
        return self.what(self.coarse(fine)) + self.where(fine)


def train_segmenter(epochs=10, seed=0, progress=None) -> Segmenter:
    """Return the segmenter, trained on pictures of the 1,300 training digits, other ones in each epoch, in eval mode.

    It runs on one thread, as `gen.data.digits.train`.
    """
    digits, labels, _, _ = load_digits()
    seeds = iter(range(seed, seed + epochs))

    def batches():
        x, y = map(torch.as_tensor, scatter(digits, labels, PICTURES, next(seeds)))
        return zip(x.split(BATCH), y.split(BATCH))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = Segmenter()
        return descend(
            module, batches, F.cross_entropy, epochs=epochs, steps=PICTURES // BATCH, rate=1e-2, progress=progress
        )
    finally:
        torch.set_num_threads(threads)
