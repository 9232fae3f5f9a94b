"""A network on the core that it needs, or on one that is there, and the contents of that core's memories.

A plan is made once and read by everybody: the gateware's generator, traffic, estimate, compare and the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from gen.errors import DoesNotFit, InputError
from gen.intnet import Network
from gen.plan.blocks import Bases, outside_bases
from gen.plan.contents import memory_contents
from gen.plan.image import load_stream, stream_digest
from gen.plan.lanes import shape_of_lanes
from gen.plan.layout import Layout, lay_out
from gen.plan.maps import count_bits, map_depth, wide_depth
from gen.plan.memories import MemorySpec, memory_table
from gen.plan.params import CoreParams
from gen.plan.passes import Pass
from gen.plan.program_words import program_length
from gen.plan.regions import WHOLE, Room
from gen.plan.sizes import needed_params, with_program
from gen.plan.strips import FORMS, UNCUT, Cut
from gen.plan.weights import widest_weight, word_bits

__all__ = ["Plan", "core_room", "covering", "make_plan", "plan_on"]

PAYS = 4  # words of maps for each wide one, at least: a memory for the bits of these has whole blocks too


@dataclass(frozen=True, eq=False)
class Plan:
    """A network laid out for a core of ``params``: what the core runs, where everything lies, what is loaded."""

    network: Network
    params: CoreParams
    layout: Layout

    stages = property(lambda self: self.layout.stages)
    regions = property(lambda self: self.layout.regions)

    @cached_property
    def passes(self) -> tuple[Pass, ...]:
        """The passes of all stages, in program order."""
        return tuple(p for stage in self.stages for p in stage.passes)

    def output_base(self, name: str, image: int = 0) -> int:
        """Return the address of the first value of an output, of an ``image`` of a batch."""
        sizes = self.layout.output_sizes
        before = list(sizes).index(name)
        return image * sum(sizes.values()) + sum(list(sizes.values())[:before])

    @cached_property
    def bases(self) -> Bases:
        """What lies where outside the chip."""
        return outside_bases(self.params, self.stages, self.regions)

    @cached_property
    def memories(self) -> dict[str, MemorySpec]:
        """The memories of the core, as `gen.plan.memories.memory_table` has them."""
        return memory_table(self.params)

    @cached_property
    def contents(self) -> dict[str, Sequence[int] | np.ndarray]:
        """Name of every loadable memory to its words, from address 0 on; of that outside the chip a uint32 array."""
        return memory_contents(self)

    @property
    def initial_contents(self) -> dict[str, Sequence[int] | np.ndarray]:
        """The ``contents`` that a core is made with: none where it waits for a load in any case."""
        return self.contents if self.params.initialised else {}

    @cached_property
    def load_stream(self) -> np.ndarray:
        """The uint32 words that load the network, trailer included."""
        return load_stream(self.contents, self.memories)

    @property
    def digest(self) -> int:
        """The CRC-32 of the load stream."""
        return stream_digest(self.load_stream)


def make_plan(
    network: Network, lanes: int = 16, *, width: int | None = None, groups: int | None = None, neurons: int = 1,
    spram: int = 0, room: Room = WHOLE, strips: str = "", batch: int = 1, unfused: int = 0,
    shared: bool = True,
) -> Plan:
    """Lay ``network`` out on the smallest core of ``lanes`` lanes that runs it.

    Parameters
    ----------
    width, groups : of the core instead of ``lanes``: both or none
    neurons : of each group
    spram : 1 puts the weights, 2 the states as well into single-port RAM
    room : what a group may have on the chip: the rest lies outside
    strips : of `FORMS`: into which strips the input is cut, if it can be (`gen.plan.strips`)
    batch : images that are run together (`gen.plan.batch`)
    unfused : as of `CoreParams` (`gen.plan.fusing`)
    shared : let the groups share the inputs of readouts, if they can (`gen.plan.sharing`)

    Raises
    ------
    UnsupportedNetwork
        With all that no core runs.
    InputError
        For states in single-port RAM that a tile would read and write in the same cycle, or a ``batch`` of a network
        that has none.
    """
    width, groups = (width, groups) if width and groups else shape_of_lanes(lanes)
    bits = word_bits(network)
    cut = Cut(width, FORMS[strips]) if strips else UNCUT
    layout = lay_out(network, width, groups, neurons, bits, room, cut, batch, unfused, shared)
    narrower = _narrower(network, room)
    if narrower != room:
        other = lay_out(network, width, groups, neurons, bits, narrower, cut, batch, unfused, shared)
        depth = map_depth(other.regions, [p for stage in other.stages for p in stage.passes])
        layout = other if PAYS * wide_depth(other.regions) <= depth else layout
    params = needed_params(
        layout, width=width, groups=groups, neurons=neurons, weight_bits=bits, signed=0, spram=spram,
    )
    most = params.neuron_latency + 2  # the first state of a tile is written as many cycles after it was read
    if spram >= 2 and params.states and params.beats > most:
        raise InputError(
            f"Groups with states in single-port RAM have at most {most} lanes for a neuron, not {params.beats}: take "
            "fewer lanes, or more neurons."
        )
    return Plan(network, params, layout)


def plan_on(network: Network, params: CoreParams, room: Room | None = None) -> Plan:
    """Lay ``network`` out for an existing core.

    ``room``: as of `make_plan`; by default all that the core has. One without memory outside has no other weights.

    Raises
    ------
    DoesNotFit
        Says what is short.
    """
    layout, needed = _lay_out_on(network, params, room or core_room(params))
    short = params.shortages(needed)
    length = program_length(layout.stages, params)
    if length > params.program:
        short.append(f"program: the network needs {length}, the core has {params.program}")
    plan = Plan(network, params, layout)
    if not short and plan.bases.end > params.outside:
        short.append(f"outside: the network needs {plan.bases.end}, the core has {params.outside}")
    if short:
        raise DoesNotFit("The network does not fit the core. " + "; ".join(short) + ". Generate a larger core.")
    return plan


def _lay_out_on(network, params, room):
    """Return the `Layout` on a core of ``params``, be it large enough or not, and the parameters needed there."""
    halved = params.weight_bits if params.narrow else 0
    if params.wide:
        room = replace(room, map_bits=params.map_bits, signed=bool(params.signed))
    cut = Cut(params.image_tile, params.image_rows) if params.strips else UNCUT
    layout = lay_out(
        network, params.width, params.groups, params.neurons, halved, room, cut, params.batch, params.unfused,
        bool(params.shared))
    bits = widest_weight(network)
    return layout, needed_params(
        layout, width=params.width, groups=params.groups, neurons=params.neurons,
        weight_bits=bits + bits % 2 * params.narrow, signed=params.signed, spram=params.spram,
    )


def covering(plans: Sequence[Plan], room: Room | None = None) -> CoreParams:
    """Return the parameters of the smallest core that runs the networks of all ``plans``, made for as many lanes.

    ``room``: as of `plan_on`, for which the core has enough.
    """
    shapes = {(plan.params.width, plan.params.groups, plan.params.neurons) for plan in plans}
    if len(shapes) != 1:
        raise InputError(
            f"One core has one number of lanes, groups and neurons, the networks are planned for {sorted(shapes)}."
        )
    merged = {name: max(asdict(plan.params)[name] for plan in plans) for name in asdict(plans[0].params)}
    if merged["signed"]:
        merged["count_bits"] = max(plan.params.signed_count_bits for plan in plans)
        merged["map_bits"] = max(plan.params.signed_map_bits for plan in plans)
    if merged["map_bits"] == merged["count_bits"]:
        merged["wide"] = 0
    merged["weight_bits"] += merged["weight_bits"] % 2 * merged["narrow"]
    merged |= _one_input([plan.params for plan in plans])
    params, laid = _grown(CoreParams(**merged), [plan.network for plan in plans], room)
    placed = [*((plan.network, plan.layout) for plan in plans), *laid]
    outside = max(Plan(network, params, layout).bases.end for network, layout in placed)  # its words may be wider
    return with_program(replace(params, outside=outside), [layout.stages for _, layout in placed])


def _one_input(every):
    """Return the parameters of a core's input that suits those of ``every`` core.

    What passes by from the outside is in no strips, and a core stores whole windows of one size: where there are others
    they become strips of a row.
    """
    values = min(p.input_values for p in every)
    if any(p.image_ring for p in every):
        tile = max(p.image_tile for p in every if not p.strips)
        return {"strips": 0, "image_rows": 1, "image_tile": tile, "input_values": values}
    rows, tile = max((p.image_rows, p.image_tile) for p in every)
    if any(p.image_tile > tile or 1 < p.image_rows and (p.image_rows, p.image_tile) != (rows, tile) for p in every):
        rows, tile = 1, max(p.image_row_lanes for p in every)
    return {"image_rows": rows, "image_tile": tile, "input_values": values}


def _grown(params, networks, room):
    """Return ``params`` large enough for ``networks`` as `plan_on` lays them out, and [(network, that layout)].

    On its own, a network's maps may lie otherwise: words have the bits of what the widest of all networks fires.
    """
    while True:
        laid, grown = [], params
        for network in networks:
            layout, needed = _lay_out_on(network, params, room or core_room(params))
            laid.append((network, layout))
            grown = grown.grown(needed)
        if grown == params:
            return params, laid
        params = grown


def _narrower(network, room):
    """Return a room whose words have the bits of what neurons fire: sums of pools may have many more."""
    signed = any(layer.fires and layer.signed for n in network.stages for layer in n.layers)
    bits = [count_bits(n, layer.name, signed) for n in network.stages for layer in n.layers
            if layer.emits and (layer.weighted or layer.kind != "sum")]
    sums = [count_bits(n, layer.name, signed) for n in network.stages for layer in n.layers
            if layer.emits and not layer.weighted and layer.kind == "sum"]
    if not bits or max(sums, default=0) <= max(bits):
        return room
    return replace(room, map_bits=max(bits), signed=signed)


def core_room(params: CoreParams) -> Room:
    """Return the room that a network has on a core: one without memory outside has no other."""
    if not params.outside:
        return WHOLE
    return Room(
        params.weights, params.map_words if params.spilled else None, 0 if params.image_ring else None,
        params.states + params.currents if params.parked else None, params.parameters if params.supplied else None,
    )
