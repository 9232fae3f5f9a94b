"""A trained model becomes an integer network: options checked, the model loaded, then `gen.method.conversion`."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gen.errors import InputError
from gen.intnet import STEPS, IntegerNetwork
from gen.layers import ADAFIRE
from gen.method.checks import layer_bits
from gen.method.conversion import Conversion
from gen.method.settings import Settings, check_images, check_labels, check_timesteps
from gen.method.task_choice import TaskChoice, tells_classes_apart
from gen.model.load import load
from gen.task import CLASSIFY, SEGMENT, usual_task

__all__ = ["convert"]

LOG = logging.getLogger("adafire.gen")


def convert(
    model: Any,
    calibration: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    timesteps: int | None = None,
    max_burst: int = 7,
    weight_bits: int | dict[str, int] = 8,
    neuron: str = ADAFIRE,
    search_burst: float | None = None,
    compress: float | None = None,
    weight_memory: int | None = None,
    search_lanes: int | None = None,
    calibrate_weights: bool = False,
    exit: str | None = None,
    exit_loss: float = 0.2,
    exit_fit: str = "loss",
    exit_output: str | None = None,
    exit_share: float = 1.0,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    order: str = STEPS,
    task: str | None = None,
    class_names: Sequence[str] = (),
    decode: str | Path | None = None,
    decode_options: dict[str, Any] | None = None,
    fit: str | None = None,
    colors: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> IntegerNetwork:
    """Return the `IntegerNetwork` of a trained model; nothing is trained.

    Parameters
    ----------
    model : torch.nn.Module, torch.export.ExportedProgram, onnx.ModelProto, nir.NIRGraph, or the path of a model's file
    calibration : images, uint8 [N, C, H, W] or [N, H, W], of which the model sees (x/255 - mean)/std; or recordings of
        T frames, uint8 [N, T, C, H, W], of which it sees the mean over T, counts of events as they are
    labels : integers [N], the classes of ``calibration``, or [N, rows, columns] where the output that decides is a map;
        without them the float network's or the full run's decision stands in
    timesteps : 1..512; by default 4, and for recordings their number of frames
    max_burst : 1..255, spikes that a neuron may fire in one timestep
    weight_bits : 2..8, or a dict of layer name to that
    neuron : adafire, or inverse_leaky: layers two-phase, ``timesteps`` bits of an activation
    search_burst : choose every layer's burst cap; the cost allowed, a fraction of that with ``max_burst`` for all
    compress : raise every layer's thresholds as far as this many accuracy points allow
    weight_memory : choose every layer's weight bits; the bits of weight memory allowed
    search_lanes : measure costs in cycles of so many lanes, instead of synaptic operations
    calibrate_weights : fit the integer weights layer by layer
    exit : entropy, confidence, margin or off; by default entropy, where that has a meaning: of a detector's scores
        where one of them is true at each position
    exit_loss : accuracy points that early exits may lose
    exit_fit : loss, limits for ``exit_loss``, or paper, `gen.method.exit_paper.paper_limits`
    exit_output : name of the output that decides, by default the model's first
    exit_share : share, over 0 to 1, of that output's positions that must be sure
    mean, std : one number or one per channel, of images scaled to 0..1; one written into the model comes on top
    order : steps, or tiles: all timesteps of a tile before the next, without early exit
    task : classify, segment, detect or values, what the outputs mean (`gen.task`); by default classify, or values
        where the output that decides is a map, or detect with ``decode``
    class_names : names of the classes, in order
    decode : of a detector, what makes boxes of its outputs: a name of `gen.heads.HEADS`, or the path of a Python file
        of the user's own; ``decode_options`` are its options, and for a role of the head the outputs that have it
    fit, colors : how pictures become images of the network (`gen.task.Task`)
    progress : callable(step text, fraction done), or None

    Raises
    ------
    InputError for bad input, UnsupportedModel with every operation outside the contract.
    """
    tell = _telling(progress)
    x = check_images(calibration)
    choice = TaskChoice(task, tuple(class_names), decode, decode_options or {}, fit, colors)
    settings = Settings(
        timesteps=check_timesteps(timesteps, x), max_burst=max_burst, weight_bits=weight_bits, neuron=neuron,
        search_burst=search_burst, compress=compress, weight_memory=weight_memory, search_lanes=search_lanes,
        calibrate_weights=calibrate_weights, exit=exit, exit_loss=exit_loss, exit_fit=exit_fit,
        exit_output=exit_output, exit_share=exit_share, mean=mean, std=std, order=order,
    )
    tell("load", 0.0)
    network = load(model, x.shape[-3:])
    if network.shape != x.shape[-3:]:
        raise InputError(
            f"The model takes images of shape {_shape(network.shape)}, the calibration images have shape "
            f"{_shape(x.shape[-3:])} (channels x height x width)."
        )
    if network.frames and x.ndim == 4:
        raise InputError(
            "The model takes frames, another map at each timestep: give recordings as calibration images, uint8 "
            "[N, T, C, H, W]."
        )
    settings = _decided(settings, network)
    labels = check_labels(labels, len(x), network.shapes[str(settings.exit_output)])
    bits = layer_bits(network, settings.weight_bits)
    stated = choice.of(network, str(settings.exit_output))
    if exit is None and not tells_classes_apart(stated, str(settings.exit_output)):
        settings = replace(settings, exit="off")
    kind = (stated or usual_task(network.shapes[str(settings.exit_output)][1:] != (1, 1))).kind
    classes = labels is not None or kind in (CLASSIFY, SEGMENT)
    with torch.no_grad():
        return replace(Conversion(network, x, labels, settings, tell, classes).run(bits), stated_task=stated)


def _telling(progress):
    """Return the function that every step calls: it tells ``progress``, and the log when a step begins."""
    begun = None

    def tell(step, fraction):
        nonlocal begun
        if step != begun:
            LOG.info("conversion: %s", step)
            begun = step
        if progress:
            progress(step, fraction)

    return tell


def _decided(settings, network):
    """Return ``settings`` with the output that decides by its layer's name, and the exit off where it has one class."""
    named = {network.origins[name]: name for name in network.outputs} | {name: name for name in network.outputs}
    output = settings.exit_output
    if output is not None and output not in named:
        raise InputError(f"exit_output is {output!r}, the outputs of the model are {', '.join(network.outputs)}.")
    output = network.outputs[0] if output is None else named[output]
    rule = settings.exit_rule
    if network.channels[output] == 1 and rule != "off":
        if settings.exit is not None:
            raise InputError(
                f"The output {output} has one channel, of which no rule can be sure: set exit to off, not {rule}."
            )
        rule = "off"
    return replace(settings, exit_output=output, exit=rule)


def _shape(shape):
    return "x".join(map(str, shape))
