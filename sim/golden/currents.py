"""What the synapses of a layer add up to: products of matrices where these are exact, else event by event."""

import math
from functools import partial

import numpy as np

from sim.golden.events import Events
from sim.golden.products import Product, multiplies

__all__ = ["Currents", "Scratch"]


class Currents:
    """Some synapses of a layer: what the maps that they read add to it."""

    def __init__(self, network, layer, synapses, dtype):
        self.sources = {synapse.source for synapse in synapses}
        channels, *size = network.shapes[layer.name]
        products = [synapse for synapse in synapses if multiplies(network, layer, synapse)]
        self._product = Product(network, layer, products) if products else None
        self._events = [Events(network, layer, s, dtype) for s in synapses if not multiplies(network, layer, s)]
        self._shape, self._dtype = (*size, channels), dtype if self._events else np.int32

    def calls(self, maps, n, scratch):
        """Return the current, [n, H', W', O], and the calls that compute it of ``maps``, name to [n, H, W, C]."""
        out = scratch("current", (n, *self._shape), self._dtype)
        if not self._events:
            return out, self._product.calls(maps, out, scratch) if self._product else [partial(out.fill, 0)]
        if self._product:
            sums = scratch("sums", out.shape, np.int32)
            calls = [*self._product.calls(maps, sums, scratch), partial(np.copyto, out, sums)]
        else:
            calls = [partial(out.fill, 0)]
        return out, calls + [partial(events.add, maps[events.source], out) for events in self._events]

    def __call__(self, maps, n, scratch):
        """Return the current of ``maps`` at once."""
        out, calls = self.calls(maps, n, scratch)
        for call in calls:
            call()
        return out


class Scratch:
    """Arrays by purpose: what was asked for one purpose before is overwritten."""

    def __init__(self):
        self._rooms = {}

    def __call__(self, purpose, shape, dtype):
        """Return an array of that shape and type, its values undefined."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if purpose not in self._rooms or len(self._rooms[purpose]) < size:
            self._rooms[purpose] = np.empty(size, np.uint8)
        return self._rooms[purpose][:size].view(dtype).reshape(shape)
