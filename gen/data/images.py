"""A set of images that streams: what `gen.data.datasets.open_dataset` returns and `sim.metrics.evaluate` takes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gen.errors import InputError

__all__ = ["BATCH", "ArraySet", "ImageSet", "check_limit"]

BATCH = 256


class ImageSet(ABC):
    """N images of one shape, read batch by batch.

    Attributes
    ----------
    name : str, for messages and provenance
    shape : tuple, of one image as it is stored: [C, H, W], [H, W], or [T, C, H, W] for frames
    labels : int64 [N], or [N, H, W] of every position of an output, or None
    boxes : of each image float64 [M, 5], its boxes: class, left, top, right and bottom in its pixels; or None
    values : float64 [N, C, H, W], what the outputs shall be, or None
    path : of the file that holds all of it, or None

    A subclass sets these and gives ``__len__`` and ``_read(size, count)``, which yields the first ``count`` images in
    order, uint8, in arrays of at most ``size``.
    """

    name: str
    shape: tuple[int, ...]
    labels: np.ndarray | None = None
    boxes: list[np.ndarray] | None = None
    values: np.ndarray | None = None
    path: Path | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _read(self, size: int, count: int) -> Iterator[np.ndarray]: ...

    def batches(
        self, size: int = BATCH, limit: int | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield (x uint8 [n, *shape], y int64 [n] or None) with n <= ``size``, of the first ``limit`` images.

        Raises
        ------
        InputError : a size or limit below one; or, when it is reached, an image that cannot be read.
        """
        check_limit(limit)
        if size < 1:
            raise InputError(f"A batch must have at least one image, not {size}.")
        count, start = self.count(limit), 0
        for x in self._read(size, count):
            yield x, None if self.labels is None else self.labels[start : start + len(x)]
            start += len(x)

    def load(self, limit: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the first ``limit`` images at once: (x uint8 [N, *shape], y int64 [N] or None)."""
        count, start = self.count(limit), 0
        x = np.empty((count, *self.shape), np.uint8)
        for part, _ in self.batches(limit=limit):
            x[start : start + len(part)] = part
            start += len(part)
        return x, None if self.labels is None else self.labels[:count]

    def first(self, size: int = BATCH, limit: int | None = None) -> np.ndarray:
        """Return the images of the first batch, to see whether they suit what they are for."""
        return next(self.batches(size, limit))[0]

    def count(self, limit: int | None = None) -> int:
        """Return how many images ``limit`` leaves."""
        return len(self) if limit is None else min(limit, len(self))


class ArraySet(ImageSet):
    """Images that are in memory already.

    Parameters
    ----------
    x : integers [N, ...]
    labels : integers [N], or None

    Raises
    ------
    InputError : labels that do not go with the images.
    """

    name = "arrays"

    def __init__(self, x, labels=None):
        self._x, self.shape = x, x.shape[1:]
        self.labels = None if labels is None else np.asarray(labels)
        if labels is not None and len(labels) != len(x):
            raise InputError(f"There are {len(labels)} labels for {len(x)} images: give one label for each image.")

    def __len__(self):
        return len(self._x)

    def _read(self, size, count):
        for start in range(0, count, size):
            yield self._x[start : min(start + size, count)]


def check_limit(limit):
    """Raise InputError for a ``limit`` that leaves no image; None is none."""
    if limit is not None and limit < 1:
        raise InputError(f"The limit must be at least one image, not {limit}.")
