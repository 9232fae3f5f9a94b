"""The inner loops of the fast golden model, compiled by numba: additions driven by events, and burst with soft reset.

Everything is an integer held in floating point; `sim.golden_layers` says why that is exact, and so in any order and
with or without fused multiply-add. Maps are [n, H, W, C], contiguous.

Where a kernel's taps land is in three tables. ``rows``, int64 [H, kernel height], is the row of the result that a
kernel row of a source row meets, or -1. ``columns``, int64 [W, runs, 3], lists runs of taps that meet columns side by
side: first tap in the order of the weights, first column, length. A run is one loop over ``length * outputs`` numbers.
``taps``, int64 [H, W], is how many taps a pixel meets in all.

Arrays are flat inside and their indexes unsigned: a slice costs numba a counted reference, a signed index a fold.
"""

import numpy as np
from numba import njit

__all__ = ["add_depthwise", "add_events", "add_pointwise", "fire", "keep"]

# With numpy's error model a division raises nothing, and so vectorizes.
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz", "reassoc"})


@_compiled
def add_events(source, weight, rows, columns, taps, out):
    """Add the current of ``source`` [n, H, W, C] to ``out`` [n, H', W', O].

    ``weight`` is [C, kernel height, taps of a row * O]. Returns int64 [2, n]: the taps that events met, and the same
    with an event of k spikes (or value -k) counted k times.
    """
    n, height, width, channels = source.shape
    _, out_height, out_width, outputs = out.shape
    _, kernel, line = weight.shape
    maps, w, u = source.reshape(-1), weight.reshape(-1), out.reshape(-1)
    met = np.zeros((2, n), np.int64)
    first, count = np.zeros(channels + 3, np.uintp), np.zeros(channels + 3, weight.dtype)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                if taps[y, x] == 0:
                    continue
                events, spikes = 0, 0.0
                at = np.uintp(((i * height + y) * width + x) * channels)
                for c in range(np.uintp(channels)):
                    value = maps[at + c]
                    first[events], count[events] = c * np.uintp(kernel * line), value
                    events += value != 0
                    spikes += abs(value)
                if events == 0:
                    continue
                for e in range(events, events + 3):  # the last four are filled up with events of count 0
                    first[e], count[e] = 0, 0
                for dy in range(kernel):
                    row = rows[y, dy]
                    if row < 0:
                        continue
                    for r in range(columns.shape[1]):
                        tap, column, length = columns[x, r, 0], columns[x, r, 1], columns[x, r, 2]
                        to = np.uintp(((i * out_height + row) * out_width + column) * outputs)
                        of = np.uintp(dy * line + tap * outputs)
                        for e in range(0, events, 4):
                            k0, k1, k2, k3 = count[e], count[e + 1], count[e + 2], count[e + 3]
                            w0, w1, w2, w3 = first[e] + of, first[e + 1] + of, first[e + 2] + of, first[e + 3] + of
                            for o in range(np.uintp(length * outputs)):
                                u[to + o] += k0 * w[w0 + o] + k1 * w[w1 + o] + (k2 * w[w2 + o] + k3 * w[w3 + o])
                met[0, i] += events * taps[y, x]
                met[1, i] += np.int64(spikes) * taps[y, x]
    return met


@_compiled
def add_depthwise(source, weight, rows, columns, taps, out):
    """Like `add_events` where channel c of the result reads channel c alone; ``weight`` is [kernel height, taps, C]."""
    n, height, width, channels = source.shape
    _, out_height, out_width, _ = out.shape
    kernel, line, _ = weight.shape
    maps, w, u = source.reshape(-1), weight.reshape(-1), out.reshape(-1)
    met = np.zeros((2, n), np.int64)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                if taps[y, x] == 0:
                    continue
                events, spikes = 0, 0.0
                at = np.uintp(((i * height + y) * width + x) * channels)
                for c in range(np.uintp(channels)):
                    events += maps[at + c] != 0
                    spikes += abs(maps[at + c])
                if events == 0:
                    continue
                for dy in range(kernel):
                    row = rows[y, dy]
                    if row < 0:
                        continue
                    for r in range(columns.shape[1]):
                        tap, column, length = columns[x, r, 0], columns[x, r, 1], columns[x, r, 2]
                        for j in range(length):
                            to = np.uintp(((i * out_height + row) * out_width + column + j) * channels)
                            of = np.uintp((dy * line + tap + j) * channels)
                            for c in range(np.uintp(channels)):
                                u[to + c] += maps[at + c] * w[of + c]
                met[0, i] += events * taps[y, x]
                met[1, i] += np.int64(spikes) * taps[y, x]
    return met


@_compiled
def add_pointwise(source, weight, rows, columns, taps, out):
    """Like `add_depthwise` for a kernel of one tap that meets every pixel once; ``weight`` is [H * W * C]."""
    n, size = len(source), weight.size
    maps, u = source.reshape(-1), out.reshape(-1)
    met = np.zeros((2, n), np.int64)
    for i in range(np.uintp(n)):
        events, spikes = 0, 0.0
        for j in range(np.uintp(size)):
            u[i * np.uintp(size) + j] += maps[i * np.uintp(size) + j] * weight[j]
        for j in range(np.uintp(size)):
            events += maps[i * np.uintp(size) + j] != 0
            spikes += abs(maps[i * np.uintp(size) + j])
        met[0, i], met[1, i] = events, np.int64(spikes)
    return met


@_compiled
def fire(u, current, theta, counts, least, burst, limit):
    """Add ``current`` to the membranes ``u`` [n, size], burst and reset; return int64 [n], how many neurons fired.

    ``current`` [n or 1, size] and ``theta`` [1, size] are per neuron, ``counts`` [n, size] is the result; states
    saturate at -limit and limit - 1.
    """
    n, size = u.shape
    fired = np.zeros(n, np.int64)
    zero, high = u.dtype.type(0), limit - u.dtype.type(1)
    for i in range(n):
        v, constant, threshold, count = u[i], current[min(i, len(current) - 1)], theta[0], counts[i]
        for j in range(size):
            a = v[j] + constant[j]
            k = min(max(np.floor(a / threshold[j]), zero), burst)
            k = k if k >= least else zero
            v[j] = min(max(a - k * threshold[j], -limit), high)
            count[j] = k
        active = 0
        for j in range(size):
            active += count[j] > 0
        fired[i] = active
    return fired


@_compiled
def keep(array, stay):
    """Move those rows of ``array`` [n, size] to the front where ``stay``, bool [n], is true."""
    to = 0
    for i in range(len(stay)):
        if stay[i]:
            if to < i:
                array[to] = array[i]
            to += 1
