"""The inner loops of the fast golden model, compiled by numba.

Integers are held in floating point where they are multiplied or divided; `sim.golden.exact` says why that is exact,
and so in any order and with or without fused multiply-add. Maps are [n, H, W, C], contiguous.

Arrays are flat inside and their indexes unsigned: a slice costs numba a counted reference, a signed index a fold.
"""

import numpy as np
from numba import njit

__all__ = ["add_depthwise", "add_events", "copy_windows", "fire", "keep", "tally"]

# With numpy's error model a division raises nothing, and so vectorizes.
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz", "reassoc"})


@_compiled
def copy_windows(source, size, kernel, stride, padding, dilation, at, out):
    """Copy the window of every output position into a row of ``out`` [n * H' * W', K], from column ``at`` on.

    ``source`` is [n, H, W, C], ``size`` (H', W'); a window is laid out as kernel row, kernel column, channel.
    """
    n, height, width, channels = source.shape
    wide, length = width + 2 * padding[1], out.shape[1]
    padded = np.zeros((height + 2 * padding[0]) * wide * channels, source.dtype)
    maps, windows = source.reshape(-1), out.reshape(-1)
    runs, run = (1, kernel[1] * channels) if dilation[1] == 1 else (kernel[1], channels)  # what lies side by side
    for i in range(n):
        for y in range(height):
            to = np.uintp(((y + padding[0]) * wide + padding[1]) * channels)
            of = np.uintp((i * height + y) * width * channels)
            for j in range(np.uintp(width * channels)):
                padded[to + j] = maps[of + j]
        for y in range(size[0]):
            for dy in range(kernel[0]):
                for r in range(runs):
                    to = np.uintp((i * size[0] + y) * size[1] * length + at + (dy * runs + r) * run)
                    of = np.uintp(((y * stride[0] + dy * dilation[0]) * wide + r * dilation[1]) * channels)
                    for _ in range(size[1]):
                        for j in range(np.uintp(run)):
                            windows[to + j] = padded[of + j]
                        to += np.uintp(length)
                        of += np.uintp(stride[1] * channels)


@_compiled
def add_events(source, weight, rows, columns, out):
    """Add the current of ``source`` [n, H, W, C] to ``out`` [n, H', W', O].

    ``weight`` is [C, kernel height, taps of a row * O]. Where its taps land is in two tables. ``rows``, int64
    [H, kernel height], is the row of the result that a kernel row of a source row meets, or -1. ``columns``, int64
    [W, runs, 3], lists runs of taps that meet columns side by side: first tap in the order of the weights, first
    column, length. A run is one loop over ``length * O`` numbers.
    """
    n, height, width, channels = source.shape
    _, out_height, out_width, outputs = out.shape
    _, kernel, line = weight.shape
    maps, w, u = source.reshape(-1), weight.reshape(-1), out.reshape(-1)
    first, count = np.zeros(channels + 3, np.uintp), np.zeros(channels + 3, weight.dtype)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                events = 0
                at = np.uintp(((i * height + y) * width + x) * channels)
                for c in range(np.uintp(channels)):
                    first[events], count[events] = c * np.uintp(kernel * line), maps[at + c]
                    events += maps[at + c] != 0
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


@_compiled
def add_depthwise(source, weight, rows, columns, out):
    """Like `add_events` where channel c of the result reads channel c alone; ``weight`` is [kernel height, taps, C]."""
    n, height, width, channels = source.shape
    _, out_height, out_width, _ = out.shape
    kernel, line, _ = weight.shape
    maps, w, u = source.reshape(-1), weight.reshape(-1), out.reshape(-1)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                at = np.uintp(((i * height + y) * width + x) * channels)
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


@_compiled
def fire(states, current, constant, theta, counts, least, burst, limit):
    """Add the currents to the ``states`` [n, size], burst and reset; the ``counts`` [n, size] are the result.

    ``current`` is [n, size], ``constant`` [n or 1, size]; ``theta``, [size], has the type that is exact for all.
    States saturate at -limit and limit - 1.
    """
    n, size = states.shape
    exact = theta.dtype.type
    zero, high = exact(0), limit - exact(1)
    for i in range(n):
        v, added, always, count = states[i], current[i], constant[min(i, len(constant) - 1)], counts[i]
        for j in range(size):
            a = exact(v[j]) + exact(added[j]) + always[j]
            k = min(max(np.floor(a / theta[j]), zero), burst)
            k = k if k >= least else zero
            v[j] = min(max(a - k * theta[j], -limit), high)
            count[j] = k


@_compiled
def tally(maps, fanout, spikes, met):
    """Add to ``met`` [n, 3] the events of the ``maps`` [n, size], the weights that these meet, and those times counts.

    ``fanout``, [size], is how many weights an event meets there, in a float type that holds every sum; without
    ``spikes``, a bool, no value is an event.
    """
    exact = fanout.dtype.type
    for i in range(len(maps)):
        counts, events, operations, graded = maps[i], exact(0), exact(0), exact(0)
        for j in range(maps.shape[1]):
            count = exact(counts[j])
            events += exact(1) if count else exact(0)
            operations += fanout[j] if count else exact(0)
            graded += abs(count) * fanout[j]
        met[i, 0] += np.int64(events) * spikes
        met[i, 1] += np.int64(operations)
        met[i, 2] += np.int64(graded)


@_compiled
def keep(array, stay):
    """Move those rows of ``array`` [n, size] to the front where ``stay``, bool [n], is true."""
    to = 0
    for i in range(len(stay)):
        if stay[i]:
            if to < i:
                array[to] = array[i]
            to += 1
