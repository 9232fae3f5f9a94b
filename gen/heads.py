"""The heads of detectors that are known by name: which outputs they have, which options, how many classes.

What a head computes is in `host.decode.heads`; here is what a network file may say of it. Every output is a map
[channels, height, width]. Where a position has several anchors, the channels of the first come first. Sizes are pixels
of the network's input, [width, height] or, of a square, one number.

Options of all heads, with what stands for one that is left out:

    score   0.5     the least score of a box
    iou     0.45    two boxes of a class that overlap more than that (intersection over union) are one
    most    100     boxes of a picture, the best of them
    strides         pixels from position to position of each level, a number or [horizontal, vertical];
                    by default the input's size over the map's

``ssd``, anchor boxes with variances (roles boxes, scores):

    sizes                          of each level the sizes of its anchors; must be given
    center_variance, size_variance 0.1, 0.2
    clip             true          whether anchors are cut to 0..1 of the picture, as numbers of center and size
    activation       softmax       or sigmoid: of the scores of an anchor
    background                     whether the first score is that of nothing; true with softmax, else false

``yunet``, without anchors (roles boxes, scores; objects and points may be missing):

    activation       sigmoid       or softmax: of the scores
    joint            geometric     or product: mean of a class's score and that of any object

``yolo``, a grid with anchors (role grid):

    anchors                        of each level the sizes of its anchors; must be given
    form             exp           or square: YOLOv2 and v3, or v5
    activation       sigmoid       or softmax: of the classes of an anchor
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from gen.errors import InputError

__all__ = ["HEADS", "Head", "Shapes", "head_of", "pairs"]

Shapes = dict[str, tuple[int, int, int]]
SIGMOID, SOFTMAX = "sigmoid", "softmax"


@dataclass(frozen=True)
class Head:
    """One kind of head.

    roles : role to the beginnings of names by which a model's outputs are found where none are named
    optional : roles that a network may lack
    options : name to (what stands for one that is left out, what it must be, in words, a function that tells)
    count : of outputs by level, their shapes and the options, how many classes there are; InputError where they do not
        go together
    """

    name: str
    roles: dict[str, tuple[str, ...]]
    optional: tuple[str, ...]
    options: dict[str, tuple[Any, str, Callable[[Any], bool]]]
    count: Callable[[list[dict[str, tuple[int, int, int]]], dict[str, Any]], int]

    def settled(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return ``options`` with what stands for those left out; InputError for unknown or impossible ones."""
        unknown = sorted(options.keys() - self.options.keys())
        if unknown:
            raise InputError(
                f"the decoder {self.name} has no option {unknown[0]!r}; it has {', '.join(self.options)}"
            )
        settled = {name: options.get(name, usual) for name, (usual, _, _) in self.options.items()}
        for name, value in settled.items():
            _, meaning, fits = self.options[name]
            if value is MISSING:
                raise InputError(f"the decoder {self.name} needs the option {name}: {meaning}")
            if not (value is None and self.options[name][0] is None) and not fits(value):
                raise InputError(f"the decoder {self.name}: {name} must be {meaning}, not {value!r}")
        return settled

    def check(self, outputs: dict[str, tuple[str, ...]], options: dict[str, Any], shapes: Shapes) -> int:
        """Return how many classes the head of a network tells apart.

        Raises
        ------
        InputError : outputs that are missing, of other sizes or channels; options that are missing or wrong.
        """
        settled = self.settled(options)
        for role in self.roles:
            if role not in outputs and role not in self.optional:
                raise InputError(f"the decoder {self.name} needs outputs for {role}")
        for role, names in outputs.items():
            if role not in self.roles:
                raise InputError(f"the decoder {self.name} knows no outputs {role!r}, only {', '.join(self.roles)}")
            for name in names:
                if name not in shapes:
                    raise InputError(f"there is no output {name!r} for {role}; there are {', '.join(shapes)}")
        depths = {role: len(names) for role, names in outputs.items()}
        if len(set(depths.values())) != 1 or 0 in depths.values():
            raise InputError(f"the decoder {self.name} needs as many {' as '.join(depths)}, not {depths}")
        levels = [{role: shapes[names[i]] for role, names in outputs.items()} for i in range(max(depths.values()))]
        for level, found in enumerate(levels, 1):
            sizes = {shape[1:] for shape in found.values()}
            if len(sizes) != 1:
                raise InputError(f"the outputs of level {level} have maps of several sizes: {_shown(found)}")
        for name in ("sizes", "anchors", "strides"):
            value = settled.get(name)
            if value is not None and len(value) != len(levels):
                raise InputError(f"{name} is given for {len(value)} levels, the network has {len(levels)}")
        return self.count(levels, settled)


def pairs(sizes: list[Any]) -> list[tuple[float, float]]:
    """Return sizes as (width, height)."""
    return [(float(size), float(size)) if isinstance(size, Real) else (float(size[0]), float(size[1]))
            for size in sizes]


def head_of(name: str) -> Head:
    """Return the head called ``name``."""
    return HEADS[name]


def _shown(shapes):
    return ", ".join(f"{role} {'x'.join(map(str, shape))}" for role, shape in shapes.items())


def _ssd_classes(levels, options):
    background = options["background"]
    background = options["activation"] == SOFTMAX if background is None else background
    classes = set()
    for level, (found, sizes) in enumerate(zip(levels, options["sizes"]), 1):
        anchors, boxes, scores = len(sizes), found["boxes"][0], found["scores"][0]
        if boxes != 4 * anchors or scores % anchors:
            raise InputError(
                f"level {level} has {anchors} anchors, so boxes need {4 * anchors} channels and scores a multiple of "
                f"{anchors}; the network has {_shown(found)}"
            )
        classes.add(scores // anchors - background)
    return _one(classes)


def _yunet_classes(levels, options):
    for level, found in enumerate(levels, 1):
        wrong = {
            "boxes": found["boxes"][0] != 4, "objects": found.get("objects", (1,))[0] != 1,
            "points": found.get("points", (2,))[0] % 2 != 0,
        }
        if any(wrong.values()):
            raise InputError(
                f"level {level} needs boxes of 4 channels, objects of 1 and points of an even number; the network has "
                f"{_shown(found)}"
            )
    return _one({found["scores"][0] for found in levels})


def _yolo_classes(levels, options):
    classes = set()
    for level, (found, anchors) in enumerate(zip(levels, options["anchors"]), 1):
        channels = found["grid"][0]
        each = channels / len(anchors)
        if each < 5 or each % 1:
            raise InputError(
                f"level {level} has {len(anchors)} anchors, each of which needs 5 channels and one for each class; "
                f"the network has {_shown(found)}"
            )
        classes.add(max(int(each) - 5, 1))
    return _one(classes)


def _one(classes):
    """Return how many classes all levels have."""
    if len(classes) != 1 or min(classes) < 1:
        raise InputError(f"the levels must have one number of classes, 1 or more, not {sorted(classes)}")
    return int(classes.pop())


def _number(low, high):
    return f"a number, {low} to {high}", lambda value: _is_number(value) and low <= value <= high


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_size(value):
    """Return whether it is a positive number or a pair of such."""
    parts: Any = value if isinstance(value, list | tuple) and len(value) == 2 else [value]
    return all(_is_number(part) and 0 < part < 1e6 for part in parts)


def _are_sizes(value):
    return isinstance(value, list | tuple) and len(value) > 0 and all(
        isinstance(level, list | tuple) and len(level) > 0 and all(map(_is_size, level)) for level in value
    )


def _choice(*known):
    return f"one of {', '.join(known)}", lambda value: value in known


MISSING = object()
_SIZES = "a list for each level of the sizes of its anchors, in pixels, such as [[10, 16], [[32, 48]]]", _are_sizes
_FLAG = "true or false", lambda value: isinstance(value, bool)
_COMMON: dict[str, tuple[Any, str, Callable[[Any], bool]]] = {
    "score": (0.5, *_number(0, 1)), "iou": (0.45, *_number(0, 1)),
    "most": (100, "a whole number, 1 to 10000", lambda value: type(value) is int and 1 <= value <= 10_000),
    "strides": (None, "a number or [horizontal, vertical] for each level",
                lambda value: isinstance(value, list | tuple) and all(map(_is_size, value))),
}
HEADS = {
    head.name: head for head in (
        Head(
            "ssd", {"boxes": ("box", "bbox", "loc", "reg"), "scores": ("score", "cls", "class", "conf")}, (),
            {
                "sizes": (MISSING, *_SIZES), "center_variance": (0.1, *_number(0, 10)),
                "size_variance": (0.2, *_number(0, 10)), "clip": (True, *_FLAG),
                "activation": (SOFTMAX, *_choice(SOFTMAX, SIGMOID)), "background": (None, *_FLAG), **_COMMON,
            }, _ssd_classes,
        ),
        Head(
            "yunet", {
                "boxes": ("box", "bbox", "reg"), "scores": ("score", "cls", "class", "conf"), "objects": ("obj",),
                "points": ("kps", "landm", "point"),
            }, ("objects", "points"),
            {
                "activation": (SIGMOID, *_choice(SIGMOID, SOFTMAX)),
                "joint": ("geometric", *_choice("geometric", "product")), **_COMMON,
            }, _yunet_classes,
        ),
        Head(
            "yolo", {"grid": ("",)}, (),
            {
                "anchors": (MISSING, *_SIZES), "form": ("exp", *_choice("exp", "square")),
                "activation": (SIGMOID, *_choice(SIGMOID, SOFTMAX)), **_COMMON,
            }, _yolo_classes,
        ),
    )
}
