"""The integer network laid out for groups of lanes and neurons: its passes, and where everything lies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gen.intnet import IntegerNetwork, Network
from gen.layers import INPUT
from gen.plan.addresses import build_walk
from gen.plan.batch import Part, batch_parts, check_batch, head_and_tail
from gen.plan.fusing import pools_apart
from gen.plan.grouping import weight_sizes
from gen.plan.maps import place_maps
from gen.plan.outside import Buffer, cut_outside, place_buffers, supply
from gen.plan.parking import park
from gen.plan.passes import Pass, layer_passes
from gen.plan.regions import Region, Room, place_states
from gen.plan.sharing import share_inputs
from gen.plan.spilling import spillable
from gen.plan.strips import UNCUT, Cut
from gen.plan.supported import check_core
from gen.plan.tiles import Tiling, choose_tiles
from gen.plan.two_phase import two_phase_passes
from gen.plan.walk import share_loops
from gen.plan.weights import stored_bits

__all__ = ["Layout", "StagePlan", "lay_out"]


@dataclass(frozen=True, eq=False)
class StagePlan:
    """One stage: its network, its passes in order, and how often they are run for an image at most.

    In a batch several of them run one network; ``program_of``, ``blocks_of`` and ``ends`` are then those of
    `gen.plan.batch.Part`.
    """

    network: IntegerNetwork
    passes: tuple[Pass, ...]
    program_of: int | None = None
    blocks_of: int | None = None
    ends: bool = False

    @property
    def number(self) -> int:
        """Number of the network's stage, which all images of a batch run through."""
        return self.passes[0].stage

    @property
    def rounds(self) -> int:
        """One round is a timestep, or all of them: of a two-phase network, and in tile order."""
        return 1 if self.network.two_phase or any(p.steps > 1 for p in self.passes) else self.network.timesteps


@dataclass(frozen=True, eq=False)
class Layout:
    """A network laid out for groups of so many lanes and neurons: all that does not depend on the size of a core.

    regions : {(stage, name, timestep): Region}
    tiling : the form of the input
    output_sizes : values of every output, in the order of a result
    images : that are run together, each with results of its own (`gen.plan.batch`)
    unfused : as of `CoreParams`
    weights, parameters, states, currents : words that the memories of a group, or of a neuron, need
    """

    stages: tuple[StagePlan, ...]
    regions: dict[tuple[int, str, int], Region]
    tiling: Tiling
    output_sizes: dict[str, int]
    weights: int
    parameters: int
    states: int
    currents: int
    images: int = 1
    unfused: int = 0

    @property
    def shared(self) -> bool:
        """Whether the groups share the inputs of the readouts; then they do so of all."""
        return any(p.loops.shared for stage in self.stages for p in stage.passes)

    @property
    def values(self) -> int:
        """Values in a result, of all images that are run together."""
        return self.images * sum(self.output_sizes.values())

    @property
    def image_channels(self) -> int:
        """Values of a position of the input; in the line form it has one position."""
        shape = self.stages[0].network.source.shape
        return int(np.prod(shape)) if self.tiling.line else shape[0]

    @property
    def replays(self) -> bool:
        """Whether stages that run timestep after timestep find all frames of an image in one map."""
        return self.tiling.kept > 1 and any(stage.rounds > 1 for stage in self.stages)


def lay_out(
    network: Network, width: int, groups: int, neurons: int, halved_bits: int, room: Room, cut: Cut,
    images: int = 1, unfused: int = 0, shared: bool = False,
) -> Layout:
    """Return the `Layout` for groups of so many lanes and neurons.

    ``halved_bits``: of a lane's weights in words that are halved. ``cut``: the strips that the input may be cut into.
    ``images``: that are run together. ``unfused``: as of `CoreParams`. ``shared``: share what can be.
    """
    check_core(network)
    check_batch(network, images)
    networks = network.stages
    if room.image is not None:
        cut = UNCUT  # no strips pass by row by row
    elif images > 1:
        cut = Cut(cut.values)  # the next image lies where rows of zeros would
    drafts, tiling = _shared_out(networks, width, groups, cut, [frozenset()] * len(networks))
    apart = [pools_apart(passes, groups, unfused) for passes in drafts]
    if any(apart):
        drafts, tiling = _shared_out(networks, width, groups, cut, apart)
    if shared:
        drafts = share_inputs(drafts, networks, groups)
    drafts = [[replace(p, neurons=neurons, narrow=_is_narrow(p, halved_bits)) for p in passes] for passes in drafts]
    drafts, inside, parameters = _place_layers(supply(cut_outside(drafts, room.weights), room.parameters))
    every = [p for passes in drafts for p in passes]
    of_weights = Buffer(inside, max((sum(p.sizes) for p in every if p.streamed), default=0))
    of_parameters = Buffer(parameters, max((p.parameter_words for p in every if p.supplied), default=0))
    laid, heads, states, currents = [], [], 0, 0
    for stage, passes in zip(networks, drafts):
        if stage.two_phase:
            passes = two_phase_passes(stage, passes)
        head, tail = head_and_tail(passes) if images > 1 else (passes, [])
        passes = [p for part in (head, tail) for p in place_buffers(part, of_weights, of_parameters)]
        heads.append(len(head))
        passes, *depths = place_states(stage, park(stage, passes, room.states))
        laid.append(passes)
        states, currents = max(states, depths[0]), max(currents, depths[1])
    if not all(INPUT in spillable(passes) for passes in laid):  # all stages read the same one
        room = replace(room, image=None)
    stages, regions, index = [], {}, 0
    for number, (stage, passes, head) in enumerate(zip(networks, laid, heads)):
        own, passes = place_maps(stage, passes, tiling, room, images)
        regions |= {(number, *key): region for key, region in own.items()}
        for part in batch_parts(passes[:head], passes[head:], images) if images > 1 else [Part(passes)]:
            passes = [replace(p, index=index + i, walk=build_walk(p, own)) for i, p in enumerate(part.passes)]
            index += len(passes)
            stages.append(StagePlan(stage, tuple(passes), *part[1:]))
    first = networks[0]
    sizes = {name: int(np.prod(first.shapes[name])) for name in first.outputs}
    return Layout(tuple(stages), regions, tiling, sizes, of_weights.end, of_parameters.end, states, currents, images,
                  unfused)


def _shared_out(networks, width, groups, cut, apart):
    """Return the passes of all stages with their tiles and loops, and the form of the input.

    ``apart``: of each stage the pools that run by themselves.
    """
    passes = [layer_passes(network, stage, apart[stage]) for stage, network in enumerate(networks)]
    drafts, tiling = choose_tiles(passes, networks, width, cut)
    return [[replace(p, loops=share_loops(p, groups)) for p in passes] for passes in drafts], tiling


def _is_narrow(p, bits):
    return p.layer.weighted and bool(bits) and stored_bits(int(p.layer.weight_bits.max()), bits) < bits


def _place_layers(stages):
    """Return the passes of all stages with places for weights and parameters, and the words of both.

    All pools share one word of ones. Streamed weights are counted from the first word of their block. What lies outside
    counts for nothing.
    """
    placed, words, parameters, ones = [], 0, 0, None
    for passes in stages:
        row = []
        for p in passes:
            sizes = weight_sizes(p, passes)
            first = 0 if p.streamed else words
            bases = tuple(first + sum(sizes[:n]) for n in range(len(sizes)))
            if not p.layer.weighted:
                ones, words = (words, words + 1) if ones is None else (ones, words)
                bases = (ones,)
            elif not p.streamed:
                words += sum(sizes)
            row.append(replace(p, sizes=sizes, weights=bases, parameter=parameters))
            parameters += p.parameter_words if p.layer.weighted and not p.supplied else 0
        placed.append(row)
    return placed, words, parameters
