"""The integer network: the contract that golden model, schedule, memory image and RTL all read.

Every value is an integer. For a layer of AdaFire neurons, output channel ``c`` and timestep ``t = 1..T``::

    u(t) = v(t-1) + sum_j w[j] * k_in,j(t) + bias[c]      every synapse of the layer, every source
    k(t) = clamp(floor(u(t) / theta[c]), 0, burst)        burst count; floor towards minus infinity;
                                                          0 if it is less than ``min_burst``
    v(t) = saturate(u(t) - k(t) * theta[c], state_bits)   soft reset; the only saturation there is
    v(0) = v_init[c]

A neuron with two thresholds, ``theta`` above zero and ``theta_low`` below, sends signed counts. Its membrane starts
without the half threshold that makes a count round; the half of the side on which it fires is added instead::

    k(t) =   min(floor((u(t) + theta[c] // 2) / theta[c]), burst)                  u(t) >= 0
    k(t) = - min(floor((-u(t) + theta_low[c] // 2) / theta_low[c]), burst_low)     u(t) < 0
                                                          0 if its magnitude is less than ``min_burst``
    v(t) = saturate(u(t) - k(t) * theta[c], state_bits)                            k(t) >= 0
    v(t) = saturate(u(t) - k(t) * theta_low[c], state_bits)                        k(t) < 0

A window (`gen.window`) says which numbers of a map a synapse or a pool reads; a tap beside the map reads nothing. A
pool is the sum or the maximum of this timestep's counts in the window, 0 where it reads none. A readout, an output of
the network, never fires: ``z(t) = z(t-1) + sum_j w[j] * k_in,j(t) + bias[c]``, ``z(0) = 0``. After each timestep the
exit rule (`gen.exit_rule`) looks at ``z(t)`` of the output that decides; the class, at each position of it, is its
argmax, the lowest index winning a tie.

A network of inverse-leaky neurons (SpikeConverter, AAAI 2022) is two-phase: a layer takes all T timesteps
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
cut to the rows and columns that their windows reach.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gen.exit_rule import ExitRule
from gen.layers import INPUT, INVERSE_LEAKY, MAX_TIMESTEPS, Layer, NetworkError, Source
from gen.network_checks import check_exit, check_size, check_two_phase, check_words
from gen.task import SEGMENT, Task, usual_task

__all__ = ["ORDERS", "IntegerNetwork", "Network", "StagedNetwork"]

ORDERS = STEPS, TILES = ("steps", "tiles")
MAX_LAYERS = 1024
MAX_STAGES = 8


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A whole network: layers in order of execution, one or more readouts among them.

    ``order`` says whether a machine runs all layers of a timestep before the next (``steps``), or all timesteps of a
    tile (``tiles``, without an exit rule): the bits are the same. ``provenance`` is a JSON object (strings, numbers,
    lists) about where the network comes from; it carries no meaning for the arithmetic. Nor does ``stated_task``, what
    the outputs are said to mean to a person; ``task`` is that or what is usual.
    """

    source: Source
    layers: tuple[Layer, ...]
    timesteps: int
    exit_rule: ExitRule = field(default_factory=ExitRule)
    provenance: dict = field(default_factory=dict)
    order: str = STEPS
    stated_task: Task | None = None

    def __post_init__(self):
        object.__setattr__(self, "layers", tuple(self.layers))
        if not isinstance(self.timesteps, int | np.integer) or not 1 <= self.timesteps <= MAX_TIMESTEPS:
            raise NetworkError(f"timesteps must be 1..{MAX_TIMESTEPS}, not {self.timesteps}")
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise NetworkError(f"a network has 1..{MAX_LAYERS} layers, not {len(self.layers)}")
        if not self.outputs:
            raise NetworkError("a network must have a readout")
        if len({layer.neuron for layer in self.layers if layer.fires}) > 1:
            raise NetworkError("the spiking layers must all be of one kind of neuron")
        if self.order not in ORDERS:
            raise NetworkError(f"the order must be one of {', '.join(ORDERS)}, not {self.order!r}")
        check_exit(self)
        if self.order == TILES and self.exit_rule.kind != "off" and self.timesteps > 1:
            raise NetworkError("a network in tile order knows no early exit: its rule must be 'off'")
        if self.two_phase:
            check_two_phase(self)
        check_size(self)
        check_words(self)
        self.task.check({name: self.shapes[name] for name in self.outputs}, self.readout.name)

    @cached_property
    def two_phase(self) -> bool:
        """Whether its layers are two-phase, of inverse-leaky neurons."""
        return any(layer.fires and layer.neuron == INVERSE_LEAKY for layer in self.layers)

    @property
    def frames(self) -> int:
        """Frames of a recording that it looks at, where its source is of that kind."""
        return self.timesteps

    @property
    def stages(self) -> tuple[IntegerNetwork, ...]:
        """The network itself, the only stage; see `StagedNetwork`."""
        return (self,)

    @cached_property
    def _by_name(self):
        return {layer.name: layer for layer in self.layers}

    def layer(self, name):
        """Return the layer called ``name``."""
        return self._by_name[name]

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the readouts, in order."""
        return tuple(layer.name for layer in self.layers if not layer.emits)

    @property
    def readout(self):
        """The readout that decides: at which the exit rule looks, and of which the class is the argmax."""
        return self.layer(self.exit_rule.output or self.outputs[0])

    @property
    def classes(self) -> int:
        """Number of classes: channels of the readout that decides."""
        return len(self.readout.bias)

    @property
    def label_classes(self) -> int:
        """Number of classes that labels may name: two where a map of one channel tells one thing from the rest."""
        return 2 if self.task.kind == SEGMENT and self.classes == 1 else self.classes

    @property
    def dense(self) -> bool:
        """Whether the readout that decides has more than one position."""
        return self.shapes[self.readout.name][1:] != (1, 1)

    @property
    def task(self) -> Task:
        """What it is for: where nothing is said, classify, or values where the output that decides is a map."""
        return self.stated_task or usual_task(self.dense)

    @cached_property
    def readers(self):
        """Name of every map to the tuple of layers that read it."""
        readers = {INPUT: [], **{layer.name: [] for layer in self.layers}}
        for layer in self.layers:
            for source in layer.sources:
                readers[source].append(layer)
        return {name: tuple(layers) for name, layers in readers.items()}

    @cached_property
    def shapes(self):
        """Name of every map to its (channels, height, width), cut to what pools read."""
        shapes = {INPUT: self.source.shape}
        emitted = {INPUT}
        for layer in self.layers:
            if layer.name in shapes:
                raise NetworkError(f"two maps are called {layer.name!r}")
            for source in layer.sources:
                if source not in emitted:
                    what = "a readout, which sends no map" if source in shapes else "which no earlier layer makes"
                    raise NetworkError(f"layer {layer.name!r} reads {source!r}, {what}")
            shapes[layer.name] = self._cut(layer, layer.map_shape(shapes))
            if layer.emits:
                emitted.add(layer.name)
        return shapes

    def _cut(self, layer, shape):
        readers = [other for other in self.layers if layer.name in other.sources]
        if not layer.fires or not readers or any(reader.weighted for reader in readers):
            return shape
        covered = [reader.window.covered(shape[1:]) for reader in readers]
        return (shape[0], max(c[0] for c in covered), max(c[1] for c in covered))

    @cached_property
    def value_ranges(self):
        """Name of every map to the (smallest, largest) value it can hold."""
        ranges = {INPUT: self.source.range}
        for layer in self.layers:
            if layer.fires:
                ranges[layer.name] = (-layer.burst_low, layer.burst)
            elif layer.emits:
                area = layer.window.area if layer.kind == "sum" else 1
                low, high = ranges[layer.source]
                ranges[layer.name] = (area * low, area * high)
        return ranges

    def current_range(self, layer):
        """Return per channel the proved (least, greatest) synaptic sum plus bias of one timestep.

        A two-phase network has bias and direct input at t = T alone: the range holds the sums with and without.
        """
        varying, constant = self.sums(layer)
        if self.two_phase:
            constant = np.minimum(constant[0], 0), np.maximum(constant[1], 0)
        return varying[0] + constant[0], varying[1] + constant[1]

    def membrane_range(self, layer):
        """Return per channel the proved range of u before firing, or of z over all timesteps.

        Of neurons with two thresholds it holds u with half a threshold more on either side as well.
        """
        low, high = self.current_range(layer)
        if layer.fires:
            leak = 2 if self.two_phase else 1
            limit = 2 ** (layer.state_bits - 1)
            below, above = (layer.theta_low // 2, layer.theta // 2) if layer.signed else (0, 0)
            return low - leak * limit - below, high + leak * (limit - 1) + above
        if self.two_phase:  # the codes of the sources go up to 2**T - 1
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


@dataclass(frozen=True, eq=False)
class StagedNetwork:
    """Several networks over the same input: one runs only if the exit rule of the one before it did not hold.

    A stage stops as it would alone. If its rule holds at the timestep at which it stops, its answer is the network's;
    otherwise, at its last timestep, the next stage starts from the input. The last stage's answer stands in any case.
    All stages have the same source and outputs of the same names and shapes.
    """

    stages: tuple[IntegerNetwork, ...]
    provenance: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "stages", tuple(self.stages))
        if not 2 <= len(self.stages) <= MAX_STAGES:
            raise NetworkError(f"a network of stages has 2..{MAX_STAGES}, not {len(self.stages)}")
        first = self.stages[0]
        for number, stage in enumerate(self.stages, 1):
            if (_source(stage) != _source(first)) or (stage.source.offset != first.source.offset).any():
                raise NetworkError(f"stage {number} looks at another input than stage 1")
            if stage.source.kind == "frames" and stage.timesteps != first.timesteps:
                raise NetworkError(
                    f"stage {number} has {stage.timesteps} timesteps, stage 1 has {first.timesteps}: each has a frame"
                )
            if _outputs(stage) != _outputs(first) or stage.readout.name != first.readout.name:
                raise NetworkError(f"stage {number} has other outputs than stage 1: {_outputs(stage)}")
            if number < len(self.stages) and stage.exit_rule.kind == "off":
                raise NetworkError(f"stage {number} has the exit rule 'off': it would never be believed")

    source = property(lambda self: self.stages[0].source)
    outputs = property(lambda self: self.stages[0].outputs)
    readout = property(lambda self: self.stages[-1].readout)
    classes = property(lambda self: self.stages[0].classes)
    label_classes = property(lambda self: self.stages[-1].label_classes)
    dense = property(lambda self: self.stages[0].dense)
    two_phase = property(lambda self: any(stage.two_phase for stage in self.stages))
    frames = property(lambda self: self.stages[0].frames)
    task = property(lambda self: self.stages[-1].task)

    @property
    def timesteps(self) -> int:
        """The most timesteps that an input can take, those of all stages."""
        return sum(stage.timesteps for stage in self.stages)


# What a network file holds.
Network = IntegerNetwork | StagedNetwork


def _source(network):
    source = network.source
    return source.shape, source.kind, source.low, source.high


def _outputs(network):
    return {name: network.shapes[name] for name in network.outputs}
