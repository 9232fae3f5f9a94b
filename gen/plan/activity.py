"""How much of a network is not zero: what `convert` has measured on calibration images, or fixed densities.

A network file carries it in its provenance, as ``activity``::

    images       how many ran
    exit_steps   [T], how many of them stopped at each timestep
    maps         name to nonzero: [T], the mean number of nonzero values of the images still running,
                 and rows, columns: how much more there is in each than in a mean one; of the first images

The input that is the same at all timesteps has one number. `gen.method.activity` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gen.intnet import IntegerNetwork, Network
from gen.layers import INPUT

__all__ = ["COUNT_DENSITY", "INPUT_DENSITY", "Activity", "StageActivity", "find_activity"]

INPUT_DENSITY, COUNT_DENSITY = 0.5, 1 / 3  # where nothing is known


@dataclass(frozen=True, eq=False)
class StageActivity:
    """Of one stage.

    running : float [T], which share of all images runs each timestep
    maps : name to float [T, C, H, W] ([1, C, H, W] of the constant input), how likely a value is not zero
    """

    running: np.ndarray
    maps: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Activity:
    """Of a network: one entry for each stage, and what it is taken from."""

    stages: tuple[StageActivity, ...]
    basis: str


def find_activity(network: Network) -> Activity:
    """Return what is known of ``network``: of its calibration images, or fixed densities at all timesteps."""
    known, count = network.provenance, len(network.stages)
    origins = [known] if count == 1 else known.get("stages", [])
    records = [origin["activity"] for origin in origins if "activity" in origin]
    if len(records) < count:
        stages = tuple(map(_assumed, network.stages))
        return Activity(stages, "all timesteps, half of the input and a third of the counts not zero")
    if count > 1:
        records[0] = records[0] | _first_exits(known)
    reached = [1.0, *[1 - known.get("cascade", {}).get("believed", 0.0)] * (count - 1)]
    measured = tuple(_measured(*of_stage) for of_stage in zip(network.stages, records, reached))
    return Activity(measured, f"{records[0]['images']} calibration images")


def _first_exits(known):
    """Return when the first stage of a cascade stops: its limits are not those that it was converted with."""
    steps = known.get("cascade", {}).get("exit_steps")
    return {"exit_steps": steps} if steps else {}


def _measured(network: IntegerNetwork, record, share):
    stopped = np.asarray(record["exit_steps"], float)
    running = 1 - np.concatenate([[0], np.cumsum(stopped)[:-1]]) / stopped.sum()
    maps = {}
    for name, of_map in record["maps"].items():
        shape = network.shapes[name]
        nonzero = np.asarray(of_map["nonzero"], float)[:, None, None, None] / np.prod(shape)
        spread = np.outer(of_map["rows"], of_map["columns"])
        maps[name] = np.clip(np.broadcast_to(nonzero * spread, (len(nonzero), *shape)), 0, 1)
    return StageActivity(share * running, maps)


def _assumed(network):
    steps, constant = network.timesteps, network.source.kind == "direct"
    maps = {
        name: np.full((1 if name == INPUT and constant else steps, *network.shapes[name]),
                      INPUT_DENSITY if name == INPUT else COUNT_DENSITY)
        for name in [INPUT, *(layer.name for layer in network.layers if layer.emits)]
    }
    return StageActivity(np.ones(steps), maps)
