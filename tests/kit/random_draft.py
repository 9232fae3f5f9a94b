"""A random network of the first contract being drawn, layer by layer.

Weights, thresholds and biases are scaled to the counts that reach a layer, so that most networks neither fall silent
nor run at the burst cap. The order of the draws is part of what a seed means: the tests of the machine name seeds.
"""

from dataclasses import replace
from itertools import product
from math import gcd

import numpy as np

from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, INVERSE_LEAKY, MIN_BURSTS, Pool, Readout, Source, Spiking, Synapse, signed_bits
from gen.window import POINT, Window
from tests.kit.random_rules import random_rule

__all__ = ["Draft", "whole"]


def whole(shape):
    """Return the window of a linear layer that reads a map of ``shape``."""
    return Window(shape[1:])


class Draft:
    """A network being drawn.

    shapes : name of every map so far to (channels, height, width)
    rms : name of every map to the root mean square that its values, of inverse-leaky neurons the codes, are
        likely to have
    unread : names of the maps that no layer reads yet
    linear : whether all layers are dense ones
    """

    linear = False

    def __init__(self, rng, max_layers, max_channels, max_size, neuron, layer_bits):
        self.neuron = neuron
        self.rng, self.max_layers, self.max_channels, self.max_size = rng, max_layers, max_channels, max_size
        self.layer_bits, self.aside = layer_bits, rng.spawn(1)[0]  # draws that leave the others what they were
        self.layers, self.shapes, self.rms, self.unread = [], {}, {}, []

    def network(self, sources, max_timesteps, max_classes):
        """Draw a whole network with the exit rule ``off``."""
        rng = self.rng
        timesteps = self._timesteps(max_timesteps)
        self.code_max = 2**timesteps - 1
        source = self._source(str(sources[0] if rng.random() < 0.8 else rng.choice(sources)))
        self._add(INPUT, source.shape, (source.high - source.low) / 3)
        for number in range(int(rng.integers(0, self.max_layers, endpoint=True))):
            self._hidden(number)
        self._readouts(max_classes)
        return IntegerNetwork(source, self.layers, timesteps, ExitRule(), {"source": "tests.kit.random_networks"})

    def ruled(self, network, kind, seed):
        """Return ``network`` with a random exit rule of that kind."""
        return replace(network, exit_rule=random_rule(self.rng, network, kind, seed))

    def _timesteps(self, most):
        return min(int(self.rng.choice(8, p=[0.1, 0.2, 0.2, 0.3, 0.05, 0.05, 0.05, 0.05])) + 1, most)

    def _hidden(self, number):
        counts = [name for name in self.shapes if name != INPUT]
        if counts and not self.linear and self.rng.random() < 0.35:
            self._pool(f"pool{number}", self._pick(counts))
        else:
            self._spiking(f"layer{number}")

    def _add(self, name, shape, rms):
        self.shapes[name], self.rms[name] = shape, rms
        self.unread.append(name)

    def _source(self, kind):
        rng = self.rng
        channels = int(rng.choice([1, 2, 3, 5]))
        shape = (min(channels, self.max_channels), *(self._large(self.max_size) for _ in range(2)))
        high = 255 if kind == "direct" else int(rng.choice([1, 3, 15]))
        offset = rng.integers(0, high, channels) * (rng.random() < 0.35)
        return Source(shape, kind, 0, high, offset[: shape[0]])

    def _large(self, most):
        """Return one of 1..most, the larger ones more often."""
        return int(self.rng.integers(1, most, 2, endpoint=True).max())

    def _pick(self, names):
        """Return one of ``names``, mostly the latest that nothing reads yet."""
        fresh = [name for name in names if name in self.unread]
        return fresh[-1] if fresh and self.rng.random() < 0.7 else str(self.rng.choice(names))

    def _read(self, name):
        self.unread = [other for other in self.unread if other != name]

    def _pool(self, name, source):
        rng, extent = self.rng, self.shapes[source][1:]
        self._read(source)
        kind = "sum" if self.neuron == INVERSE_LEAKY else str(rng.choice(["sum", "max"]))
        match rng.choice(["square", "global", "any"], p=[0.4, 0.15, 0.45]):
            case "square":
                kernel = tuple(min(2, n) for n in extent)
                window = Window(kernel, kernel)
            case "global":
                window = Window(extent, extent)
            case _:
                window = self._pool_window(extent)
        pool = Pool(name, source, kind, **vars(window))
        self.layers.append(pool)
        growth = window.area * 0.7 if kind == "sum" else 1.2
        self._add(name, pool.output_shape(self.shapes[source]), self.rms[source] * growth)

    def _pool_window(self, extent):
        """Draw the window of a pool of a map of ``extent``."""
        rng = self.rng
        kernel = tuple(int(rng.integers(1, min(4, n), endpoint=True)) for n in extent)
        stride = tuple(int(s) for s in rng.integers(1, 4, 2))
        return Window(kernel, stride, [int(rng.integers(0, k // 2, endpoint=True)) for k in kernel])

    def _spiking(self, name):
        rng, maps = self.rng, list(self.shapes)
        source = self._pick(maps)
        channels = self.shapes[source][0]
        outputs = int(np.exp(rng.uniform(0, np.log(self.max_channels))).round())
        if rng.random() < 0.35:
            outputs = channels
        bits = self._bits(outputs)
        synapses = [self._synapse(source, bits, self._window(self.shapes[source]))]
        shape = synapses[0].output_shape(self.shapes[source])
        for _ in range(int(rng.choice([0, 1, 2], p=[0.6, 0.28, 0.12]))):
            alike = [name for name in maps if self.shapes[name] == shape]
            other = self._pick(alike if alike and rng.random() < 0.5 else maps)
            point = other in alike and rng.random() < 0.5
            window = POINT if point else self._fitting(self.shapes[other][1:], shape[1:])
            if window:
                synapses.append(self._synapse(other, bits, window))
        self.layers.append(self._neurons(name, synapses, bits))
        self._add(name, shape, 0.4 * (self.code_max if self.neuron == INVERSE_LEAKY else self.layers[-1].burst))

    def _readouts(self, max_classes):
        classes = int(self.rng.integers(1, max_classes, endpoint=True))
        bits = self._bits(classes)
        names = list(self.unread)
        if self.rng.random() < 0.2:
            names.append(self._pick(list(self.shapes)))
        synapses = [self._synapse(name, bits, whole(self.shapes[name])) for name in dict.fromkeys(names)]
        self.layers.append(self._readout("readout", synapses, bits))

    def _readout(self, name, synapses, bits):
        bias = np.rint(self.rng.normal(0, 0.5, len(bits)) * self._spread(synapses)).astype(np.int64)
        return Readout(name, synapses, bias, bits)

    def _bits(self, channels):
        rng = self.rng
        if self.layer_bits:
            return np.full(channels, rng.choice(self.layer_bits))
        return rng.integers(2, 9, channels) if rng.random() < 0.5 else np.full(channels, rng.integers(2, 9))

    def _window(self, shape):
        """Draw the window of a convolution of a map of ``shape``."""
        draw = self.rng.random()
        if draw < 0.12 or self.linear:
            return whole(shape)
        if draw < 0.5:
            return Window((3, 3), padding=(1, 1))
        extent = shape[1:]
        return self._fitting(extent, [self._large(n) for n in extent])

    def _fitting(self, extent, size):
        """Draw the window that makes a map of ``size`` from one of ``extent``; None if there is none."""
        if self.linear:
            return Window(extent)
        axes = []
        for n, wanted in zip(extent, size):
            fits = [
                (kernel, stride, padding, dilation)
                for kernel, stride, padding, dilation in product(range(1, 6), (1, 2, 3), (0, 1, 2), (1, 2))
                if (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 == wanted
                and padding <= kernel and (kernel > 1 or dilation == 1)
            ]
            if not fits:
                return None
            axes.append([int(v) for v in fits[self.rng.integers(len(fits))]])
        return Window(*zip(*axes))

    def _synapse(self, source, bits, window):
        rng = self.rng
        self._read(source)
        channels, outputs = self.shapes[source][0], len(bits)
        most = gcd(channels, outputs)
        divisors = [n for n in range(1, most + 1) if most % n == 0]
        identity = 0.6 if window == POINT and channels == outputs else 0.3
        groups = int(rng.choice([1, most, rng.choice(divisors)], p=[0.8 - identity, identity, 0.2]))
        if self.linear and (window != POINT or groups != channels):
            groups = 1
        limit = (2 ** (bits - 1) - 1)[:, None, None, None]
        shape = (outputs, channels // groups, *window.kernel)
        weight = np.clip(np.rint(rng.normal(0, 0.4, shape) * limit), -limit, limit).astype(np.int64)
        weight *= rng.random(shape) < rng.choice([1.0, 0.5])
        fields = {name: value for name, value in vars(window).items() if name != "kernel"}
        return Synapse(source, weight, groups=groups, **fields)

    def _spread(self, synapses):
        """Return per channel the likely size of the synaptic sum of one timestep, at least 1."""
        squares = sum((s.weight**2).sum(axis=(1, 2, 3)) * self.rms[s.source] ** 2 for s in synapses)
        return np.maximum(1.0, np.sqrt(squares))

    def _burst(self):
        return int(self.rng.choice([1, 2, 3, 7, 15, self.rng.integers(1, 16)]))

    def _neurons(self, name, synapses, bits):
        rng, channels = self.rng, len(bits)
        two_phase = self.neuron == INVERSE_LEAKY
        burst = 1 if two_phase else self._burst()
        spread = self._spread(synapses)
        capacity = self.code_max if two_phase else burst**0.8
        theta = np.maximum(1, np.rint(spread * rng.uniform(0.5, 2, channels) / capacity)).astype(np.int64)
        if rng.random() < 0.25:
            theta = 2 ** np.rint(np.log2(theta)).astype(np.int64)
        bias = np.rint(rng.normal(0.1, 0.4, channels) * spread).astype(np.int64)
        if rng.random() < 0.3:
            dead, negative = rng.random((2, channels)) < 0.25
            dead, negative = dead[:, None, None, None], negative[:, None, None, None]
            synapses = [
                replace(s, weight=np.where(negative, -abs(s.weight), s.weight) * ~dead) for s in synapses
            ]
        tight = rng.random() < 0.35
        spare = int(rng.integers(-2 if two_phase else -1, 2) if tight else rng.integers(2, 5))
        top = theta.max() * (self.code_max + 1 >> 1 if two_phase else 1)
        state_bits = min(max(4, signed_bits(0, top) + spare), 24)
        limit = 2 ** (state_bits - 1)
        start = rng.choice(["half", "zero", "any"], p=[0.6, 0.2, 0.2])
        v_init = {"half": theta // 2, "zero": 0 * theta, "any": rng.integers(-limit, limit, channels)}[start]
        v_init = 0 * theta if two_phase else np.minimum(v_init, limit - 1)
        least = int(self.aside.choice([1, 1, 1, *(n for n in MIN_BURSTS if n <= burst)]))
        return Spiking(name, synapses, bias, theta, v_init, burst, state_bits, bits, self.neuron, least)
