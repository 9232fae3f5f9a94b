"""Pools: one pass over the map for each element of the window."""

from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sim.golden.exact import map_dtype

__all__ = ["Pooling"]


class Pooling:
    """A pool layer, made ready to execute."""

    def __init__(self, network, layer):
        self.name, self.source, self._layer = layer.name, layer.source, layer
        channels, *size = network.shapes[layer.name]
        self._shape, self._dtype = (*size, channels), map_dtype(network, layer.name)
        self._reduce = np.add if layer.kind == "sum" else np.maximum

    def array(self, n):
        """Return an array for the pooled map of ``n`` images, [n, H', W', C]."""
        return np.empty((n, *self._shape), self._dtype)

    def calls(self, values, out):
        """Return the calls that compute the pooled map ``out`` of the map ``values`` [n, H, W, C]."""
        layer, calls = self._layer, []
        if any(layer.padding):
            room = np.pad(np.zeros_like(values), ((0, 0), *((p, p) for p in layer.padding), (0, 0)))
            inside = room[:, layer.padding[0] :, layer.padding[1] :][:, : values.shape[1], : values.shape[2]]
            calls, values = [partial(np.copyto, inside, values)], room
        windows = _windows(values, layer.kernel, layer.stride, self._shape[:2])
        first, *others = (windows[:, :, :, dy, dx] for dy, dx in np.ndindex(layer.kernel))
        calls.append(partial(np.copyto, out, first))
        return calls + [partial(self._reduce, out, other, out=out) for other in others]

    def __call__(self, values):
        """Return the pooled map of ``values`` at once."""
        out = self.array(len(values))
        for call in self.calls(values, out):
            call()
        return out


def _windows(values, kernel, stride, size):
    """Return [n, *size, *kernel, C], a view of the maps [n, H, W, C]: the window of every output position."""
    windows = sliding_window_view(values, kernel, axis=(1, 2))[:, :: stride[0], :: stride[1]]
    return windows[:, : size[0], : size[1]].transpose(0, 1, 2, 4, 5, 3)
