"""The integer network laid out for the machine: passes, tiles, addresses, and the core it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gen.errors import DoesNotFit
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, signed_bits
from gen.layout.passes import (
    Pass, layer_passes, segment_words, two_phase_passes, synapse_words, thresholds, window_channels,
)
from gen.layout.program import CoreParams
from gen.layout.supported import check_core
from gen.layout.weights import stored_bits, widest_weight, word_bits

__all__ = ["Region", "Schedule", "build_schedule", "schedule_on"]

SHARED_LANES = 4


@dataclass(frozen=True)
class Region:
    """Where a map is stored: first event, first pointer, channels of one pointer tile, tiles a position."""

    events: int
    pointers: int
    tile_channels: int
    tiles: int


@dataclass(frozen=True, eq=False)
class Schedule:
    """A network laid out for ``params``.

    layers : one pass for every layer, with its own weights and parameters
    passes : what the machine runs, in order; the same, unless the network is two-phase
    regions : name and timestep of every map to where it lives, timestep 0 for one that is overwritten at each
    """

    network: IntegerNetwork
    layers: tuple[Pass, ...]
    passes: tuple[Pass, ...]
    regions: dict[tuple[str, int], Region]
    params: CoreParams

    @property
    def rounds(self):
        """How often the passes are run for an image, at most."""
        return 1 if self.network.two_phase else self.network.timesteps

    def rounds_run(self, exit_steps):
        """Return how often they are run for images of these exit steps, int64 [N]."""
        return np.minimum(exit_steps, self.rounds)


def build_schedule(network, lanes, neurons=None, halved_bits=None):
    """Lay ``network`` out for ``lanes`` lanes on the smallest core that runs it.

    ``neurons`` is 1 or ``lanes``; by default lanes share one neuron where there are `SHARED_LANES` or fewer:
    it finishes a tile in the cycles that the lanes take to add one up. ``halved_bits`` is that of a core
    (`CoreParams.halved_bits`) to lay it out for, by default what takes the least memory. Raises `UnsupportedNetwork`
    with all that no core runs.
    """
    check_core(network)
    neurons = neurons or (1 if lanes <= SHARED_LANES else lanes)
    if halved_bits is None:
        weight_bits = halved_bits = word_bits(network)
    else:
        weight_bits = widest_weight(network)
        weight_bits += weight_bits % 2 if halved_bits else 0
    layers = passes = _place_layers(_halved(layer_passes(network, lanes), halved_bits))
    if network.two_phase:
        passes = _place_states(two_phase_passes(network, layers))
    regions = _regions(network, passes)
    draft = Schedule(network, layers, passes, regions, None)  # pyright: ignore[reportArgumentType] - the next line's
    return replace(draft, params=_needed(draft, lanes, neurons, weight_bits))


def schedule_on(network, params):
    """Lay ``network`` out for an existing core; `DoesNotFit` says what is short."""
    schedule = build_schedule(network, params.lanes, halved_bits=params.halved_bits)
    short = params.shortages(schedule.params)
    if short:
        raise DoesNotFit("The network does not fit the core. " + "; ".join(short) + ". Generate a larger core.")
    return replace(schedule, params=params)


def _halved(layers, width):
    """Mark the passes that are narrow where a lane has ``width`` bits in a weight word; 0: none.

    A pool, whose weights are ones, is narrow as soon as a layer is.
    """
    bits = {p: stored_bits(int(p.layer.weight_bits.max()), width) for p in layers if p.layer.weighted}
    some = any(stored < width for stored in bits.values())
    return tuple(replace(p, narrow=bits[p] < width if p in bits else some) for p in layers)


def _place_layers(layers):
    """Return the passes with a place of their own for weights, states, kept currents and parameters."""
    placed, weights, states, currents, parameters = [], 0, 0, 0, 0
    for p in layers:
        bases = []
        for synapse in p.synapses:
            bases.append(weights)
            weights += synapse_words(p, synapse)
        placed.append(replace(
            p, weight_bases=tuple(bases), state_base=states, current_base=currents, parameter_base=parameters,
        ))
        states += p.runs if p.layer.fires else 0
        currents += p.runs if p.keep else 0
        parameters += p.tiles
    return tuple(placed)


def _place_states(passes):
    """Return the passes of a two-phase network, their states sharing memory: a layer's live while it is at work."""
    lives = {}
    for i, p in enumerate(passes):
        if p.layer.fires:
            lives[p.layer.name] = (lives.get(p.layer.name, (i,))[0], i, p.runs)
    bases = dict(zip(lives, _share(lives.values())))
    return tuple(replace(p, state_base=bases.get(p.layer.name, 0)) for p in passes)


def _regions(network, passes):
    """Place every stored map, sharing memory between maps that never live at the same time."""
    source, forever, last_read = (INPUT, 0), len(passes), {}
    again = network.source.kind == "direct" and not network.two_phase  # the input is read at every timestep
    for i, p in enumerate(passes):
        for read in p.reads:
            last_read[read] = forever if read == source and again and not p.keep else max(last_read.get(read, -1), i)
    made = [(source, -1, network.source.shape[0])]
    made += [(p.writes, i, p.tile_channels) for i, p in enumerate(passes) if p.stored]
    lives, tiles = [], []
    for (name, step), born, tile_channels in made:
        channels, height, width = network.shapes[name]
        tiles.append(-(-channels // tile_channels))
        died = max(last_read.get((name, step), -1), born)
        lives.append((born, died, channels * height * width, height * width * tiles[-1] + 1))
    events, pointers = (_share((born, died, sizes[i]) for born, died, *sizes in lives) for i in range(2))
    return {
        key: Region(first, pointer, tile_channels, n)
        for (key, _, tile_channels), first, pointer, n in zip(made, events, pointers, tiles)
    }


def _share(lives):
    """Return the base of every one of (first pass, last pass, size), so that what lives together lies apart."""
    placed = []
    for born, died, size in lives:
        base = 0
        for start, end in sorted((base, end) for b, d, base, end in placed if b <= died and born <= d):
            if base + size <= start:
                break
            base = max(base, end)
        placed.append((born, died, base, base + size))
    return [base for _, _, base, _ in placed]


def _needed(schedule, lanes, neurons, weight_bits):
    network, passes = schedule.network, schedule.passes
    shapes, ranges = network.shapes, network.value_ranges
    spiking = [layer for layer in network.layers if layer.fires]
    summing = [layer for layer in network.layers if layer.weighted]
    lows, highs = zip(*(
        (min(low.min(), 0), max(high.max(), 0))
        for layer in summing
        for low, high in (network.current_range(layer), network.membrane_range(layer))
    ))
    top = max(high for _, high in ranges.values())
    regions = [(shapes[name], region) for (name, _), region in schedule.regions.items()]
    events = max(region.events + int(np.prod(shape)) for shape, region in regions)
    pointers = max(region.pointers + shape[1] * shape[2] * region.tiles + 1 for shape, region in regions)
    last = schedule.layers[-1]
    words = last.weight_bases[-1] + synapse_words(last, last.synapses[-1])
    core = CoreParams(
        lanes=lanes,
        neurons=neurons,
        weight_bits=weight_bits,
        value_bits=max(signed_bits(*r) for r in ranges.values()),
        index_bits=max(int(shape[0] * shape[2]).bit_length() for shape, _ in regions),
        offset_bits=_offset_bits(schedule),
        loop_bits=_loop_bits(passes),
        acc_bits=max(signed_bits(min(lows), max(highs)), signed_bits(0, top)),
        state_bits=max([layer.state_bits for layer in spiking], default=4),
        theta_bits=max([int(thresholds(network, layer).max()).bit_length() for layer in spiking], default=1),
        bias_bits=max(signed_bits(layer.bias.min(), layer.bias.max()) for layer in summing),
        events=events,
        pointers=pointers,
        weights=words,
        parameters=last.parameter_base + last.tiles,
        states=max([1, *(p.state_base + p.runs for p in passes if p.layer.fires)]),
        currents=max(1, sum(p.runs for p in schedule.layers if p.keep)),
        layers=len(passes),
        synapses=max(len(p.synapses) for p in passes),
        burst=max([int(layer.burst) for layer in spiking], default=1),
        classes=network.classes,
        class_tiles=last.tiles,
        maximum=int(any(not layer.weighted and layer.kind == "max" for layer in network.layers)),
        softmax=int(network.exit_rule.kind in ("entropy", "confidence")),
        separated=int(network.two_phase),
        program=1,
        least=max([int(layer.min_burst) for layer in spiking], default=1),
        narrow=int(any(p.narrow for p in passes)),
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
        for s, region in zip(p.synapses, map(schedule.regions.get, p.reads)):
            channels, height, width = shapes[s.source]
            tiles = region.tiles
            rows, columns = (
                n + 2 * pad + d * k + st * w
                for n, pad, d, k, st, w in zip((height, width), s.padding, s.dilation, s.kernel, s.stride, p.window)
            )
            extent = max(extent, rows * width * tiles + region.pointers, columns * channels, columns * tiles,
                         channels * s.kernel[1])
    return signed_bits(-extent, extent)
