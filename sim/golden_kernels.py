"""The inner loops of the fast golden model, compiled by numba: additions driven by events, and burst with soft reset.

Everything is an integer held in floating point; `sim.golden_layers` says why that is exact, and so in any order and
with or without fused multiply-add. Maps are [n, H, W, C], contiguous.

Where a kernel's taps land is in two tables. ``rows``, int64 [H, kernel height], is the row of the result that a kernel
row of a source row meets, or -1. ``columns``, int64 [W, runs, 3], lists runs of taps that meet columns side by side:
first tap in the order of the weights, first column, length. A run is one loop over ``length * outputs`` numbers.
"""

import numpy as np
from numba import njit

__all__ = ["add_depthwise", "add_events", "fire"]

_compiled = njit(cache=True, nogil=True, fastmath={"contract", "nnan", "nsz"})


@_compiled
def add_events(source, weight, rows, columns, out):
    """Add the current of ``source`` [n, H, W, C] to ``out`` [n, H', W', O].

    ``weight`` is [C, kernel height, taps of a row * O]. Returns int64 [2, n]: the taps that events met, and the same
    with an event of k spikes (or value -k) counted k times.
    """
    n, height, width, channels = source.shape
    outputs = out.shape[3]
    flat = out.reshape(n, out.shape[1], out.shape[2] * outputs)
    met = np.zeros((2, n), np.int64)
    channel, count = np.zeros(channels + 3, np.int64), np.zeros(channels + 3, weight.dtype)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                events, spikes, taps = 0, 0, 0
                for c in range(channels):
                    channel[events], count[events] = c, source[i, y, x, c]
                    events += source[i, y, x, c] != 0
                if events == 0:
                    continue
                for e in range(events):
                    spikes += np.int64(abs(count[e]))
                for e in range(events, events + 3):  # the last four are filled up with events of count 0
                    channel[e], count[e] = 0, 0
                for dy in range(rows.shape[1]):
                    row = rows[y, dy]
                    if row < 0:
                        continue
                    for r in range(columns.shape[1]):
                        tap, column, length = columns[x, r]
                        taps += length
                        u = flat[i, row, column * outputs : (column + length) * outputs]
                        first, last = tap * outputs, (tap + length) * outputs
                        for e in range(0, events, 4):
                            k0, k1, k2, k3 = count[e], count[e + 1], count[e + 2], count[e + 3]
                            w0, w1 = weight[channel[e], dy, first:last], weight[channel[e + 1], dy, first:last]
                            w2, w3 = weight[channel[e + 2], dy, first:last], weight[channel[e + 3], dy, first:last]
                            for o in range(length * outputs):
                                u[o] += k0 * w0[o] + k1 * w1[o] + (k2 * w2[o] + k3 * w3[o])
                met[0, i] += events * taps
                met[1, i] += spikes * taps
    return met


@_compiled
def add_depthwise(source, weight, rows, columns, out):
    """Like `add_events` where channel c of the result reads channel c alone; ``weight`` is [kernel height, taps, C]."""
    n, height, width, channels = source.shape
    met = np.zeros((2, n), np.int64)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                values = source[i, y, x]
                events, spikes, taps = 0, 0, 0
                for c in range(channels):
                    events += values[c] != 0
                    spikes += np.int64(abs(values[c]))
                if events == 0:
                    continue
                for dy in range(rows.shape[1]):
                    if rows[y, dy] >= 0:
                        for r in range(columns.shape[1]):
                            tap, column, length = columns[x, r]
                            taps += length
                            for j in range(length):
                                u, w = out[i, rows[y, dy], column + j], weight[dy, tap + j]
                                for c in range(channels):
                                    u[c] += values[c] * w[c]
                met[0, i] += events * taps
                met[1, i] += spikes * taps
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
