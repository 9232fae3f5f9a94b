"""The parts of an integer network: what it looks at, and its layers, each checked when it is made.

`gen.intnet` has the equations. Every value is an integer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gen.errors import InputError

__all__ = [
    "ADAFIRE", "INPUT", "INVERSE_LEAKY", "LEAST_BURSTS", "MAX_BURST", "MAX_TIMESTEPS", "NEURONS", "STATE_BITS",
    "WEIGHT_BITS", "NetworkError", "Pool", "Readout", "Source", "Spiking", "Synapse", "signed_bits",
]

INPUT = "input"
ADAFIRE, INVERSE_LEAKY = NEURONS = ("adafire", "inverse_leaky")
MAX_BURST = 15
LEAST_BURSTS = (1, 2, 4, 8)
MAX_TIMESTEPS = 64
WEIGHT_BITS = range(2, 9)
STATE_BITS = range(4, 33)


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
