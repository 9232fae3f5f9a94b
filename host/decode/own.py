"""A decoder of the user's own: a Python file, which runs because the user named it on the command line.

It has one function::

    def decode(outputs, size, options):
        \"\"\"Return for each picture (corners [M, 4], scores [M], classes [M]).

        outputs : name of every output to float64 [N, C, H, W], in units of the float network's output
        size : (height, width) of the network's input; corners are left, top, right and bottom in its pixels
        options : what --decode-option gave to `adafire convert`
        \"\"\"

A network file holds no code: it names the file and holds the options.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gen.errors import InputError
from host.decode.boxes import Boxes

__all__ = ["load_own", "own_boxes"]

# What a file of somebody's may raise; anything else is none of its own making.
ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError,
)


def load_own(path: str | Path) -> Callable[..., Any]:
    """Run the file ``path`` and return its function ``decode``; InputError where there is none."""
    path = Path(path)
    try:
        spec = importlib.util.spec_from_file_location("adafire_own_decoder", path)
        if spec is None or spec.loader is None:
            raise ImportError("its name does not end in .py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ERRORS as error:
        raise InputError(f"The decoder {path} cannot be loaded: {_told(error, path)}.") from error
    function = getattr(module, "decode", None)
    if not callable(function):
        raise InputError(f"The decoder {path} has no function decode(outputs, size, options): docs/tasks.md shows one.")
    return function


def own_boxes(path: str | Path, decode: Callable[..., Any], outputs, size, options, most: int) -> list[Boxes]:
    """Return the `Boxes` that ``decode`` of the file ``path`` makes; InputError where it fails or returns others."""
    pictures = len(next(iter(outputs.values())))
    try:
        found = [
            _boxes(corners, scores, classes, most)
            for corners, scores, classes in decode(outputs, size, dict(options))
        ]
        if len(found) != pictures:
            raise ValueError(f"it returns {len(found)} results for {pictures} pictures")
    except ERRORS as error:
        raise InputError(f"The decoder {path} fails: {_told(error, path)}.") from error
    return found


def _boxes(corners, scores, classes, most):
    corners, scores, classes = np.asarray(corners, float), np.asarray(scores, float), np.asarray(classes)
    corners = corners.reshape(-1, 4) if not corners.size else corners
    if corners.shape != (len(scores), 4) or scores.ndim != 1 or classes.shape != scores.shape:
        raise ValueError(
            f"a picture needs corners [M, 4], scores [M] and classes [M], not {corners.shape}, {scores.shape} and "
            f"{classes.shape}"
        )
    if len(classes) and (classes.dtype.kind not in "iu" or classes.min() < 0):
        raise ValueError("classes must be integers from 0 up")
    if not (np.isfinite(corners).all() and np.isfinite(scores).all()):
        raise ValueError("a corner or a score is no finite number")
    wrong = corners[(corners[:, :2] > corners[:, 2:]).any(axis=1)]
    if len(wrong):
        raise ValueError(f"a box needs left <= right and top <= bottom, not {wrong[0].tolist()}")
    order = np.argsort(-scores, kind="stable")[:most]
    return Boxes(corners[order], scores[order], classes[order].astype(np.int64))


def _told(error, path):
    """Return what went wrong, and in which line of the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"line {lines[-1]}, " if lines else ""
    return f"{where}{type(error).__name__}: {error}"
