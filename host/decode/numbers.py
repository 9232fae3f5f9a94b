"""What the integers of a network's outputs stand for, and the two curves that a model leaves to the host."""

from __future__ import annotations

import numpy as np

from gen.errors import InputError
from gen.heads import SIGMOID
from gen.intnet import Network
from gen.result import Result

__all__ = ["activated", "float_outputs", "output_scales", "sigmoid", "softmax"]

LARGEST = 80.0  # of what is an exponent: enough for any score, and no overflow


def float_outputs(network: Network, result: Result) -> dict[str, np.ndarray]:
    """Return name of every output to float64 [N, C, H, W], in units of the float network's output.

    A sum that has run t timesteps is worth ``z / (t * scale)``, that of a two-phase network ``z / scale``.

    Raises
    ------
    InputError : the network's provenance does not say what a unit is worth.
    """
    outputs = result.outputs
    if not outputs:
        logits = np.asarray(result.logits)
        outputs = {network.readout.name: logits.reshape(*logits.shape[:2], *(logits.shape[2:] or (1, 1)))}
    stages = np.zeros(len(result.classes), np.int64) if result.stages is None else np.asarray(result.stages)
    begun = np.concatenate([[0], np.cumsum([stage.timesteps for stage in network.stages])])
    timesteps = np.ones(len(stages)) if network.two_phase else result.exit_steps - begun[stages]
    scales = [output_scales(network, stage) for stage in range(len(network.stages))]
    missing = sorted(name for name in outputs for scale in scales if name not in scale)
    if missing:
        raise InputError(
            f"The network's file does not say what a unit of its output {missing[0]} is worth (output_scales in its "
            "provenance), which its task needs: convert the model again."
        )
    worth = {name: np.array([scale[name] for scale in scales])[stages] * timesteps for name in outputs}
    return {name: values / worth[name][:, None, None, None] for name, values in outputs.items()}


def output_scales(network: Network, stage: int = 0) -> dict[str, float]:
    """Return name of every output of a stage, of those whose unit is known, to units in one of the float network."""
    told = network.provenance
    if len(network.stages) > 1:
        told = (told.get("stages") or [{}] * len(network.stages))[stage]
    scales = dict(told.get("output_scales") or {})
    if told.get("logit_scale"):
        scales.setdefault(network.readout.name, told["logit_scale"])
    return {name: scale for name, scale in scales.items() if isinstance(scale, int | float) and scale > 0}


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-np.clip(x, -LARGEST, LARGEST)))


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return exp(x), divided by its sum along ``axis``."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def activated(x: np.ndarray, activation: str) -> np.ndarray:
    """Return the scores of ``x`` [..., classes] by ``activation``, sigmoid or softmax."""
    return sigmoid(x) if activation == SIGMOID else softmax(x)
