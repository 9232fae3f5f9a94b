"""Tables of what a window reads, sorted as the compiled loops want them; the geometry itself is in `gen.window`."""

from __future__ import annotations

import numpy as np

from gen.window import Window

__all__ = ["met_columns", "met_rows", "read_blocks"]


def read_blocks(window: Window, columns: np.ndarray, channels: int) -> np.ndarray:
    """Return int64 [blocks, 6], how a kernel row of all output columns is copied from a row of the map.

    What several taps read side by side is a run of numbers, ``channels`` at each place; beside the map is one as well.
    Output columns that follow one another and have such a run at the same place of their windows make a block: first
    output column, how many, place in the kernel row, place in the row of the map or -1, length, and how far the next
    one's place in the map is. ``columns`` is `Window.places` along a row.
    """
    outputs, kernel = columns.shape
    advance = window.stride[1] // window.upsample[1]
    begins = np.ones(columns.shape, bool)
    before, now = columns[:, :-1], columns[:, 1:]
    begins[:, 1:] = np.where((before < 0) | (now < 0), (before < 0) != (now < 0), now != before + 1)
    output, tap = np.nonzero(begins)
    ends = np.append(output * kernel + tap, outputs * kernel)
    length = ends[1:] - ends[:-1]
    first = columns[output, tap]
    by = np.lexsort((output, length, tap))
    output, tap, length, first = output[by], tap[by], length[by], first[by]
    follows = (np.diff(output) == 1) & (np.diff(tap) == 0) & (np.diff(length) == 0)
    follows &= np.where(first[1:] < 0, first[:-1] < 0, (first[:-1] >= 0) & (np.diff(first) == advance))
    head = np.flatnonzero(np.append(True, ~follows))
    count = np.diff(np.append(head, len(output)))
    first = np.where(first[head] < 0, -1, first[head] * channels)
    sizes = tap[head] * channels, first, length[head] * channels, np.full(len(head), advance * channels)
    return np.stack([output[head], count, *sizes], axis=1)


def met_rows(rows: np.ndarray, height: int):
    """Return (starts, entries): by which kernel rows each row of the map is read, and for which rows of the result.

    Those of row y are ``entries[starts[y] : starts[y + 1]]``, int64 [any, 2]. ``rows`` is `Window.places` along a
    column, for a map of ``height``.
    """
    output, tap = np.nonzero(rows >= 0)
    source = rows[output, tap]
    by = np.lexsort((output, tap, source))
    return _starts(source[by], height), np.stack([tap[by], output[by]], axis=1)


def met_columns(window: Window, columns: np.ndarray, width: int):
    """Return what each column of the map meets in a row of the result, like `met_rows`; and the order of the taps.

    The entries, int64 [any, 3], are runs of taps, consecutive in that order, that meet consecutive columns: first tap
    in the order, first column, length. Taps a stride apart meet neighbouring columns, the later the earlier column.
    """
    kernel, stride, dilation = window.kernel[1], window.stride[1], window.dilation[1]
    apart = stride // dilation if stride % dilation == 0 else kernel
    order = np.concatenate([np.arange(kernel)[phase::apart][::-1] for phase in range(min(apart, kernel))])
    output, tap = np.nonzero(columns >= 0)
    source, at = columns[output, tap], np.argsort(order)[tap]
    by = np.lexsort((at, output - at, source))
    source, at, output = source[by], at[by], output[by]
    same = (np.diff(source) == 0) & (np.diff(at) == 1) & (np.diff(output) == 1)
    first = np.flatnonzero(np.append(True, ~same)[: len(source)])
    length = np.diff(np.append(first, len(source)))
    return (_starts(source[first], width), np.stack([at[first], output[first], length], axis=1)), order


def _starts(keys, count):
    """Return int64 [count + 1], where the entries of each key begin; ``keys`` are sorted."""
    return np.searchsorted(keys, np.arange(count + 1))
