"""The demo's second half: digits scattered on larger pictures, found and named pixel by pixel, and drawn."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FILES", "segment"]

FILES = {
    "scattered.pt2": "the trained network that finds scattered digits",
    "scattered.npz": "pictures of held-out digits, to evaluate with",
    "scattered.safetensors": "its integer network",
    "found": "what it finds in some of them, drawn",
}
CALIBRATION, HELD_OUT = 192, 200  # pictures
DRAWN = 6  # of the held-out ones
SETTINGS = {"timesteps": 2, "max_burst": 15, "exit_share": 0.98, "exit_loss": 0.1}
SEEDS = 1000, 2000  # of the pictures that calibrate and of those that are held out; training counts from 0


def segment(folder: Path, progress) -> dict[str, Any]:
    """Train, convert, evaluate and draw into ``folder``; return the figures.

    Returns
    -------
    float_accuracy : share of the pixels that the trained network names rightly
    all_timesteps, early_exit : what `sim.metrics.evaluate` and the judge of the task say of the integer network
    timesteps : of the integer network
    """
    from gen.data.digits import load_digits
    from gen.data.images import ArraySet
    from gen.data.scattered import CLASSES, scatter, train_segmenter
    from gen.data.train import accuracy, save
    from gen.exit_rule import ExitRule
    from gen.method.convert import convert
    from gen.netfile import load_network, save_network

    progress.stage("Training a small network to find digits scattered on larger pictures")
    x_train, y_train, x_test, y_test = load_digits()
    module = train_segmenter(progress=progress)
    x, y = scatter(x_train, y_train, CALIBRATION, SEEDS[0])
    save(module, x, folder / "scattered.pt2")
    x_held, y_held = scatter(x_test, y_test, HELD_OUT, SEEDS[1])
    held_out = ArraySet(x_held, y_held)
    np.savez_compressed(folder / "scattered.npz", x=x_held, y=y_held)

    progress.stage("Converting it to an integer network that stops when enough pixels are sure")
    save_network(convert(
        folder / "scattered.pt2", x, labels=y, exit="confidence", task="segment", class_names=CLASSES,
        progress=progress, **SETTINGS,
    ), folder / "scattered.safetensors")
    network = load_network(folder / "scattered.safetensors")

    progress.stage(f"Finding digits in {HELD_OUT} held-out pictures")
    figures = {
        "float_accuracy": accuracy(module, x_held, y_held), "timesteps": network.timesteps,
        "all_timesteps": _judged(replace(network, exit_rule=ExitRule()), held_out, progress),
        "early_exit": _judged(network, held_out, progress),
    }
    _draw(network, x_held[:DRAWN], folder / "found")
    return figures


def _judged(network, images, progress):
    from host.judge import judge_of
    from sim.golden import Golden
    from sim.metrics import evaluate

    judge = judge_of(network, images)
    figures = evaluate(Golden(network), images, progress=progress, watch=[judge])
    return figures | (judge.as_dict() if judge else {})


def _draw(network, x, folder):
    """Write what ``network`` finds in each of the pictures uint8 [N, 1, H, W] into ``folder``, a PNG file each."""
    from host.predict.answers import Answers
    from host.predict.fit import fitted
    from host.predict.overlay import overlay
    from sim.golden import Golden

    folder.mkdir()
    result = Golden(network).run(x)
    placements = [fitted(picture[0], network.source, network.task)[1] for picture in x]
    for number, (picture, answer) in enumerate(zip(x, Answers(network).of(result, placements))):
        caption = f"picture {number}: golden, {answer.told['exit_step']} of {network.timesteps} timesteps"
        overlay(picture[0], answer, network.task, placements[number], caption).save(folder / f"{number}.png")
