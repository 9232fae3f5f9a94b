"""The fast golden model of a two-phase network: layer by layer, all T timesteps of one before the next.

Doubling and comparing are as exact in floating point as sums are; `IntegerNetwork.membrane_range` bounds what a
membrane holds before it saturates.
"""

from itertools import islice

import numpy as np

from gen.layers import INPUT, POOL, READOUT, SPIKING
from sim.golden.currents import Currents, Scratch
from sim.golden.exact import channels_last, exact_dtype, magnitude, map_dtype
from sim.golden.pooling import Pooling
from sim.golden.tally import Tally

__all__ = ["BY_ROLE", "TwoPhase", "TwoPhaseBatch"]


class TwoPhase:
    """A two-phase network, made ready to execute."""

    def __init__(self, network):
        self.network, self.tally = network, Tally(network)
        self.layers = [BY_ROLE[layer.role](network, layer) for layer in network.layers]
        last = {name: readers[-1].name for name, readers in network.readers.items() if readers}
        self.finished = {layer.name: [name for name in last if last[name] == layer.name] for layer in network.layers}

    def timesteps(self, values, waiting, rule, size):
        """Yield `TwoPhaseBatch`es of up to ``size`` images and bool [n] twice: all images stop, none by a rule."""
        while rows := list(islice(waiting, size)):
            yield TwoPhaseBatch(self, values, np.array(rows)), np.ones(len(rows), bool), np.zeros(len(rows), bool)

    def record(self, values, rule):
        """Return what one image does, like `Stepwise.record`; states are in the order of `sim.golden.plain.Trace`."""
        batch = TwoPhaseBatch(self, values, np.zeros(1, np.int64), record=True)
        del batch.maps[INPUT]
        kinds = [
            {name: np.stack(steps)[:, 0].transpose(0, 3, 1, 2).astype(np.int64) for name, steps in kind.items()}
            for kind in (batch.maps, batch.states)
        ]
        outputs = {name: updates[:, 0] for name, updates in batch.updates.items()}
        return [*kinds, outputs], batch.counters[0], False


class TwoPhaseBatch:
    """The images ``values[rows]``, executed. With ``record`` it keeps every map and state, else what is still read.

    t : int64 [n], T for all
    maps : name of every map to its values at t = 1..T, each [n, H, W, C]; the input has one, at t = T
    states : name of every spiking layer to its states, each [n, H, W, C]
    updates : name of every readout to its logits, int64 [updates, n, C, H, W]
    counters : int64 [n, 3], events, synaptic operations and `spike_ops`
    """

    def __init__(self, two_phase, values, rows, record=False):
        network = two_phase.network
        self.rows, self.t, self.states, self.updates = rows, np.full(len(rows), network.timesteps), {}, {}
        pixels = channels_last(values[rows], map_dtype(network, INPUT))
        self.maps = {INPUT: [pixels]}
        self.counters = two_phase.tally(INPUT, pixels)[:, [0, 1, 1]]  # a value of the direct input counts once
        for layer in two_phase.layers:
            layer.execute(self, record)
            self.counters += sum(two_phase.tally(layer.name, spikes) for spikes in self.maps.get(layer.name, ()))
            if not record:
                for done in two_phase.finished[layer.name]:
                    del self.maps[done]

    @property
    def outputs(self):
        """Name of every readout to its logits at t = T, int64 [n, C, H, W]."""
        return {name: updates[-1] for name, updates in self.updates.items()}

    def history(self, name):
        """Return (logits [n, C, H, W] of the readout ``name``, timestep) of every update."""
        last = self.t[0]
        return list(zip(self.updates[name], range(last - len(self.updates[name]) + 1, last + 1)))


class _Weighted:
    """What neurons and readouts are: sums over synapses, doubled at every timestep."""

    def __init__(self, network, layer, dtype):
        self.name, self._steps, self._dtype = layer.name, network.timesteps, dtype
        _, *self._size = network.shapes[layer.name]
        self._bias = layer.bias.astype(dtype)
        inputs, spikes = ([s for s in layer.synapses if (s.source == INPUT) == kind] for kind in (True, False))
        self._spikes = Currents(network, layer, spikes, dtype)
        self._inputs = Currents(network, layer, inputs, dtype)

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


class _Neurons(_Weighted):
    """A layer of inverse-leaky neurons."""

    def __init__(self, network, layer):
        top, bound = layer.theta << network.timesteps - 1, magnitude(layer, network.membrane_range(layer))
        super().__init__(network, layer, exact_dtype(max(bound, int(top.max()))))
        self._top, self._limit = top.astype(self._dtype), 2 ** (layer.state_bits - 1)

    def execute(self, batch, record):
        """Add the spikes of t = 1..T to the maps of the batch; with ``record``, every state to its states."""
        states = []

        def write_back(v):
            np.clip(v, -self._limit, self._limit - 1, out=v)
            if record:
                states.append(v.copy())

        for t, u in self.accumulate(batch):
            if t < self._steps:
                write_back(u)
        batch.maps[self.name] = spikes = []
        for t in range(1, self._steps + 1):
            if t > 1:
                u *= 2
            spikes.append((u >= self._top).astype(np.uint8))
            u -= spikes[-1] * self._top
            write_back(u)
        if record:
            batch.states[self.name] = states


class _Readout(_Weighted):
    """A readout."""

    def __init__(self, network, layer):
        super().__init__(network, layer, exact_dtype(magnitude(layer, network.membrane_range(layer))))

    def execute(self, batch, record):
        """Add its logits after every update to the batch."""
        updates = [z.astype(np.int64) for _, z in self.accumulate(batch)]
        batch.updates[self.name] = np.moveaxis(np.stack(updates), -1, 2)


BY_ROLE = {SPIKING: _Neurons, POOL: Pooling, READOUT: _Readout}
