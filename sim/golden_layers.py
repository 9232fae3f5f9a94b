"""What both orders of execution of the fast golden model share: exact currents, pools, operation counts.

Why floating point is exact here. Every number is an integer, and every operation is a product, a sum, a comparison
or ``floor(u / theta)``. A float of p mantissa bits holds every integer up to 2**p, so products and sums are exact
while no partial sum passes 2**p; `IntegerNetwork.current_range` bounds every subset of the terms, since padding or
silence makes any term 0, and so every order in which BLAS may add them. If u / theta is no integer it is at least
1/theta from one, that is |u/theta| / |u|, more than the division's rounding error 2**-p |u/theta| while
|u| < 2**p: floor of the rounded quotient is the true floor. One bit is left spare: `exact_dtype` takes float32
below 2**23, float64 below 2**52, and raises above.

Maps are [N, H, W, C] inside, so that a window's channels lie side by side; they are [C, H, W] outside.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gen.errors import AdafireError

__all__ = ["Current", "Pooling", "count_operations", "exact_dtype", "fanout", "magnitude"]


class Current:
    """One synapse as a matrix product: windows [groups, positions, taps] @ weights [groups, taps, outputs]."""

    def __init__(self, network, layer, synapse):
        self.source, self._synapse = synapse.source, synapse
        self._dtype = exact_dtype(layer, magnitude(layer, network.current_range(layer)))
        self._size = network.shapes[layer.name][1:]
        outputs, inputs, height, width = synapse.weight.shape
        weight = synapse.weight.reshape(synapse.groups, -1, inputs, height, width).transpose(0, 3, 4, 2, 1)
        self._weight = weight.reshape(synapse.groups, height * width * inputs, -1).astype(self._dtype)

    def __call__(self, values):
        """Return the current [n, H, W, C] of the source map [n, H, W, C], cut to the layer's map."""
        s, groups = self._synapse, self._synapse.groups
        windows = _windows(values, s.kernel, s.stride, s.padding, s.dilation, self._size)
        n, height, width, *kernel, channels = windows.shape
        windows = windows.reshape(n, height, width, *kernel, groups, channels // groups)
        windows = windows.transpose(5, 0, 1, 2, 3, 4, 6).reshape(groups, n * height * width, -1)
        result = windows.astype(self._dtype, copy=False) @ self._weight
        return result.transpose(1, 0, 2).reshape(n, height, width, -1)


class Pooling:
    """A pool: one pass over the map for each element of the window."""

    def __init__(self, network, layer):
        self.name, self.source, self._layer = layer.name, layer.source, layer
        self._size, self._reduce = network.shapes[layer.name][1:], np.add if layer.kind == "sum" else np.maximum
        self._dtype = exact_dtype(layer, network.value_ranges[layer.name][1])

    def __call__(self, values):
        """Return the pooled map of the source map [n, H, W, C]."""
        layer = self._layer
        windows = _windows(values, layer.kernel, layer.stride, layer.padding, (1, 1), self._size)
        first, *others = (windows[:, :, :, dy, dx] for dy, dx in np.ndindex(layer.kernel))
        result = first.astype(self._dtype)
        for other in others:
            self._reduce(result, other, out=result)
        return result


def _windows(values, kernel, stride, padding, dilation, size):
    """Return [n, *size, *kernel, C], a view of the maps [n, H, W, C]: the window of every output position."""
    if any(padding):
        values = np.pad(values, ((0, 0), *((p, p) for p in padding), (0, 0)))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    windows = sliding_window_view(values, reach, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return windows[:, : size[0], : size[1]].transpose(0, 1, 2, 4, 5, 3)


def fanout(network):
    """Return name of every map that a synapse reads to int64 [H * W], the weights that an event there meets."""
    weights = {}
    for layer in network.layers:
        for synapse in getattr(layer, "synapses", ()):
            size = network.shapes[synapse.source][1:]
            rows, columns = (
                [_reads(synapse, axis, at, network.shapes[layer.name][axis + 1]) for at in range(size[axis])]
                for axis in (0, 1)
            )
            met = np.outer(rows, columns).ravel() * (len(synapse.weight) // synapse.groups)
            weights[synapse.source] = weights.get(synapse.source, 0) + met
    return weights


def count_operations(values, fanout, direct=False):
    """Return int64 [3, n] of the map [n, H, W, C]: its events, the weights they meet, the weights their spikes meet.

    ``fanout`` is that of the map. A value of a ``direct`` input counts once, one of a frame as often as it is large.
    """
    active = np.count_nonzero(values, axis=3).reshape(len(values), -1)
    events, met = active.sum(axis=1), active @ fanout
    if direct:
        return np.stack([events, met, met])
    spikes = np.abs(values).sum(axis=3, dtype=np.float64).reshape(len(values), -1)
    return np.stack([events, met, (spikes @ fanout).astype(np.int64)])


def _reads(synapse, axis, position, outputs):
    """Return how many of ``outputs`` positions along an axis read the source's ``position``."""
    stride, padding, dilation = (pair[axis] for pair in (synapse.stride, synapse.padding, synapse.dilation))
    offsets = [position + padding - tap * dilation for tap in range(synapse.kernel[axis])]
    return sum(offset % stride == 0 and 0 <= offset // stride < outputs for offset in offsets)


def magnitude(layer, low_high):
    """Return the largest magnitude on the way to a sum in that range, with or without the bias."""
    low, high = low_high
    return int(max(-low.min(), high.max()) + np.abs(layer.bias).max())


def exact_dtype(layer, bound):
    """Return the narrowest float type that is exact for integers of magnitude up to ``bound``."""
    for dtype, bits in ((np.float32, 23), (np.float64, 52)):
        if bound < 2**bits:
            return dtype
    raise AdafireError(
        f"Layer {layer.name!r} holds integers up to {bound}, the golden model is exact below 2**52: "
        "quantize the layer to smaller thresholds, weights or states."
    )
