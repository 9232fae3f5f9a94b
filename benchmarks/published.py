"""Published ResNets on CIFAR-10: what timesteps, burst caps, early exits and a second stage buy.

    python -m benchmarks.published --models DIR --data cifar10.npz [--rows TEXT ...] [--rtl N] [--out DIR]

DIR holds resnet20_cifar10.safetensors and those of ResNet-32, 44 and 56, the weights of
akamaster/pytorch_resnet_cifar10; examples/published.py has the class. The data file has x_train, y_train, x_test and
y_test, or, of the images, what is left when from each the red and blue channel lose the green one and every row the row
above (x_train_filtered, ...).

Every network is converted with `--calibration` training images, nothing is trained; cascades are fitted on other
training images. The test images then run on the golden model, which equals the core bit for bit; with ``--rtl N`` the
first N of them run on the compiled core of `--lanes` as well, for the rows `ON_HARDWARE`: its cycles, and how many
classes, logits and counts differ. ``--rows`` takes those rows whose name begins so.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.compiled import on_core
from benchmarks.tables import add_files, report
from examples.pictures import stored_pictures
from examples.published import MEAN, STD, resnet
from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.method.cascade import cascade
from gen.method.convert import convert
from gen.netfile import load_network, save_network
from sim.golden import Golden

BURST = 63  # of the networks at T = 1 that others are compared with
FLOAT = {f"ResNet-{depth}, float": depth for depth in (20, 32, 44, 56)}
SINGLE = {  # depth, timesteps, burst cap, whether images stop early, order
    **{f"ResNet-20, T = 1, bursts to {burst}": (20, 1, burst, False, "steps") for burst in (15, 31, 63, 255)},
    **{f"ResNet-20, T = {steps}, bursts to 7": (20, steps, 7, False, "steps") for steps in (4, 8)},
    **{f"ResNet-20, T = {steps}, bursts to 7, exits for 0.2 points": (20, steps, 7, True, "steps") for steps in (4, 8)},
    "ResNet-20, T = 2, bursts to 15, in tile order": (20, 2, 15, False, "tiles"),
    **{f"ResNet-{depth}, T = 1, bursts to {BURST}": (depth, 1, BURST, False, "steps") for depth in (32, 44, 56)},
    "ResNet-44, T = 1, bursts to 255": (44, 1, 255, False, "steps"),
    "ResNet-56, T = 1, bursts to 15": (56, 1, 15, False, "steps"),
}
ON_HARDWARE = (  # with --rtl
    "ResNet-20, T = 1, bursts to 15", "ResNet-20, T = 1, bursts to 63", "ResNet-20, T = 2, bursts to 15, in tile order",
)
CASCADES = {  # depth of the second stage, points it may lose
    f"ResNet-20 then {depth}, T = 1, for {points} points": (depth, points)
    for depth in (32, 56) for points in (0.1, 0.2)
}
COLUMNS = {
    "accuracy": "{:.2%}", "mean timesteps": "{:.2f}", "events": "{:,.0f}", "synaptic operations": "{:,.0f}",
    "to the second stage": "{:.1%}", "cycles": "{:,.0f}", "differences": "{:,}",
}


class Published:
    """The networks of one run, each converted once and kept in the folder ``--out``."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        options.out.mkdir(parents=True, exist_ok=True)
        self.test = tuple(part[: options.images] for part in read_cifar(options.data, "test"))
        self.train = read_cifar(options.data, "train")

    def model(self, depth: int) -> torch.nn.Module:
        path = self.options.models / f"resnet{depth}_cifar10.safetensors"
        if not path.is_file():
            raise InputError(f"{path} is missing: name the folder of the published weights as --models.")
        return resnet(depth, path)

    def network(
        self, depth: int, timesteps: int, burst: int, exits: bool = False, order: str = "steps"
    ) -> IntegerNetwork:
        """Return the network of ``depth``, converted, with early exits for 0.2 points or without any."""
        calibration = self.options.calibration
        file = self.options.out / f"resnet{depth}_t{timesteps}_b{burst}_{calibration}.safetensors"
        if not file.exists():
            x, labels = (part[:calibration] for part in self.train)
            made = convert(
                self.model(depth), x, labels=labels, timesteps=timesteps, max_burst=burst, exit_loss=0.2, mean=MEAN,
                std=STD, exit="confidence" if timesteps > 1 else "off",
            )
            save_network(made, file)
        network = load_network(file)
        if not exits:
            network = replace(network, exit_rule=ExitRule(), order=order)
        if order != "steps":
            save_network(network, file.with_stem(f"{file.stem}_{order}"))
        return network

    def cascade(self, depth: int, points: float) -> StagedNetwork:
        """Return ResNet-20 with the network of ``depth`` behind it, kept too, fitted on images that converted neither.

        The models were trained on these images and hardly ever err there, so it is fitted without their labels: to
        decide as the second stage does.
        """
        start = self.options.calibration
        small, large = (self.network(one, 1, BURST) for one in (20, depth))
        x = self.train[0][start : start + self.options.fit]
        both = cascade(small, large, x, exit_loss=points, exit="confidence")
        save_network(both, self.options.out / f"resnet20_then{depth}_{points}_{start}.safetensors")
        return both

    def accuracy(self, depth: int) -> dict:
        """Return the accuracy of the float network."""
        model, (x, labels) = self.model(depth), self.test
        mean, std = (torch.tensor(value)[:, None, None] for value in (MEAN, STD))
        with torch.no_grad():
            parts = [model((part.float() / 255 - mean) / std).argmax(1) for part in torch.as_tensor(x).split(500)]
        return {"accuracy": float((torch.cat(parts).numpy() == labels).mean())}

    def measured(self, network: IntegerNetwork | StagedNetwork) -> dict:
        """Return the figures of ``network`` on all test images."""
        x, labels = self.test
        result = Golden(network).run(x)
        second = {} if result.stages is None else {"to the second stage": float((result.stages > 0).mean())}
        return {
            "accuracy": float((result.classes == labels).mean()), "mean timesteps": float(result.exit_steps.mean()),
            "events": float(result.events.mean()), "synaptic operations": float(result.synaptic_ops.mean()), **second,
        }

    def simulated(self, network: IntegerNetwork) -> dict:
        """Return cycles of the first test images on the compiled core, and values that are not the golden model's."""
        figures = on_core(network, self.test[0][: self.options.rtl], self.options.lanes)
        return {"cycles": figures["rtl_cycles_per_image"], "differences": figures["rtl_differences"]}

    def rows(self) -> Iterator[tuple[str, dict]]:
        """Yield the name of every row and its figures."""
        wanted = tuple(self.options.rows or ("",))
        for name in (*FLOAT, *SINGLE, *CASCADES):
            if not name.startswith(wanted):
                continue
            if name in FLOAT:
                yield name, self.accuracy(FLOAT[name])
            elif name in SINGLE:
                network = self.network(*SINGLE[name])
                core = self.options.rtl and name in ON_HARDWARE
                yield name, self.measured(network) | (self.simulated(network) if core else {})
            else:
                yield name, self.measured(self.cascade(*CASCADES[name]))


def read_cifar(path: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [N, 3, 32, 32] and labels int64 [N] of the file ``path``; ``part`` is train or test.

    Raises InputError for a file without them.
    """
    held = stored_pictures(path, part, (f"y_{part}",))
    return held["x"], held[f"y_{part}"].astype(np.int64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of the published weights")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as an .npz file")
    parser.add_argument("--rows", nargs="+", metavar="TEXT", help="only those that begin so")
    parser.add_argument("--images", type=int, default=10_000, help="test images")
    parser.add_argument("--calibration", type=int, default=2000, help="training images of a conversion")
    parser.add_argument("--fit", type=int, default=4000, help="training images that a cascade is fitted on")
    parser.add_argument("--rtl", type=int, default=0, metavar="N", help="test images on the compiled core as well")
    parser.add_argument("--lanes", type=int, default=16, help="of that core")
    parser.add_argument("--out", type=Path, default=Path("published"), help="folder that keeps the networks")
    add_files(parser)
    options = parser.parse_args()
    report(Published(options).rows(), COLUMNS, options)


if __name__ == "__main__":
    main()
