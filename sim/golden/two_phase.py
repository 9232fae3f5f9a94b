"""The fast golden model of a two-phase network: layer by layer, all T timesteps of one before the next.

Doubling and comparing are as exact in floating point as sums are; `IntegerNetwork.membrane_range` bounds what a
membrane holds before it saturates.
"""

import numpy as np

from gen.layers import INPUT
from sim.golden.currents import Currents, Scratch
from sim.golden.exact import channels_last, exact_dtype, magnitude, map_dtype
from sim.golden.pooling import Pooling
from sim.golden.tally import Tally

__all__ = ["TwoPhase", "TwoPhaseBatch"]


class TwoPhase:
    """A two-phase network, made ready to execute."""

    def __init__(self, network):
        self.network, self.tally = network, Tally(network)
        self.layers = [(Pooling if not layer.weighted else _Neurons)(network, layer) for layer in network.layers]
        last = {name: readers[-1].name for name, readers in network.readers.items() if readers}
        self.finished = {layer.name: [name for name in last if last[name] == layer.name] for layer in network.layers}


class TwoPhaseBatch:
    """The images ``values[rows]``, executed. With ``record`` it keeps every map and state, else what is still read.

    t : int64 [n], T for all
    maps : name of every map to its values at t = 1..T, each [n, H, W, C]; the input has one, at t = T
    states : name of every spiking layer to its states in the order of `sim.golden.plain.Trace`, each [n, H, W, C]
    logits : int64 [updates, n, classes]
    counters : int64 [n, 3], events, synaptic operations and `spike_ops`
    """

    def __init__(self, two_phase, values, rows, record=False):
        network = two_phase.network
        self.rows, self.t, self.states = rows, np.full(len(rows), network.timesteps), {}
        pixels = channels_last(values[rows], map_dtype(network, INPUT))
        self.maps = {INPUT: [pixels]}
        self.counters = two_phase.tally(INPUT, pixels)[:, [0, 1, 1]]  # a value of the direct input counts once
        for layer in two_phase.layers:
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
            self.counters += sum(two_phase.tally(name, spikes) for spikes in self.maps[name])
            if not record:
                for done in two_phase.finished[name]:
                    del self.maps[done]

    @property
    def z(self):
        """The logits at t = T, int64 [n, classes]."""
        return self.logits[-1]


class _Neurons:
    """A layer of inverse-leaky neurons, or the readout."""

    def __init__(self, network, layer):
        self.name, self.fires, self._steps = layer.name, layer.fires, network.timesteps
        channels, *self._size = network.shapes[layer.name]
        bound = magnitude(layer, network.membrane_range(layer))
        if self.fires:
            top = layer.theta << self._steps - 1
            self._dtype = exact_dtype(layer.name, max(bound, top.max()))
            self._top, self._limit = top.astype(self._dtype), 2 ** (layer.state_bits - 1)
        else:
            self._dtype = exact_dtype(layer.name, bound)
        self._bias = layer.bias.astype(self._dtype)
        inputs, spikes = ([s for s in layer.synapses if (s.source == INPUT) == kind] for kind in (True, False))
        self._spikes = Currents(network, layer, spikes, self._dtype)
        self._inputs = Currents(network, layer, inputs, self._dtype)

    def accumulate(self, batch):
        """Yield t and u(t), or z(t), [n, H, W, C], of the batch; t = T alone where all it reads is silent before.

        The array is the state: what the reader leaves in it is doubled for the next timestep.
        """
        n, scratch = len(batch.rows), Scratch()
        u = np.zeros((n, *self._size, len(self._bias)), self._dtype)
        for t in range(1, self._steps + 1):
            u *= 2
            if self._spikes.sources:
                u += self._spikes({name: batch.maps[name][t - 1] for name in self._spikes.sources}, n, scratch)
            if t == self._steps:
                u += self._bias
                if self._inputs.sources:
                    u += self._inputs({INPUT: batch.maps[INPUT][0]}, n, scratch)
            if t == self._steps or self._spikes.sources:
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
            spikes.append((u >= self._top).astype(np.uint8))
            u -= spikes[-1] * self._top
            write_back(u)
        return spikes
