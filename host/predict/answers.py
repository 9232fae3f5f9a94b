"""What a network says of one picture, by its task, in plain values and in the picture's own pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gen.intnet import Network
from gen.result import Result, answered
from gen.task import CLASSIFY, DETECT, SEGMENT
from host.decode.boxes import Boxes
from host.decode.detector import Detector
from host.decode.numbers import float_outputs, output_scales, softmax
from host.predict.fit import UNSEEN, Placement

__all__ = ["Answer", "Answers"]

TOP = 5  # classes that are told of a picture


@dataclass(frozen=True, eq=False)
class Answer:
    """What is said of one picture.

    told : plain values for JSON, without what belongs to the task; the rest is what an overlay draws
    classes : of classify the best, (class, probability or None) by falling logit; of segment all that there are,
        (class, share of the pixels that were looked at) by falling share
    shares : of classify the probability of every class, float64 [classes], None where that is not known; of segment the
        share of every class, float64 [`host.predict.fit.UNSEEN`]
    mask : of segment, uint8 [H, W] over the picture, `host.predict.fit.UNSEEN` where the network did not look
    boxes : of detect, in pixels of the picture
    values : of values, name of every output to float64 [C, H, W]
    """

    told: dict[str, Any]
    classes: list[tuple[int, float | None]] = field(default_factory=list)
    shares: np.ndarray | None = None
    mask: np.ndarray | None = None
    boxes: Boxes | None = None
    values: dict[str, np.ndarray] = field(default_factory=dict)


class Answers:
    """Turns a device's results into answers.

    Parameters
    ----------
    network : whose task is asked for
    own : path of the user's own decoder, where the task needs one

    Raises
    ------
    InputError : the task needs a decoder that was not named, or was given one that it has no use for.
    """

    def __init__(self, network: Network, own: str | None = None):
        self._network, self._task = network, network.task
        self._tell = {CLASSIFY: self._classify, SEGMENT: self._segment, DETECT: self._detect}.get(
            self._task.kind, self._values
        )
        if self._task.kind == DETECT or own is not None:
            self._detector = Detector(self._task, network.source.shape[1:], own)
        self._known = all(
            name in output_scales(network, stage) for stage in range(len(network.stages)) for name in network.outputs
        )

    def of(self, result: Result, placements: list[Placement]) -> list[Answer]:
        """Return an `Answer` for each picture of ``result``, whose ``placements`` say where it lies."""
        counted = [
            {
                "exit_step": int(result.exit_steps[n]), "events": int(result.events[n]),
                "synaptic_ops": int(result.synaptic_ops[n]),
                **({"stage": int(result.stages[n])} if result.stages is not None else {}),
                **({"cycles": int(result.cycles[n])} if result.cycles is not None else {}),
            }
            for n in range(len(placements))
        ]
        return [
            Answer(**{**found, "told": {**found["told"], **count}})
            for found, count in zip(self._tell(result, placements), counted)
        ]

    def _classify(self, result, placements):
        logits = np.asarray(result.logits)
        shares = [None] * len(logits)
        if self._known:
            worth = float_outputs(self._network, result)[self._network.readout.name]
            shares = softmax(worth[:, :, 0, 0], axis=1)
        for z, share in zip(logits, shares):
            order = np.argsort(-z, kind="stable")[:TOP]
            classes = [(int(c), None if share is None else float(share[c])) for c in order]
            yield {
                "told": {**self._named(classes[0][0]), "logits": z.tolist(), "best": [
                    {**self._named(number), "probability": found} for number, found in classes
                ]},
                "classes": classes, "shares": share,
            }

    def _segment(self, result, placements):
        for classes, placement in zip(answered(result), placements):
            mask = placement.mask(np.minimum(classes, UNSEEN - 1))
            seen = np.bincount(mask[mask != UNSEEN], minlength=UNSEEN)
            shares = seen / max(seen.sum(), 1)
            found = [(int(c), float(shares[c])) for c in np.flatnonzero(seen)]
            yield {
                "told": {"shares": {self._task.label(number): share for number, share in found}},
                "classes": sorted(found, key=lambda each: -each[1]), "shares": shares, "mask": mask,
            }

    def _detect(self, result, placements):
        found = self._detector.boxes(float_outputs(self._network, result))
        for boxes, placement in zip(found, placements):
            scale, shift = placement.back
            boxes = boxes.moved(scale, shift, placement.picture)
            told = [
                {
                    **self._named(int(boxes.classes[i])), "score": float(boxes.scores[i]),
                    "box": np.round(boxes.corners[i], 2).tolist(),
                    **({} if boxes.points is None else {"points": np.round(boxes.points[i], 2).tolist()}),
                }
                for i in range(len(boxes))
            ]
            yield {"told": {"boxes": told}, "boxes": boxes}

    def _values(self, result, placements):
        outputs = float_outputs(self._network, result)
        for n in range(len(placements)):
            values = {name: found[n] for name, found in outputs.items()}
            told = {
                name: {"shape": list(found.shape), "least": float(found.min()), "most": float(found.max()),
                       "mean": float(found.mean())} if found.shape[1:] != (1, 1) else found[:, 0, 0].tolist()
                for name, found in values.items()
            }
            yield {"told": {"values": told}, "values": values}

    def _named(self, number):
        return {"class": number, "label": self._task.label(number)}
