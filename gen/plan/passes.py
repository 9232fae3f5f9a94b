"""A network as the passes that the machine runs, in their order.

A *pass* runs one layer (a spiking layer with the pool fused behind it, a pool by itself, or a readout) over its tiles.
A tile is one output position times up to ``tile_channels`` output channels. Most networks have one pass for each layer,
run through at every timestep; `gen.plan.two_phase` has the others. In tile order a pass runs all timesteps of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gen.intnet import TILES, IntegerNetwork
from gen.layers import INPUT, Layer, Pool, Spiking, Synapse
from gen.plan.params import LEVELS
from gen.plan.walk import Loops, Ring, Walk

__all__ = ["Pass", "fusible_pool", "layer_passes", "thresholds"]


@dataclass(frozen=True, eq=False)
class Pass:
    """One layer as the machine runs it.

    Parameters
    ----------
    stage, index : number of its stage; its number among the passes of all stages
    layer : what it runs
    pool : the pool fused behind a spiking layer
    stored : name of the map that leaves it, the fused pool's or the layer's own; None where none does
    synapses : what it gathers; of a pool one depthwise synapse of ones
    rows, columns, channels : of the map that leaves it, of which it makes the ``channels`` from ``first_channel`` on
    keep : it reads the constant input alone, and keeps the current of the first timestep
    steps : timesteps that a tile runs before the next tile: all of them in tile order, else 1
    tile_channels, blocks : channels of a tile; runs of tiles that each share a window of channels (`gen.plan.tiles`)
    neurons : of a group, that share its tiles: neuron i of N runs lanes i, i + N, i + 2 N ...
    narrow : two words of its weights lie in a memory word
    loops : its loops, and how the groups share them
    sizes, weights : memory words of every synapse's weights, of each group; the first of them
    streamed, supplied : its weights, its parameters lie outside the chip
    rings : of every synapse that reads a map outside the chip, where on the chip its rows pass by (`gen.plan.spilling`)
    ahead : rows of it whose words are copied into the rings before they are begun, beside the next one
    parameter, state, current : first word of its parameters, states and kept currents, of each neuron
    parked : its states lie outside the chip, from this word on of all that do (`gen.plan.parking`); None: on the chip
    update : in a two-phase network the number of this pass among its layer's, from 1
    reads_at, stores_at : timestep of the maps read and stored, the first one's in tile order; 0: any
    biased : whether the bias is added
    image : in a batch the number of its image, from 0 (`gen.plan.batch`)
    again : what it needs from outside the chip has come for the same pass of the image before
    per_image : names of the maps of which each image of a batch has its own
    walk : all addresses, once everything is placed
    """

    stage: int
    index: int
    layer: Layer
    pool: Pool | None
    stored: str | None
    synapses: tuple[Synapse, ...]
    rows: int
    columns: int
    channels: int
    keep: bool = False
    steps: int = 1
    tile_channels: int = 1
    blocks: int = 1
    neurons: int = 1
    narrow: bool = False
    loops: Loops = None  # pyright: ignore[reportAssignmentType] - shared out before anything is placed
    sizes: tuple[int, ...] = ()
    weights: tuple[int, ...] = ()
    first_channel: int = 0
    streamed: bool = False
    supplied: bool = False
    rings: tuple[Ring | None, ...] = ()
    ahead: int = 0
    parameter: int = 0
    state: int = 0
    current: int = 0
    parked: int | None = None
    update: int = 0
    reads_at: int = 0
    stores_at: int = 0
    biased: bool = True
    image: int = 0
    again: bool = False
    per_image: frozenset[str] = frozenset()
    walk: Walk = None  # pyright: ignore[reportAssignmentType] - a plan's passes have one

    @property
    def silent(self) -> bool:
        """Whether its neurons accumulate and do not fire."""
        return self.layer.fires and self.stored is None

    @property
    def resumes(self) -> bool:
        """Whether an earlier pass of the layer has left its states."""
        return self.update > 1

    @property
    def rowwise(self) -> bool:
        """Whether it waits at each of its rows for words of maps outside the chip."""
        return any(self.rings)

    @property
    def fetched(self) -> bool:
        """Whether it waits for a block from outside the chip (`gen.plan.blocks`)."""
        return (self.streamed or self.supplied or self.rowwise) and not self.again

    @property
    def phase(self) -> str:
        """What a two-phase network does with a timestep in this pass: ``taken``, ``fired`` or ``pooled``."""
        return "taken" if self.stored is None else "pooled" if not self.layer.weighted else "fired"

    @property
    def title(self) -> str:
        """The layer's name, and in a two-phase network the timestep and what is done with it."""
        timestep = self.stores_at or self.reads_at
        once = self.steps > 1 or not timestep
        return self.layer.name if once else f"{self.layer.name}, timestep {timestep} {self.phase}"

    @property
    def reads(self) -> tuple[tuple[str, int], ...]:
        """Name and timestep, or image, of the (first) map that each synapse reads; see `gen.plan.regions.Region`."""
        return tuple((s.source, 0 if s.source == INPUT else self._version(s.source, self.reads_at))
                     for s in self.synapses)

    @property
    def writes(self) -> tuple[str, int] | None:
        """Name and timestep, or image, of the (first) map stored, or None."""
        return (self.stored, self._version(self.stored, self.stores_at)) if self.stored else None

    def _version(self, name, timestep):
        return self.image if name in self.per_image else timestep

    @property
    def tiles(self) -> int:
        """Channel tiles of one position."""
        return -(-self.channels // self.tile_channels)

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of the fused pooling window."""
        return self.pool.kernel if self.pool else (1, 1)

    @property
    def tile_words(self) -> int:
        """Words of parameters that a neuron has for a tile of all its channels."""
        return -(-self.tile_channels // self.neurons)

    @property
    def beats(self) -> int:
        """Cycles in which the neurons take such a tile: an output's values go to their memory one by one."""
        return self.tile_words if self.layer.emits else self.tile_channels

    @property
    def parameter_words(self) -> int:
        """Words of parameters that the first neuron of group 0 has; no other one has more."""
        return int((-(-self.lanes_of(0) // self.neurons)).sum())

    @property
    def state_words(self) -> int:
        """Cycles in which the neurons of group 0 fire in a timestep, each of which takes a word of what they keep."""
        return self.positions_of(0) * (self.parameter_words if self.layer.emits else int(self.lanes_of(0).sum()))

    def positions_of(self, group: int) -> int:
        """Return at how many positions of the layer's own map ``group`` runs tiles in a timestep."""
        turns, loops = self.loops.turns, self.loops
        columns = self.columns if loops.shared else len(range(group // loops.parts, self.columns, loops.positions))
        runs = group < loops.parts * loops.positions
        return runs * columns * turns["rows"] * turns["pool_rows"] * turns["pool_columns"]

    def lanes_of(self, group: int) -> np.ndarray:
        """Return the lanes of the tiles that ``group`` runs at each of its positions."""
        tiles = np.arange(group % self.loops.parts, self.tiles, self.loops.parts)
        return np.minimum(self.channels - tiles * self.tile_channels, self.tile_channels)

    def order(self, group: int) -> tuple[np.ndarray, ...]:
        """Return int arrays (row, column, first channel, lanes, step) of the tiles that ``group`` runs in a round.

        In its order. Rows and columns are those of the layer's own map; ``step`` is the timestep less one in tile order
        and 0 otherwise.
        """
        loops, (height, width) = self.loops, self.window
        row, column, block, tile, y, x, step = np.indices([loops.turns[n] for n in LEVELS]).reshape(len(LEVELS), -1)
        if not loops.shared:
            column = column * loops.positions + group // loops.parts
        tile = (block * loops.turns["tiles"] + tile) * loops.parts + group % loops.parts
        runs = (column < self.columns) & (tile < self.tiles) & (group < loops.parts * loops.positions)
        first = tile * self.tile_channels
        lanes = np.minimum(self.tile_channels, self.channels - first)
        return tuple(a[runs] for a in (row * height + y, column * width + x, self.first_channel + first, lanes, step))


def thresholds(network: IntegerNetwork, layer: Spiking) -> np.ndarray:
    """Return what a membrane is compared with, int64 [channels]: theta, or that of the first spike of a train."""
    return layer.theta << (network.timesteps - 1 if network.two_phase else 0)


def fusible_pool(network: IntegerNetwork, layer: Layer) -> Pool | None:
    """Return the pool that can run behind the neurons of ``layer``: its only reader, with windows side by side."""
    readers = network.readers[layer.name]
    if not layer.fires or len(readers) != 1 or readers[0].weighted:
        return None
    window = readers[0].window
    plain = not any(window.padding) and window.dilation == window.upsample == (1, 1)
    return readers[0] if plain and window.kernel == window.stride else None


def layer_passes(network: IntegerNetwork, stage: int = 0, apart: frozenset[str] = frozenset()) -> list[Pass]:
    """Return one pass for every layer of a stage, its loops not shared out and nothing of it placed yet.

    ``apart``: names of pools that run by themselves, though they could be fused.
    """
    passes, fused = [], set()
    in_tiles = network.order == TILES and not network.two_phase and network.timesteps > 1
    for layer in network.layers:
        if layer.name in fused:
            continue
        pool = fusible_pool(network, layer)
        if pool and pool.name in apart:
            pool = None
        if pool:
            fused.add(pool.name)
        synapses = layer.synapses if layer.weighted else (_ones(network, layer),)
        channels, rows, columns = network.shapes[(pool or layer).name]
        constant = network.source.kind == "direct" and all(s.source == INPUT for s in synapses)
        passes.append(Pass(
            stage, len(passes), layer, pool, (pool or layer).name if layer.emits else None, synapses,
            rows, columns, channels,
            keep=constant and not network.two_phase and network.timesteps > 1,
            steps=network.timesteps if in_tiles else 1, reads_at=int(in_tiles), stores_at=int(in_tiles),
        ))
    return passes


def _ones(network, pool):
    """Return a pool as the depthwise synapse of ones that the machine gathers."""
    channels, window = network.shapes[pool.source][0], pool.window
    return Synapse(
        pool.source, np.ones((channels, 1, *window.kernel), np.int8), window.stride, window.padding, window.dilation,
        channels, window.upsample, window.fill,
    )
