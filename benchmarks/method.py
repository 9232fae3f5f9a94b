"""What each step of the method does to accuracy and cost, on the integer network, for three architectures.

    python -m benchmarks.method --data fashion_mnist --models DIR [--networks vgg resnet mobilenet] [--rtl 200]

DIR holds the models that examples/train.py saves. For every row of the table: convert with 12,000 training images and
no training, run the first 5,000 test images on the golden model. "Points" are what compression, and early exits, may
lose on training images. Accuracy and counts are exact for these images; energy is the field's convention
(docs/energy.md), an estimate. Two rows, `LINES`, are compared with the quantized ANN at its operations, their exits
fitted for more and for less loss. ``--rtl N`` runs the first N test images of some rows, `ON_HARDWARE`, on the compiled
core too: its cycles, and how many classes, exit steps, logits and counts differ.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.compiled import on_core
from benchmarks.equal_operations import accuracy_at, exit_curve
from gen.data.datasets import open_dataset
from gen.data.train import accuracy
from gen.errors import InputError
from gen.method.convert import convert
from gen.netfile import load_network, save_network
from gen.plan.weights import ideal_bits, word_bits
from sim.energy import EnergyMeter
from sim.golden import Golden
from sim.metrics import evaluate

NETWORKS = ("vgg", "resnet", "mobilenet")
QUANTIZED_ANN = "quantized ANN: T = 1, phi = 15"
ROWS = {  # the options of each row
    QUANTIZED_ANN: {"timesteps": 1, "max_burst": 15, "exit": "off"},
    "AdaFire: T = 8, phi = 7": {"timesteps": 8, "exit": "off"},
    "+ burst search, caps to 15": {"timesteps": 8, "max_burst": 15, "exit": "off", "search_burst": 0.9},
    "+ compression, 0.1 points": {"timesteps": 8, "max_burst": 15, "exit": "off", "search_burst": 0.9, "compress": 0.1},
    "all together, 0 + 0.2 points": {
        "timesteps": 8, "max_burst": 15, "search_burst": 0.9, "compress": 0.0, "exit_loss": 0.2,
    },
    "accuracy first: no search, 0.1 points": {"timesteps": 8, "max_burst": 15, "exit_loss": 0.1},
    "T = 4, all together, 0.1 + 0.5 points": {
        "timesteps": 4, "max_burst": 15, "search_burst": 0.9, "compress": 0.1, "exit_loss": 0.5,
    },
    "SpikeConverter: T = 5": {"timesteps": 5, "neuron": "inverse_leaky"},
    "4-bit weights, T = 8": {"timesteps": 8, "exit": "off", "weight_bits": 4, "calibrate_weights": True},
}
ON_HARDWARE = (
    QUANTIZED_ANN, "AdaFire: T = 8, phi = 7", "all together, 0 + 0.2 points", "SpikeConverter: T = 5",
)
LINES = ("T = 4, all together, 0.1 + 0.5 points", "all together, 0 + 0.2 points")  # against the quantized ANN
FRESH = 8000  # training images beyond those of the conversion, on which the lines' exits are fitted
COLUMNS = {
    "accuracy": ("accuracy", "{:.2%}"),
    "timesteps": ("mean_timesteps", "{:.2f}"),
    "events": ("events_per_image", "{:,.0f}"),
    "synaptic operations": ("synaptic_ops_per_image", "{:,.0f}"),
    "state bits": ("state_bits", "{:,}"),
    "weight bits": ("weight_bits", "{:,}"),
    "uJ by convention": ("convention_uJ", "{:.2f}"),
    "cycles": ("rtl_cycles_per_image", "{:,.0f}"),
    "differences": ("rtl_differences", "{:d}"),
    "converted in": ("convert_seconds", "{:.0f} s"),
}


def measure(network, test, limit):
    """Return the figures of an `IntegerNetwork` on the golden model."""
    golden = Golden(network)
    meter = EnergyMeter(golden, network)
    figures = evaluate(golden, test, limit=limit, watch=[meter])
    states = (int(np.prod(network.shapes[layer.name])) * layer.state_bits
              for layer in network.layers if layer.fires)
    weights = ideal_bits(network, word_bits(network))
    return {**figures, **meter.as_dict(), "state_bits": sum(states), "weight_bits": weights}


def converted(model, calibration, options, file):
    """Return the network of ``options`` and the seconds it took, from ``file`` if a run before this left it there."""
    if file.exists():
        network = load_network(file)
        return network, network.provenance["seconds"]
    x, labels = calibration
    start = time.perf_counter()
    network = convert(model, x, labels=labels, **options)
    network.provenance["seconds"] = time.perf_counter() - start
    save_network(network, file)
    return network, network.provenance["seconds"]


def rows(name, options):
    """Yield (row, figures) for one architecture, the trained model first."""
    model = options.models / f"{name}.pt2"
    test = open_dataset(options.data, "test", need_labels=True)
    x, labels = test.load(options.images)
    training = open_dataset(options.data, "train", need_labels=True).load(options.calibration + FRESH)
    calibration, fresh = zip(*((part[: options.calibration], part[options.calibration :]) for part in training))
    module = torch.export.load(model).module()
    yield "ANN, float", {"accuracy": accuracy(module, x.reshape(len(x), 1, *x.shape[-2:]), labels)}
    for row, settings in ROWS.items():
        if options.rows and row not in options.rows:
            continue
        digest = hashlib.sha256(repr((settings, options.calibration)).encode()).hexdigest()[:12]
        network, seconds = converted(model, calibration, settings, options.out / f"{name}-{digest}.safetensors")
        figures = measure(network, test, options.images) | {"convert_seconds": seconds, "settings": settings}
        if row in LINES:
            figures["exit_curve"] = exit_curve(network, fresh, (x, labels))
        if options.rtl and row in ON_HARDWARE:
            figures |= on_core(network, x[: options.rtl], options.lanes)
        yield row, figures


def table(name, measured):
    """Return the figures of an architecture as a table."""
    table = Table("", title=name)
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for row, figures in measured.items():
        cells = (form.format(figures[key]) if figures.get(key) is not None else "" for key, form in COLUMNS.values())
        table.add_row(row, *cells)
    return table


def at_equal_operations(measured):
    """Return a sentence: the accuracy of the `LINES`, where measured, at the operations of the quantized ANN."""
    rival, lines = measured.get(QUANTIZED_ANN), [measured[row] for row in LINES if row in measured]
    if not (rival and lines):
        return "Rows are missing to compare with T = 1."
    ops = rival["synaptic_ops_per_image"]
    said = []
    for figures in lines:
        at, timesteps = accuracy_at(ops, figures["exit_curve"]), figures["settings"]["timesteps"]
        said.append(f"{'never so few' if at is None else format(at, '.2%')} with T = {timesteps}")
    return (f"At the {ops:,.0f} operations of T = 1, {rival['accuracy']:.2%}, all together has {' and '.join(said)}, "
            "exits fitted for more or less loss.")


def markdown(results):
    """Return the tables of all architectures in Markdown, and the sentence below each; times are left out."""
    lines, columns = [], {name: column for name, column in COLUMNS.items() if name != "converted in"}
    for name, measured in results.items():
        lines += [f"**{name}**", "", "| | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
        for row, figures in measured.items():
            cells = (form.format(figures[key]) if key in figures else "" for key, form in columns.values())
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
        lines += ["", at_equal_operations(measured), ""]
    return "\n".join(lines).replace("%", " %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="fashion_mnist, or an .npz file with x_train, y_train, ...")
    parser.add_argument("--models", type=Path, required=True, help="folder of NETWORK.pt2")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), help="default: all")
    parser.add_argument("--images", type=int, default=5000, help="test images")
    parser.add_argument("--calibration", type=int, default=12000, help="training images")
    parser.add_argument("--rtl", type=int, default=0, metavar="N", help="images on the compiled core as well")
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("method"), help="folder that keeps the networks")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    options = parser.parse_args()
    console, results = Console(width=150), {}
    try:
        missing = [name for name in options.networks if not (options.models / f"{name}.pt2").is_file()]
        if missing:
            raise InputError(f"{options.models} lacks {', '.join(missing)}: train with examples/train.py.")
        options.out.mkdir(parents=True, exist_ok=True)
        for name in options.networks:
            results[name] = {}
            for row, figures in rows(name, options):
                results[name][row] = figures
                print(f"{name}, {row}: " + json.dumps(figures), file=sys.stderr, flush=True)
            console.print(table(name, results[name]), at_equal_operations(results[name]), sep="\n")
    except InputError as error:
        sys.exit(f"error: {error}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(results))
    if any(figures.get("rtl_differences") for measured in results.values() for figures in measured.values()):
        sys.exit("error: the compiled core differs from the golden model.")


if __name__ == "__main__":
    main()
