"""The parts of an integer network: what it looks at, and its layers, each checked when it is made.

`gen.intnet` has the equations. Every value is an integer.

There is one protocol. A layer has a ``name`` and a ``role``; it reads maps through its ``inputs``, each with a
``source`` (the name of a map), a ``window`` (`gen.window`) and a ``weight`` or, in a pool, none; it emits one map of
``map_shape``. What a stage does for the three roles lies in one table of that stage, by role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gen.errors import NetworkError
from gen.window import NEAREST, Windowed

__all__ = [
    "ADAFIRE", "INPUT", "INVERSE_LEAKY", "MAX_BURST", "MAX_TIMESTEPS", "MIN_BURSTS", "NEURONS", "POOL", "READOUT",
    "ROLES", "SPIKING", "STATE_BITS", "THETA_MAX", "WEIGHT_BITS", "Layer", "NetworkError", "Pool", "Readout", "Source",
    "Spiking", "Synapse", "signed_bits",
]

INPUT = "input"
ROLES = SPIKING, POOL, READOUT = ("spiking", "pool", "readout")
ADAFIRE, INVERSE_LEAKY = NEURONS = ("adafire", "inverse_leaky")
MAX_BURST = 255
MIN_BURSTS = (1, 2, 4, 8)
MAX_TIMESTEPS = 512
MAX_SYNAPSES = 256  # of a layer
MAX_SIDE = 2**16  # channels, rows or columns of a map
THETA_MAX = 2**30
BIAS_MAX = 2**31 - 1
WEIGHT_BITS = range(2, 9)
STATE_BITS = range(4, 33)


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


def _whole(value, low, high, what):
    """Return ``value`` as int; NetworkError unless it is an integer of ``low..high``."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
        raise NetworkError(f"{what} must be {low}..{high}, not {value!r}")
    return int(value)


@dataclass(frozen=True, eq=False)
class Source:
    """What the network looks at.

    ``shape`` is (channels, height, width). An input value is ``pixel - offset[channel]``, which lies in
    ``low - max(offset) .. high - min(offset)``; padding is 0, that is a pixel equal to the offset.
    ``kind`` is ``direct`` (constant over time) or ``frames`` (another map at each timestep).
    """

    shape: tuple[int, int, int]
    kind: str = "direct"
    low: int = 0
    high: int = 255
    offset: np.ndarray = None  # pyright: ignore[reportAssignmentType] - zeros are put in its place

    def __post_init__(self):
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or not all(1 <= n <= MAX_SIDE for n in shape):
            raise NetworkError(
                f"the input shape must be (channels, height, width), each 1..{MAX_SIDE}, not {self.shape!r}"
            )
        if self.kind not in ("direct", "frames"):
            raise NetworkError(f"the input kind must be 'direct' or 'frames', not {self.kind!r}")
        if not -(2**15) <= self.low < self.high < 2**15:
            raise NetworkError(f"the input range must be a part of 16 bits, not {self.low}..{self.high}")
        offset = np.zeros(shape[0], np.int64) if self.offset is None else self.offset
        offset = _integers(offset, (shape[0],), "the input offset")
        if offset.min() < -(2**15) or offset.max() >= 2**15:
            raise NetworkError(f"the input offset must fit 16 bits, not {offset.min()}..{offset.max()}")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "offset", offset)

    @property
    def range(self):
        """Smallest and largest input value, padding included."""
        return (min(0, self.low - int(self.offset.max())), max(0, self.high - int(self.offset.min())))


@dataclass(frozen=True, eq=False)
class Synapse(Windowed):
    """One convolution from a map to a layer: ``weight`` is [out, in/groups, height, width].

    A linear layer is the convolution whose kernel is the whole map; a residual identity is the 1x1
    depthwise convolution with one weight per channel. The other fields are those of `gen.window.Window`.
    """

    source: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, ...] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    upsample: tuple[int, int] = (1, 1)
    fill: str = NEAREST

    def __post_init__(self):
        weight = _integers(self.weight, None, f"the weight read from {self.source!r}")
        if weight.ndim != 4 or 0 in weight.shape:
            raise NetworkError(
                f"the weight read from {self.source!r} must be [out, in/groups, height, width], not {weight.shape}"
            )
        object.__setattr__(self, "groups", _whole(self.groups, 1, MAX_SIDE, "groups"))
        if weight.shape[0] % self.groups:
            raise NetworkError(f"{self.groups} groups do not divide {weight.shape[0]} output channels")
        object.__setattr__(self, "weight", weight)
        self.settle_window()

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
        return (self.weight.shape[0], *self.result_size(shape))


class Layer:
    """The protocol of every layer; see the module's docstring."""

    role: str
    name: str
    synapses: tuple[Synapse, ...]

    if TYPE_CHECKING:  # a role has fields of its own, and who uses one has asked for the role
        def __getattr__(self, name: str) -> Any: ...

    @property
    def inputs(self) -> tuple:
        """What it reads its maps through: its synapses, or the pool itself."""
        return self.synapses

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the maps it reads."""
        return tuple(part.source for part in self.inputs)

    @property
    def fires(self) -> bool:
        """Whether it holds neurons that send counts."""
        return self.role == SPIKING

    @property
    def weighted(self) -> bool:
        """Whether it sums weights times values into accumulators."""
        return self.role != POOL

    @property
    def emits(self) -> bool:
        """Whether other layers may read its map."""
        return self.role != READOUT

    def map_shape(self, shapes):
        """Return (channels, height, width) of its map; ``shapes``: name of every earlier map to its shape."""
        results = {part.output_shape(shapes[part.source]) for part in self.inputs}
        if len(results) != 1:
            raise NetworkError(f"the synapses of layer {self.name!r} give different shapes: {sorted(results)}")
        return results.pop()


def _check_synapses(layer):
    channels = layer.bias.shape[0]
    if not 1 <= len(layer.synapses) <= MAX_SYNAPSES:
        raise NetworkError(f"layer {layer.name!r} has {len(layer.synapses)} synapses, not 1..{MAX_SYNAPSES}")
    if np.abs(layer.bias).max() > BIAS_MAX:
        raise NetworkError(f"layer {layer.name!r}: the bias must be within {BIAS_MAX} of 0")
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
class Spiking(Layer):
    """A layer of neurons of one kind; all arrays are per output channel, in units of the membrane.

    ``theta_low`` and ``burst_low`` are the threshold and the cap below zero of neurons with two thresholds, whose
    counts are signed; None and 0 where there are no counts below zero. A burst of fewer spikes than ``min_burst`` (1,
    2, 4 or 8) is not sent but kept in the membrane. An inverse-leaky layer has a burst of 1 and a ``v_init`` of 0: its
    rounding is part of the bias.
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
    min_burst: int = 1
    theta_low: np.ndarray | None = None
    burst_low: int = 0

    role = SPIKING

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
        self._check_theta(theta, f"{what} theta")
        if self.theta_low is None:
            object.__setattr__(self, "burst_low", _whole(self.burst_low, 0, 0, f"{what} burst_low, without theta_low,"))
        else:
            low = _integers(self.theta_low, channels, f"{what} theta_low")
            self._check_theta(low, f"{what} theta_low")
            object.__setattr__(self, "theta_low", low)
            object.__setattr__(self, "burst_low", _whole(self.burst_low, 1, MAX_BURST, f"{what} burst_low"))
        object.__setattr__(self, "burst", _whole(self.burst, 1, MAX_BURST, f"{what} the burst cap"))
        _whole(self.state_bits, STATE_BITS[0], STATE_BITS[-1], f"{what} state_bits")
        limit = 2 ** (self.state_bits - 1)
        if self.v_init.min() < -limit or self.v_init.max() >= limit:
            raise NetworkError(f"{what} v_init does not fit a state of {self.state_bits} bits")
        if self.min_burst not in MIN_BURSTS or self.min_burst > self.burst:
            raise NetworkError(
                f"{what} min_burst must be one of {', '.join(map(str, MIN_BURSTS))} and at most the cap of "
                f"{self.burst}, not {self.min_burst}"
            )
        if self.neuron == INVERSE_LEAKY and (self.burst != 1 or self.v_init.any() or self.signed):
            raise NetworkError(f"{what} an inverse-leaky neuron has one threshold, a burst of 1 and starts at 0")
        _check_synapses(self)

    @staticmethod
    def _check_theta(theta, what):
        if theta.min() < 1:
            raise NetworkError(f"{what} must be positive, channel {int(theta.argmin())} has {theta.min()}")
        if theta.max() > THETA_MAX:
            raise NetworkError(f"{what} must be at most {THETA_MAX}, channel {int(theta.argmax())} has {theta.max()}")

    @property
    def signed(self) -> bool:
        """Whether its neurons have a threshold below zero, so that counts may be negative."""
        return self.theta_low is not None


@dataclass(frozen=True, eq=False)
class Pool(Layer, Windowed):
    """Sum (average pool: the divisor is in the next weights) or maximum of one timestep's counts.

    Taps outside the map take no part. The fields after ``kind`` are those of `gen.window.Window`.
    """

    name: str
    source: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, ...] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    upsample: tuple[int, int] = (1, 1)
    fill: str = NEAREST

    role = POOL
    weight = None
    synapses = ()

    def __post_init__(self):
        if self.kind not in ("sum", "max"):
            raise NetworkError(f"layer {self.name!r}: a pool is 'sum' or 'max', not {self.kind!r}")
        try:
            self.settle_window()
        except NetworkError as error:
            raise NetworkError(f"layer {self.name!r}: {error}") from error
        object.__setattr__(self, "kernel", self.window.kernel)

    @property
    def inputs(self):
        """The pool itself: it reads one map, through its own window."""
        return (self,)

    def output_shape(self, shape):
        """Return (channels, height, width) of the pooled map."""
        return (shape[0], *self.result_size(shape))


@dataclass(frozen=True, eq=False)
class Readout(Layer):
    """A named output: one accumulator per channel and position, no threshold; no layer reads it."""

    name: str
    synapses: tuple[Synapse, ...]
    bias: np.ndarray
    weight_bits: np.ndarray

    role = READOUT

    def __post_init__(self):
        bias = _integers(self.bias, None, f"layer {self.name!r}: bias")
        if bias.ndim != 1 or not len(bias):
            raise NetworkError(f"layer {self.name!r}: bias must be one value per class")
        object.__setattr__(self, "synapses", tuple(self.synapses))
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "weight_bits", _weight_bits(self, len(bias)))
        _check_synapses(self)
