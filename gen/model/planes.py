"""How a view is read: as planes of parts, seen through windows.

A view of shape (C, H, W) can be read by a window if each of its channels is a channel of one part of which rows and
columns are picked apart from each other, in even steps, repeated evenly, with zeros around: that is what `Window`
expresses. Everything here is proved number by number: a form that is not the same picks is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from gen.model.refusal import Refused
from gen.model.values import View
from gen.window import Window

__all__ = ["SEPARATE", "Fit", "Layout", "Plane", "fit", "layout", "planes"]

SEPARATE = "maps whose channels, rows and columns stay apart"


@dataclass(frozen=True, eq=False)
class Plane:
    """Channels of a view that read one part at the same rows and columns.

    part : number of the part; ``channels`` of the view are the channels ``sources`` of the part
    rows, columns : for each row and column of the view that of the part, -1 where there is a zero
    """

    part: int
    channels: np.ndarray
    sources: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def whole(self, view: View) -> bool:
        """Whether it is all of ``view`` (C, H, W), and that all of its part, nothing moved."""
        shape = view.parts[self.part].shape
        picks = zip((self.channels, self.sources, self.rows, self.columns), (view.seen[0], *shape))
        return view.seen == shape and all(np.array_equal(pick, np.arange(n)) for pick, n in picks)


@dataclass(frozen=True)
class Fit:
    """One axis of a window that reads a view: ``first`` taps of ``kernel`` and those past the original's are blank."""

    kernel: int
    first: int
    stride: int
    before: int
    after: int
    dilation: int
    upsample: int


def planes(parts, index: np.ndarray) -> tuple[Plane, ...] | None:
    """Return the planes that ``index`` (C, H, W) reads of ``parts``, by rising first channel; None if it is not so.

    A channel of zeros alone is in none of them.
    """
    starts = np.cumsum([0, *(prod(part.shape) for part in parts)])
    filled = index >= 0
    rows, columns = np.any(filled, axis=2), np.any(filled, axis=1)
    if not (filled == rows[:, :, None] & columns[:, None, :]).all():
        return None
    groups: dict[tuple, list[tuple[int, int]]] = {}
    for channel in np.flatnonzero(rows.any(1)):
        plane = index[channel][np.ix_(rows[channel], columns[channel])]
        part = int(np.searchsorted(starts, plane[0, 0], "right")) - 1
        _, height, width = parts[part].shape
        source, place = divmod(plane - starts[part], height * width)
        row, column = divmod(place, width)
        if not (source == source[0, 0]).all() or not (row == row[:, :1]).all() or not (column == column[:1]).all():
            return None
        if plane.min() < starts[part] or plane.max() >= starts[part + 1]:
            return None
        picks = tuple(_spread(*pick) for pick in ((rows[channel], row[:, 0]), (columns[channel], column[0])))
        groups.setdefault((part, *picks), []).append((int(channel), int(source[0, 0])))
    result = []
    for (part, *axes), pairs in groups.items():
        channels, sources = np.array(pairs).T
        result.append(Plane(part, channels, sources, *(np.frombuffer(axis, np.int64) for axis in axes)))
    return tuple(result)


def _spread(filled, picks):
    result = np.full(len(filled), -1, np.int64)
    result[filled] = picks
    return result.tobytes()


def fit(places, length, kernel, stride, dilation, before, after, spare) -> Fit | None:
    """Return how one axis of a window reads a view's source; None if no window with up to ``spare`` blank taps does.

    places : the position in a source of ``length`` for each position of the view, -1 for a zero
    kernel, stride, dilation, before, after : the axis of the window that reads the view
    """
    filled = np.flatnonzero(places >= 0)
    lead, run = filled[0], places[filled[0]:filled[-1] + 1]
    outputs = (len(places) + before + after - dilation * (kernel - 1) - 1) // stride + 1
    wanted = np.pad(places, (before, after), constant_values=-1)
    wanted = wanted[np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation]
    counts = np.bincount(run - run.min())
    factor = int(counts.max())
    seen = length * factor
    if np.array_equal(run, np.arange(seen) // factor):
        return Fit(kernel, 0, stride, before + lead, after + len(places) - len(run) - lead, dilation, factor)
    start, step = int(run[0]) * factor, int(run[1] - run[0]) if factor == 1 and len(run) > 1 else 1
    if len(counts) > 1:
        start += factor - int(counts[0])
    if step < 1:
        return None
    stride, dilation = stride * step, dilation * step if kernel > 1 else 1
    before = (before + lead) * step - start
    first = -(before // dilation) if before < 0 else 0
    before, taps = before + first * dilation, first + kernel
    after = max(0, (outputs - 1) * stride + dilation * (taps - 1) + 1 - before - seen)
    size = (before + seen + after - dilation * (taps - 1) - 1) // stride + 1
    taps += -(-(size - outputs) * stride // dilation) if size > outputs else 0
    while (before + seen + after - dilation * (taps - 1) - 1) // stride + 1 < outputs and taps > first + kernel:
        taps -= 1
    if taps - kernel > spare:
        return None
    window = Window((taps, 1), (stride, 1), (before, 0, after, 0), (dilation, 1), (factor, 1))
    if window.size((length, 1))[0] != outputs:
        return None
    read = window.places(0, length, outputs)[:, first:first + kernel]
    return Fit(taps, first, stride, before, after, dilation, factor) if np.array_equal(read, wanted) else None


@dataclass(frozen=True, eq=False)
class Layout:
    """How numbers of some shape lie in a map of ``shape`` (C, H, W).

    order : int [C, H, W], which of the flattened numbers lies at each place of the map; None where in order
    """

    shape: tuple[int, int, int]
    order: np.ndarray | None = None

    def lay(self, value: View) -> View:
        """Return ``value`` as a view of the map's shape."""
        if self.order is None:
            return value.moved(lambda array, empty: array.reshape(self.shape)) if value.seen != self.shape else value
        return value.moved(lambda array, empty: array.ravel()[self.order])

    def lift(self, part, seen) -> View:
        """Return ``part``, a map of this layout, as the model sees it: in the shape ``seen``."""
        if self.order is None:
            return View.whole(part, seen)
        index = np.empty(self.order.size, np.int32)
        index[self.order.ravel()] = np.arange(self.order.size)
        return View.picked((part,), index.reshape(seen))


def layout(value: View) -> Layout:
    """Return a layout in which ``value`` can be read as planes: its own, or one of those that formats use."""
    if value.index is None:
        return Layout(value.parts[0].shape)
    if len(value.parts) == 1:
        order = np.argsort(value.index, axis=None, kind="stable")
        if np.array_equal(value.index.ravel()[order], np.arange(prod(value.parts[0].shape))):
            return Layout(value.parts[0].shape, order.reshape(value.parts[0].shape))
    numbers = np.arange(prod(value.seen)).reshape(value.seen)
    for order in _orders(numbers, value.parts):
        if _readable(value.parts, value.index.ravel()[order]):
            channels, height, width = order.shape
            same = order.shape == value.seen and (order == numbers).all()
            return Layout((channels, height, width), None if same else order)
    raise Refused(f"mixes channels and positions of a map of shape {value.seen}", SEPARATE)


def _orders(numbers, parts):
    """Yield what ``numbers`` may be as (C, H, W): channels first, channels last, flattened."""
    rank = numbers.ndim
    if rank == 2:
        yield numbers[:, None, :]
        yield numbers.T[:, None, :]
    if rank >= 3:
        yield numbers.reshape(-1, *numbers.shape[-2:])
    if rank == 3:
        yield numbers.transpose(2, 0, 1)
    for _, *sizes in {part.shape: part.shape for part in parts}:
        if numbers.size % prod(sizes) == 0:
            yield numbers.reshape(-1, *sizes)
            yield numbers.reshape(*sizes, -1).transpose(2, 0, 1)
    yield numbers.reshape(-1, 1, 1)


def _readable(parts, index):
    found = planes(parts, index)
    return found is not None and all(
        fit(places, parts[plane.part].shape[axis], 1, 1, 1, 0, 0, spare=len(places) + parts[plane.part].shape[axis])
        for plane in found for axis, places in ((1, plane.rows), (2, plane.columns))
    )
