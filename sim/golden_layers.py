"""What both orders of execution of the fast golden model share: exact currents and pools.

Why floating point is exact here. Every number is an integer, and every operation is a product, a sum, a comparison
or ``floor(u / theta)``. A float of p mantissa bits holds every integer up to 2**p, so products and sums are exact
while no partial sum passes 2**p; `IntegerNetwork.current_range` bounds every subset of the terms, since padding or
silence makes any term 0, and so every order of adding them. If u / theta is no integer it is at least
1/theta from one, that is |u/theta| / |u|, more than the division's rounding error 2**-p |u/theta| while
|u| < 2**p: floor of the rounded quotient is the true floor. One bit is left spare: `exact_dtype` takes float32
below 2**23, float64 below 2**52, and raises above.

Maps are [N, H, W, C] inside, so that a window's channels lie side by side; they are [C, H, W] outside.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gen.errors import AdafireError
from gen.intnet import Pool
from sim.golden_kernels import add_depthwise, add_events, add_pointwise

__all__ = ["Current", "Pooling", "exact_dtype", "fanout", "is_read", "magnitude"]


class Current:
    """One synapse: what the events of its source add to a layer."""

    def __init__(self, network, layer, synapse, dtype):
        self.source = synapse.source
        outputs, inputs, *_ = synapse.weight.shape
        _, height, width = network.shapes[synapse.source]
        _, *size = network.shapes[layer.name]
        self._rows = _rows(synapse, height, size[0])
        self._columns, order = _columns(synapse, width, size[1])
        self._taps = np.outer((self._rows >= 0).sum(1), self._columns[..., 2].sum(1))
        weight = synapse.weight[..., order]
        if inputs == 1 and outputs == synapse.groups:
            self._add, self._fanout = add_depthwise, 1
            weight = weight[:, 0].transpose(1, 2, 0)
            if synapse.kernel == (1, 1) and self._taps.shape == tuple(size) and self._taps.all():
                self._add, weight = add_pointwise, np.tile(weight.ravel(), self._taps.size)
        else:
            self._add, self._fanout = add_events, outputs // synapse.groups
            weight = _dense(weight, synapse.groups).transpose(1, 2, 3, 0)
            weight = weight.reshape(*weight.shape[:2], -1)
        self._weight = np.ascontiguousarray(weight, dtype)

    def __call__(self, values, out):
        """Add the current of the source map [n, H, W, C] to ``out`` [n, H', W', O].

        Returns int64 [2, n], the synaptic operations and those with every spike of a burst counted.
        """
        return self._add(values, self._weight, self._rows, self._columns, self._taps, out) * self._fanout


def _dense(weight, groups):
    """Return the weights of a grouped convolution as [out, in, ...] of an ordinary one, zero between groups."""
    outputs, inputs, *kernel = weight.shape
    dense = np.zeros((groups, outputs // groups, groups, inputs, *kernel), weight.dtype)
    index = np.arange(groups)
    dense[index, :, index] = weight.reshape(groups, -1, inputs, *kernel)
    return dense.reshape(outputs, groups * inputs, *kernel)


def _rows(synapse, height, outputs):
    """Return `sim.golden_kernels`' table of rows."""
    stride, padding, dilation = (pair[0] for pair in (synapse.stride, synapse.padding, synapse.dilation))
    offset = np.arange(height)[:, None] + padding - np.arange(synapse.kernel[0]) * dilation
    return np.where((offset % stride == 0) & (offset >= 0) & (offset < outputs * stride), offset // stride, -1)


def _columns(synapse, width, outputs):
    """Return `sim.golden_kernels`' table of columns, and the order of a kernel row's taps in the weights.

    Taps ``stride`` apart meet neighbouring columns, the later tap the earlier column; dilated ones go one by one.
    """
    stride, padding, dilation = (pair[1] for pair in (synapse.stride, synapse.padding, synapse.dilation))
    taps = synapse.kernel[1]
    if dilation == 1:
        chains = [list(range(taps))[phase::stride][::-1] for phase in range(min(stride, taps))]
    else:
        chains = [[tap] for tap in range(taps)]
    order = [tap for chain in chains for tap in chain]
    table = np.zeros((width, len(chains), 3), np.int64)
    for x in range(width):
        for number, chain in enumerate(chains):
            offsets = {tap: x + padding - tap * dilation for tap in chain}
            meets = [tap for tap in chain if offsets[tap] % stride == 0 and 0 <= offsets[tap] // stride < outputs]
            if meets:
                table[x, number] = order.index(meets[0]), offsets[meets[0]] // stride, len(meets)
    return table, order


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


def _reads(synapse, axis, position, outputs):
    """Return how many of ``outputs`` positions along an axis read the source's ``position``."""
    stride, padding, dilation = (pair[axis] for pair in (synapse.stride, synapse.padding, synapse.dilation))
    offsets = [position + padding - tap * dilation for tap in range(synapse.kernel[axis])]
    return sum(offset % stride == 0 and 0 <= offset // stride < outputs for offset in offsets)


def is_read(network, layer):
    """Return whether a synapse reads the layer's map, so that its events count."""
    return any(not isinstance(reader, Pool) for reader in network.readers[layer.name])


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
