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

from gen.exit_rule import ExitRule
from gen.layers import INPUT, INVERSE_LEAKY, MAX_TIMESTEPS, NetworkError, Pool, Readout, Source, Spiking, signed_bits

__all__ = ["IntegerNetwork"]

MAX_WORD_BITS = 32


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
