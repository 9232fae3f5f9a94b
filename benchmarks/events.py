"""A published spiking network on recordings of an event camera: what bursts buy, by the length of a timestep.

    python -m benchmarks.events --model cnn_sinabs.nir --data nmnist_small.npz [--steps 1 10 30 100]

The model is the N-MNIST network of the NIR paper, taken as it is, thresholds included; the data file has the recordings
of `gen.data.recordings.NpzEvents`, as t_train, ..., label_test. The first 300 ms of each recording are cut into steps
of so many milliseconds. A neuron may fire one spike in a timestep, or a burst of up to 15; nothing is trained. Accuracy
and counts are the golden model's, on the first 500 training recordings and on all test recordings. The other training
recordings set the widths of states, and the limits of early exits.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.tables import add_files, report
from gen.data.events import Cut
from gen.data.recordings import NpzEvents
from gen.errors import InputError
from gen.method.convert import convert
from sim.golden import Golden

DURATION = 300  # ms, the three saccades of a recording
MEASURED = 500  # training recordings
CALIBRATION = 128
BURSTS = (1, 15)
SIZE = (34, 34)
LOSS = 0.5  # points that early exits may lose
COLUMNS = {
    "accuracy, training": "{:.1%}", "accuracy, test": "{:.1%}", "timesteps": "{:.1f}", "events": "{:,.0f}",
    "synaptic operations": "{:,.0f}",
}


def recordings(path: Path, split: str, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames uint8 [N, T, 2, 34, 34] of ``step`` milliseconds, and labels int64 [N]."""
    x, labels = NpzEvents(path, Cut(1000 * step), -(-DURATION // step), split, SIZE).load()
    if labels is None:
        raise InputError(f"{path} lacks label_{split}, the digit of each recording.")
    return x, labels


def figures(network, train, test) -> dict:
    """Return the figures of ``network`` on two sets of (frames, labels); counts are those of all recordings."""
    x, labels = (np.concatenate(parts) for parts in zip(train, test))
    result = Golden(network).run(x)
    right = result.classes == labels
    return {
        "accuracy, training": float(right[: len(train[0])].mean()),
        "accuracy, test": float(right[len(train[0]) :].mean()),
        "timesteps": float(result.exit_steps.mean()), "events": float(result.events.mean()),
        "synaptic operations": float(result.synaptic_ops.mean()),
    }


def rows(options: argparse.Namespace):
    """Yield the name of every row and its figures."""
    for step in options.steps:
        train, test = recordings(options.data, "train", step), recordings(options.data, "test", step)
        used, others = (tuple(part[at] for part in train) for at in (slice(MEASURED), slice(MEASURED, None)))
        cut = tuple(part[:CALIBRATION] for part in others)
        for burst, exit in [(burst, "off") for burst in BURSTS] + [(BURSTS[-1], "margin")]:
            x, labels = cut if exit == "off" else others
            network = convert(options.model, x, labels=labels, max_burst=burst, exit=exit, exit_loss=LOSS)
            exits = "" if exit == "off" else f", exits for {LOSS} points"
            yield f"{step} ms, {x.shape[1]} steps, bursts to {burst}{exits}", figures(network, used, test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="cnn_sinabs.nir")
    parser.add_argument("--data", type=Path, required=True, help="the recordings, an .npz file")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 10, 30, 100], metavar="MS")
    add_files(parser)
    options = parser.parse_args()
    report(rows(options), COLUMNS, options)


if __name__ == "__main__":
    main()
