"""Sets of points: coordinates in an ``.npz`` file become maps of 8 bits, and pictures of digits become points.

A point set is [points, 3], in units of a ``scale``: coordinates lie in -scale..scale. A network sees it as a map of
three channels, one column high as there are points, uint8 [3, points, 1]::

    value = round(127.5 * (coordinate / scale + 1))        0 for -scale, 255 for scale

so that x/255, which a model sees, is the coordinate moved to 0..1. Half a step is scale/255, the error of a coordinate.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gen.data.images import ImageSet
from gen.errors import InputError

__all__ = ["PointSet", "maps_of_points", "points_of_images"]

AXES = 3


def maps_of_points(points: np.ndarray, scale: float) -> np.ndarray:
    """Return uint8 [N, 3, points, 1] of ``points`` [N, points, 3], numbers in -scale..scale.

    Raises
    ------
    InputError : another shape, a coordinate outside the scale or none (NaN), or a scale that is none.
    """
    points = np.asarray(points)
    if points.ndim != 3 or points.shape[2] != AXES or points.dtype.kind not in "iuf" or not points.size:
        raise InputError(
            f"Point sets must be numbers [N, points, {AXES}], not {points.dtype} of shape {points.shape}."
        )
    if not scale > 0:
        raise InputError(f"The scale of points must be a number above 0, not {scale}.")
    reach = np.abs(points).max()
    if not reach <= scale:
        raise InputError(
            f"The points reach {reach:g}, the scale is {scale:g}: centre them and give the largest coordinate as scale."
        )
    values = np.rint(127.5 * (points / scale + 1)).astype(np.uint8)
    return values.transpose(0, 2, 1)[..., None]


def points_of_images(images: np.ndarray, count: int) -> np.ndarray:
    """Return float32 [N, count, 3] in -1..1 of gray pictures uint8 [N, H, W]: a digit as points on its strokes.

    The points are the ``count`` brightest pixels in raster order; of a picture with fewer pixels above 0 they are
    repeated in turn, which a maximum over points does not notice. Coordinates are column, row and brightness, each
    from -1 to 1; a black picture is ``count`` times its darkest corner.
    """
    images = np.asarray(images, np.uint8)
    total, height, width = images.shape
    flat = images.reshape(total, -1)
    order = np.argsort(-flat.astype(np.int16), axis=1, kind="stable")
    lit = np.clip((flat > 0).sum(axis=1), 1, count)
    turn = np.arange(count)[None] % lit[:, None]
    chosen = np.sort(np.take_along_axis(order, turn, axis=1), axis=1)
    row, column = np.divmod(chosen, width)
    parts = column / (width - 1), row / (height - 1), np.take_along_axis(flat, chosen, axis=1) / 255
    return (2 * np.stack(parts, axis=2) - 1).astype(np.float32)


class PointSet(ImageSet):
    """Point sets in an ``.npz`` file: ``points`` [N, points, 3] and, if there are labels, ``y``, N integers from 0.

    Parameters
    ----------
    path : of the file
    scale : the largest coordinate
    split : a file with several sets has them as points_train, y_train, ...: the one to take, if it is there
    classes : number of classes, where it is known; a label of ``classes`` or more is an error then

    Raises
    ------
    InputError : naming the file, what is wrong with it and what it must hold.
    """

    path: Path

    def __init__(self, path: str | Path, scale: float, split: str | None = None, classes: int | None = None):
        self.path, self.name, self._scale = Path(path), Path(path).name, scale
        held = self._arrays()
        ends = f"_{split}" if f"points_{split}" in held else ""
        if "points" + ends not in held:
            self._refuse(f"holds no points (it holds: {', '.join(held)})")
        self._points, labels = held["points" + ends], held.get("y" + ends)
        self._maps(slice(1), np.inf)  # their shape
        self.shape = (AXES, self._points.shape[1], 1)
        if labels is not None:
            self._check(labels, classes)
            self.labels = labels.astype(np.int64)

    def __len__(self) -> int:
        return len(self._points)

    def _arrays(self):
        try:
            with np.load(self.path) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{self.path} cannot be read as an .npz file of points ({error}).") from error

    def _maps(self, part, scale):
        try:
            return maps_of_points(self._points[part], scale)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    def _refuse(self, text):
        raise InputError(f"{self.path} {text}: save points, numbers [N, points, {AXES}], and y, N integers.")

    def _check(self, labels, classes):
        if labels.shape != (len(self),) or labels.dtype.kind not in "iu" or labels.min() < 0:
            self._refuse(f"has labels {labels.dtype} of shape {labels.shape} for {len(self)} point sets")
        if classes is not None and labels.max() >= classes:
            self._refuse(f"has a label {labels.max()}, the network has classes 0..{classes - 1}")

    def _read(self, size: int, count: int) -> Iterator[np.ndarray]:
        for start in range(0, count, size):
            yield self._maps(slice(start, min(start + size, count)), self._scale)
