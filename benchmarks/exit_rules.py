"""How often the promise of a fitted exit rule is kept, and what it saves.

    python -m benchmarks.exit_rules --data DIR [--models DIR] [--task fashion|mnist_cnn|mnist_mlp] [--sums DIR]

DIR holds fashion_mnist.npz and mnist.npz; the models are those that examples/train.py saves. Each is converted for 4
and for 8 timesteps on the first 512 training images. Rules are then fitted again and again, on samples of 6,000 others,
and judged on the test images: a promise is kept if the loss of accuracy, against all timesteps, is no more than was
allowed. With --sums the readouts are kept in a folder: the next run takes seconds.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reference import TASKS
from gen.data.datasets import open_dataset
from gen.method.convert import convert
from gen.method.exit_fit import exit_steps, fit_exit, least_limits, paper_limits
from gen.method.simulate import readout_sums

CALIBRATION, POOL = 512, 6512
RULES = ("entropy", "confidence", "margin")
ALLOWED = (0.1, 0.2, 0.5, 1.0)  # points
SAMPLES = (
    ("training images", 5000), ("training images", 2000), ("training images", 512), ("half the test images", 2500),
)
REPEATS = 5


def readouts(name, timesteps, options):
    """Return logit, (z, labels) of training images that set nothing, and (z, labels) of the test images."""
    task, kept = TASKS[name], options.sums and Path(options.sums) / f"{name}_{timesteps}.npz"
    if kept and kept.exists():
        data = np.load(kept)
    else:
        x, y = open_dataset(Path(options.data) / task.data, "train").load(POOL)
        x_test, y_test = open_dataset(Path(options.data) / task.data, "test").load()
        network = convert(Path(options.models) / task.model, x[:CALIBRATION], labels=y[:CALIBRATION], exit="off",
                          timesteps=timesteps, max_burst=task.max_burst)
        data = {
            "train": readout_sums(network, x[:, None]), "test": readout_sums(network, x_test[:, None]),
            "y": y, "yt": y_test, "logit": network.provenance["logit_scale"],
        }
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, **data)
    z, z_test = data["train"].astype(np.int64)[CALIBRATION:], data["test"].astype(np.int64)
    return float(data["logit"]), (z, data["y"][CALIBRATION:].astype(int)), (z_test, data["yt"].astype(int))


def samples(kind, count, train, test):
    """Yield `REPEATS` times images to fit on and images to judge by, each (z, labels)."""
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        if kind == "training images":
            chosen = rng.permutation(len(train[0]))[:count]
            yield tuple(a[chosen] for a in train), test
        else:
            order = rng.permutation(len(test[0]))
            yield tuple(a[order[:count]] for a in test), tuple(a[order[count:]] for a in test)


def same_for_all(z, logit, kind, points, labels):
    """Return the rule that allows every timestep as many losses as any other, one image in hand: the simplest fit."""
    rule = paper_limits(z, logit, kind, labels)
    scores, found = least_limits(z, rule), z.argmax(axis=2)
    lost = (found != found[:, -1:]) & (found[:, -1:] == labels[:, None])
    allowed, best = max(0, int(points * len(z) / 100 + 1e-9) - 1), (np.inf, None)
    for each in range(allowed + 1):
        limits = []
        for t in range(z.shape[1] - 1):
            ordered, worst = np.sort(scores[:, t]), np.sort(scores[lost[:, t], t])
            stopped = np.searchsorted(ordered, worst[each] if each < len(worst) else np.inf)
            limits.append(ordered[stopped - 1] if stopped else -(2**31) + 1)
        steps = np.column_stack((scores[:, :-1] <= limits, np.ones(len(z), bool))).argmax(axis=1)
        if lost[np.arange(len(z)), steps].sum() <= allowed and steps.mean() < best[0]:
            best = steps.mean(), limits
    limits = np.array([*best[1], -(2**31) + 1]) * (-1 if kind == "margin" else 1)
    return replace(rule, limits=tuple(np.clip(limits, 0, 2**31 - 1)))


def judge(rule, z, labels):
    """Return (points lost against all timesteps, mean timesteps) of a rule."""
    steps = exit_steps(z, rule)
    right = z.argmax(axis=2) == labels[:, None]
    return 100 * (right[:, -1].mean() - right[np.arange(len(z)), steps - 1].mean()), steps.mean()


def measure(name, timesteps, options):
    """Return {(rule, sample, count, allowed, way): [(points lost, mean timesteps), ...]} of one network."""
    logit, train, test = readouts(name, timesteps, options)
    found = defaultdict(list)
    for kind in RULES:
        for sample, count in SAMPLES:
            for (z, labels), judges in samples(sample, count, train, test):
                for points in ALLOWED:
                    for way, fit in (("fitted", fit_exit), ("same", same_for_all)):
                        rule = fit(z, logit, kind, points, labels)
                        found[kind, sample, count, points, way].append(judge(rule, *judges))
        found[kind, "paper"] = [judge(paper_limits(train[0], logit, kind, train[1]), *test)]
    return found


def networks_table(results):
    """Return mean timesteps, points lost and promises kept of every network, fitted on 5,000 training images."""
    table = Table(title=f"mean timesteps, points lost, kept of {REPEATS}; fitted on 5,000 training images")
    for column in ("network", "T", "rule", *(f"<= {points} points" for points in ALLOWED), "paper's formula"):
        table.add_column(column, justify="left" if column in ("network", "rule") else "right")
    for (name, timesteps), found in results.items():
        for kind in RULES:
            cells = []
            for points in ALLOWED:
                lost, steps = np.array(found[kind, *SAMPLES[0], points, "fitted"]).T
                cells.append(f"{steps.mean():.2f}, {lost.mean():.2f}, {(lost <= points + 1e-9).sum()}")
            (lost, steps), = found[kind, "paper"]
            table.add_row(name, str(timesteps), kind, *cells, f"{steps:.2f}, {lost:.2f}")
    return table


def summary_table(results):
    """Return, over all networks and rules, how often a promise is kept and the mean timesteps, for each way to fit."""
    table = Table(title="promises kept and mean timesteps, all networks and rules")
    for column in ("fitted on", "losses", *(f"<= {points} points" for points in ALLOWED)):
        table.add_column(column, justify="left" if column in ("fitted on", "losses") else "right")
    for sample, count in SAMPLES:
        for way, words in (("fitted", "one price, bounded"), ("same", "the same for all")):
            cells = []
            for points in ALLOWED:
                pairs = [p for found in results.values() for kind in RULES
                         for p in found[kind, sample, count, points, way]]
                lost, steps = np.array(pairs).T
                cells.append(f"{100 * (lost <= points + 1e-9).mean():.0f} %, {steps.mean():.2f}")
            table.add_row(f"{count:,} {sample}" if "half" not in sample else sample, words, *cells)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder of the .npz files")
    parser.add_argument("--models", default=".", help="folder of the trained .pt2 files")
    parser.add_argument("--task", choices=sorted(TASKS), action="append")
    parser.add_argument("--timesteps", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--sums", help="folder to keep readouts in")
    options = parser.parse_args()
    results = {(name, timesteps): measure(name, timesteps, options)
               for name in options.task or ("fashion", "mnist_cnn") for timesteps in options.timesteps}
    console = Console(width=150)
    console.print(networks_table(results))
    console.print(summary_table(results))


if __name__ == "__main__":
    main()
