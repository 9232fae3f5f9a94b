"""How well a network does its task on data that say what is right, beyond the share that `sim.metrics` counts.

A judge watches an evaluation batch by batch. What it measures with are libraries that others measure with too:
pycocotools for boxes, scikit-learn for classes of positions and for numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from typing import Any

import numpy as np

from gen.data.images import ImageSet
from gen.errors import InputError, ToolMissing
from gen.intnet import Network
from gen.result import Result, answered
from gen.task import DETECT, SEGMENT, VALUES
from host.decode.detector import Detector
from host.decode.numbers import float_outputs

__all__ = ["Judge", "judge_of"]

LEAST_SCORE = 0.01  # of a box that counts: precision is asked of all of them, ordered by score
MOST_BOXES = 100    # of a picture, as COCO counts


class Judge(ABC):
    """Watches an evaluation: call it with (x, labels or None, `Result`) of every batch, in order."""

    def __init__(self, network: Network, images: ImageSet):
        self._network, self._images, self._seen = network, images, 0

    def __call__(self, x: np.ndarray, y: np.ndarray | None, result: Result) -> None:
        self._see(slice(self._seen, self._seen + len(x)), result)
        self._seen += len(x)

    @abstractmethod
    def _see(self, which: slice, result: Result) -> None: ...

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can hold them."""


class _Positions(Judge):
    """Classes at positions: ``pixel_accuracy``, ``mean_iou`` over the classes that occur, ``iou`` of each of these."""

    def __init__(self, network, images, labels):
        super().__init__(network, images)
        self._labels = labels
        self._classes = network.task.classes({network.readout.name: _shape(network)}, network.readout.name)
        self._counts = np.zeros((self._classes, self._classes))

    def _see(self, which, result):
        from sklearn.metrics import confusion_matrix

        truth, found = self._labels[which].ravel(), answered(result).ravel()
        self._counts += confusion_matrix(truth, found, labels=range(self._classes))

    def as_dict(self):
        from sklearn.metrics import accuracy_score, jaccard_score

        truth, found = np.divmod(np.arange(self._counts.size), self._classes)
        options: Any = {"sample_weight": self._counts.ravel()}
        present = np.flatnonzero(self._counts.sum(axis=0) + self._counts.sum(axis=1))
        of_classes = options | {"labels": present}
        each: Any = jaccard_score(truth, found, average=None, **of_classes)  # pyright: ignore[reportArgumentType] its stub lacks None
        return {
            "pixel_accuracy": float(accuracy_score(truth, found, **options)),
            "mean_iou": float(jaccard_score(truth, found, average="macro", **of_classes)),
            "iou": {self._network.task.label(int(c)): float(share) for c, share in zip(present, each)},
        }


class _Boxes(Judge):
    """Boxes, by COCO's rules: the mean average precision at an overlap of 0.5, ``map50``, and of 0.5 to 0.95."""

    def __init__(self, network, images, boxes, detector):
        super().__init__(network, images)
        self._boxes, self._detector, self._found = boxes, detector, []
        classes = network.task.decoder.classes({name: network.stages[0].shapes[name] for name in network.outputs})
        named = {int(box[0]) for boxes in self._boxes for box in boxes}
        if classes is not None and named and max(named) >= classes:
            raise InputError(
                f"{images.name} holds boxes of class {max(named)}, the network has classes 0..{classes - 1}."
            )

    def _see(self, which, result):
        found = self._detector.boxes(float_outputs(self._network, result), LEAST_SCORE, MOST_BOXES)
        for number, boxes in enumerate(found, which.start + 1):
            self._found += [
                {"image_id": number, "category_id": int(kind) + 1, "bbox": _sized(corners), "score": float(score)}
                for corners, score, kind in zip(boxes.corners, boxes.scores, boxes.classes)
            ]

    def as_dict(self):
        truth = [
            {"image_id": number, "category_id": int(box[0]) + 1, "bbox": _sized(box[1:]), "iscrowd": 0,
             "area": float(np.prod(box[3:] - box[1:3]))}
            for number, boxes in enumerate(self._boxes[: self._seen], 1) for box in boxes
        ]
        if not truth:
            return {"map50": None, "map50_95": None}
        if not self._found:
            return {"map50": 0.0, "map50_95": 0.0}
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with redirect_stdout(StringIO()):  # it tells of every step
            known: Any = COCO()
            known.dataset = {
                "info": {}, "images": [{"id": number} for number in range(1, self._seen + 1)],
                "categories": [{"id": kind} for kind in sorted({box["category_id"] for box in truth})],
                "annotations": [{"id": number, **box} for number, box in enumerate(truth, 1)],
            }
            known.createIndex()
            judged = COCOeval(known, known.loadRes(self._found), "bbox")
            judged.evaluate()
            judged.accumulate()
            judged.summarize()
        return {"map50": float(judged.stats[1]), "map50_95": float(judged.stats[0])}


class _Numbers(Judge):
    """Numbers: ``mean_squared_error`` of the output that decides, in units of the float network's."""

    def __init__(self, network, images, values):
        super().__init__(network, images)
        self._values, self._errors, self._name = values, [], network.readout.name
        if values.shape[1:] != _shape(network):
            raise InputError(
                f"{images.name} holds numbers of shape {values.shape[1:]} for each image, the output "
                f"{self._name} has shape {_shape(network)}."
            )

    def _see(self, which, result):
        from sklearn.metrics import mean_squared_error

        found = float_outputs(self._network, result)[self._name].reshape(len(result.classes), -1)
        wanted = self._values[which].reshape(len(found), -1)
        errors: Any = mean_squared_error(wanted.T, found.T, multioutput="raw_values")
        self._errors += errors.tolist()

    def as_dict(self):
        return {"mean_squared_error": float(np.mean(self._errors))}


def judge_of(network: Network, images: ImageSet, own: str | None = None) -> Judge | None:
    """Return who judges ``network`` on ``images`` by its task; None where there is nothing to say beyond `sim.metrics`.

    Parameters
    ----------
    own : path of the user's own decoder, where the task has one

    Raises
    ------
    InputError : a decoder that lacks, or data of another task.
    ToolMissing : without the library that measures.
    """
    kind = network.task.kind
    detector = Detector(network.task, network.source.shape[1:], own) if kind == DETECT or own is not None else None
    if images.boxes is not None and detector is not None:
        _need("pycocotools", "pycocotools")
        return _Boxes(network, images, images.boxes, detector)
    if kind == DETECT and (images.labels is not None or images.values is not None):
        raise InputError(
            f"{images.name} says what class there is, the network's task is detect: give boxes [M, 6], as "
            "docs/tasks.md describes them, or no labels."
        )
    if kind == SEGMENT and images.labels is not None:
        _need("sklearn", "scikit-learn")
        return _Positions(network, images, images.labels)
    if kind == VALUES and images.values is not None:
        _need("sklearn", "scikit-learn")
        return _Numbers(network, images, images.values)
    if images.values is not None:
        raise InputError(f"{images.name} holds numbers as y, the network's task is {kind}: give what {kind} needs.")
    return None


def _need(module, package):
    """Raise ToolMissing, before anything slow runs, where a library is not there."""
    if find_spec(module) is None:
        raise ToolMissing(f"Measuring this needs the library {package}: pip install {package}.")


def _shape(network):
    return tuple(int(size) for size in network.stages[0].shapes[network.readout.name])


def _sized(corners):
    """Return left, top, width and height of a box, as COCO has them."""
    left, top, right, bottom = map(float, corners)
    return [left, top, right - left, bottom - top]
