"""The integer network: the contract that golden model, schedule, memory image and RTL all read.

Every value is an integer. For a layer of AdaFire neurons, output channel ``c`` and timestep ``t = 1..T``::

    u(t) = v(t-1) + sum_j w[j] * k_in,j(t) + bias[c]      every synapse of the layer, every source
    k(t) = clamp(floor(u(t) / theta[c]), 0, burst)        burst count; floor towards minus infinity;
                                                          0 if it is less than ``least``
    v(t) = saturate(u(t) - k(t) * theta[c], state_bits)   soft reset; the only saturation there is
    v(0) = v_init[c]

A pool is the sum or the maximum of this timestep's counts; padding counts as zero. The readout never
fires: ``z(t) = z(t-1) + sum_j w[j] * k_in,j(t) + bias[c]``, ``z(0) = 0``. After each timestep the exit
rule (`gen.exit_rule`) looks at ``z(t)``; the class is its argmax, the lowest index winning a tie.

A network of inverse-leaky neurons (SpikeConverter, AAAI 2022) is separated in time: a layer takes all T timesteps
of its sources before it fires in T timesteps of its own. Its membrane doubles before every update, so that the
spike of timestep t weighs ``2**(T-t)`` and a train is the T-bit code of an activation, most significant bit first::

    u(t) = 2 * v(t-1) + sum_j w[j] * s_in,j(t)            accumulate, t = 1..T; v(0) = 0, bias[c] is added at t = T
    v(t) = saturate(u(t), state_bits)                     t < T
    s(1) = 1 if u(T) >= top else 0                        fire, t = 1..T, with top = theta[c] * 2**(T-1);
    s(t) = 1 if u'(t) >= top else 0                       u'(1) = u(T) and u'(t) = 2 * v'(t-1)
    v'(t) = saturate(u'(t) - s(t) * top, state_bits)      2T - 1 updates in all

A direct input counts as a spike of the last timestep, weight 1. The readout doubles as well, ``z(t) = 2 * z(t-1) +
sum_j w[j] * s_in,j(t)``, and gets its bias at t = T; there is no early exit and no maximum pool, and every spiking
layer is of this kind.

A count crosses a wire, never an amplitude. A ``direct`` source is one integer tensor, the same at every
timestep; a ``frames`` source is another tensor at each. Neurons that no pooling window reads (the rest
when a map is not a multiple of the stride) are not part of the network: a layer that only pools read is
cut to the rows and columns they cover.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gen.errors import InputError
from gen.exit_rule import ExitRule

__all__ = [
    "ADAFIRE", "INPUT", "INVERSE_LEAKY", "LEAST_BURSTS", "MAX_BURST", "MAX_TIMESTEPS", "NEURONS", "IntegerNetwork",
    "NetworkError", "Pool", "Readout", "Source", "Spiking", "Synapse", "signed_bits",
]

INPUT = "input"
ADAFIRE, INVERSE_LEAKY = NEURONS = ("adafire", "inverse_leaky")
MAX_BURST = 15
LEAST_BURSTS = (1, 2, 4, 8)
MAX_TIMESTEPS = 64
WEIGHT_BITS = range(2, 9)
STATE_BITS = range(4, 33)
MAX_WORD_BITS = 32


class NetworkError(InputError):
    """An integer network that breaks the contract; names the layer and the rule."""


def signed_bits(low, high):
    """Return the least two's complement width that holds every value of ``low..high``."""
    return max(max(int(high), 0).bit_length(), (-int(low) - 1).bit_length() if low < 0 else 0) + 1


def _integers(array, shape, what):
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{what} must hold integers, not {array.dtype}")
    if shape is not None and array.shape != shape:
        raise NetworkError(f"{what} must have shape {shape}, not {array.shape}")
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


def _pair(value, least, what):
    pair = tuple(int(v) for v in value)
    if len(pair) != 2 or min(pair) < least:
        raise NetworkError(f"{what} must be two integers of at least {least}, not {value!r}")
    return pair


@dataclass(frozen=True, eq=False)
class Source:
    """What the network looks at.

    ``shape`` is (channels, height, width). An input value is ``pixel - offset[channel]``, which lies in
    ``low - max(offset) .. high - min(offset)``; padding is 0, that is a pixel equal to the offset.
    ``kind`` is ``direct`` (constant over time) or ``frames`` (counts that differ each timestep).
    """

    shape: tuple[int, int, int]
    kind: str = "direct"
    low: int = 0
    high: int = 255
    offset: np.ndarray = None

    def __post_init__(self):
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise NetworkError(f"the input shape must be (channels, height, width), not {self.shape!r}")
        if self.kind not in ("direct", "frames"):
            raise NetworkError(f"the input kind must be 'direct' or 'frames', not {self.kind!r}")
        if not -(2**15) <= self.low < self.high < 2**15:
            raise NetworkError(f"the input range must be a part of 16 bits, not {self.low}..{self.high}")
        offset = np.zeros(shape[0], np.int64) if self.offset is None else self.offset
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "offset", _integers(offset, (shape[0],), "the input offset"))

    @property
    def range(self):
        """Smallest and largest input value, padding included."""
        return (min(0, self.low - int(self.offset.max())), max(0, self.high - int(self.offset.min())))


@dataclass(frozen=True, eq=False)
class Synapse:
    """One convolution from a map to a layer: ``weight`` is [out, in/groups, height, width].

    A linear layer is the convolution whose kernel is the whole map; a residual identity is the 1x1
    depthwise convolution with one weight per channel.
    """

    source: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self):
        weight = _integers(self.weight, None, f"the weight read from {self.source!r}")
        if weight.ndim != 4 or 0 in weight.shape:
            raise NetworkError(
                f"the weight read from {self.source!r} must be [out, in/groups, height, width], not {weight.shape}"
            )
        if self.groups < 1 or weight.shape[0] % self.groups:
            raise NetworkError(f"{self.groups} groups do not divide {weight.shape[0]} output channels")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "stride", _pair(self.stride, 1, "stride"))
        object.__setattr__(self, "padding", _pair(self.padding, 0, "padding"))
        object.__setattr__(self, "dilation", _pair(self.dilation, 1, "dilation"))

    @property
    def kernel(self):
        """Kernel size (height, width)."""
        return self.weight.shape[2:]

    def output_shape(self, shape):
        """Return (channels, height, width) of the result for an input map of ``shape``."""
        if shape[0] != self.weight.shape[1] * self.groups:
            raise NetworkError(
                f"the weight read from {self.source!r} takes {self.weight.shape[1] * self.groups} channels, "
                f"the map has {shape[0]}"
            )
        size = _window_size(shape[1:], self.kernel, self.stride, self.padding, self.dilation, self.source)
        return (self.weight.shape[0], *size)


def _window_size(size, kernel, stride, padding, dilation, source):
    result = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    )
    if min(result) < 1:
        raise NetworkError(f"a window of {tuple(kernel)} is larger than the padded map {source!r} of {tuple(size)}")
    return result


def _check_synapses(layer):
    channels = layer.bias.shape[0]
    if not layer.synapses:
        raise NetworkError(f"layer {layer.name!r} has no synapse")
    limit = 2 ** (layer.weight_bits - 1) - 1
    for synapse in layer.synapses:
        if synapse.weight.shape[0] != channels:
            raise NetworkError(
                f"layer {layer.name!r}: the weight read from {synapse.source!r} has {synapse.weight.shape[0]} "
                f"output channels, the layer has {channels}"
            )
        worst = np.abs(synapse.weight).reshape(channels, -1).max(axis=1)
        if (worst > limit).any():
            c = int(np.argmax(worst > limit))
            raise NetworkError(
                f"layer {layer.name!r}: channel {c} holds a weight of magnitude {worst[c]}, "
                f"its {layer.weight_bits[c]} bits allow {limit[c]}"
            )


def _weight_bits(layer, channels):
    bits = _integers(layer.weight_bits, (channels,), f"layer {layer.name!r}: weight_bits")
    if not all(int(b) in WEIGHT_BITS for b in bits):
        raise NetworkError(f"layer {layer.name!r}: weight_bits must be 2..8, not {bits.min()}..{bits.max()}")
    return bits


@dataclass(frozen=True, eq=False)
class Spiking:
    """A layer of neurons of one kind; all arrays are per output channel, in units of the membrane.

    ``least`` is 1, 2, 4 or 8: a smaller burst is not sent but kept in the membrane. An inverse-leaky layer has a burst
    of 1 and a ``v_init`` of 0: its rounding is part of the bias.
    """

    name: str
    synapses: tuple[Synapse, ...]
    bias: np.ndarray
    theta: np.ndarray
    v_init: np.ndarray
    burst: int
    state_bits: int
    weight_bits: np.ndarray
    neuron: str = ADAFIRE
    least: int = 1

    def __post_init__(self):
        what = f"layer {self.name!r}:"
        if self.neuron not in NEURONS:
            raise NetworkError(f"{what} the neuron must be one of {', '.join(NEURONS)}, not {self.neuron!r}")
        theta = _integers(self.theta, None, f"{what} theta")
        if theta.ndim != 1 or not len(theta):
            raise NetworkError(f"{what} theta must be one value per output channel")
        channels = (len(theta),)
        object.__setattr__(self, "synapses", tuple(self.synapses))
        object.__setattr__(self, "theta", theta)
        object.__setattr__(self, "bias", _integers(self.bias, channels, f"{what} bias"))
        object.__setattr__(self, "v_init", _integers(self.v_init, channels, f"{what} v_init"))
        object.__setattr__(self, "weight_bits", _weight_bits(self, len(theta)))
        if theta.min() < 1:
            raise NetworkError(f"{what} theta must be positive, channel {int(theta.argmin())} has {theta.min()}")
        if not 1 <= self.burst <= MAX_BURST:
            raise NetworkError(f"{what} the burst cap must be 1..{MAX_BURST}, not {self.burst}")
        if self.state_bits not in STATE_BITS:
            raise NetworkError(f"{what} state_bits must be {STATE_BITS[0]}..{STATE_BITS[-1]}, not {self.state_bits}")
        limit = 2 ** (self.state_bits - 1)
        if self.v_init.min() < -limit or self.v_init.max() >= limit:
            raise NetworkError(f"{what} v_init does not fit a state of {self.state_bits} bits")
        if self.least not in LEAST_BURSTS or self.least > self.burst:
            raise NetworkError(
                f"{what} the least burst must be one of {', '.join(map(str, LEAST_BURSTS))} and at most the cap of "
                f"{self.burst}, not {self.least}"
            )
        if self.neuron == INVERSE_LEAKY and (self.burst != 1 or self.v_init.any()):
            raise NetworkError(f"{what} an inverse-leaky neuron has a burst of 1 and starts at 0")
        _check_synapses(self)


@dataclass(frozen=True, eq=False)
class Pool:
    """Sum (average pool: the divisor is in the next weights) or maximum of one timestep's counts."""

    name: str
    source: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self):
        if self.kind not in ("sum", "max"):
            raise NetworkError(f"layer {self.name!r}: a pool is 'sum' or 'max', not {self.kind!r}")
        object.__setattr__(self, "kernel", _pair(self.kernel, 1, f"layer {self.name!r}: kernel"))
        object.__setattr__(self, "stride", _pair(self.stride, 1, f"layer {self.name!r}: stride"))
        object.__setattr__(self, "padding", _pair(self.padding, 0, f"layer {self.name!r}: padding"))
        if any(2 * p > k for p, k in zip(self.padding, self.kernel)):
            raise NetworkError(f"layer {self.name!r}: padding {self.padding} is over half of kernel {self.kernel}")

    def output_shape(self, shape):
        """Return (channels, height, width) of the pooled map."""
        size = _window_size(shape[1:], self.kernel, self.stride, self.padding, (1, 1), self.source)
        return (shape[0], *size)

    def covered(self, shape):
        """Return how many rows and columns of a map of ``shape`` some window reads."""
        output = self.output_shape(shape)[1:]
        return tuple(
            min(n, (o - 1) * s + k - p)
            for n, o, s, k, p in zip(shape[1:], output, self.stride, self.kernel, self.padding)
        )


@dataclass(frozen=True, eq=False)
class Readout:
    """The last layer: one accumulator per class, no threshold."""

    name: str
    synapses: tuple[Synapse, ...]
    bias: np.ndarray
    weight_bits: np.ndarray

    def __post_init__(self):
        bias = _integers(self.bias, None, f"layer {self.name!r}: bias")
        if bias.ndim != 1 or not len(bias):
            raise NetworkError(f"layer {self.name!r}: bias must be one value per class")
        object.__setattr__(self, "synapses", tuple(self.synapses))
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "weight_bits", _weight_bits(self, len(bias)))
        _check_synapses(self)


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A whole network: layers in order of execution, the last one the readout.

    ``provenance`` is a JSON object (strings, numbers, lists) about where the network comes from; it
    carries no meaning for the arithmetic.
    """

    source: Source
    layers: tuple[Spiking | Pool | Readout, ...]
    timesteps: int
    exit_rule: ExitRule = field(default_factory=ExitRule)
    provenance: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "layers", tuple(self.layers))
        if not 1 <= self.timesteps <= MAX_TIMESTEPS:
            raise NetworkError(f"timesteps must be 1..{MAX_TIMESTEPS}, not {self.timesteps}")
        kinds = [type(layer) for layer in self.layers]
        if not kinds or kinds[-1] is not Readout or Readout in kinds[:-1]:
            raise NetworkError("the last layer, and only the last, must be the readout")
        if self.exit_rule.kind != "off" and len(self.exit_rule.limits) != self.timesteps:
            raise NetworkError(
                f"the exit rule has {len(self.exit_rule.limits)} limits for {self.timesteps} timesteps"
            )
        if len({layer.neuron for layer in self.layers if isinstance(layer, Spiking)}) > 1:
            raise NetworkError("the spiking layers must all be of one kind of neuron")
        if self.separated:
            self._check_separated()
        if self.shapes[self.layers[-1].name][1:] != (1, 1):
            raise NetworkError(f"the readout {self.layers[-1].name!r} must have one position, flatten or pool first")
        for layer in self.layers:
            if isinstance(layer, Pool):
                if layer.source == INPUT:
                    raise NetworkError(f"layer {layer.name!r} pools the input; only counts can be pooled")
                continue
            for proved in (self.current_range, self.membrane_range):
                low, high = proved(layer)
                if signed_bits(low.min(), high.max()) > MAX_WORD_BITS:
                    raise NetworkError(f"layer {layer.name!r} needs an accumulator of over {MAX_WORD_BITS} bits")

    def _check_separated(self):
        if self.exit_rule.kind != "off":
            raise NetworkError("a network of inverse-leaky neurons knows no early exit: its rule must be 'off'")
        if self.source.kind != "direct":
            raise NetworkError("a network of inverse-leaky neurons looks at one direct input, not at frames")
        for layer in self.layers:
            if isinstance(layer, Pool) and layer.kind == "max":
                raise NetworkError(
                    f"layer {layer.name!r}: the maximum of inverse-leaky spikes is not that of their codes; "
                    "pool by sums"
                )
            if isinstance(layer, Spiking) and int(layer.theta.max()) << self.timesteps > 2**MAX_WORD_BITS:
                raise NetworkError(
                    f"layer {layer.name!r}: theta {layer.theta.max()} times 2**{self.timesteps - 1}, the weight of "
                    f"the first of {self.timesteps} timesteps, is over {MAX_WORD_BITS - 1} bits"
                )

    @cached_property
    def separated(self):
        """Whether its layers are separated in time, of inverse-leaky neurons."""
        return any(isinstance(layer, Spiking) and layer.neuron == INVERSE_LEAKY for layer in self.layers)

    def layer(self, name):
        """Return the layer called ``name``."""
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def readout(self):
        """The readout layer."""
        return self.layers[-1]

    @property
    def classes(self):
        """Number of classes."""
        return len(self.readout.bias)

    @cached_property
    def readers(self):
        """Name of every map to the tuple of layers that read it."""
        readers = {INPUT: [], **{layer.name: [] for layer in self.layers}}
        for layer in self.layers:
            for source in _sources(layer):
                readers[source].append(layer)
        return {name: tuple(layers) for name, layers in readers.items()}

    @cached_property
    def shapes(self):
        """Name of every map to its (channels, height, width), cut to what pools read."""
        shapes = {INPUT: self.source.shape}
        for layer in self.layers:
            if layer.name in shapes:
                raise NetworkError(f"two maps are called {layer.name!r}")
            for source in _sources(layer):
                if source not in shapes:
                    raise NetworkError(f"layer {layer.name!r} reads {source!r}, which no earlier layer makes")
            if isinstance(layer, Pool):
                shapes[layer.name] = layer.output_shape(shapes[layer.source])
                continue
            results = {synapse.output_shape(shapes[synapse.source]) for synapse in layer.synapses}
            if len(results) != 1:
                raise NetworkError(f"the synapses of layer {layer.name!r} give different shapes: {sorted(results)}")
            shapes[layer.name] = self._cut(layer, results.pop())
        return shapes

    def _cut(self, layer, shape):
        readers = [other for other in self.layers if layer.name in _sources(other)]
        if not readers or not all(isinstance(reader, Pool) for reader in readers):
            return shape
        covered = [reader.covered(shape) for reader in readers]
        return (shape[0], max(c[0] for c in covered), max(c[1] for c in covered))

    @cached_property
    def value_ranges(self):
        """Name of every map to the (smallest, largest) value it can hold."""
        ranges = {INPUT: self.source.range}
        for layer in self.layers:
            if isinstance(layer, Spiking):
                ranges[layer.name] = (0, layer.burst)
            elif isinstance(layer, Pool):
                area = layer.kernel[0] * layer.kernel[1] if layer.kind == "sum" else 1
                ranges[layer.name] = (0, area * ranges[layer.source][1])
        return ranges

    def current_range(self, layer):
        """Return per channel the proved (least, greatest) synaptic sum plus bias of one timestep.

        A separated network has bias and direct input at t = T alone: the range holds the sums with and without.
        """
        varying, constant = self.sums(layer)
        if self.separated:
            constant = np.minimum(constant[0], 0), np.maximum(constant[1], 0)
        return varying[0] + constant[0], varying[1] + constant[1]

    def membrane_range(self, layer):
        """Return per channel the proved range of u before firing, or of z over all timesteps."""
        low, high = self.current_range(layer)
        if isinstance(layer, Spiking):
            leak = 2 if self.separated else 1
            limit = 2 ** (layer.state_bits - 1)
            return low - leak * limit, high + leak * (limit - 1)
        if self.separated:  # the codes of the sources go up to 2**T - 1
            varying, _ = self.sums(layer)
            return low + varying[0] * (2**self.timesteps - 2), high + varying[1] * (2**self.timesteps - 2)
        return np.minimum(low * self.timesteps, low), np.maximum(high * self.timesteps, high)

    def sums(self, layer):
        """Return [2, channels] twice, (least, greatest): the sum over the counts it reads; the input's and bias."""
        varying, constant = np.zeros((2, 2, len(layer.bias)), np.int64)
        constant += layer.bias
        for synapse in layer.synapses:
            least, most = self.value_ranges[synapse.source]
            weight = synapse.weight.reshape(len(layer.bias), -1)
            positive, negative = np.maximum(weight, 0).sum(axis=1), np.minimum(weight, 0).sum(axis=1)
            part = constant if synapse.source == INPUT else varying
            part += np.stack([positive * least + negative * most, positive * most + negative * least])
        return varying, constant


def _sources(layer):
    if isinstance(layer, Pool):
        return (layer.source,)
    return tuple(synapse.source for synapse in layer.synapses)
