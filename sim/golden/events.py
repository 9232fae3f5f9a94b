"""Currents event by event: the weights that an event meets are added where their outputs lie."""

import numpy as np

from sim.golden.kernels import add_depthwise, add_events
from sim.golden.products import dense

__all__ = ["Events"]


class Events:
    """A synapse whose current is added event by event."""

    def __init__(self, network, layer, synapse, dtype):
        self.source = synapse.source
        outputs, inputs, *_ = synapse.weight.shape
        _, height, width = network.shapes[synapse.source]
        _, *size = network.shapes[layer.name]
        self._rows = _rows(synapse, height, size[0])
        self._columns, order = _columns(synapse, width, size[1])
        if inputs == 1 and outputs == synapse.groups:
            self._add, weight = add_depthwise, synapse.weight[:, 0][..., order].transpose(1, 2, 0)
        else:
            self._add, weight = add_events, dense(synapse)[..., order].transpose(1, 2, 3, 0)
            weight = weight.reshape(*weight.shape[:2], -1)
        self._weight = np.ascontiguousarray(weight, dtype)

    def add(self, values, out):
        """Add the current of the source map [n, H, W, C] to ``out`` [n, H', W', O]."""
        self._add(values, self._weight, self._rows, self._columns, out)


def _rows(synapse, height, outputs):
    """Return the table ``rows`` of `sim.golden.kernels.add_events`."""
    stride, padding, dilation = (pair[0] for pair in (synapse.stride, synapse.padding, synapse.dilation))
    offset = np.arange(height)[:, None] + padding - np.arange(synapse.kernel[0]) * dilation
    return np.where((offset % stride == 0) & (offset >= 0) & (offset < outputs * stride), offset // stride, -1)


def _columns(synapse, width, outputs):
    """Return its table ``columns``, and the order of a kernel row's taps in the weights.

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
