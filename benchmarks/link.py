"""The link under load, noise and faults: host calls -> serial port -> UART -> RTL, on the simulated board.

    python -m benchmarks.link --data DIR [--models DIR] [--part images|fuzz|faults|second] [--json FILE]

DIR holds fashion_mnist.npz, the models' folder what examples/train.py saved; the digits' network is trained if its
file is not there. The parts, all by default:

images   500 digits and 500 Fashion-MNIST images, each on golden model, compiled core and simulated board: class,
         exit step, logits, events, synaptic operations must be equal; images per second of each.
fuzz     1,000,000 bytes of noise and of broken, nonsensical and oversize frames: no hang, no wrong result on the
         way, and right results afterwards.
faults   200 faults (bytes dropped, doubled, flipped, delayed, without stop bit; the board reset, the cable pulled)
         while images are computed: every result right, or a clear error.
second   another network loaded into the running design, its results equal to its own golden model.

The last line says OK or what is wrong, and so does the exit code.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.campaigns import attack, compare_devices, disturb, swap
from benchmarks.reference import TASKS, reference_network
from gen.method.convert import convert
from gen.data.digits import load_digits, train
from gen.errors import AdafireError
from gen.netfile import load_network, save_network
from gen.data.datasets import open_dataset
from hw.emit import generate

PARTS = ("images", "fuzz", "faults", "second")


def digits(models):
    """Return the digits' network and all images, the held-out ones first."""
    x_train, y_train, x_test, _ = load_digits()
    file = models / "digits.safetensors"
    if not file.exists():
        save_network(convert(train(seed=0), x_train, labels=y_train), file)
    return load_network(file), np.concatenate([x_test, x_train])


def measure(options, parts, work):
    """Return the figures of the parts, name to dict; generated designs go to the folder ``work``."""
    (small, x), figures = digits(options.models), {}
    large = reference_network(TASKS["fashion"], options.models, options.data)
    x_large, _ = open_dataset(options.data / TASKS["fashion"].data).load()
    generate(small, lanes=options.lanes, out=work / "digits")
    generate(large, lanes=options.lanes, also=[small], out=work / "fashion")
    if "images" in parts:
        figures["digits"] = compare_devices(small, x[: options.images], work / "digits")
        figures["fashion"] = compare_devices(large, x_large[: options.images], work / "fashion")
    if "fuzz" in parts:
        figures["fuzz"] = attack(work / "digits", small, x[:100], options.bytes, options.seed)
    if "faults" in parts:
        figures["faults"] = disturb(work / "digits", small, x[:100], options.faults, options.seed)
    if "second" in parts:
        figures["second network"] = swap(work / "fashion", large, x_large[:20], small, x[:100])
    return figures


def wrong(figures):
    """Return the names of what is not as it must be."""
    return [
        f"{part}: {name}" for part, values in figures.items() for name, value in values.items()
        if value and name.startswith(("differences", "wrong"))
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, type=Path, help="folder of the .npz files")
    parser.add_argument("--models", default=Path("."), type=Path, help="folder of the trained models")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--images", type=int, default=500, help="of each task")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="of bad input")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        figures = measure(options, options.part or PARTS, Path(work))
    text = json.dumps(figures, indent=2)
    if options.json:
        options.json.write_text(text + "\n")
    print(text)
    found = wrong(figures)
    print(f"WRONG: {', '.join(found)}" if found else "OK")
    return len(found) > 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AdafireError as error:
        sys.exit(str(error))
