"""The fast golden model of a separated network: layer by layer, all T timesteps of one before the next.

Doubling and comparing are as exact in floating point as sums are; `IntegerNetwork.membrane_range` bounds what a
membrane holds before it saturates.
"""

import numpy as np

from gen.intnet import INPUT, Pool, Spiking
from sim.golden_layers import Current, Pooling, count_operations, exact_dtype, fanout, magnitude

__all__ = ["Separated", "SeparatedBatch"]


class Separated:
    """A separated network, made ready to execute."""

    def __init__(self, network):
        self.network, self.fanout = network, fanout(network)
        self.layers = [(Pooling if isinstance(layer, Pool) else _Neurons)(network, layer) for layer in network.layers]
        last = {name: readers[-1].name for name, readers in network.readers.items() if readers}
        self.finished = {layer.name: [name for name in last if last[name] == layer.name] for layer in network.layers}


class SeparatedBatch:
    """A batch of n images, executed. With ``record`` it keeps every map and state, else what is still to be read.

    maps : name of every map to its values at t = 1..T, each float [n, H, W, C], or None for a silent input
    states : name of every spiking layer to its states in the order of `sim.golden_plain.Trace`, each [n, H, W, C]
    logits : int64 [updates, n, classes]
    events, ops, spike_ops : int64 [n]
    """

    def __init__(self, separated, values, record=False):
        network = separated.network
        self.maps = {INPUT: [None] * (network.timesteps - 1) + [np.moveaxis(values, -3, -1).astype(np.float32)]}
        self.states, self.rows = {}, np.arange(len(values))
        self.events, self.ops, self.spike_ops = np.zeros((3, len(values)), np.int64)
        self._count(separated, INPUT)
        for layer in separated.layers:
            name = layer.name
            if isinstance(layer, Pooling):
                self.maps[name] = [layer(spikes) for spikes in self.maps[layer.source]]
            elif layer.fires:
                self.states[name] = [] if record else None
                self.maps[name] = layer.spikes(self.maps, len(values), self.states[name])
            else:
                updates = layer.accumulate(self.maps, len(values))
                self.logits = np.stack([z[:, 0, 0].astype(np.int64) for _, z in updates])
                break
            self._count(separated, name)
            if not record:
                for done in separated.finished[name]:
                    del self.maps[done]

    @property
    def z(self):
        """The logits at t = T, int64 [n, classes]."""
        return self.logits[-1]

    def _count(self, separated, name):
        """Count the events of a map, and the weights that they meet."""
        for values in self.maps[name]:
            if name in separated.fanout and values is not None:
                events, ops, spike_ops = count_operations(values, separated.fanout[name], name == INPUT)
                self.ops += ops
                self.spike_ops += spike_ops
                if name != INPUT:
                    self.events += events


class _Neurons:
    """A layer of inverse-leaky neurons, or the readout."""

    def __init__(self, network, layer):
        self.name, self.fires, self._steps = layer.name, isinstance(layer, Spiking), network.timesteps
        channels, *self._size = network.shapes[layer.name]
        bound = magnitude(layer, network.membrane_range(layer))
        if self.fires:
            top = layer.theta << self._steps - 1
            self._dtype = exact_dtype(layer, max(bound, top.max()))
            self._top, self._limit = top.astype(self._dtype), 2 ** (layer.state_bits - 1)
        else:
            self._dtype = exact_dtype(layer, bound)
        self._bias = layer.bias.astype(self._dtype)
        self._currents = [Current(network, layer, synapse) for synapse in layer.synapses]

    def accumulate(self, maps, n):
        """Yield t and u(t), or z(t), of ``n`` images as [n, H, W, C]; t = T alone where all it reads is silent before.

        The array is the state: what the reader leaves in it is doubled for the next timestep.
        """
        u = np.zeros((n, *self._size, len(self._bias)), self._dtype)
        for t in range(1, self._steps + 1):
            u *= 2
            sources = [(current, maps[current.source][t - 1]) for current in self._currents]
            for current, values in sources:
                if values is not None:
                    u += current(values)
            if t == self._steps:
                u += self._bias
            if t == self._steps or any(values is not None for _, values in sources):
                yield t, u

    def spikes(self, maps, n, states=None):
        """Return the spikes of t = 1..T, each [n, H, W, C]; append every state to the list ``states``."""
        def write_back(v):
            np.clip(v, -self._limit, self._limit - 1, out=v)
            if states is not None:
                states.append(v.copy())

        for t, u in self.accumulate(maps, n):
            if t < self._steps:
                write_back(u)
        spikes = []
        for t in range(1, self._steps + 1):
            if t > 1:
                u *= 2
            spikes.append((u >= self._top).astype(np.float32))
            u -= spikes[-1] * self._top
            write_back(u)
        return spikes
