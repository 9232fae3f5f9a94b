"""Tables of what a window reads, for the compiled loops: `gen.window` once more, sorted for them.

A table is a pair (starts, entries): the entries of key k are ``entries[starts[k] : starts[k + 1]]``, int64 [any, m].
"""

from __future__ import annotations

import numpy as np

from gen.window import Window

__all__ = ["met_columns", "met_rows", "read_runs"]


def read_runs(columns: np.ndarray, channels: int):
    """Return for each output column what its taps read side by side: how many numbers, the first in a row of the map.

    ``columns`` is `Window.places` along a row; runs beside the map begin at -1.
    """
    outputs, kernel = columns.shape
    begins = np.ones(columns.shape, bool)
    before, now = columns[:, :-1], columns[:, 1:]
    begins[:, 1:] = np.where((before < 0) | (now < 0), (before < 0) != (now < 0), now != before + 1)
    output, tap = np.nonzero(begins)
    end = np.append(output * kernel + tap, outputs * kernel)
    first = columns[output, tap]
    entries = np.stack([np.diff(end) * channels, np.where(first < 0, -1, first * channels)], axis=1)
    return _starts(output, outputs), entries


def met_rows(rows: np.ndarray, height: int):
    """Return for each row of the map, of ``height``, the kernel rows that read it and the result's rows they do it for.

    ``rows`` is `Window.places` along a column.
    """
    output, tap = np.nonzero(rows >= 0)
    source = rows[output, tap]
    by = np.lexsort((output, tap, source))
    return _starts(source[by], height), np.stack([tap[by], output[by]], axis=1)


def met_columns(window: Window, columns: np.ndarray, width: int):
    """Return for each column of the map what it meets in a row of the result, and the order of a kernel row's taps.

    The entries are runs of taps, consecutive in that order, that meet consecutive columns: first tap in the order,
    first column, length. Taps a stride apart meet neighbouring columns, the later tap the earlier column.
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
