"""The fast golden model of a separated network: layer by layer, all T timesteps of one before the next.

Doubling and comparing are as exact in floating point as sums are; `IntegerNetwork.membrane_range` bounds what a
membrane holds before it saturates.
"""

import numpy as np

from gen.intnet import INPUT, Pool, Spiking
from sim.golden_layers import Current, Pooling, exact_dtype, is_read, magnitude

__all__ = ["Separated", "SeparatedBatch"]


class Separated:
    """A separated network, made ready to execute."""

    def __init__(self, network):
        self.network = network
        self.read = {layer.name for layer in network.layers if is_read(network, layer)}
        self.layers = [(Pooling if isinstance(layer, Pool) else _Neurons)(network, layer) for layer in network.layers]
        last = {name: readers[-1].name for name, readers in network.readers.items() if readers}
        self.finished = {layer.name: [name for name in last if last[name] == layer.name] for layer in network.layers}


class SeparatedBatch:
    """A batch of n images, executed. With ``record`` it keeps every map and state, else what is still to be read.

    maps : name of every map to its values at t = 1..T, each float [n, H, W, C], or None for a silent input
    states : name of every spiking layer to its states in the order of `sim.golden_plain.Trace`, each [n, H, W, C]
    logits : int64 [updates, n, classes]
    events : int64 [n]; ops : int64 [2, n], synaptic operations and `spike_ops`
    """

    def __init__(self, separated, values, record=False):
        network = separated.network
        self.maps = {INPUT: [None] * (network.timesteps - 1) + [_contiguous(values)]}
        self.states, self.rows = {}, np.arange(len(values))
        self.events, self.ops = np.zeros(len(values), np.int64), np.zeros((2, len(values)), np.int64)
        for layer in separated.layers:
            name = layer.name
            if isinstance(layer, Pooling):
                self.maps[name] = [layer(spikes) for spikes in self.maps[layer.source]]
            elif layer.fires:
                self.states[name] = [] if record else None
                self.maps[name] = layer.spikes(self, self.states[name])
            else:
                updates = layer.accumulate(self)
                self.logits = np.stack([z[:, 0, 0].astype(np.int64) for _, z in updates])
                break
            if name in separated.read:
                self.events += sum(np.count_nonzero(_rowwise(spikes), axis=1) for spikes in self.maps[name])
            if not record:
                for done in separated.finished[name]:
                    del self.maps[done]

    @property
    def z(self):
        """The logits at t = T, int64 [n, classes]."""
        return self.logits[-1]


def _contiguous(values):
    return np.ascontiguousarray(np.moveaxis(values, -3, -1), np.float32)


def _rowwise(maps):
    return maps.reshape(len(maps), -1)


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
        self._currents = [Current(network, layer, synapse, self._dtype) for synapse in layer.synapses]

    def accumulate(self, batch):
        """Yield t and u(t), or z(t), [n, H, W, C], of the batch; t = T alone where all it reads is silent before.

        The array is the state: what the reader leaves in it is doubled for the next timestep.
        """
        n = len(batch.rows)
        u = np.zeros((n, *self._size, len(self._bias)), self._dtype)
        for t in range(1, self._steps + 1):
            u *= 2
            sources = [(current, batch.maps[current.source][t - 1]) for current in self._currents]
            for current, values in sources:
                if values is not None:
                    ops = current(values, u)
                    batch.ops += ops[0] if current.source == INPUT else ops
            if t == self._steps:
                u += self._bias
            if t == self._steps or any(values is not None for _, values in sources):
                yield t, u

    def spikes(self, batch, states=None):
        """Return the spikes of t = 1..T, each [n, H, W, C]; append every state to the list ``states``."""
        def write_back(v):
            np.clip(v, -self._limit, self._limit - 1, out=v)
            if states is not None:
                states.append(v.copy())

        for t, u in self.accumulate(batch):
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
