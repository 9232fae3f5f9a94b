"""Segment electron microscopy, cell or membrane at every pixel, by a small U-Net: from training to the integer network.

    python examples/membranes.py em_membranes.npz [--out membranes]

The data are the 30 slices of the ISBI 2012 challenge in an .npz file: x uint8 [30, 512, 512] and y, the bits of the
labels (numpy.packbits along the last axis), 1 for cell, 0 for membrane. Training sees the first 24; the last 6 are the
test. The network takes 128x128 pixels, so a slice is 16 tiles, each answered by itself. It is a U-Net (Ronneberger et
al., MICCAI 2015) whose first convolution halves the picture, and whose last, transposed, doubles the answer.

The folder gets the model; two networks, membranes.safetensors of one timestep and membranes_t4.safetensors of four,
which stops when enough pixels are sure; the tiles for `adafire evaluate --data`; a tile as a picture for `adafire
predict`; figures.json, the curve of shares in it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from judged import judged  # beside this script, as the next one
from kit import converted, parser, ready, script, told, write
from PIL import Image
from torch import nn
from torch.nn import functional as F

from gen.data.train import descend
from gen.errors import InputError
from gen.exit_rule import EXP_ONE, SHARE_ONE, ExitRule
from gen.intnet import IntegerNetwork
from gen.method.exit_score import exit_steps, temperature
from sim.golden import Golden

TILE = 128
CLASSES = ("membrane", "cell")
TEST_SLICES = 6
BATCH, STEPS, EPOCHS, RATE = 16, 24, 14, 1e-2  # an epoch sees every pixel of the training slices about once
CALIBRATION = 64
BURST = 63  # at one timestep
STEPWISE = {"timesteps": 4, "max_burst": 15, "exit": "confidence", "exit_share": 0.95, "exit_loss": 0.2}
SURE, SHARES = 0.9, (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)  # a sure pixel's probability; how many must be sure to stop


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution, batch norm and ReLU."""
    layer = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """Images [N, 1, H, W] to scores [N, 2, H, W]; H and W are multiples of 8."""

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 48)):
        super().__init__()
        first, second, third = widths
        self.down1 = nn.Sequential(conv(1, first, 2), conv(first, first))
        self.down2 = nn.Sequential(conv(first, second, 2), conv(second, second))
        self.down3 = nn.Sequential(conv(second, third, 2), conv(third, third))
        self.up2 = conv(third + second, second)
        self.up1 = conv(second + first, first)
        self.head = nn.ConvTranspose2d(first, len(CLASSES), 4, 2, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(one)
        three = self.down3(two)
        y = self.up2(torch.cat([F.interpolate(three, scale_factor=2), two], 1))
        y = self.up1(torch.cat([F.interpolate(y, scale_factor=2), one], 1))
        return self.head(y)


def read_slices(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return x uint8 [N, H, W] and labels int64 [N, H, W] of the file ``path``; InputError for one without them."""
    try:
        with np.load(path) as file:
            x, bits = file["x"], file["y"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is no .npz file with x, the slices, and y, the bits of their labels ({error})."
        ) from error
    if x.ndim != 3 or x.dtype != np.uint8 or bits.shape != (*x.shape[:2], -(-x.shape[2] // 8)):
        raise InputError(
            f"{path}: x must be uint8 [N, H, W] and y the packed bits of as many labels, not {x.dtype} "
            f"{list(x.shape)} and {bits.dtype} {list(bits.shape)}."
        )
    return x, np.unpackbits(bits, axis=-1, count=x.shape[2]).astype(np.int64)


def tiles(slices: np.ndarray) -> np.ndarray:
    """Return [N * rows * columns, TILE, TILE] of ``slices`` [N, H, W], slice by slice in raster order."""
    count, height, width = slices.shape
    cut = slices.reshape(count, height // TILE, TILE, width // TILE, TILE)
    return cut.swapaxes(2, 3).reshape(-1, TILE, TILE)


def crops(x, y, generator):
    """Return random crops [BATCH, 1, TILE, TILE] and labels [BATCH, TILE, TILE], turned and mirrored at random."""
    images, labels = [], []
    for _ in range(BATCH):
        number = int(torch.randint(len(x), (), generator=generator))
        top, left = (int(torch.randint(n - TILE + 1, (), generator=generator)) for n in x.shape[1:])
        turns, mirrored = (int(torch.randint(n, (), generator=generator)) for n in (4, 2))
        for part, found in ((x, images), (y, labels)):
            part = torch.rot90(part[number, top : top + TILE, left : left + TILE], turns)
            found.append(part.flip(1) if mirrored else part)
    return torch.stack(images)[:, None], torch.stack(labels)


def train(x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> nn.Module:
    """Return the network trained on slices uint8 [N, H, W] and labels int64 [N, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.as_tensor(x), torch.as_tensor(y)
    module = UNet().to(memory_format=torch.channels_last)
    return descend(
        module, lambda: (crops(images, labels, generator) for _ in range(STEPS)), F.cross_entropy, epochs=epochs,
        steps=STEPS, rate=RATE, progress=told,
    )


def by_share(network: IntegerNetwork, x: np.ndarray, y: np.ndarray) -> dict[str, dict]:
    """Return the figures of ``network`` if it stops when so many pixels have a class of probability `SURE`.

    What it answers after each timestep does not depend on where it would stop, so it is run once for each.
    """
    stops = range(1, network.timesteps + 1)
    results = [Golden(replace(network, timesteps=stop, exit_rule=ExitRule())).run(x) for stop in stops]
    z, images = np.stack([result.logits for result in results], axis=1), np.arange(len(x))
    right = np.stack([(result.classes == y).mean(axis=(1, 2)) for result in results])
    work = np.stack([result.synaptic_ops for result in results])
    scale, limit = temperature(network.provenance["logit_scale"]), round(EXP_ONE / SURE)
    rows = {}
    for share in SHARES:
        rule = ExitRule("confidence", *scale, (limit,) * network.timesteps, share=round(share * SHARE_ONE))
        last = exit_steps(z, rule) - 1
        rows[f"{share:.0%} of the pixels sure"] = {
            "accuracy": float(right[last, images].mean()), "mean_timesteps": float(last.mean() + 1),
            "synaptic_ops_per_image": float(work[last, images].mean()),
            "exit_histogram": np.bincount(last, minlength=network.timesteps).tolist(),
        }
    return rows


def main():
    options = parser(__doc__, "membranes").parse_args()
    x, y = read_slices(options.data)
    ready(options)
    module = train(x[:-TEST_SLICES], y[:-TEST_SLICES], options.epochs or EPOCHS, options.seed)
    x_train, y_train, x_test, y_test = (
        tiles(part) for part in (x[:-TEST_SLICES], y[:-TEST_SLICES], x[-TEST_SLICES:], y[-TEST_SLICES:])
    )
    np.savez_compressed(options.out / "data.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    Image.fromarray(x_test[0]).save(options.out / "tile.png")
    chosen = np.random.default_rng(options.seed).permutation(len(x_train))[:CALIBRATION]
    shown = x_train[chosen, None], y_train[chosen]
    rows = {}
    for name, row, settings in (
        ("membranes", f"T = 1, bursts to {BURST}", {"timesteps": 1, "max_burst": BURST, "exit": "off"}),
        ("membranes_t4", "T = 4, bursts to 15, exit", STEPWISE),
    ):
        network = converted(module, *shown, options.out / name, task="segment", class_names=CLASSES, **settings)
        rows[row] = judged((options.out / name).with_suffix(".pt2"), network, options.out / "data.npz")
    write(options.out, rows | by_share(network, x_test[:, None], y_test))


if __name__ == "__main__":
    script(main)
