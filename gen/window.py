"""The one geometry of every layer: which numbers of a map a window reads, and how large the result is.

A window slides over a map of (rows, columns). The map is first enlarged by ``upsample`` = (f, g), integers from 1 up:
row r of it is seen at rows r*f .. r*f + f - 1 (``fill`` nearest), or at row r*f alone, with nothing between
(``fill`` zeros: a transposed convolution, of which each output phase y mod f meets its own set of taps). Then it is
surrounded by ``padding``. For an axis of n source positions::

    seen    = n * f                  nearest;      (n - 1) * f + 1    zeros
    outputs = floor((before + seen + after - dilation * (kernel - 1) - 1) / stride) + 1
    place   = output * stride + tap * dilation - before
    source  = floor(place / f)       if 0 <= place < seen, and for zeros if f divides place; else the tap reads nothing
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from gen.errors import NetworkError

__all__ = ["FILLS", "NEAREST", "POINT", "ZEROS", "Window", "Windowed"]

FILLS = NEAREST, ZEROS = ("nearest", "zeros")
MAX_STEP = 2**12  # of a stride, a padding, a dilation
MAX_UPSAMPLE = 64
KEPT = 2**12  # taps of an axis up to which a table is kept for the next time
MAX_TAPS = 2**24  # of all outputs along an axis: `Window.places` has a number for each


@dataclass(frozen=True)
class Window:
    """Kernel, stride, dilation and upsampling as (vertical, horizontal); padding (top, left, bottom, right).

    A padding of two numbers, (vertical, horizontal), is the same on both sides. Raises `NetworkError` for a number
    outside its range.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, ...] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    upsample: tuple[int, int] = (1, 1)
    fill: str = NEAREST

    def __post_init__(self):
        padding = _integers(self.padding, (2, 4), 0, MAX_STEP, "padding")
        object.__setattr__(self, "padding", padding * 2 if len(padding) == 2 else padding)
        object.__setattr__(self, "kernel", _integers(self.kernel, (2,), 1, 2**16, "kernel"))
        for name, most in (("stride", MAX_STEP), ("dilation", MAX_STEP), ("upsample", MAX_UPSAMPLE)):
            object.__setattr__(self, name, _integers(getattr(self, name), (2,), 1, most, name))
        if self.fill not in FILLS:
            raise NetworkError(f"fill must be one of {', '.join(FILLS)}, not {self.fill!r}")

    @property
    def symmetric(self) -> bool:
        """Whether the padding is the same on both sides."""
        return self.padding[:2] == self.padding[2:]

    @property
    def area(self) -> int:
        """Number of taps."""
        return self.kernel[0] * self.kernel[1]

    def seen(self, size) -> tuple[int, int]:
        """Return how many rows and columns a map of ``size`` (rows, columns) has after upsampling."""
        (rows, columns), (f, g) = size, self.upsample
        if self.fill == ZEROS:
            return (rows - 1) * f + 1, (columns - 1) * g + 1
        return rows * f, columns * g

    def padded(self, size) -> tuple[int, int]:
        """Return how many rows and columns it has after upsampling and padding."""
        rows, columns = self.seen(size)
        top, left, bottom, right = self.padding
        return rows + top + bottom, columns + left + right

    def size(self, size) -> tuple[int, int]:
        """Return (rows, columns) of the result for a map of ``size``; less than 1 where the window is too large."""
        rows, columns = (
            (n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(self.padded(size), self.kernel, self.stride, self.dilation)
        )
        return rows, columns

    def places(self, axis: int, length: int, outputs: int) -> np.ndarray:
        """Return int64 [outputs, kernel], the source position that a tap reads along ``axis`` (0: rows); -1: none."""
        kernel, stride, dilation, factor = (
            pair[axis] for pair in (self.kernel, self.stride, self.dilation, self.upsample)
        )
        table = _kept_places if kernel * outputs <= KEPT else _places
        return table(kernel, stride, self.padding[axis], dilation, factor, self.fill == ZEROS, length, outputs)

    def reads(self, size, outputs) -> np.ndarray:
        """Return int64 [rows, columns]: how many taps of all ``outputs`` (rows, columns) read each source position."""
        counts = []
        for axis in (0, 1):
            places = self.places(axis, size[axis], outputs[axis])
            counts.append(np.bincount(places[places >= 0], minlength=size[axis]))
        return np.outer(counts[0], counts[1])

    def covered(self, size) -> tuple[int, int]:
        """Return how many rows and columns of a map of ``size``, counted from the first, its windows reach.

        A map cut to these has a result of the same size: of each axis the places up to the last tap of the last
        window, and at least one.
        """
        cut = []
        for axis, outputs in enumerate(self.size(size)):
            last = (outputs - 1) * self.stride[axis] + self.dilation[axis] * (self.kernel[axis] - 1)
            last, factor = last - self.padding[axis], self.upsample[axis]
            needed = (-(-last // factor) if self.fill == ZEROS else last // factor) + 1
            cut.append(max(1, min(size[axis], needed)))
        return cut[0], cut[1]


class Windowed:
    """What reads the map ``source`` through a window of ``kernel``, with the further fields of `Window` as its own."""

    source: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, ...]
    dilation: tuple[int, int]
    upsample: tuple[int, int]
    fill: str

    @cached_property
    def window(self) -> Window:
        """The geometry, checked."""
        try:
            return Window(self.kernel, self.stride, self.padding, self.dilation, self.upsample, self.fill)
        except NetworkError as error:
            raise NetworkError(f"the window that reads {self.source!r}: {error}") from error

    def settle_window(self):
        """Put the fields of a frozen dataclass into the form that `Window` gives them."""
        for name in ("stride", "padding", "dilation", "upsample"):
            object.__setattr__(self, name, getattr(self.window, name))

    def result_size(self, shape) -> tuple[int, int]:
        """Return (rows, columns) of the result for a map of ``shape`` (channels, rows, columns)."""
        size = self.window.size(shape[1:])
        if min(size) < 1:
            raise NetworkError(
                f"a window of {tuple(self.kernel)} is larger than the padded map {self.source!r} of {tuple(shape[1:])}"
            )
        taps = max(n * k for n, k in zip(size, self.window.kernel))
        if taps > MAX_TAPS:
            raise NetworkError(
                f"a window of {tuple(self.kernel)} of the map {self.source!r} has {taps} taps along an axis, the most "
                f"is {MAX_TAPS}"
            )
        return size


def _places(kernel, stride, before, dilation, factor, zeros, length, outputs):
    place = np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation - before
    seen = (length - 1) * factor + 1 if zeros else length * factor
    inside = (place >= 0) & (place < seen)
    if zeros:
        inside &= place % factor == 0
    places = np.where(inside, place // factor, -1)
    places.setflags(write=False)
    return places


_kept_places = lru_cache(maxsize=4096)(_places)


def _integers(value, lengths, least, most, what):
    try:
        whole = tuple(int(v) for v in value)
    except (TypeError, ValueError):
        whole = ()
    if len(whole) not in lengths or whole != tuple(value) or not all(least <= v <= most for v in whole):
        count = " or ".join({2: "two", 4: "four"}[n] for n in lengths)
        raise NetworkError(f"{what} must be {count} integers of {least}..{most}, not {value!r}")
    return whole


POINT = Window((1, 1))
