"""A network as the passes that the machine runs, in their order.

A *pass* runs one layer (a spiking layer with the pool fused behind it, a pool by itself, or the readout)
over its tiles. A tile is one output position times ``tile_channels`` output channels. Tiles run in the
order: pooled row, pooled column, channel tile, row and column within the pooling window.

Most networks have one pass for each layer, and the machine runs through them at every timestep. A network separated
in time is run through once, with a pass for every update of a layer: it accumulates for each timestep of its sources,
then fires in timesteps of its own. Its last accumulation and its first firing are one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gen.layers import INPUT, Pool, Readout, Spiking, Synapse

__all__ = [
    "Pass", "is_row_segment", "layer_passes", "segment_words", "two_phase_passes", "synapse_words",
    "thresholds", "window_channels",
]


@dataclass(frozen=True, eq=False)
class Pass:
    """One layer as the machine runs it.

    ``stored`` names the map that leaves the pass (the fused pool's, or the layer's own), None for the
    readout and where a layer accumulates only. Depth fields count from the first word of this pass in each memory.
    The weights of a ``narrow`` pass lie two words in a memory word.

    In a two-phase network ``update`` is the number of this pass among its layer's, from 1; it takes the spikes of
    timestep ``reads_at`` and stores those of ``stores_at``; 0 stands for every timestep, or none. ``biased`` says
    whether the bias is added.
    """

    layer: Spiking | Pool | Readout
    pool: Pool | None
    stored: str | None
    synapses: tuple[Synapse, ...]
    rows: int
    columns: int
    channels: int
    tile_channels: int
    keep: bool
    weight_bases: tuple[int, ...] = ()
    state_base: int = 0
    current_base: int = 0
    parameter_base: int = 0
    update: int = 0
    reads_at: int = 0
    stores_at: int = 0
    biased: bool = True
    narrow: bool = False

    @property
    def silent(self):
        """Whether its neurons accumulate and do not fire."""
        return self.layer.fires and self.stored is None

    @property
    def phase(self):
        """What a two-phase network does with a timestep in this pass: ``taken``, ``fired`` or ``pooled``."""
        return "taken" if self.stored is None else "pooled" if not self.layer.weighted else "fired"

    @property
    def timestep(self):
        """That timestep; 0 where the pass is run at every one."""
        return self.stores_at or self.reads_at

    @property
    def title(self):
        """The layer's name, and in a two-phase network the timestep and what is done with it."""
        return f"{self.layer.name}, timestep {self.timestep} {self.phase}" if self.timestep else self.layer.name

    @property
    def resumes(self):
        """Whether an earlier pass of the layer has left its states."""
        return self.update > 1

    @property
    def reads(self):
        """Name and timestep of the map that each synapse reads, the key of its region."""
        return tuple((s.source, 0 if s.source == INPUT else self.reads_at) for s in self.synapses)

    @property
    def writes(self):
        """Name and timestep of the map stored, or None."""
        return self.stored and (self.stored, self.stores_at)

    @property
    def tiles(self):
        """Channel tiles of one position."""
        return -(-self.channels // self.tile_channels)

    @property
    def window(self):
        """Rows and columns of the fused pooling window."""
        return self.pool.kernel if self.pool else (1, 1)

    @property
    def runs(self):
        """Tiles run in one timestep."""
        return self.rows * self.columns * self.tiles * self.window[0] * self.window[1]

    def order(self):
        """Return int arrays (row, column, first channel), one entry per tile run, in the machine's order."""
        height, width = self.window
        grid = np.indices((self.rows, self.columns, self.tiles, height, width)).reshape(5, -1)
        return grid[0] * height + grid[3], grid[1] * width + grid[4], grid[2] * self.tile_channels


def thresholds(network, layer):
    """Return what a membrane is compared with, int64 [channels]: theta, or that of the first spike of a train."""
    return layer.theta << (network.timesteps - 1 if network.two_phase else 0)


def window_channels(synapse, tile_channels):
    """Return (input channels that one tile reads, tiles that share them, output channels per event)."""
    if synapse.groups == 1:
        return synapse.weight.shape[1], None, tile_channels
    out_group, in_group = synapse.weight.shape[0] // synapse.groups, synapse.weight.shape[1]
    if tile_channels >= out_group:
        return tile_channels // out_group * in_group, 1, out_group
    return in_group, out_group // tile_channels, tile_channels


def is_row_segment(synapse):
    """Return whether the positions of one kernel row are one contiguous segment."""
    return synapse.groups == 1 and (synapse.dilation[1] == 1 or synapse.kernel[1] == 1)


def segment_words(synapse, tile_channels):
    """Return (weight words of one segment, segments of one kernel row)."""
    window, _, _ = window_channels(synapse, tile_channels)
    columns = synapse.kernel[1]
    return (columns * window, 1) if is_row_segment(synapse) else (window, columns)


def synapse_words(p, synapse):
    """Return the memory words of a synapse's weights; a pool pass keeps one identity block for all its taps."""
    words, segments = segment_words(synapse, p.tile_channels)
    words *= 1 if not p.layer.weighted else segments * synapse.kernel[0] * p.tiles
    return -(-words // 2) if p.narrow else words


def _tile_channels(channels, synapses, lanes):
    """Return the widest channel tile that never straddles a part of a group."""
    for candidate in range(min(lanes, channels), 0, -1):
        groups = [s.weight.shape[0] // s.groups for s in synapses if s.groups > 1]
        if all(candidate % g == 0 or g % candidate == 0 for g in groups):
            return candidate
    return 1


def layer_passes(network, lanes):
    """Return one pass for every layer, nothing of it placed yet."""
    passes, fused = [], set()
    for layer in network.layers:
        if layer.name in fused:
            continue
        shape, pool = network.shapes[layer.name], None
        if not layer.weighted:
            channels = network.shapes[layer.source][0]
            ones = np.ones((channels, 1, *layer.kernel), np.int64)
            synapses = (Synapse(layer.source, ones, layer.stride, layer.padding, layer.dilation, channels),)
        else:
            synapses = layer.synapses
        if layer.fires:
            pool = _fusible(network, layer)
            if pool:
                fused.add(pool.name)
                shape = network.shapes[pool.name]
        constant = network.source.kind == "direct" and all(s.source == INPUT for s in synapses)
        passes.append(Pass(
            layer, pool, None if not layer.emits else (pool or layer).name, synapses,
            shape[1], shape[2], shape[0], _tile_channels(shape[0], synapses, lanes),
            constant and not network.two_phase,
        ))
    return tuple(passes)


def _fusible(network, layer):
    readers = network.readers[layer.name]
    if len(readers) == 1 and not readers[0].weighted:
        pool = readers[0]
        if pool.kernel == pool.stride and not any(pool.padding):
            return pool
    return None


def two_phase_passes(network, layers):
    """Return the passes of a two-phase network, of one pass for every layer.

    Layer by layer, a timestep fired is pooled and taken at once by the layers that wait for no other: of a layer that
    feeds but the next one, the spikes of one timestep are stored at a time.
    """
    last, spikes_of, pools, listeners = network.timesteps, {}, {}, {}
    for n, p in enumerate(layers):
        sources = [spikes_of[s.source] for s in p.synapses if s.source != INPUT]
        spikes_of[p.stored] = max(sources) if not p.layer.weighted else n
        if sources:
            (pools if not p.layer.weighted else listeners).setdefault(max(sources), []).append(p)
    passes = []
    for n, p in enumerate(layers):
        if not p.layer.weighted:
            continue
        taken = last if any(s.source != INPUT for s in p.synapses) else 1
        passes.append(replace(p, update=taken, reads_at=last, stores_at=int(p.stored is not None)))
        for t in range(1, last + 1 if p.stored else 1):
            if t > 1:
                passes.append(
                    replace(p, synapses=(), weight_bases=(), update=taken + t - 1, stores_at=t, biased=False)
                )
            passes += [replace(pool, reads_at=t, stores_at=t) for pool in pools.get(n, ())]
            passes += [_accumulation(other, t) for other in listeners.get(n, ()) if t < last]
    return tuple(passes)


def _accumulation(p, t):
    """Return the pass that takes the spikes of timestep ``t``, before the last one."""
    synapses, bases = zip(*((s, base) for s, base in zip(p.synapses, p.weight_bases) if s.source != INPUT))
    return replace(p, stored=None, synapses=synapses, weight_bases=bases, update=t, reads_at=t, biased=False)
