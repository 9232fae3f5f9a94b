"""Pools, stepwise and two-phase alike: one timestep's map at a time."""

from functools import partial

import numpy as np

from sim.golden.exact import map_dtype
from sim.golden.kernels import pool

__all__ = ["Pooling"]


class Pooling:
    """A pool layer, made ready to execute."""

    def __init__(self, network, layer):
        self.name, self._source, self._maximum = layer.name, layer.source, layer.kind == "max"
        size, (channels, *result) = network.shapes[layer.source][1:], network.shapes[layer.name]
        self._shape, self._dtype = (*result, channels), map_dtype(network, layer.name)
        self._rows, self._columns = (layer.window.places(axis, size[axis], result[axis]) for axis in (0, 1))

    def rooms(self, size):
        """Return its arrays for ``size`` images: the pooled map, [size, H', W', C]."""
        return {"maps": np.empty((size, *self._shape), self._dtype)}

    def calls(self, rooms, scratch):
        """Return the calls of one timestep of n images."""
        maps = rooms.maps
        return [partial(pool, maps[self._source], self._rows, self._columns, self._maximum, maps[self.name])]

    def execute(self, batch, record):
        """Pool every timestep of a two-phase batch."""
        batch.maps[self.name] = [self.rooms(len(spikes))["maps"] for spikes in batch.maps[self._source]]
        for spikes, out in zip(batch.maps[self._source], batch.maps[self.name]):
            pool(spikes, self._rows, self._columns, self._maximum, out)
