"""From the outputs of a network whose task is to detect to the boxes of every picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gen.errors import InputError
from gen.heads import head_of
from gen.task import Task
from host.decode.boxes import Boxes, suppress
from host.decode.heads import CANDIDATES
from host.decode.own import load_own, own_boxes

__all__ = ["Detector"]

MOST = 1000  # boxes of a picture, by a decoder of the user's own


class Detector:
    """What makes boxes of outputs.

    Parameters
    ----------
    task : of the network; its decoder says what is done
    size : (height, width) of the network's input
    own : path of the user's own decoder, if the task has one

    Raises
    ------
    InputError : the task needs a file of the user's and none was named, or the other way round.
    """

    def __init__(self, task: Task, size: tuple[int, int], own: str | Path | None = None):
        decoder = task.decoder
        if decoder is None:
            raise InputError(f"The network's task is {task.kind}: there are no boxes, and no decoder makes them.")
        if own is not None and not decoder.own:
            raise InputError(
                f"The network brings its decoder, {decoder.name}: leave --decode out, or convert the model for {own}."
            )
        if own is None and decoder.own:
            raise InputError(
                f"The network was converted for the decoder {decoder.name}, a program, which no network file holds: "
                f"name it with --decode {decoder.name}. It runs as you do: name no file that you do not trust."
            )
        self._decoder, self._size, self._own = decoder, size, own
        self._function = None if own is None else load_own(own)
        self._options = decoder.options if decoder.own else head_of(decoder.name).settled(decoder.options)

    def boxes(self, outputs: dict[str, np.ndarray], score: float | None = None, most: int | None = None) -> list[Boxes]:
        """Return the `Boxes` of N pictures, in pixels of the network's input.

        Parameters
        ----------
        outputs : name of every output to [N, C, H, W], in units of the float network's output
        score, most : in place of the options; a decoder of the user's own has its own way
        """
        if self._function is not None:
            return own_boxes(str(self._own), self._function, outputs, self._size, self._options, most or MOST)
        maps = {role: [outputs[name] for name in names] for role, names in self._decoder.outputs.items()}
        corners, scores, points = CANDIDATES[self._decoder.name](maps, self._size, self._options)
        limits = {
            "score": self._options["score"] if score is None else score, "iou": self._options["iou"],
            "most": most or self._options["most"],
        }
        return [
            suppress(corners[n], scores[n], None if points is None else points[n], **limits)
            for n in range(len(corners))
        ]
