"""The fast golden model of a network of AdaFire neurons: a batch of images, timestep by timestep.

Images that exit leave the batch and others take their place, so that it stays full until none are waiting. A timestep
is a list of calls on arrays that do not move, made anew when the number of images changes: Python's own work, during
which the other cores wait, is little.
"""

from functools import partial
from itertools import islice

import numpy as np

from gen.layers import INPUT
from sim.golden.currents import Currents, Scratch
from sim.golden.exact import channels_last, exact_dtype, magnitude, map_dtype
from sim.golden.kernels import fire, keep
from sim.golden.pooling import Pooling
from sim.golden.tally import Tally

__all__ = ["Batch", "Layers"]


class Layers:
    """A network, made ready to execute timestep by timestep."""

    def __init__(self, network):
        self.network, self.tally = network, Tally(network)
        self.layers = [(Pooling if not layer.weighted else _Neurons)(network, layer) for layer in network.layers]
        self.neurons = [layer for layer in self.layers if isinstance(layer, _Neurons)]


class Batch:
    """Up to ``size`` images under way, of which every array has a row; the first n rows are in use.

    rows : int64 [n], their positions in ``values``; t : int64 [n], the timesteps they have executed
    counters : int64 [n, 3], events, synaptic operations and `spike_ops`; z : int64 [n, classes], the logits
    maps : name of every map to its values after the latest timestep, [size, H, W, C]
    states : name of every layer of neurons to its membranes, [size, H, W, C]
    constants : name of every layer of neurons to bias plus direct input, [size, H, W, C], or [1, H, W, C] for all
    """

    def __init__(self, layers, values, size):
        self._layers, self._values, self._size, self._n, self._planned = layers, values, size, 0, 0
        network = layers.network
        channels, *plane = network.shapes[INPUT]
        self._direct, self._readout = network.source.kind == "direct", network.readout.name
        self._rows, self._t, self._counters = (np.zeros((size, count), np.int64) for count in (1, 1, 3))
        self.maps = {INPUT: np.empty((size, *plane, channels), map_dtype(network, INPUT))}
        self.maps |= {layer.name: layer.array(size) for layer in layers.layers[:-1]}
        self.states = {layer.name: np.repeat(layer.initial, size, axis=0) for layer in layers.neurons}
        self.constants = {layer.name: layer.constants(size) for layer in layers.neurons}
        each = [*self.states.values(), *(array for array in self.constants.values() if len(array) == size)]
        self._scratch = Scratch()
        self._moving = [self._rows, self._t, self._counters, *(array.reshape(size, -1) for array in each)]

    rows = property(lambda self: self._rows[: self._n, 0])
    t = property(lambda self: self._t[: self._n, 0])
    counters = property(lambda self: self._counters[: self._n])
    z = property(lambda self: self.states[self._readout][: self._n, 0, 0])

    def admit(self, waiting):
        """Fill up from ``waiting``, an iterator of positions; return whether any image is under way."""
        rows = np.fromiter(islice(waiting, self._size - self._n), np.int64)
        new = slice(self._n, self._n + len(rows))
        if len(rows):
            self._rows[new, 0], self._t[new], self._counters[new] = rows, 0, 0
            self._n = new.stop
            pixels = {}
            if self._direct:
                pixels[INPUT] = channels_last(self._values[rows], self.maps[INPUT].dtype)
                self._counters[new] = self._layers.tally(INPUT, pixels[INPUT])[:, [0, 1, 1]]  # a value counts once
            for layer in self._layers.neurons:
                self.states[layer.name][new] = layer.initial
                if layer.direct.sources:
                    current = layer.direct(pixels, len(rows), self._scratch)
                    np.add(layer.bias, current, out=self.constants[layer.name][new])
        return self._n > 0

    def step(self):
        """Execute the next timestep of every image."""
        if not self._direct:
            self.maps[INPUT][: self._n] = channels_last(self._values[self.rows, self.t], self.maps[INPUT].dtype)
        if self._planned != self._n:
            self._calls, self._planned = self._timestep(), self._n
        for call in self._calls:
            call()
        self._t += 1

    def _timestep(self):
        """Return the calls that execute a timestep of n images."""
        maps, states, constants = (
            {name: array[: self._n] for name, array in arrays.items()}
            for arrays in (self.maps, self.states, self.constants)
        )
        tally = self._layers.tally
        calls = [] if self._direct else tally.calls(INPUT, maps[INPUT], self.counters)
        for layer in self._layers.layers:
            if isinstance(layer, Pooling):
                calls += layer.calls(maps[layer.source], maps[layer.name])
            else:
                calls += layer.calls(maps, states[layer.name], constants[layer.name], self._scratch)
            if layer.name in maps:
                calls += tally.calls(layer.name, maps[layer.name], self.counters)
        return calls

    def keep(self, stay):
        """Drop the images where ``stay``, bool [n], is false."""
        for array in self._moving:
            keep(array, stay)
        self._n = int(stay.sum())


class _Neurons:
    """A spiking layer or the readout: the sum over its synapses, then burst and soft reset."""

    def __init__(self, network, layer):
        self.name, self._shape = layer.name, (*network.shapes[layer.name][1:], network.shapes[layer.name][0])
        self._fires = layer.fires
        bound = magnitude(layer, network.membrane_range(layer))
        if self._fires:
            dtype = exact_dtype(layer.name, max(bound, layer.theta.max()))
            self._theta = self._everywhere(layer.theta, dtype).ravel()
            self._limits = dtype(layer.min_burst), dtype(layer.burst), dtype(2 ** (layer.state_bits - 1))
            self._map_type = map_dtype(network, layer.name)
            self.initial = self._everywhere(layer.v_init, np.int16 if layer.state_bits <= 16 else np.int32)
        else:
            dtype = exact_dtype(layer.name, bound)
            self.initial = self._everywhere(np.zeros_like(layer.bias), np.int64)
        self.bias = self._everywhere(layer.bias, dtype)
        constant = INPUT if network.source.kind == "direct" else None
        direct, varying = ([s for s in layer.synapses if (s.source == constant) == kind] for kind in (True, False))
        self.direct, self._varying = (Currents(network, layer, synapses, dtype) for synapses in (direct, varying))

    def _everywhere(self, values, dtype):
        """Return ``values`` [C] at every position, [1, H, W, C]."""
        return np.tile(values.astype(dtype), (1, *self._shape[:2], 1))

    def array(self, size):
        """Return an array for the layer's map of ``size`` images."""
        return np.empty((size, *self._shape), self._map_type)

    def constants(self, size):
        """Return an array for the bias plus the current of a direct input, the same at every timestep."""
        return np.repeat(self.bias, size, axis=0) if self.direct.sources else self.bias

    def calls(self, maps, states, constants, scratch):
        """Return the calls that advance the membranes ``states`` and, where the layer fires, make its map."""
        n = len(states)
        current, calls = self._varying.calls(maps, n, scratch)
        if not self._fires:
            add = partial(np.add, states, out=states, casting="unsafe")
            return [*calls, partial(add, current), partial(add, constants)]
        flat = [array.reshape(len(array), -1) for array in (states, current, constants)]
        return [*calls, partial(fire, *flat, self._theta, maps[self.name].reshape(n, -1), *self._limits)]
