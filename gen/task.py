"""What a network is for: what its outputs mean to a person, which no bit of its arithmetic depends on.

``classify``: the class is the argmax of the output that decides. ``segment``: the same at each of its positions; of an
output of one channel class 1 where it is above zero, else 0. ``detect``: boxes, which a `Decoder` makes of several
outputs. ``values``: the outputs are numbers.

The network file carries the task (docs/file-format.md). The hash of a network, by which boards and folders know it, is
that of its arithmetic: another task, or other names of the classes, leave it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from gen.errors import InputError
from gen.heads import HEADS, head_of

__all__ = [
    "BGR", "CLASSIFY", "CROP", "DETECT", "FITS", "KINDS", "LETTERBOX", "RGB", "SEGMENT", "STRETCH", "VALUES", "Decoder",
    "Task", "usual_task",
]

KINDS = CLASSIFY, SEGMENT, DETECT, VALUES = ("classify", "segment", "detect", "values")
FITS = LETTERBOX, STRETCH, CROP = ("letterbox", "stretch", "crop")
COLORS = RGB, BGR = ("rgb", "bgr")
MOST_LABELS, LONGEST_LABEL = 100_000, 200


@dataclass(frozen=True)
class Decoder:
    """How boxes come out of a network's outputs.

    name : one of `gen.heads.HEADS`, or the name of a Python file of the user's own. The file is no part of a network:
        whoever wants boxes names it anew, and it runs because he named it
    outputs : role in the head (boxes, scores, ...) to the names of the network's outputs, from the finest map on
    options : of the head, as `gen.heads` describes them, or whatever the file takes: plain values of JSON
    """

    name: str
    outputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if not isinstance(self.name, str) or not (self.own or self.name in HEADS):
            raise InputError(
                f"the decoder must be one of {', '.join(HEADS)}, or a file NAME.py of your own, not {self.name!r}"
            )
        for what, value in (("outputs", self.outputs), ("options", self.options)):
            if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
                raise InputError(f"the decoder's {what} must be an object of JSON, not {value!r}")
        if not all(
            isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
            for names in self.outputs.values()
        ):
            raise InputError(f"the decoder's outputs must be lists of names, not {self.outputs!r}")
        object.__setattr__(self, "outputs", {role: tuple(names) for role, names in self.outputs.items()})

    @property
    def own(self) -> bool:
        """Whether it is a file of the user's."""
        return self.name.endswith(".py")

    def classes(self, shapes: dict[str, tuple[int, int, int]]) -> int | None:
        """Return how many classes it tells apart, the outputs having ``shapes``; None where only its file knows.

        Raises
        ------
        InputError : the outputs are not what the head needs, or options are missing or wrong.
        """
        return None if self.own else head_of(self.name).check(self.outputs, self.options, shapes)


@dataclass(frozen=True)
class Task:
    """What a network is for.

    kind : classify, segment, detect or values
    labels : names of the classes in order, or none
    decoder : of a detector
    fit : how a picture of another size becomes the network's: letterbox (all of it, its sides kept in proportion,
        the rest filled with what the network sees as zero), stretch (all of it), crop (its middle)
    colors : order of three channels, rgb or bgr

    Raises InputError for anything else.
    """

    kind: str
    labels: tuple[str, ...] = ()
    decoder: Decoder | None = None
    fit: str = LETTERBOX
    colors: str = RGB

    def __post_init__(self):
        for what, value, known in (
            ("task", self.kind, KINDS), ("fit", self.fit, FITS), ("order of colors", self.colors, COLORS),
        ):
            if value not in known:
                raise InputError(f"the {what} must be one of {', '.join(known)}, not {value!r}")
        object.__setattr__(self, "labels", tuple(self.labels))
        if not all(isinstance(label, str) and 0 < len(label) <= LONGEST_LABEL for label in self.labels):
            raise InputError(f"every label must be a text of 1 to {LONGEST_LABEL} characters")
        if len(self.labels) > MOST_LABELS:
            raise InputError(f"there are {len(self.labels)} labels, the most is {MOST_LABELS}")
        if (self.kind == DETECT) != (self.decoder is not None):
            raise InputError(
                "a task detect needs a decoder that makes boxes of the outputs (--decode)" if self.kind == DETECT
                else f"a decoder makes boxes, which a task {self.kind} has none of"
            )

    def check(self, shapes: dict[str, tuple[int, int, int]], decides: str) -> None:
        """Raise InputError where a network whose outputs have ``shapes``, one of which ``decides``, has another task.

        The shapes are (channels, height, width) by name.
        """
        channels, height, width = shapes[decides]
        dense = (height, width) != (1, 1)
        if self.kind == CLASSIFY and dense:
            raise InputError(
                f"the output {decides}, which decides, has {height} x {width} positions and a class at each: the task "
                "is segment, detect or values, not classify"
            )
        if self.kind == SEGMENT and not dense:
            raise InputError(f"the output {decides}, which decides, has one position: the task is not segment")
        classes = self.classes(shapes, decides)
        if self.labels and classes is not None and len(self.labels) != classes:
            raise InputError(f"there are {len(self.labels)} labels, the network has {classes} classes")

    def classes(self, shapes: dict[str, tuple[int, int, int]], decides: str) -> int | None:
        """Return how many classes there are; None where only the user's decoder knows."""
        if self.decoder is not None:
            return self.decoder.classes(shapes)
        channels = shapes[decides][0]
        return 2 if self.kind == SEGMENT and channels == 1 else channels

    def label(self, number: int) -> str:
        """Return the name of a class, its number where there is none."""
        return self.labels[number] if number < len(self.labels) else str(number)

    def renamed(self, names: dict[str, str]) -> Task:
        """Return the task of a network whose outputs have other ``names``, old to new."""
        if self.decoder is None:
            return self
        outputs = {role: tuple(names.get(name, name) for name in old) for role, old in self.decoder.outputs.items()}
        return replace(self, decoder=replace(self.decoder, outputs=outputs))

    def as_dict(self) -> dict[str, Any]:
        """Return what the network file holds; what is usual is left out."""
        task: dict[str, Any] = {"kind": self.kind}
        if self.labels:
            task["labels"] = list(self.labels)
        if self.decoder is not None:
            task["decoder"] = {
                "name": self.decoder.name,
                "outputs": {role: list(names) for role, names in self.decoder.outputs.items()},
                "options": self.decoder.options,
            }
        return task | {
            name: value for name, value, usual in (("fit", self.fit, LETTERBOX), ("colors", self.colors, RGB))
            if value != usual
        }

    @staticmethod
    def from_dict(task: dict[str, Any]) -> Task:
        """Return the task that `as_dict` wrote; TypeError or InputError for anything else."""
        decoder = task.get("decoder")
        return Task(**{**task, "decoder": None if decoder is None else Decoder(**decoder)})


def usual_task(dense: bool) -> Task:
    """Return the task of a network of which nothing is said."""
    return Task(VALUES if dense else CLASSIFY)
