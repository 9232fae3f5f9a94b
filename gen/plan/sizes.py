"""The smallest core that runs a network as it is laid out: its `CoreParams`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from gen.layers import INPUT, signed_bits
from gen.plan.blocks import outside_bases
from gen.plan.maps import count_bits, map_depth, ring_depth, wide_depth
from gen.plan.params import INPUT_VALUES, LEAST_TIMESTEPS, LEVELS, LINE_LEVELS, CoreParams
from gen.plan.parking import parked_words
from gen.plan.passes import thresholds
from gen.plan.program_words import program_length

__all__ = ["needed_params", "with_program"]

IMAGE_SLOTS = 2
KNOWN = 8  # networks whose ranges are remembered: one is laid out for many rooms


def needed_params(layout, *, width, groups, neurons, weight_bits, signed, spram) -> CoreParams:
    """Return the parameters of the smallest core for a `gen.plan.layout.Layout`.

    ``weight_bits`` are those of a lane in a weight word. With ``signed`` the core's counts may be below zero, whether
    or not the network's are.
    """
    networks = tuple(stage.network for stage in layout.stages)
    passes = [p for stage in layout.stages for p in stage.passes]
    layers = [(network, layer) for network in networks for layer in network.layers]
    spiking = [(network, layer) for network, layer in layers if layer.fires]
    signed = int(signed or any(layer.signed for _, layer in spiking))
    synapses = [(p, source) for p in passes for source in p.walk.sources]
    least, most = _extremes(networks)
    lowest, highest = networks[0].value_ranges[INPUT]
    strips = layout.tiling.strips
    params = CoreParams(
        width=width, groups=groups, neurons=neurons, weight_bits=weight_bits,
        value_bits=signed_bits(lowest, highest), value_signed=int(lowest < 0 or highest < 1),
        count_bits=_count_bits(layout, signed, wide=True), map_bits=_count_bits(layout, signed, wide=False),
        wide=wide_depth(layout.regions),
        sum_bits=_sum_bits(networks), acc_bits=signed_bits(least, most),
        state_bits=max([layer.state_bits for _, layer in spiking], default=1),
        theta_bits=max([_theta_bits(network, layer) for network, layer in spiking], default=1),
        bias_bits=max(signed_bits(layer.bias.min(), layer.bias.max()) for _, layer in layers if layer.weighted),
        burst=max([max(layer.burst, layer.burst_low) for _, layer in spiking], default=1),
        address_bits=_address_bits(passes, layout.regions), place_bits=_place_bits(passes),
        turns_bits=_turns_bits(passes),
        image_tile=layout.tiling.image_tile,
        image_words=max(r.words * r.versions for (_, name, _), r in layout.regions.items() if name == INPUT),
        image_slots=IMAGE_SLOTS,
        map_words=map_depth(layout.regions, passes),
        weights=layout.weights, parameters=layout.parameters, states=layout.states, currents=layout.currents,
        outputs=layout.values, batch=layout.images, unfused=layout.unfused,
        shared=int(layout.shared),
        limits=max(1, sum(len(network.exit_rule.limits) for network in networks)),
        program=1, passes=len(passes), stages=len(networks),
        synapses=max(len(p.synapses) for p in passes),
        classes=max(network.classes for network in networks),
        positions=max(_positions(network) for network in networks),
        min_burst=max([layer.min_burst for _, layer in spiking], default=1),
        timesteps=max(LEAST_TIMESTEPS, *(network.timesteps for network in networks)),
        tile_order=int(any(p.steps > 1 for p in passes)),
        pool_steps=max(p.steps if p.window != (1, 1) else 1 for p in passes),
        windows=int(any(p.rowwise or _has_windows(p) for p in passes)), signed=signed,
        strips=strips.row_values if strips else 0, image_rows=strips.rows if strips else 1,
        dense=int(any(source.dense for _, source in synapses)),
        maximum=int(any(not layer.weighted and layer.kind == "max" for _, layer in layers)),
        softmax=int(any(network.exit_rule.kind in ("entropy", "confidence") for network in networks)),
        exit_shift=max(network.exit_rule.shift for network in networks),
        two_phase=int(any(network.two_phase for network in networks)),
        narrow=int(any(p.narrow for p in passes)),
        phase_bits=_phase_bits(source for _, source in synapses), spram=spram,
        replay=int(layout.replays), input_values=_input_values(layout), **_outside(layout, passes),
    )
    params = replace(params, outside=outside_bases(params, layout.stages, layout.regions).end)
    return with_program(params, [layout.stages])


def _outside(layout, passes):
    """Return the parameters of maps and states outside the chip; the memory there has its own size later."""
    ring = ring_depth(passes, of_input=True)
    spilled = [r.words for (_, name, _), r in layout.regions.items() if name != INPUT and r.outside is not None]
    return {
        "spilled": max(spilled, default=0), "image_ring": 1 << (ring - 1).bit_length() if ring else 0,
        "parked": max(parked_words(p, 0) for p in passes), "supplied": int(any(p.supplied for p in passes)),
        "outside": int(any(p.fetched or p.parked is not None for p in passes)),
    }


def with_program(params: CoreParams, programs) -> CoreParams:
    """Return ``params`` with room for the longest of ``programs``, each the stages of a network.

    The program holds addresses of itself: a longer one may have wider fields.
    """
    length = 0
    while length != params.program:
        length = params.program
        params = replace(params, program=max(length, *(program_length(stages, params) for stages in programs)))
    return params


@lru_cache(maxsize=KNOWN)
def _extremes(networks):
    """Return the least and the greatest value of any accumulator, 0 included."""
    bounds = [(0, 0)]
    for network in networks:
        bounds += [bound for name, bound in network.value_ranges.items() if name != INPUT]
        for layer in network.layers:
            if layer.weighted:
                ranges = network.current_range(layer), network.membrane_range(layer)
                bounds += [(int(low.min()), int(high.max())) for low, high in ranges]
    return min(low for low, _ in bounds), max(high for _, high in bounds)


@lru_cache(maxsize=KNOWN)
def _sum_bits(networks):
    """Return the bits of what lanes add up for a tile: of a two-phase layer perhaps not over all its synapses."""
    bounds = [(0, 1)]
    for network in networks:
        for layer in network.layers:
            if not layer.weighted:
                bounds.append(network.value_ranges[layer.name])
                continue
            varying, constant = network.sums(layer)
            least = varying[0] + np.minimum(constant[0] - layer.bias, 0)
            most = varying[1] + np.maximum(constant[1] - layer.bias, 0)
            bounds.append((int(least.min()), int(most.max())))
    return signed_bits(min(low for low, _ in bounds), max(high for _, high in bounds))


def _count_bits(layout, signed, wide):
    """Return the bits of the counts of all maps, or of those that are not wide."""
    return max([1 + signed, *(
        count_bits(layout.stages[stage].network, name, signed) for (stage, name, _), region in layout.regions.items()
        if name != INPUT and (wide or not region.wide)
    )])


def _theta_bits(network, layer):
    low = int(layer.theta_low.max()) if layer.signed else 0
    return max(int(thresholds(network, layer).max()), low).bit_length()


def _positions(network):
    _, rows, columns = network.shapes[network.readout.name]
    return rows * columns


def _phase_bits(sources):
    """Return the bits of the largest upsampling factor, 0 where no map is upsampled."""
    factor = max([1, *(max(source.synapse.upsample) for source in sources)])
    return factor.bit_length() if factor > 1 else 0


def _input_values(layout):
    """Return how many values of the input can come at a time: a beat straddles no word, and no position."""
    strips = layout.tiling.strips
    values = strips.kernel_row_values if strips else layout.tiling.image_tile
    return max(n for n in INPUT_VALUES if values % n == layout.image_channels % n == 0)


def _turns_bits(passes):
    turns = [1]
    for p in passes:
        turns += [p.walk.turns[level] - 1 for level in LEVELS]
        names = ("kernel_rows", "kernel_columns", "words")
        turns += [source.fields[name] for source in p.walk.sources for name in names]
    return max(turns).bit_length()


def _has_windows(p):
    """Return whether a pass is more than a dense layer from one position to one position."""
    if not p.layer.weighted or p.pool or any(p.walk.turns[level] > 1 for level in LEVELS if level not in LINE_LEVELS):
        return True
    for source in p.walk.sources:
        fields, places = source.fields, (source.cursor.start, *source.cursor.steps)
        single = fields["rows"] == fields["columns"] == fields["row_factor"] == fields["column_factor"] == 1
        taps = fields["kernel_rows"] + fields["kernel_columns"]
        if not single or taps or any(place["row"] or place["column"] for place in places):
            return True
    return False


def _reach(p, source, axis):
    """Return the first and the last row (axis 0) or column of the map that any tap looks at, a tap more included."""
    window, name = source.window, ("row", "column")[axis]
    first = source.cursor.start[name]
    tiles = p.walk.turns[f"{name}s"] * p.window[axis] * (p.walk.positions if axis else 1)
    taps = window.dilation[axis] * (source.fields[f"kernel_{name}s"] + 1)
    return first, first + ((tiles - 1) * window.stride[axis] + taps) // window.upsample[axis] + 1


def _place_bits(passes):
    places = [1]
    for p in passes:
        for source in p.walk.sources:
            names = ("rows", "columns", "row_tap", "column_tap", "position_columns")
            places += [source.fields[name] for name in names]
            places += [*_reach(p, source, 0), *_reach(p, source, 1)]
            places += [step[name] for step in source.cursor.steps for name in ("row", "column")]
    return signed_bits(min(places), max(places))


def _address_bits(passes, regions):
    addresses = [1]
    for p in passes:
        if p.writes:
            region = regions[p.stage, *p.writes]
            addresses.append(region.base + region.words * region.versions + p.walk.positions * p.walk.parts)
        addresses += [step["address"] for step in p.walk.output.steps]
        for source, read in zip(p.walk.sources, p.reads):
            region, fields = regions[p.stage, *read], source.fields
            (top, bottom), (left, right) = _reach(p, source, 0), _reach(p, source, 1)
            size = region.words * region.versions
            for row, column in ((top, left), (bottom, right)):
                addresses.append(region.base + row * fields["row_pitch"] + column * fields["column_pitch"])
            addresses[-1] += size
            names = ("row_step", "column_step", "row_pitch", "column_pitch", "position_step", "part_step")
            addresses += [fields[name] for name in names] + [step["address"] for step in source.cursor.steps]
    return signed_bits(min(addresses), max(addresses))
