"""The figures of tasks whose truth is a map or boxes: the same judge for the float network and the integer one."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gen.data.datasets import open_dataset
from gen.intnet import IntegerNetwork
from gen.method.builder import normalised
from gen.method.simulate import activations
from gen.model.load import load
from gen.model.network import FloatNetwork
from gen.result import Result
from host.decode.numbers import output_scales
from host.judge import judge_of
from sim.golden import Golden
from sim.metrics import evaluate

__all__ = ["Floating", "judged"]


class Floating:
    """A float network as a device: its outputs in the units of its integer network, nothing rounded, no early exit."""

    def __init__(self, model: FloatNetwork, network: IntegerNetwork):
        channels = model.shape[0]
        self._mean = np.zeros(channels) if model.mean is None else model.mean
        self._std = np.ones(channels) if model.std is None else model.std
        self._model, self._network, self._scales = model, network, output_scales(network)

    def run(self, x: np.ndarray, progress=None) -> Result:
        """Return the `Result` for images uint8 [N, C, H, W] or [N, H, W]; it counts neither events nor operations."""
        x = np.array(x).reshape(-1, *self._model.shape)
        with torch.no_grad():
            maps = activations(self._model, normalised(x, self._mean, self._std))
        steps = np.full(len(x), self._network.timesteps)
        outputs = {
            name: maps[name].double().numpy() * self._scales[name] * self._network.timesteps
            for name in self._network.outputs
        }
        logits = outputs[self._network.readout.name]
        return Result(logits.argmax(axis=1), steps, logits, 0 * steps, 0 * steps, outputs=outputs)


def judged(model: Path, network: IntegerNetwork, data: Path, limit: int | None = None) -> dict[str, dict[str, Any]]:
    """Return what the judge of the network's task says of the float network of ``model`` and of ``network``.

    ``data`` is an .npz file whose part ``test`` is judged; ``integer`` has timesteps, events and operations besides.
    """
    images, rows = open_dataset(data, "test"), {}
    devices = {"float": Floating(load(model, network.source.shape), network), "integer": Golden(network)}
    for name, device in devices.items():
        judge = judge_of(network, images)
        told = evaluate(device, images, limit=limit, watch=[judge], batch=16)
        rows[name] = judge.as_dict()
        if name == "integer":
            rows[name] |= {figure: told[figure] for figure in (
                "images", "mean_timesteps", "events_per_image", "synaptic_ops_per_image", "exit_histogram")}
    return rows
