"""The fast golden model of a network of AdaFire neurons: a batch of images, timestep by timestep.

Images that exit leave the batch and others take their place, so that it stays full until none are waiting. A timestep
is a list of calls on arrays that do not move, made anew when the number of images changes: Python's own work, during
which the other cores wait, is little.
"""

from itertools import islice
from types import SimpleNamespace

import numpy as np

from gen.layers import INPUT, POOL, READOUT, SPIKING
from sim.golden.currents import Scratch
from sim.golden.exact import channels_last, map_dtype
from sim.golden.exits import exits
from sim.golden.kernels import keep
from sim.golden.neurons import Accumulators, Neurons
from sim.golden.pooling import Pooling
from sim.golden.tally import Tally

__all__ = ["BY_ROLE", "Batch", "Stepwise"]

BY_ROLE = {SPIKING: Neurons, POOL: Pooling, READOUT: Accumulators}


class Stepwise:
    """A network, made ready to execute timestep by timestep."""

    def __init__(self, network):
        self.network, self.tally = network, Tally(network)
        self.layers = [BY_ROLE[layer.role](network, layer) for layer in network.layers]

    def timesteps(self, values, waiting, rule, size):
        """Yield after every timestep a `Batch` and bool [n] twice: which images stop there; for which the rule holds.

        The batch has ``size`` images while ``waiting``, an iterator of positions in ``values``, has more.
        """
        batch = Batch(self, values, size)
        while batch.admit(waiting):
            batch.step()
            passed = exits(rule, batch.z, batch.t)
            stop = passed | (batch.t == self.network.timesteps)
            yield batch, stop, passed
            batch.keep(~stop)

    def record(self, values, rule):
        """Return what one image does: maps, states, outputs, name to [steps, C, H, W]; counters; if the rule held."""
        kinds = [{}, {}, {}]
        for batch, _, passed in self.timesteps(values, iter([0]), rule, 1):
            for stored, arrays in zip(kinds, (batch.maps, batch.states, batch.outputs)):
                for name, array in arrays.items():
                    stored.setdefault(name, []).append(array[0].astype(np.int64))
            counters, held = batch.counters[0].copy(), bool(passed[0])
        return [{name: np.stack(steps) for name, steps in stored.items()} for stored in kinds], counters, held


class Batch:
    """Up to ``size`` images under way, of which every array has a row; the first n rows are in use.

    rows : int64 [n], their positions in ``values``; t : int64 [n], the timesteps they have executed
    counters : int64 [n, 3], events, synaptic operations and `spike_ops`
    maps, states : name of every layer that emits, and fires, to its counts, and membranes, of the latest timestep;
        outputs : name of every readout to its logits; all [n, C, H, W]
    z : int64, the logits of the output that decides, [n, C], or [n, C, H, W] where it is a map
    """

    def __init__(self, stepwise, values, size):
        self._layers, self._tally, self._values = stepwise.layers, stepwise.tally, values
        self._size, self._n, self._planned = size, 0, 0
        self._network = network = stepwise.network
        channels, *plane = network.shapes[INPUT]
        self._direct = network.source.kind == "direct"
        self._rows, self._t, self._counters = (np.zeros((size, count), np.int64) for count in (1, 1, 3))
        pixels = np.empty((size, *plane, channels), map_dtype(network, INPUT))
        self._rooms = SimpleNamespace(maps={INPUT: pixels}, states={}, constants={})
        for layer in self._layers:
            for kind, array in layer.rooms(size).items():
                getattr(self._rooms, kind)[layer.name] = array
        self._weighted = [layer for layer in self._layers if layer.name in self._rooms.states]
        constants = [array for array in self._rooms.constants.values() if len(array) == size]
        each = [array.reshape(size, -1) for array in (*self._rooms.states.values(), *constants)]
        self._scratch = Scratch()
        self._moving = [self._rows, self._t, self._counters, *each]

    rows = property(lambda self: self._rows[: self._n, 0])
    t = property(lambda self: self._t[: self._n, 0])
    counters = property(lambda self: self._counters[: self._n])

    def _outside(self, kind, names):
        return {name: np.moveaxis(getattr(self._rooms, kind)[name][: self._n], 3, 1) for name in names}

    @property
    def maps(self):
        return self._outside("maps", [layer.name for layer in self._network.layers if layer.emits])

    @property
    def states(self):
        return self._outside("states", [layer.name for layer in self._network.layers if layer.fires])

    @property
    def outputs(self):
        return self._outside("states", self._network.outputs)

    @property
    def z(self):
        z = self._outside("states", [self._network.readout.name])[self._network.readout.name]
        return z if self._network.dense else z[:, :, 0, 0]

    def history(self, name):
        """Return (logits [n, C, H, W] of the readout ``name``, timestep or [n] of them) of the latest timestep."""
        return [(self.outputs[name], self.t)]

    def admit(self, waiting):
        """Fill up from ``waiting``, an iterator of positions; return whether any image is under way."""
        rows = np.fromiter(islice(waiting, self._size - self._n), np.int64)
        new = slice(self._n, self._n + len(rows))
        if len(rows):
            self._rows[new, 0], self._t[new], self._counters[new] = rows, 0, 0
            self._n = new.stop
            pixels = {}
            if self._direct:
                pixels[INPUT] = channels_last(self._values[rows], self._rooms.maps[INPUT].dtype)
                self._counters[new] = self._tally(INPUT, pixels[INPUT])[:, [0, 1, 1]]  # a value counts once
            for layer in self._weighted:
                self._rooms.states[layer.name][new] = layer.initial
                if layer.direct.sources:
                    current = layer.direct(pixels, len(rows), self._scratch)
                    np.add(layer.bias, current, out=self._rooms.constants[layer.name][new])
        return self._n > 0

    def step(self):
        """Execute the next timestep of every image."""
        if not self._direct:
            pixels = self._rooms.maps[INPUT]
            pixels[: self._n] = channels_last(self._values[self.rows, self.t], pixels.dtype)
        if self._planned != self._n:
            self._calls, self._planned = self._timestep(), self._n
        for call in self._calls:
            call()
        self._t += 1

    def _timestep(self):
        """Return the calls that execute a timestep of n images."""
        rooms = SimpleNamespace(**{
            kind: {name: array[: self._n] for name, array in arrays.items()}
            for kind, arrays in vars(self._rooms).items()
        })
        calls = [] if self._direct else self._tally.calls(INPUT, rooms.maps[INPUT], self.counters)
        for layer in self._layers:
            calls += layer.calls(rooms, self._scratch)
            if layer.name in rooms.maps:
                calls += self._tally.calls(layer.name, rooms.maps[layer.name], self.counters)
        return calls

    def keep(self, stay):
        """Drop the images where ``stay``, bool [n], is false."""
        for array in self._moving:
            keep(array, stay)
        self._n = int(stay.sum())
