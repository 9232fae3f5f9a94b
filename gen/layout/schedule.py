"""The integer network laid out for the machine: passes, tiles, addresses, and the core it needs.

A *pass* runs one layer (a spiking layer with the pool fused behind it, a pool by itself, or the readout)
over its tiles. A tile is one output position times ``tile_channels`` output channels. Tiles run in the
order: pooled row, pooled column, channel tile, row and column within the pooling window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gen.errors import DoesNotFit
from gen.intnet import INPUT, IntegerNetwork, Pool, Readout, Spiking, Synapse, signed_bits
from gen.layout.program import CoreParams

__all__ = ["Pass", "Region", "Schedule", "build_schedule", "schedule_on"]

SHARED_LANES = 4


@dataclass(frozen=True)
class Region:
    """Where a map is stored: first event, first pointer, channels of one pointer tile, tiles a position."""

    events: int
    pointers: int
    tile_channels: int
    tiles: int


@dataclass(frozen=True, eq=False)
class Pass:
    """One layer as the machine runs it.

    ``stored`` names the map that leaves the pass (the fused pool's, or the layer's own), None for the
    readout. Depth fields count from the first word of this pass in each memory.
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


def synapse_words(layer, synapse, tile_channels, tiles):
    """Return the weight words of a synapse; a pool pass keeps one identity block for all its taps."""
    words, segments = segment_words(synapse, tile_channels)
    if isinstance(layer, Pool):
        return words
    return words * segments * synapse.kernel[0] * tiles


def _tile_channels(channels, synapses, lanes):
    """Return the widest channel tile that never straddles a part of a group."""
    for candidate in range(min(lanes, channels), 0, -1):
        groups = [s.weight.shape[0] // s.groups for s in synapses if s.groups > 1]
        if all(candidate % g == 0 or g % candidate == 0 for g in groups):
            return candidate
    return 1


@dataclass(frozen=True, eq=False)
class Schedule:
    """A network laid out for ``params``: passes in order and where every map lives."""

    network: IntegerNetwork
    passes: tuple[Pass, ...]
    regions: dict[str, Region]
    params: CoreParams


def build_schedule(network, lanes, neurons=None):
    """Lay ``network`` out for ``lanes`` lanes on the smallest core that runs it.

    ``neurons`` is 1 or ``lanes``; by default lanes share one neuron where there are `SHARED_LANES` or fewer:
    it finishes a tile in the cycles that the lanes take to add one up.
    """
    neurons = neurons or (1 if lanes <= SHARED_LANES else lanes)
    passes = _place(network, _passes(network, lanes))
    regions = _regions(network, passes, lanes)
    draft = Schedule(network, passes, regions, None)
    return replace(draft, params=_needed(draft, lanes, neurons))


def schedule_on(network, params):
    """Lay ``network`` out for an existing core; `DoesNotFit` says what is short."""
    schedule = build_schedule(network, params.lanes)
    short = params.shortages(schedule.params)
    if short:
        raise DoesNotFit("The network does not fit the core. " + "; ".join(short) + ". Generate a larger core.")
    return replace(schedule, params=params)


def _passes(network, lanes):
    passes, fused = [], set()
    for layer in network.layers:
        if layer.name in fused:
            continue
        shape, pool = network.shapes[layer.name], None
        if isinstance(layer, Pool):
            channels = network.shapes[layer.source][0]
            ones = np.ones((channels, 1, *layer.kernel), np.int64)
            synapses = (Synapse(layer.source, ones, layer.stride, layer.padding, (1, 1), channels),)
        else:
            synapses = layer.synapses
        if isinstance(layer, Spiking):
            pool = _fusible(network, layer)
            if pool:
                fused.add(pool.name)
                shape = network.shapes[pool.name]
        kept = network.source.kind == "direct" and all(s.source == INPUT for s in synapses)
        passes.append(Pass(
            layer, pool, None if isinstance(layer, Readout) else (pool or layer).name, synapses,
            shape[1], shape[2], shape[0], _tile_channels(shape[0], synapses, lanes), kept,
        ))
    return passes


def _fusible(network, layer):
    readers = network.readers[layer.name]
    if len(readers) == 1 and isinstance(readers[0], Pool):
        pool = readers[0]
        if pool.kernel == pool.stride and pool.padding == (0, 0):
            return pool
    return None


def _place(network, passes):
    placed, weights, states, currents, parameters = [], 0, 0, 0, 0
    for p in passes:
        bases = []
        for synapse in p.synapses:
            bases.append(weights)
            weights += synapse_words(p.layer, synapse, p.tile_channels, p.tiles)
        placed.append(replace(
            p, weight_bases=tuple(bases), state_base=states, current_base=currents, parameter_base=parameters,
        ))
        states += p.runs if isinstance(p.layer, Spiking) else 0
        currents += p.runs if p.keep else 0
        parameters += p.tiles
    return tuple(placed)


def _regions(network, passes, lanes):
    """Place every stored map, sharing memory between maps that never live at the same time."""
    forever = len(passes)
    last_read = {name: -1 for name in network.shapes}
    for i, p in enumerate(passes):
        for synapse in p.synapses:
            reread = synapse.source == INPUT and network.source.kind == "direct" and not p.keep
            last_read[synapse.source] = forever if reread else max(last_read[synapse.source], i)
    made = [(INPUT, -1, network.source.shape[0])]
    made += [(p.stored, i, p.tile_channels) for i, p in enumerate(passes) if p.stored]
    regions, live = {}, []
    for name, born, tile_channels in made:
        channels, height, width = network.shapes[name]
        tiles = -(-channels // tile_channels)
        died = max(last_read[name], born)
        sizes = (channels * height * width, height * width * tiles + 1)
        together = [(base, used) for b, d, base, used in live if b <= died and born <= d]
        bases = [_first_fit(size, [(base[i], base[i] + used[i]) for base, used in together])
                 for i, size in enumerate(sizes)]
        live.append((born, died, bases, sizes))
        regions[name] = Region(bases[0], bases[1], tile_channels, tiles)
    return regions


def _first_fit(size, taken):
    base = 0
    for start, end in sorted(taken):
        if base + size <= start:
            break
        base = max(base, end)
    return base


def _needed(schedule, lanes, neurons):
    network, passes = schedule.network, schedule.passes
    shapes, ranges = network.shapes, network.value_ranges
    spiking = [layer for layer in network.layers if isinstance(layer, Spiking)]
    summing = [layer for layer in network.layers if not isinstance(layer, Pool)]
    lows, highs = zip(*(
        (min(low.min(), 0), max(high.max(), 0))
        for layer in summing
        for low, high in (network.current_range(layer), network.membrane_range(layer))
    ))
    top = max(high for _, high in ranges.values())
    stored = {name: shapes[name] for name in schedule.regions}
    events = max(r.events + int(np.prod(stored[n])) for n, r in schedule.regions.items())
    pointers = max(r.pointers + stored[n][1] * stored[n][2] * r.tiles + 1 for n, r in schedule.regions.items())
    last = passes[-1]
    words = last.weight_bases[-1] + synapse_words(last.layer, last.synapses[-1], last.tile_channels, last.tiles)
    core = CoreParams(
        lanes=lanes,
        neurons=neurons,
        weight_bits=max(2, *(signed_bits(-np.abs(s.weight).max(), np.abs(s.weight).max())
                             for layer in summing for s in layer.synapses)),
        value_bits=max(signed_bits(*r) for r in ranges.values()),
        index_bits=max(int(s[0] * s[2]).bit_length() for s in stored.values()),
        offset_bits=_offset_bits(schedule),
        loop_bits=_loop_bits(passes),
        acc_bits=max(signed_bits(min(lows), max(highs)), signed_bits(0, top)),
        state_bits=max([layer.state_bits for layer in spiking], default=4),
        theta_bits=max([int(layer.theta.max()).bit_length() for layer in spiking], default=1),
        bias_bits=max(signed_bits(layer.bias.min(), layer.bias.max()) for layer in summing),
        events=events,
        pointers=pointers,
        weights=words,
        parameters=last.parameter_base + last.tiles,
        states=max(1, sum(p.runs for p in passes if isinstance(p.layer, Spiking))),
        currents=max(1, sum(p.runs for p in passes if p.keep)),
        layers=len(passes),
        synapses=max(len(p.synapses) for p in passes),
        burst=max([int(layer.burst) for layer in spiking], default=1),
        classes=network.classes,
        class_tiles=last.tiles,
        maximum=int(any(isinstance(layer, Pool) and layer.kind == "max" for layer in network.layers)),
        softmax=int(network.exit_rule.kind in ("entropy", "confidence")),
        program=1,
    )
    return replace(core, program=core.program_words)


def _loop_bits(passes):
    """Return the bits that hold the turns of every loop, less one."""
    turns = [2]
    for p in passes:
        turns += [p.rows, p.columns, p.tiles, *p.window]
        for s in p.synapses:
            turns += [s.kernel[0], segment_words(s, p.tile_channels)[1], window_channels(s, p.tile_channels)[1] or 1]
    return (max(turns) - 1).bit_length()


def _offset_bits(schedule):
    """Return the signed width that holds every place and pointer of the schedule, padding included."""
    shapes, extent = schedule.network.shapes, 1
    for region in schedule.regions.values():
        extent = max(extent, region.pointers)
    for p in schedule.passes:
        extent = max(extent, p.rows, p.columns * p.channels)
        for s in p.synapses:
            channels, height, width = shapes[s.source]
            tiles = schedule.regions[s.source].tiles
            rows, columns = (
                n + 2 * pad + d * k + st * w
                for n, pad, d, k, st, w in zip((height, width), s.padding, s.dilation, s.kernel, s.stride, p.window)
            )
            extent = max(extent, rows * width * tiles + schedule.regions[s.source].pointers, columns * channels,
                         columns * tiles, channels * s.kernel[1])
    return signed_bits(-extent, extent)
