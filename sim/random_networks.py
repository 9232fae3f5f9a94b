"""Random integer networks and images: everything the contract allows, small enough for RTL simulation.

A network is drawn layer by layer from a seed. Weights, thresholds and biases are scaled to the counts that
reach a layer, so that most networks neither fall silent nor run at the burst cap; the limits of the exit rule
are quantiles of the scores of random images, so that images really stop at different timesteps.
"""

from dataclasses import replace
from itertools import product
from math import gcd

import numpy as np

from gen.errors import InputError
from gen.exit_rule import KINDS, LIMIT_MAX, SCALE_MAX, ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import (
    ADAFIRE, INPUT, INVERSE_LEAKY, MIN_BURSTS, NetworkError, Pool, Readout, Source, Spiking, Synapse, signed_bits,
)
from sim.golden import Golden, exits, scores

__all__ = ["random_images", "random_network"]

_ATTEMPTS = 1000
_CALIBRATION = 48
_POINT = ((1, 1), (1, 1), (0, 0), (1, 1))


def random_network(
    seed, *, max_layers=6, max_neurons=4000, max_weights=12000, max_channels=24, max_size=10, max_timesteps=8,
    max_classes=20, sources=("direct", "frames"), rules=KINDS, neuron=ADAFIRE, layer_bits=(),
):
    """Return the random `IntegerNetwork` number ``seed``.

    Parameters
    ----------
    max_layers : hidden layers, pools included
    max_neurons, max_weights : in the whole network, readout included
    max_channels, max_size : channels, and rows or columns, of one map
    max_timesteps, max_classes : at most
    sources, rules : kinds of source and of exit rule to draw from; the first source is the usual one
    neuron : of every spiking layer; a two-phase network has at least one, a direct source and no exit rule
    layer_bits : weight widths to draw one from for each layer; by default channels may have widths of their own
    """
    if neuron == INVERSE_LEAKY:
        sources, rules = ("direct",), ("off",)
    rng = np.random.default_rng([seed, 0xADAF])
    for _ in range(_ATTEMPTS):
        draft = _Draft(rng, max_layers, max_channels, max_size, neuron, layer_bits)
        try:
            network = draft.network(sources, max_timesteps, max_classes)
        except NetworkError:  # a sum of over 32 bits, the one rule that the draft does not foresee
            continue
        if network.two_phase != (neuron == INVERSE_LEAKY):
            continue
        neurons = sum(int(np.prod(network.shapes[layer.name])) for layer in network.layers)
        weights = sum(s.weight.size for layer in network.layers for s in layer.synapses)
        if neurons <= max_neurons and weights <= max_weights:
            return replace(network, exit_rule=_exit_rule(rng, network, str(rng.choice(rules)), seed))
    raise InputError(
        f"None of {_ATTEMPTS} random networks has at most {max_neurons} neurons and {max_weights} weights: "
        "allow more, or fewer channels and smaller maps."
    )


def random_images(network, seed, n):
    """Return ``n`` random images for ``network``, uint8 [n, C, H, W] ([n, T, C, H, W] for frames).

    They are noise, sparse dots, a blob, all values zero (pixels equal to the offset), noise, sparse dots, a
    blob, all pixels at one end of the range, and so on.
    """
    rng = np.random.default_rng([seed, 0x1A6E])
    shape = network.source.shape
    if network.source.kind == "frames":
        shape = (network.timesteps, *shape)
    images = np.zeros((n, *shape), np.uint8)
    for number in range(n):
        images[number] = _image(rng, network.source, shape, number)
    return images


def _image(rng, source, shape, number):
    low, high = max(source.low, 0), min(source.high, 255)
    zero = np.broadcast_to(source.offset[:, None, None], shape)
    noise = rng.integers(low, high, shape, endpoint=True)
    match number % 8:
        case 0 | 4:
            image = noise
        case 1 | 5:
            image = np.where(rng.random(shape) < rng.uniform(0.05, 0.4), noise, zero)
        case 2 | 6:
            y, x = np.indices(shape[-2:])
            centre, width = rng.uniform(0, shape[-2:]), rng.uniform(1, 4)
            blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / width**2)
            image = np.rint(low + (high - low) * blob * rng.random(shape[:-2] + (1, 1)))
        case 3:
            image = zero
        case 7:
            image = np.full(shape, rng.choice([low, high]))
    return np.clip(image, low, high)


def _exit_rule(rng, network, kind, seed):
    """Draw a rule whose limits stop a random share of the random images after each timestep."""
    if kind == "off":
        return ExitRule()
    logits = Golden(network).all_logits(random_images(network, seed, _CALIBRATION))
    spread = max(1.0, float(np.median(np.ptp(logits, axis=2))))
    shift = int(rng.integers(0, 6))
    scale = int(np.clip(rng.uniform(1, 8) * 2 ** (shift + 16) / spread, 1, SCALE_MAX))
    rule, limits = ExitRule(kind, shift, scale), []
    for t in range(network.timesteps):
        share = rng.choice([0.0, rng.uniform(0.1, 0.5), 1.0], p=[0.2, 0.75, 0.05])
        limits.append(_limit(rng, scores(rule, logits[:, t]), share, kind) if len(logits) else 0)
        logits = logits[~exits(replace(rule, limits=limits), logits[:, t], t + 1)]
    return replace(rule, limits=limits)


def _limit(rng, score, share, kind):
    """Return a limit that stops about ``share`` of the images with these scores; tied ones stay together."""
    tied = int(rng.integers(2))
    limit = np.quantile(score, 1 - share) - tied if kind == "margin" else np.quantile(score, share) + tied
    if share in (0.0, 1.0):
        limit = 0 if (share == 1.0) == (kind == "margin") else LIMIT_MAX
    return int(np.clip(limit, 0, LIMIT_MAX))


def _whole(shape):
    """Return the geometry of a linear layer that reads a map of ``shape``."""
    return tuple(shape[1:]), (1, 1), (0, 0), (1, 1)


class _Draft:
    """A network being drawn.

    shapes : name of every map so far to (channels, height, width)
    rms : name of every map to the root mean square that its values, of inverse-leaky neurons the codes, are
        likely to have
    unread : names of the maps that no layer reads yet
    """

    def __init__(self, rng, max_layers, max_channels, max_size, neuron, layer_bits):
        self.neuron = neuron
        self.rng, self.max_layers, self.max_channels, self.max_size = rng, max_layers, max_channels, max_size
        self.layer_bits, self.aside = layer_bits, rng.spawn(1)[0]  # draws that leave the others what they were
        self.layers, self.shapes, self.rms, self.unread = [], {}, {}, []

    def network(self, sources, max_timesteps, max_classes):
        """Draw a whole network with the exit rule ``off``."""
        rng = self.rng
        timesteps = min(int(rng.choice(8, p=[0.1, 0.2, 0.2, 0.3, 0.05, 0.05, 0.05, 0.05])) + 1, max_timesteps)
        self.code_max = 2**timesteps - 1
        source = self._source(str(sources[0] if rng.random() < 0.8 else rng.choice(sources)))
        self._add(INPUT, source.shape, (source.high - source.low) / 3)
        for number in range(int(rng.integers(0, self.max_layers, endpoint=True))):
            counts = [name for name in self.shapes if name != INPUT]
            if counts and rng.random() < 0.35:
                self._pool(f"pool{number}", self._pick(counts))
            else:
                self._spiking(f"layer{number}")
        self._readout(int(rng.integers(1, max_classes, endpoint=True)))
        return IntegerNetwork(source, self.layers, timesteps, ExitRule(), {"source": "sim.random_networks"})

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
                kernel = stride = tuple(min(2, n) for n in extent)
                padding = (0, 0)
            case "global":
                kernel, stride, padding = tuple(extent), tuple(extent), (0, 0)
            case _:
                kernel = tuple(int(rng.integers(1, min(4, n), endpoint=True)) for n in extent)
                stride = tuple(int(s) for s in rng.integers(1, 4, 2))
                padding = tuple(int(rng.integers(0, k // 2, endpoint=True)) for k in kernel)
        pool = Pool(name, source, kind, kernel, stride, padding)
        self.layers.append(pool)
        growth = kernel[0] * kernel[1] * 0.7 if kind == "sum" else 1.2
        self._add(name, pool.output_shape(self.shapes[source]), self.rms[source] * growth)

    def _spiking(self, name):
        rng, maps = self.rng, list(self.shapes)
        source = self._pick(maps)
        channels = self.shapes[source][0]
        outputs = int(np.exp(rng.uniform(0, np.log(self.max_channels))).round())
        if rng.random() < 0.35:
            outputs = channels
        bits = self._bits(outputs)
        synapses = [self._synapse(source, bits, self._geometry(self.shapes[source]))]
        shape = synapses[0].output_shape(self.shapes[source])
        for _ in range(int(rng.choice([0, 1, 2], p=[0.6, 0.28, 0.12]))):
            alike = [name for name in maps if self.shapes[name] == shape]
            other = self._pick(alike if alike and rng.random() < 0.5 else maps)
            point = other in alike and rng.random() < 0.5
            geometry = _POINT if point else self._fitting(self.shapes[other][1:], shape[1:])
            if geometry:
                synapses.append(self._synapse(other, bits, geometry))
        self.layers.append(self._neurons(name, synapses, bits))
        self._add(name, shape, 0.4 * (self.code_max if self.neuron == INVERSE_LEAKY else self.layers[-1].burst))

    def _readout(self, classes):
        bits = self._bits(classes)
        names = list(self.unread)
        if self.rng.random() < 0.2:
            names.append(self._pick(list(self.shapes)))
        synapses = [self._synapse(name, bits, _whole(self.shapes[name])) for name in dict.fromkeys(names)]
        bias = np.rint(self.rng.normal(0, 0.5, classes) * self._spread(synapses)).astype(np.int64)
        self.layers.append(Readout("readout", synapses, bias, bits))

    def _bits(self, channels):
        rng = self.rng
        if self.layer_bits:
            return np.full(channels, rng.choice(self.layer_bits))
        return rng.integers(2, 9, channels) if rng.random() < 0.5 else np.full(channels, rng.integers(2, 9))

    def _geometry(self, shape):
        """Draw kernel, stride, padding and dilation of a convolution of a map of ``shape``."""
        draw = self.rng.random()
        if draw < 0.12:
            return _whole(shape)
        if draw < 0.5:
            return (3, 3), (1, 1), (1, 1), (1, 1)
        extent = shape[1:]
        return self._fitting(extent, [self._large(n) for n in extent])

    def _fitting(self, extent, size):
        """Draw the geometry that makes a map of ``size`` from one of ``extent``; None if there is none."""
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
        return tuple(zip(*axes))

    def _synapse(self, source, bits, geometry):
        rng, (kernel, stride, padding, dilation) = self.rng, geometry
        self._read(source)
        channels, outputs = self.shapes[source][0], len(bits)
        most = gcd(channels, outputs)
        divisors = [n for n in range(1, most + 1) if most % n == 0]
        identity = 0.6 if geometry == _POINT and channels == outputs else 0.3
        groups = int(rng.choice([1, most, rng.choice(divisors)], p=[0.8 - identity, identity, 0.2]))
        limit = (2 ** (bits - 1) - 1)[:, None, None, None]
        shape = (outputs, channels // groups, *kernel)
        weight = np.clip(np.rint(rng.normal(0, 0.4, shape) * limit), -limit, limit).astype(np.int64)
        weight *= rng.random(shape) < rng.choice([1.0, 0.5])
        return Synapse(source, weight, stride, padding, dilation, groups)

    def _spread(self, synapses):
        """Return per channel the likely size of the synaptic sum of one timestep, at least 1."""
        squares = sum((s.weight**2).sum(axis=(1, 2, 3)) * self.rms[s.source] ** 2 for s in synapses)
        return np.maximum(1.0, np.sqrt(squares))

    def _neurons(self, name, synapses, bits):
        rng, channels = self.rng, len(bits)
        two_phase = self.neuron == INVERSE_LEAKY
        burst = 1 if two_phase else int(rng.choice([1, 2, 3, 7, 15, rng.integers(1, 16)]))
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
