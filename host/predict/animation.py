"""What a network knew when: a recording's frames with its answer after each timestep, as a GIF. Pillow alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gen.data.forms import Events, form_of
from gen.intnet import Network
from gen.result import Result
from gen.task import SEGMENT
from host.predict.answers import Answer, Answers
from host.predict.fit import Placement
from host.predict.overlay import overlay

__all__ = ["animated", "partial_results", "when"]

DARK, OFF, ON = (24, 24, 27), (86, 180, 233), (255, 176, 32)  # nothing, darker, brighter
EARLIER = 0.3   # how bright events of earlier frames are
FULL = 4        # events of a pixel and frame that make it as bright as can be
FRAMES = 60     # of an animation at most, the last one always among them
FRAME_MS, LAST_MS = 300, 2000
COUNTED = {"exit_step", "events", "synaptic_ops", "logits", "best"}  # of an answer, not said again


def partial_results(network: Network, image: np.ndarray) -> list[tuple[int, Result]]:
    """Return after each timestep that runs its number, from 1, and the `Result` if the network had ended there.

    A network of stages begins again with the first frame at every stage. They are those of the golden model; events and
    operations are not counted.

    Parameters
    ----------
    image : uint8 [T, C, H, W]
    """
    from sim.golden import Golden

    found, begun, nothing = [], 0, np.zeros(1, np.int64)
    for number, trace in enumerate(Golden(network).traces(image)):
        first = trace.exit_step - len(trace.logits) + 1
        for step, z in enumerate(trace.logits[:, None], first):
            outputs = {name: values[step - first][None] for name, values in trace.outputs.items()}
            stages = np.array([number]) if len(network.stages) > 1 else None
            found.append((step, Result(
                z.argmax(axis=1), np.array([begun + step]), z, nothing, nothing, outputs=outputs, stages=stages
            )))
        begun += network.stages[number].timesteps
    return found


def when(network: Network, step: int) -> str:
    """Return in words when the frame of a timestep, from 1, is complete."""
    form = form_of(network)
    if isinstance(form, Events) and form.cut.step:
        return f"{step * form.cut.step / 1000:g} ms"
    if isinstance(form, Events):
        return f"{step * (form.cut.count or 0):,} events"
    return f"timestep {step}"


def animated(
    path: Path, network: Network, image: np.ndarray, answers: Answers, placement: Placement, where: str
) -> tuple[Result, list[dict[str, Any]]]:
    """Write the animation of a recording; return the `Result` that it ends with, and what was known when.

    Parameters
    ----------
    path : of the GIF
    image : uint8 [T, C, H, W], the frames
    placement : of a frame as a picture of its own
    where : names the recording

    Returns
    -------
    (Result, list) : a dict of each timestep with ``timestep``, from 1, ``known_after`` in words, and the answer.
    """
    known = partial_results(network, image)
    said = [answers.of(result, [placement])[0] for _, result in known]
    told = [
        {"timestep": step, "known_after": when(network, step), **_short(answer)}
        for (step, _), answer in zip(known, said)
    ]
    step = -(-len(known) // FRAMES)
    rows = _rows(said if network.task.kind == SEGMENT else said[-1:])
    frames = [
        overlay(
            _picture(image, known[n][0]), _in_order(said[n], rows), network.task, placement,
            _caption(where, network, told, n),
        )
        for n in range((len(known) - 1) % step, len(known), step)
    ]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], loop=0, duration=[FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    )
    return known[-1][1], told


def _caption(where, network, told, n):
    now = told[n]
    text = f"{where}: after {now['known_after']}"
    if "label" in now:
        text = f"after {now['known_after']}: {now['label']}"
    if n == len(told) - 1:
        text += f", decided at {now['timestep']} of {network.stages[-1].timesteps}"
    return text


def _short(answer: Answer):
    """Return what an answer tells, but for counts and what is as long as the output."""
    told = {name: value for name, value in answer.told.items() if name not in COUNTED}
    return told | ({"probability": answer.classes[0][1]} if "label" in told else {})


def _rows(said: Sequence[Answer]) -> list[int]:
    """Return all classes of some answers: those of the last one in its order, then those of earlier ones alone."""
    return list(dict.fromkeys(number for answer in reversed(said) for number, _ in answer.classes))


def _in_order(answer: Answer, rows: Sequence[int]) -> Answer:
    """Return an answer with the classes ``rows``: bars that stay where they are, in frames of one size."""
    if answer.shares is None:
        return answer
    return replace(answer, classes=[(number, float(answer.shares[number])) for number in rows])


def _picture(image: np.ndarray, step: int) -> np.ndarray:
    """Return uint8 [H, W, 3]: the events of the frame ``step``, from 1, and fainter those before it.

    Of two channels the second is what became brighter; others are added up.
    """
    counts = image[:step].astype(float)
    if counts.shape[1] == 2:
        channels, colors = counts, (OFF, ON)
    else:
        channels, colors = counts.sum(axis=1, keepdims=True), (ON,)
    light = np.maximum(np.minimum(channels[-1] / FULL, 1), EARLIER * (channels.sum(axis=0) > 0))
    return _mixed(light, colors)


def _mixed(light: np.ndarray, colors: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Return uint8 [H, W, 3] of brightnesses [channels, H, W], 0..1, over what is dark."""
    picture = np.full((*light.shape[1:], 3), DARK, float)
    for share, hue in zip(light, colors):
        picture += share[..., None] * (np.array(hue, float) - DARK)
    return np.clip(picture, 0, 255).astype(np.uint8)
