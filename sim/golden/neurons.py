"""The layers of neurons and the readouts of a network of AdaFire neurons, one timestep at a time."""

from functools import partial

import numpy as np

from gen.layers import INPUT
from sim.golden.currents import Currents
from sim.golden.exact import exact_dtype, magnitude, map_dtype
from sim.golden.kernels import fire, fire_signed

__all__ = ["Accumulators", "Neurons"]


class _Weighted:
    """What both are: sums over synapses, of which those of a direct input are the same at every timestep.

    direct : `Currents` of the direct input
    bias, initial : what every timestep adds and where the states begin, [1, H, W, C]
    """

    def __init__(self, network, layer, dtype, initial, state_dtype):
        self.name, (channels, *size) = layer.name, network.shapes[layer.name]
        self._shape = (*size, channels)
        self.bias, self.initial = self._everywhere(layer.bias, dtype), self._everywhere(initial, state_dtype)
        constant = INPUT if network.source.kind == "direct" else None
        direct, varying = ([s for s in layer.synapses if (s.source == constant) == kind] for kind in (True, False))
        self.direct, self._varying = (Currents(network, layer, synapses, dtype) for synapses in (direct, varying))

    def _everywhere(self, values, dtype):
        """Return ``values`` [C] at every position, [1, H, W, C]."""
        return np.tile(values.astype(dtype), (1, *self._shape[:2], 1))

    def rooms(self, size):
        """Return its arrays for ``size`` images: membranes; bias plus direct current, [1, ...] if the same for all."""
        constants = np.repeat(self.bias, size, axis=0) if self.direct.sources else self.bias
        return {"states": np.repeat(self.initial, size, axis=0), "constants": constants}


class Neurons(_Weighted):
    """A spiking layer: the sum over its synapses, then burst and soft reset."""

    def __init__(self, network, layer):
        thetas = [layer.theta, layer.theta_low] if layer.signed else [layer.theta]
        bound = magnitude(layer, network.membrane_range(layer))
        dtype = exact_dtype(max(bound, *(int(theta.max()) for theta in thetas)))
        super().__init__(network, layer, dtype, layer.v_init, np.int16 if layer.state_bits <= 16 else np.int32)
        self._map_type, self._fire = map_dtype(network, layer.name), fire_signed if layer.signed else fire
        self._thetas = [self._everywhere(theta, dtype).ravel() for theta in thetas]
        bursts = [layer.burst, layer.burst_low] if layer.signed else [layer.burst]
        self._limits = [dtype(n) for n in (layer.min_burst, *bursts, 2 ** (layer.state_bits - 1))]

    def rooms(self, size):
        """Return its arrays for ``size`` images, its map among them."""
        return super().rooms(size) | {"maps": np.empty((size, *self._shape), self._map_type)}

    def calls(self, rooms, scratch):
        """Return the calls of one timestep of n images: they advance the membranes and make the map."""
        states, constants, counts = (kind[self.name] for kind in (rooms.states, rooms.constants, rooms.maps))
        current, calls = self._varying.calls(rooms.maps, len(states), scratch)
        flat = [array.reshape(len(array), -1) for array in (states, current, constants)]
        return [*calls, partial(self._fire, *flat, *self._thetas, counts.reshape(len(counts), -1), *self._limits)]


class Accumulators(_Weighted):
    """A readout: the sum over its synapses and all timesteps."""

    def __init__(self, network, layer):
        dtype = exact_dtype(magnitude(layer, network.membrane_range(layer)))
        super().__init__(network, layer, dtype, np.zeros_like(layer.bias), np.int64)

    def calls(self, rooms, scratch):
        """Return the calls of one timestep of n images."""
        states = rooms.states[self.name]
        current, calls = self._varying.calls(rooms.maps, len(states), scratch)
        add = partial(np.add, states, out=states, casting="unsafe")
        return [*calls, partial(add, current), partial(add, rooms.constants[self.name])]
