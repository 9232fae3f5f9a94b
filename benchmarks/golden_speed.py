"""How fast the golden model is, next to a simulation of the float network in PyTorch.

    python -m benchmarks.golden_speed --model FILE --data FILE [--network FILE] [--images 256] [--batch 128]
                                      [--timesteps 8] [--burst 7] [--threads 2]

FILE of --model is a trained model, that of --data an archive with x_train, y_train and x_test; the network is converted
from them, or read from --network if it was converted from the same model. Both sides classify the same images with the
same number of threads, in turns; the best of three turns counts. The float simulation runs every timestep of every
image; the golden model does so too in the row "no early exit", and stops where its exit rule says in the row "early
exit". CPU time is given beside wall time, for machines that are shared.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.float_simulation import FloatSimulation
from gen.exit_rule import ExitRule
from gen.method.builder import normalised
from gen.method.convert import convert
from gen.method.settings import check_images
from gen.model.load import load
from gen.netfile import load_network
from sim.golden import Golden

CALIBRATION = 512
TURNS = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", type=Path)
    for name, value in (("images", 256), ("batch", 128), ("timesteps", 8), ("burst", 7), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

    with np.load(options.data) as data:
        x, y = data["x_train"][:CALIBRATION], data["y_train"][:CALIBRATION]
        images = check_images(data["x_test"][: options.images])
    if options.network:
        network = load_network(options.network)
    else:
        network = convert(options.model, x, labels=y, timesteps=options.timesteps, max_burst=options.burst)
    settings = network.provenance["settings"]
    thresholds = {name: np.array(values) for name, values in network.provenance["thresholds"].items()}
    simulation = FloatSimulation(load(options.model, images.shape[1:]), thresholds, network.timesteps,
                                 settings["max_burst"])
    pixels = normalised(images, settings["mean"], settings["std"])
    full, early = Golden(replace(network, exit_rule=ExitRule())), Golden(network)
    rivals = {
        "PyTorch, float, every timestep": lambda: [simulation.run(part) for part in pixels.split(options.batch)],
        "golden, no early exit": lambda: full.run(images),
        "golden, early exit": lambda: early.run(images),
    }
    seconds = timed(rivals)
    agree = (torch.cat(rivals["PyTorch, float, every timestep"]()).argmax(1).numpy() == full.run(images).classes).mean()

    table = Table("", "images/s", "ms per image", "CPU ms per image", "times as fast", title=(
        f"{options.model.name}, {len(images)} images, T = {network.timesteps}, bursts up to {settings['max_burst']}, "
        f"{options.threads} threads; mean exit at {early.run(images).exit_steps.mean():.2f}"
    ))
    baseline = seconds["PyTorch, float, every timestep"][0]
    for name, (wall, cpu) in seconds.items():
        per_image = 1000 / len(images)
        table.add_row(name, f"{len(images) / wall:.0f}", f"{wall * per_image:.3f}", f"{cpu * per_image:.3f}",
                      f"{baseline / wall:.1f}")
    console = Console()
    console.print(table)
    console.print(f"The two agree in the class of {agree:.1%} of the images.")


def timed(rivals):
    """Return name to the best (wall seconds, CPU seconds) of `TURNS` turns, after one that is not counted."""
    best = dict.fromkeys(rivals, (np.inf, np.inf))
    for turn in range(TURNS + 1):
        for name, work in rivals.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            spent = time.perf_counter() - wall, time.process_time() - cpu
            if turn:
                best[name] = tuple(map(min, best[name], spent))
    return best


if __name__ == "__main__":
    main()
