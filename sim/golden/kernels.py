"""The inner loops of the fast golden model, compiled by numba.

Integers are held in floating point where they are multiplied or divided; `sim.golden.exact` says why that is exact,
and so in any order and with or without fused multiply-add. Maps are [n, H, W, C], contiguous.

Arrays are flat inside and their indexes unsigned: a slice costs numba a counted reference, a signed index a fold.
"""

import numpy as np
from numba import njit

__all__ = ["add_depthwise", "add_events", "copy_windows", "encode", "fire", "fire_signed", "keep", "pool", "tally"]

# With numpy's error model a division raises nothing, and so vectorizes.
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz", "reassoc"})


@_compiled
def copy_windows(source, rows, blocks, columns, line, at, begin, fill, out):
    """Copy the windows of output rows, from row ``begin`` of n * H', to ``out`` [positions, K], from column ``at`` on.

    ``source`` is [n, H, W, C]. ``rows``, int64 [H', kernel height], is the row of the map that a kernel row reads, or
    -1. The ``blocks`` of a kernel row, of ``line`` numbers, are those of `sim.golden.places.read_blocks` for all
    ``columns`` of the result. Where there is no map ``out`` gets ``fill``.
    """
    _, height, width, channels = source.shape
    length = out.shape[1]
    maps, windows = source.reshape(-1), out.reshape(-1)
    for r in range(len(out) // columns):
        i, y = (begin + r) // len(rows), (begin + r) % len(rows)
        for dy in range(rows.shape[1]):
            row = rows[y, dy]
            for b in range(len(blocks)):
                to = np.uintp((r * columns + blocks[b, 0]) * length + at + dy * line + blocks[b, 2])
                count, size = blocks[b, 1], np.uintp(blocks[b, 4])
                if row < 0 or blocks[b, 3] < 0:
                    for _ in range(count):
                        for j in range(size):
                            windows[to + j] = fill
                        to += np.uintp(length)
                else:
                    of = np.uintp((i * height + row) * width * channels + blocks[b, 3])
                    for _ in range(count):
                        for j in range(size):
                            windows[to + j] = maps[of + j]
                        to += np.uintp(length)
                        of += np.uintp(blocks[b, 5])


@_compiled
def encode(source, shift, zero, out):
    """Split the counts of ``source`` [positions, C] into the 2**shift bytes of each in ``out`` [positions, parts * C].

    Part i is ``(k + i) >> shift``: together they are k. ``zero`` is added to each, so that none is negative.
    """
    positions, channels = source.shape
    for p in range(positions):
        for i in range(1 << shift):
            for c in range(channels):
                out[p, i * channels + c] = ((np.int32(source[p, c]) + i) >> shift) + zero


@_compiled
def pool(source, rows, columns, maximum, out):
    """Reduce the windows of ``source`` [n, H, W, C] to ``out`` [n, H', W', C]: their maximum or their sum.

    ``rows``, int64 [H', kernel height], and ``columns``, int64 [W', kernel width], are what a tap reads, or -1.
    """
    n, height, width, channels = source.shape
    _, out_height, out_width, _ = out.shape
    exact = out.dtype.type
    maps, result = source.reshape(-1), out.reshape(-1)
    for i in range(n):
        for y in range(out_height):
            for x in range(out_width):
                to, first = np.uintp(((i * out_height + y) * out_width + x) * channels), True
                for dy in range(rows.shape[1]):
                    for dx in range(columns.shape[1]):
                        row, column = rows[y, dy], columns[x, dx]
                        if row < 0 or column < 0:
                            continue
                        of = np.uintp(((i * height + row) * width + column) * channels)
                        if first:
                            for c in range(np.uintp(channels)):
                                result[to + c] = exact(maps[of + c])
                        elif maximum:
                            for c in range(np.uintp(channels)):
                                result[to + c] = max(result[to + c], exact(maps[of + c]))
                        else:
                            for c in range(np.uintp(channels)):
                                result[to + c] += exact(maps[of + c])
                        first = False
                if first:
                    for c in range(np.uintp(channels)):
                        result[to + c] = exact(0)


@_compiled
def add_events(source, weight, rows, columns, out):
    """Add the current of ``source`` [n, H, W, C] to ``out`` [n, H', W', O].

    ``weight`` is [C, kernel height, taps of a row * O]. Where its taps land is in two tables. Entries ``starts[y]`` to
    ``starts[y + 1]`` of ``rows`` = (starts, entries) list what source row y meets: kernel row and row of the result.
    Those of ``columns`` list runs of taps that meet columns side by side: first tap in the order of the weights, first
    column, length. A run is one loop over ``length * O`` numbers.
    """
    n, height, width, channels = source.shape
    _, out_height, out_width, outputs = out.shape
    _, kernel, line = weight.shape
    (row_starts, row_entries), (column_starts, runs) = rows, columns
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
                for entry in range(row_starts[y], row_starts[y + 1]):
                    dy, row = row_entries[entry, 0], row_entries[entry, 1]
                    for r in range(column_starts[x], column_starts[x + 1]):
                        tap, column, length = runs[r, 0], runs[r, 1], runs[r, 2]
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
    (row_starts, row_entries), (column_starts, runs) = rows, columns
    maps, w, u = source.reshape(-1), weight.reshape(-1), out.reshape(-1)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                at = np.uintp(((i * height + y) * width + x) * channels)
                for entry in range(row_starts[y], row_starts[y + 1]):
                    dy, row = row_entries[entry, 0], row_entries[entry, 1]
                    for r in range(column_starts[x], column_starts[x + 1]):
                        tap, column, length = runs[r, 0], runs[r, 1], runs[r, 2]
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
def fire_signed(states, current, constant, theta, theta_low, counts, least, burst, burst_low, limit):
    """Like `fire` for neurons with two thresholds: the sign of the membrane chooses, its magnitude is rounded."""
    n, size = states.shape
    exact = theta.dtype.type
    zero, high = exact(0), limit - exact(1)
    for i in range(n):
        v, added, always, count = states[i], current[i], constant[min(i, len(constant) - 1)], counts[i]
        for j in range(size):
            a = exact(v[j]) + exact(added[j]) + always[j]
            step = theta[j] if a >= zero else theta_low[j]
            k = np.floor((abs(a) + np.floor(step * exact(0.5))) / step)
            k = min(k, burst if a >= zero else burst_low)
            k = k if k >= least else zero
            k = k if a >= zero else -k
            v[j] = min(max(a - k * step, -limit), high)
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
