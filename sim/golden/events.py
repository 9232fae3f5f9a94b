"""Currents event by event: the weights that an event meets are added where their outputs lie."""

import numpy as np

from sim.golden.kernels import add_depthwise, add_events
from sim.golden.places import met_columns, met_rows
from sim.golden.products import dense

__all__ = ["Events"]


class Events:
    """A synapse whose current is added event by event."""

    def __init__(self, network, layer, synapse, dtype):
        self.source, window = synapse.source, synapse.window
        outputs, inputs, *_ = synapse.weight.shape
        size, result = network.shapes[synapse.source][1:], network.shapes[layer.name][1:]
        rows, columns = (window.places(axis, size[axis], result[axis]) for axis in (0, 1))
        self._rows = met_rows(rows, size[0])
        self._columns, order = met_columns(window, columns, size[1])
        if inputs == 1 and outputs == synapse.groups:
            self._add, weight = add_depthwise, synapse.weight[:, 0][..., order].transpose(1, 2, 0)
        else:
            self._add, weight = add_events, dense(synapse)[..., order].transpose(1, 2, 3, 0)
            weight = weight.reshape(*weight.shape[:2], -1)
        self._weight = np.ascontiguousarray(weight, dtype)

    def add(self, values, out):
        """Add the current of the source map [n, H, W, C] to ``out`` [n, H', W', O]."""
        self._add(values, self._weight, self._rows, self._columns, out)
