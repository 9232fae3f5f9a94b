"""How long the whole method takes to convert a network, and how fast the golden model runs it, next to PyTorch.

    python -m benchmarks.speed --model FILE --data FILE [--network FILE] [--images 5000] [--batch 64] [--threads 2]

FILE of --model is a trained model, that of --data an archive with x_train, y_train and x_test. The model is converted
with all searches on 512 images, unless --network names a network converted before, from the same model. Then the same
images are classified by the golden model and by a simulation of the float network, neurons and all, in plain PyTorch,
with the same number of threads, in turns; the best of three turns counts. The float simulation runs every timestep of
every image; the golden model does so too in the row "no early exit", and stops where its exit rule says in the row
"early exit". CPU time is given beside wall time, for machines that are shared.
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
OPTIONS = {"timesteps": 8, "max_burst": 15, "search_burst": 0.9, "compress": 0.0, "exit_loss": 0.2}
TURNS = 3
SIMULATION = "PyTorch, float, every timestep"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", type=Path)
    for name, value in (("images", 5000), ("batch", 64), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    console = Console()

    with np.load(options.data) as data:
        x, y = data["x_train"][:CALIBRATION], data["y_train"][:CALIBRATION]
        images = check_images(data["x_test"][: options.images])
    if options.network:
        network = load_network(options.network)
    else:
        start, cpu = time.perf_counter(), time.process_time()
        network = convert(options.model, x, labels=y, **OPTIONS)
        console.print(
            f"{options.model.name} converted with {OPTIONS} on {CALIBRATION} images, {options.threads} threads: "
            f"{time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s of CPU time."
        )
    rivals = contestants(network, options.model, images, options.batch)
    seconds = timed(rivals)
    console.print(table(options, network, rivals, seconds, len(images)))
    found, full = rivals[SIMULATION](), rivals["golden, no early exit"]()
    console.print(f"The two agree in the class of {(found.numpy() == full.classes).mean():.1%} of the images.")


def contestants(network, model, images, batch):
    """Return name to a function that classifies ``images``."""
    settings = network.provenance["settings"]
    neurons = {
        layer.name: (np.array(network.provenance["thresholds"][layer.name]), layer.burst, layer.min_burst)
        for layer in network.layers if layer.fires
    }
    simulation = FloatSimulation(load(model, images.shape[1:]), neurons, network.timesteps)
    pixels = normalised(images, settings["mean"], settings["std"])
    full, early = Golden(replace(network, exit_rule=ExitRule())), Golden(network)
    return {
        SIMULATION: lambda: torch.cat([simulation.run(part).argmax(1) for part in pixels.split(batch)]),
        "golden, no early exit": lambda: full.run(images),
        "golden, early exit": lambda: early.run(images),
    }


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


def table(options, network, rivals, seconds, images):
    """Return the times as a table."""
    mean_exit = rivals["golden, early exit"]().exit_steps.mean()
    table = Table("", "images/s", "ms per image", "CPU ms per image", "times as fast", title=(
        f"{options.model.name}, {images} images, T = {network.timesteps}, {options.threads} threads; "
        f"mean exit at {mean_exit:.2f}"
    ))
    for name, (wall, cpu) in seconds.items():
        table.add_row(name, f"{images / wall:.0f}", f"{1000 * wall / images:.3f}", f"{1000 * cpu / images:.3f}",
                      f"{seconds[SIMULATION][0] / wall:.1f}")
    return table


if __name__ == "__main__":
    main()
