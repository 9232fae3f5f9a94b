"""A VGG, a ResNet-20 and a MobileNet, end to end: convert, evaluate, generate for a board, verify on the compiled core.

    python examples/train.py vgg fashion_mnist --out models/vgg.pt2          and resnet, mobilenet
    python examples/fashion_architectures.py --data fashion_mnist --models models --out cores

Each core in the folder of --out is what `adafire verify`, `build`, `run` and `report` take.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from kit import script  # beside this script
from rich.console import Console
from rich.table import Table

import adafire
from gen.data.datasets import open_dataset
from gen.data.train import accuracy
from gen.plan.target import find_target
from sim.energy import EnergyMeter, estimated
from sim.metrics import evaluate

NETWORKS = ("vgg", "resnet", "mobilenet")
SAME = ("classes", "exit_steps", "logits", "events", "synaptic_ops")
CONVERSION = ("timesteps", "max_burst", "weight_bits", "neuron", "search_burst", "compress", "exit_loss")
ROWS = {
    "weights": "{:,}",
    "accuracy before": "{:.2%}",
    "accuracy, integer, early exit": "{:.2%}",
    "mean timesteps": "{:.3f}",
    "events": "{:,.0f}",
    "synaptic operations": "{:,.0f}",
    "uJ by convention, without spikes": "{:.2f}",
    "uJ by convention, a burst one AC": "{:.2f}",
    "uJ by convention, every spike one AC": "{:.2f}",
    "lanes": "{}",
    "LUTs (estimated)": "{:,}",
    "block RAMs (estimated)": "{:,}",
    "images verified on the compiled core": "{}",
    "differences": "{}",
    "cycles (simulated)": "{:,.0f}",
    "lane utilization (simulated)": "{:.1%}",
    "uJ, estimated from counters": "{:.2f}",
}


def main():
    options = arguments()
    columns = run(options)
    table = Table("a mean image, unless it says otherwise", title=f"{options.data} on {options.board}")
    for name in columns:
        table.add_column(name, justify="right")
    for row, form in ROWS.items():
        if all(row in column for column in columns.values()):
            table.add_row(row, *(form.format(column[row]) for column in columns.values()))
    Console(width=120).print(table)
    if any(column.get("differences") for column in columns.values()):
        sys.exit("error: the core does not do what the golden model does; `adafire verify` names the first difference.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="fashion_mnist, or an .npz file with x_train, y_train, ...")
    parser.add_argument("--models", type=Path, required=True, help="folder of NETWORK.pt2, as examples/train.py saves")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--out", type=Path, help="folder for the cores; without it none is generated")
    parser.add_argument("--board", default="ulx3s_85f")
    parser.add_argument("--lanes", type=int, help="default: 16, or the most that fit")
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--max-burst", type=int, default=7)
    parser.add_argument("--weight-bits", type=int, default=8)
    parser.add_argument("--exit-loss", type=float, default=0.2, help="accuracy points")
    parser.add_argument("--neuron", choices=("adafire", "inverse_leaky"), default="adafire")
    parser.add_argument("--search-burst", type=float, metavar="FRACTION", help="choose burst caps layer by layer")
    parser.add_argument("--compress", type=float, metavar="POINTS", help="raise thresholds as far as this allows")
    parser.add_argument("--calibration-images", type=int, default=512)
    parser.add_argument("--limit", type=int, default=5000, help="test images")
    parser.add_argument("--verify", type=int, default=5, help="test images on the compiled core; 0: none")
    return parser.parse_args()


def run(options):
    """Return {network: {row: figure}}; what is missing is said before anything slow begins."""
    models = {name: options.models / f"{name}.pt2" for name in options.networks}
    missing = [str(path) for path in models.values() if not path.is_file()]
    if missing:
        raise adafire.InputError(
            f"There is no {', no '.join(missing)}: train with `python examples/train.py {' or '.join(models)} DATA "
            "--out FILE`, or choose among the others with --networks."
        )
    find_target(options.board)
    calibration = open_dataset(options.data, "train", need_labels=True).load(options.calibration_images)
    test = open_dataset(options.data, "test", need_labels=True)
    return {name: column(name, path, calibration, test, options) for name, path in models.items()}


def column(name, path, calibration, test, options):
    """Convert, evaluate and, with a folder to write to, generate and verify one network; return its figures."""
    def tell(text):
        print(f"{name}: {text}", flush=True)

    x, labels = calibration
    network = adafire.convert(
        path, x, labels=labels, progress=lambda step, done: tell(f"convert, {step}"),
        **{name: getattr(options, name) for name in CONVERSION},
    )
    tell(f"evaluate {test.count(options.limit):,} images")
    golden = adafire.Golden(network)
    meter = EnergyMeter(golden, network)
    measured = evaluate(golden, test, limit=options.limit, watch=[meter])
    energy, (x, labels) = meter.as_dict(), test.load(options.limit)
    figures = {
        "weights": sum(s.weight.size for layer in network.layers for s in layer.synapses),
        "accuracy before": accuracy(torch.export.load(path).module(), x.reshape(len(x), *network.source.shape), labels),
        "accuracy, integer, early exit": measured["accuracy"],
        "mean timesteps": measured["mean_timesteps"],
        "events": measured["events_per_image"],
        "synaptic operations": measured["synaptic_ops_per_image"],
        "uJ by convention, without spikes": energy["convention_ann_uJ"],
        "uJ by convention, a burst one AC": energy["convention_uJ"],
        "uJ by convention, every spike one AC": energy["convention_spikes_uJ"],
    }
    return figures | (hardware(name, network, x[: options.verify], options, tell) if options.out else {})


def hardware(name, network, x, options, tell):
    """Generate the core of a network, and run ``x`` on it, compiled."""
    folder = options.out / name
    tell(f"generate {folder}")
    options.out.mkdir(parents=True, exist_ok=True)
    manifest = adafire.generate(network, board=options.board, lanes=options.lanes, out=folder, force=True)
    figures = {
        "lanes": manifest["lanes"], "LUTs (estimated)": manifest["resources"]["lut"],
        "block RAMs (estimated)": manifest["resources"]["bram"],
    }
    if not len(x):
        return figures
    tell(f"verify {len(x)} images on the compiled core")
    core = adafire.open_device(folder, network)
    simulated, golden = core.run(x), adafire.Golden(network).run(x)
    same = np.all([
        (getattr(simulated, field) == getattr(golden, field)).reshape(len(x), -1).all(axis=1) for field in SAME
    ], axis=0)
    return figures | {
        "images verified on the compiled core": len(x),
        "differences": int((~same).sum()),
        "cycles (simulated)": simulated.cycles.mean(),
        "lane utilization (simulated)": simulated.lane_utilization(core.lanes),
        "uJ, estimated from counters": estimated(core.plan, simulated)["hardware_estimated_uJ"].mean(),
    }


if __name__ == "__main__":
    script(main)
