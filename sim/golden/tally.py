"""Counts of events and operations: what the maps hold, times how many weights an event meets there."""

from functools import partial

import numpy as np

from gen.layers import INPUT
from sim.golden.kernels import tally

__all__ = ["Tally", "fanout"]


class Tally:
    """Counts what the maps of a network hold and meet, each map once for all its readers."""

    def __init__(self, network):
        self._fanout = {}
        for name, weights in fanout(network).items():
            channels, most = network.shapes[name][0], max(map(abs, network.value_ranges[name]))
            each = np.repeat(weights, channels)
            self._fanout[name] = each.astype(np.float32 if each.sum() * most < 2**23 else np.float64)

    def calls(self, name, values, met):
        """Return the calls that add the counts of a map [n, H, W, C] to ``met``, int64 [n, 3].

        These are its events, synaptic operations, and `spike_ops`. Nobody counts a map that no synapse reads, nor
        the events of the input, whose values are operands.
        """
        if name not in self._fanout:
            return []
        return [partial(tally, values.reshape(len(values), -1), self._fanout[name], name != INPUT, met)]

    def __call__(self, name, values):
        """Return the counts of a map at once."""
        met = np.zeros((len(values), 3), np.int64)
        for call in self.calls(name, values, met):
            call()
        return met


def fanout(network):
    """Return name of every map that a synapse reads to int64 [H * W], the weights that an event there meets."""
    weights = {}
    for layer in network.layers:
        for synapse in layer.synapses:
            reads = synapse.window.reads(network.shapes[synapse.source][1:], network.shapes[layer.name][1:])
            met = reads.ravel() * (len(synapse.weight) // synapse.groups)
            weights[synapse.source] = weights.get(synapse.source, 0) + met
    return weights
