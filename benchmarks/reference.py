"""The figures of the reference networks, each said how it was obtained.

    python -m benchmarks.reference --data DIR [--models DIR] [--task fashion|mnist_cnn|mnist_mlp] [--lanes 16] [--route]

DIR holds fashion_mnist.npz and mnist.npz (x_train, y_train, x_test, y_test); the models are those that
examples/train.py saves. For each task: float accuracy, integer accuracy of the golden model with and
without early exit, the first images again on the compiled RTL, bit for bit, its cycles and lane
utilization and, with --route, the core placed and routed alone on an ECP5-85 of speed grade 6.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.compiled import differences
from gen.method.convert import convert
from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.netfile import load_network, save_network
from gen.plan.candidates import candidates
from gen.plan.choice import choose
from gen.plan.target import find_target
from gen.data.datasets import open_dataset
from gen.data.train import accuracy
from hw.board.build import build
from hw.emit import generate
from sim.golden import Golden
from sim.metrics import evaluate
from sim.compiled_core import CompiledCore

BOARD = "ulx3s_85f"
CALIBRATION = 12000

# Spiker+, measured on this task with the same tools: cycles simulated, the rest post-route, one seed.
SPIKER = {"accuracy": 0.963, "cycles": 91791, "lut": 17782, "ff": 3421, "bram": 45, "dsp": 0, "fmax_mhz": 51.53}


@dataclass(frozen=True)
class Task:
    """A reference network: its data file, its model file, how it is converted."""

    data: str
    model: str
    timesteps: int = 4
    max_burst: int = 7


TASKS = {
    "fashion": Task("fashion_mnist.npz", "fashion.pt2"),
    "mnist_cnn": Task("mnist.npz", "mnist_cnn.pt2"),
    "mnist_mlp": Task("mnist.npz", "mnist_mlp.pt2"),
}


def reference_network(task, models, data):
    """Return the converted network of a task, from the model's folder if it is already there."""
    file = models / f"{Path(task.model).stem}.safetensors"
    if not file.exists():
        x, y = open_dataset(data / task.data, "train", need_labels=True).load(CALIBRATION)
        save_network(convert(
            models / task.model, x, labels=y, timesteps=task.timesteps,
            max_burst=task.max_burst,
        ), file)
    return load_network(file)


def measure(task, options):
    """Return every figure of a task as a dict."""
    models, data = Path(options.models), Path(options.data)
    if not (models / task.model).exists():
        raise InputError(f"{models / task.model} is missing: train it with examples/train.py.")
    network = reference_network(task, models, data)
    x, y = open_dataset(data / task.data, need_labels=True).load()
    module = torch.export.load(str(models / task.model)).module()
    every_step = replace(network, exit_rule=ExitRule())
    figures = {
        "float accuracy": accuracy(module, x[:, None], y),
        "all timesteps (golden)": evaluate(Golden(every_step), x, y),
        "early exit (golden)": evaluate(Golden(network), x, y),
    }
    core = CompiledCore.for_plan(choose(candidates(network, find_target(BOARD), (), options.lanes)).plan, board=BOARD)
    images = x[: options.images]
    simulated, golden = core.run(images), Golden(network).run(images)
    figures |= {
        "neurons of a group": core.plan.params.neurons,
        "images compared (compiled RTL)": len(images),
        "differences": differences(simulated, golden),
        "cycles per image (simulated)": float(simulated.cycles.mean()),
        "lane utilization (simulated)": simulated.lane_utilization(core.lanes),
        "cycles by exit step (simulated)": {
            int(step): float(simulated.cycles[simulated.exit_steps == step].mean())
            for step in np.unique(simulated.exit_steps)
        },
    }
    if options.route:
        with tempfile.TemporaryDirectory() as folder:
            generate(network, board=BOARD, lanes=options.lanes, out=Path(folder) / "core")
            figures["post-route"] = build(Path(folder) / "core", core_only=True)
        seconds = figures["cycles per image (simulated)"] / figures["post-route"]["fmax_mhz"] / 1e6
        figures["milliseconds per image (simulated cycles at the post-route clock)"] = 1e3 * seconds
    return figures


def table(name, figures, lanes):
    """Return the figures as a table."""
    rows = Table(title=f"{name}, {lanes} lanes", show_header=False)
    for key, value in figures.items():
        if isinstance(value, dict):
            value = "\n".join(f"{k}: {v:.4f}" if isinstance(v, float) else f"{k}: {v}" for k, v in value.items())
        rows.add_row(key, f"{value:.4f}" if isinstance(value, float) else str(value))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder of the .npz files")
    parser.add_argument("--models", default=".", help="folder of the trained .pt2 files")
    parser.add_argument("--task", choices=sorted(TASKS), action="append")
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--images", type=int, default=200, help="images on the compiled RTL")
    parser.add_argument("--route", action="store_true", help="place and route: minutes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    console = Console()
    results = {name: measure(TASKS[name], options) for name in options.task or sorted(TASKS)}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        console.print(table(name, figures, options.lanes))
        if name == "mnist_mlp":
            console.print(f"Spiker+ on this task (6-bit weights, 100 steps): {SPIKER}")


if __name__ == "__main__":
    main()
