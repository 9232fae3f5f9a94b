"""What every device returns: golden model, compiled RTL, simulated board and real board alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

import numpy as np

__all__ = [
    "HEADER_WORDS", "Result", "answered", "classes_of", "form_words", "result_form", "result_words", "results_in",
    "results_of", "shared_out",
]

UNSAID = -1  # for the class of an image of which a core tells none
HEADER_WORDS = 6  # of a core's result: class, timesteps executed, cycles, busy cycles, events, synaptic operations


@dataclass(frozen=True, eq=False)
class Result:
    """Outcome of `run` for N images of a network whose deciding output has C channels; every array has N rows.

    classes : int64 [N]            argmax of the logits, lowest index on a tie; [N, H, W] where that output is a map
    exit_steps : int64 [N]         timesteps executed, 1..T; in a network of stages those of all stages that ran
    logits : int64 [N, C]          the deciding output at the exit step; [N, C, H, W] where it is a map
    events : int64 [N]             nonzero counts of the maps that synapses read, all timesteps, input excluded
    synaptic_ops : int64 [N]       one weight applied to one event for one neuron; a burst counts once
    cycles : int64 [N] or None     clock cycles from when the core takes up the image to its result
    busy_cycles : int64 [N] or None   cycles in which the lanes of a group took an event, of all groups together
    spike_ops : int64 [N] or None  synaptic operations, a burst of k spikes counting |k| times
    outputs : name of every output to int64 [N, C, H, W]; empty of a device that returns the deciding one alone
    stages : int64 [N] or None     stage that answered, from 0; None of a network without stages

    A core that runs several images together counts for all of them: cycles, busy cycles, events and operations are then
    shared out, so that their sums are right. The last image counts as often as it ran (`gen.inputs.together`).
    """

    classes: np.ndarray
    exit_steps: np.ndarray
    logits: np.ndarray
    events: np.ndarray
    synaptic_ops: np.ndarray
    cycles: np.ndarray | None = None
    busy_cycles: np.ndarray | None = None
    spike_ops: np.ndarray | None = None
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    stages: np.ndarray | None = None

    def first(self, count: int) -> Result:
        """Return the rows of the first ``count`` images."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "outputs"}
        cut = {name: None if values is None else values[:count] for name, values in columns.items()}
        return replace(self, **cut, outputs={name: values[:count] for name, values in self.outputs.items()})

    def lane_utilization(self, lanes: int) -> float | None:
        """Return synaptic operations / (lanes x cycles), over all images; None without cycle counts."""
        if self.cycles is None:
            return None
        return float(self.synaptic_ops.sum() / (lanes * self.cycles.sum()))


def answered(result: Result) -> np.ndarray:
    """Return the classes that a task segment or classify takes from a result: int64 [N], or [N, H, W] of a map.

    They are ``result.classes``, but for a map of one channel.
    """
    logits = np.asarray(result.logits)
    return classes_of(logits) if logits.ndim == 4 and logits.shape[1] == 1 else result.classes


def classes_of(logits: np.ndarray) -> np.ndarray:
    """Return the classes of ``logits``, [N, C] or [N, C, H, W]: int64 without the second axis.

    They are the argmax, the lowest index on a tie; of a map of one channel class 1 where it is above zero, else 0.
    """
    one = logits.ndim == 4 and logits.shape[1] == 1
    return (logits[:, 0] > 0).astype(np.int64) if one else logits.argmax(axis=1)


def result_form(network, images: int = 1) -> dict:
    """Return what must be known of a network to read its results, in plain values.

    ``shapes``: name of every output, in the order of a result, to [C, H, W]; ``decides``: the name of the one that
    decides; ``timesteps`` of every stage; ``images`` of which a result tells, where these are several.
    """
    stages = network.stages
    return {
        **({"images": images} if images > 1 else {}),
        "shapes": {name: [int(size) for size in stages[0].shapes[name]] for name in network.outputs},
        "decides": network.readout.name, "timesteps": [stage.timesteps for stage in stages],
    }


def form_words(form: dict) -> int:
    """Return how many words a result of a `result_form` has: the header and every value of every output."""
    return HEADER_WORDS + form.get("images", 1) * _values(form)


def result_words(network, images: int = 1) -> int:
    """Return how many words a core's result has, of so many ``images`` together."""
    return form_words(result_form(network, images))


def results_of(network, words: np.ndarray, images: int = 1) -> Result:
    """Return the `Result` of what a core answers, a row for each image; `results_in` of the network's form."""
    return results_in(result_form(network, images), words)


def results_in(form: dict, words: np.ndarray) -> Result:
    """Return the `Result` of what a core answers, a row for each image.

    Parameters
    ----------
    form : as `result_form` makes it
    words : integers [N, `form_words`]: class at the first position, timesteps, cycles, busy cycles, events,
        synaptic operations; then the outputs in order, each in raster order, channels innermost. Of several images
        together: of the last one the class, of all of them the counters, then the outputs image by image
    """
    words = np.array(words, np.int64).reshape(-1, form_words(form))
    words[:, 2:HEADER_WORDS] &= 0xFFFFFFFF
    if form.get("images", 1) > 1:
        words = _image_by_image(form, words)
    counters, outputs, first = words[:, 2:HEADER_WORDS], {}, HEADER_WORDS
    for name, (channels, height, width) in form["shapes"].items():
        values = words[:, first : first + channels * height * width]
        outputs[name] = np.moveaxis(values.reshape(-1, height, width, channels), -1, 1)
        first += values.shape[1]
    logits = outputs[form["decides"]]
    dense = logits.shape[2:] != (1, 1)
    classes, stages = np.where(words[:, 0] == UNSAID, logits[..., 0, 0].argmax(axis=1), words[:, 0]), None
    if dense:
        everywhere = logits.argmax(axis=1)
        everywhere[:, 0, 0] = classes  # the core's own
        classes = everywhere
    if len(form["timesteps"]) > 1:  # a stage that did not answer ran all of its timesteps
        stages = np.searchsorted(np.cumsum(form["timesteps"]), words[:, 1])
    return Result(
        classes, words[:, 1], logits if dense else logits[..., 0, 0], counters[:, 2], counters[:, 3],
        counters[:, 0], counters[:, 1], outputs=outputs, stages=stages,
    )


def shared_out(totals: np.ndarray, images: int) -> np.ndarray:
    """Return integers [images, ...], whose sums over the images are those of ``totals``, as equal as can be."""
    number = np.arange(images).reshape(-1, *np.ones(np.ndim(totals), int))
    return totals // images + (number < totals % images)


def _values(form):
    """Return the values of all outputs of an image."""
    return sum(math.prod(shape) for shape in form["shapes"].values())


def _image_by_image(form, words):
    """Return a row for each image of rows that tell of several: of all but the last one the class is `UNSAID`."""
    images = form["images"]
    each = np.moveaxis(shared_out(words[:, 1:HEADER_WORDS], images), 0, 1)
    classes = np.full((len(words), images, 1), UNSAID)
    classes[:, -1, 0] = words[:, 0]
    values = words[:, HEADER_WORDS:].reshape(len(words), images, _values(form))
    return np.concatenate([classes, each, values], axis=2).reshape(-1, HEADER_WORDS + values.shape[2])
