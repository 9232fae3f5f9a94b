"""MNIST as points: a PointNet without transform networks, from training to the integer network.

    python examples/points.py mnist.npz [--out points]

A digit becomes 96 points (`gen.data.points.points_of_images`). Three layers look at each point by itself, the maximum
over all points describes the shape, two more layers name it: Qi et al., "PointNet" (CVPR 2017), less the transform
networks, which multiply maps with maps. Neither the order of the points nor repeated ones matter to it. The folder gets
the model, the network, the test points for `adafire evaluate --data`, and figures.json.
"""


import numpy as np
import torch
from kit import converted, figures, parser, ready, script, shuffled, told, write  # beside this script
from torch import nn
from torch.nn import functional as F

from gen.data.datasets import open_dataset
from gen.data.forms import Points
from gen.data.points import maps_of_points, points_of_images
from gen.data.train import descend

POINTS, SCALE = 96, 1.0
BATCH, STEPS, EPOCHS, RATE = 128, 50, 64, 1e-2
JITTER = 10  # of 255, how far a digit is moved in training: about a pixel
CALIBRATION = 2000
BURST = 63


def pointnet(points: int = POINTS, classes: int = 10, widths=(32, 64, 128), hidden: int = 64) -> nn.Module:
    """Return the untrained network: [N, 3, points, 1] to [N, classes]."""
    layers, channels = [], 3
    for width in widths:
        layers += [nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(
        *layers, nn.MaxPool2d((points, 1)), nn.Flatten(),
        nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, classes),
    )


def moved(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return ``x`` uint8 [N, 3, points, 1], every digit moved a little in column and row."""
    by = torch.randint(-JITTER, JITTER + 1, (len(x), 2, 1, 1), generator=generator)
    return torch.cat([(x[:, :2] + by).clamp(0, 255), x[:, 2:].long()], dim=1).to(torch.uint8)


def main():
    options = parser(__doc__, "points").parse_args()
    x, y = open_dataset(options.data, "train", need_labels=True).load()
    x_test, y_test = open_dataset(options.data, "test", need_labels=True).load()
    ready(options)
    points, points_test = points_of_images(x, POINTS), points_of_images(x_test, POINTS)
    np.savez_compressed(
        options.out / "data.npz", points_train=points[:CALIBRATION], y_train=y[:CALIBRATION], points_test=points_test,
        y_test=y_test,
    )
    maps, maps_test = maps_of_points(points, SCALE), maps_of_points(points_test, SCALE)
    module = pointnet().to(memory_format=torch.channels_last)
    batches = shuffled(torch.as_tensor(maps), torch.as_tensor(y), BATCH, STEPS, moved, options.seed)
    descend(module, batches, F.cross_entropy, epochs=options.epochs or EPOCHS, steps=STEPS, rate=RATE, progress=told)
    network = converted(
        module, maps[:CALIBRATION], y[:CALIBRATION], options.out / "points", Points(SCALE), timesteps=1,
        max_burst=BURST, exit="off",
    )
    write(options.out, {"points": figures(module, network, maps_test, y_test)})


if __name__ == "__main__":
    script(main)
