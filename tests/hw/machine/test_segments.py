"""`hw.machine.segments` against the receptive fields of random networks, enumerated tap by tap."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from gen.layers import INPUT
from gen.layout.image import memory_image
from gen.layout.program import WORD_BITS, header_fields, layer_fields, synapse_fields, words_of
from gen.layout.schedule import build_schedule
from hw.machine import payloads
from hw.machine.segments import LOOK_UP, SegmentGenerator
from tests.kit.random_networks import random_network
from tests.kit.streams import Bench, plain


def blocks(schedule, number):
    """Return (layer block, synapse blocks) of a pass as dictionaries, read from the program's words."""
    p = schedule.params
    words = iter(memory_image(schedule)["program"])

    def take(layout, fields):
        bits = sum(next(words) << (WORD_BITS * n) for n in range(words_of(fields)))
        return plain(layout.from_bits(bits))

    take(payloads.header(p), header_fields(p))
    for _ in range(number + 1):
        layer = take(payloads.layer_block(p), layer_fields(p))
        synapses = [take(payloads.synapse_blocks(p).elem_shape, synapse_fields(p)) for _ in range(p.synapses)]
    return layer, synapses


def store(schedule, maps):
    """Return (events, pointers) of the maps [C, H, W] as the event store holds them."""
    events, pointers = [(0, 0)] * (schedule.params.events + 1), [0] * (schedule.params.pointers + 1)
    for name, values in maps.items():
        region = schedule.regions[name, 0]
        channels, height, width = values.shape
        at, pointer = region.events, region.pointers
        for y, x, first in product(range(height), range(width), range(0, channels, region.tile_channels)):
            pointers[pointer] = at
            pointer += 1
            for c in range(first, min(first + region.tile_channels, channels)):
                if values[c, y, x]:
                    events[at] = (x * channels + c, int(values[c, y, x]))
                    at += 1
        pointers[pointer] = at
    return events, pointers


def receptive_field(p, maps, row, column, first):
    """Return ({(value, weight of every lane): times}, pairs of event and neuron per source) of a tile."""
    outs = range(first, min(first + p.tile_channels, p.channels))
    taps, pairs = Counter(), Counter()
    for s in p.synapses:
        values = maps[s.source]
        per_group, inputs = s.weight.shape[0] // s.groups, s.weight.shape[1]
        for ky, kx, c in product(range(s.kernel[0]), range(s.kernel[1]), range(len(values))):
            y = row * s.stride[0] - s.padding[0] + ky * s.dilation[0]
            x = column * s.stride[1] - s.padding[1] + kx * s.dilation[1]
            if not (0 <= y < values.shape[1] and 0 <= x < values.shape[2] and values[c, y, x]):
                continue
            read = [c // inputs == out // per_group for out in outs]
            weights = [int(s.weight[out, c % inputs, ky, kx]) if r else 0 for out, r in zip(outs, read)]
            pairs[s.source] += sum(read)
            if any(weights):
                taps[int(values[c, y, x]), tuple(weights)] += 1
    return taps, pairs


class Run:
    """A segment generator that runs passes one after another on maps of random events."""

    def __init__(self, schedule, seed, stall):
        self.schedule, self.rng = schedule, np.random.default_rng(seed)
        self.dut = dut = SegmentGenerator(schedule.params)
        self.bench = bench = Bench(dut, seed=seed, limit=60_000)
        self.pointers = [0] * 2 ** len(dut.first_pointer)      # what is off the map is asked for, and ignored
        bench.memory(dut.first_pointer, dut.first_event, self.pointers, latency=2)
        bench.memory(dut.end_pointer, dut.end_event, self.pointers, latency=2)
        self.segments, self.tiles, self.parameters = (
            bench.sink(stream, stall=stall) for stream in (dut.o, dut.o_tiles, dut.o_parameters)
        )

    async def run_pass(self, ctx, number, *, gather=1, first_step=1, stop_after=None):
        """Run a pass to its end; return (maps, events, segments of every tile, tiles, parameters, cycles)."""
        dut, p, schedule = self.dut, self.schedule.passes[number], self.schedule
        maps = {s.source: self._draw(schedule.network.shapes[s.source]) for s in p.synapses}
        events, pointers = store(schedule, maps)
        self.pointers[: len(pointers)] = pointers
        layer, synapses = blocks(schedule, number)
        self.segments.clear()
        self.tiles.clear()
        self.parameters.clear()
        for name, value in {"layer": layer, "synapses": synapses, "gather": gather, "first_step": first_step,
                            "begin": 1}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        begun = self.bench.cycle
        while not (self.tiles and self.tiles[-1].payload["layer_last"] and len(self.parameters) == len(self.tiles)
                   and sum(word.payload["last"] for word in self.segments) == len(self.tiles)):
            if stop_after is not None and self.bench.cycle - begun >= stop_after:
                ctx.set(dut.stop, 1)
            await ctx.tick()
        ctx.set(dut.stop, 0)
        groups, group = [], []
        for word in self.segments:
            group.append(word.payload)
            if word.payload["last"]:
                groups.append(group)
                group = []
        assert not group, "a segment follows the last tile"
        tiles, parameters = ([word.payload for word in words] for words in (self.tiles, self.parameters))
        return maps, events, groups, tiles, parameters, self.bench.cycle - begun

    def _draw(self, shape):
        density = self.rng.choice([0, 0.2, 0.6, 1], p=[0.1, 0.3, 0.4, 0.2])
        return self.rng.integers(1, 8, shape) * (self.rng.random(shape) < density)


def weights_at(place, image, params, narrow):
    """Return the weight of every lane; a narrow pass has two places in a word, one above the other in each lane."""
    bits = params.weight_bits >> narrow
    word = image["weights"][place >> narrow] >> bits * (place & narrow)
    mask, sign = 2**bits - 1, 2 ** (bits - 1)
    return [((word >> params.weight_bits * n & mask) ^ sign) - sign for n in range(params.lanes)]


def gathered(segments, events, image, params, narrow):
    """Return what `receptive_field` returns, from what the segments of a tile fetch."""
    taps, active = Counter(), 0
    for segment in segments:
        for index, value in events[segment["address"] : segment["address"] + segment["length"]]:
            if 0 <= index - segment["origin"] < segment["count"]:
                lanes = weights_at(segment["weights"] + index, image, params, narrow)
                active += segment["active"]
                if any(lanes):
                    taps[value, tuple(lanes)] += 1
    return taps, active


def check_pass(schedule, number, first_step, maps, events, groups, tiles, parameters):
    """Compare every tile of a pass, in order."""
    p, image, params = schedule.passes[number], memory_image(schedule), schedule.params
    direct = schedule.network.source.kind == "direct"
    window = p.window[0] * p.window[1]
    assert len(groups) == len(tiles) == p.runs
    for n, (row, column, first) in enumerate(zip(*p.order())):
        taps, active = gathered(groups[n], events, image, params, p.narrow)
        wanted, pairs = receptive_field(p, maps, row, column, first)
        wanted = Counter({(value, (*lanes, *[0] * (params.lanes - len(lanes)))): times
                          for (value, lanes), times in wanted.items()})
        where = f"pass {number}, row {row}, column {column}, channel {first}"
        assert taps == wanted, where
        counted = 0 if not p.layer.weighted else sum(
            amount for source, amount in pairs.items() if source != INPUT or first_step or not direct)
        assert active == counted, where
        index = column // p.window[1] * p.channels + first if p.stored else tiles[n]["index"]
        assert tiles[n] == {
            "index": index, "window_first": int(n % window == 0), "window_last": int(n % window == window - 1),
            "layer_last": int(n == p.runs - 1),
        }, where
        assert parameters[n] == (p.parameter_base + first // p.tile_channels) * params.beats, where


def network(seed):
    return random_network(seed, max_neurons=140, max_weights=900, max_size=6, max_channels=9, max_timesteps=2)


@pytest.mark.parametrize("seed", range(28))
def test_every_tile_gathers_its_receptive_field(seed):
    lanes = (1, 2, 3, 4, 6)[seed % 5]
    schedule = build_schedule(network(seed), lanes, (1, lanes)[seed // 2 % 2])
    pace = LOOK_UP if schedule.params.shared else 1
    run = Run(schedule, seed, stall=(0, 0.5)[seed % 2])

    async def drive(ctx):
        for number, p in enumerate(schedule.passes):
            first_step = int(run.rng.integers(2)) if not p.keep else 1
            *result, cycles = await run.run_pass(ctx, number, first_step=first_step)
            check_pass(schedule, number, first_step, *result)
            if seed % 2 == 0:
                _, synapses = blocks(schedule, number)
                candidates = p.runs * sum(
                    (s["kernel_rows"] + 1) * (s["kernel_columns"] + 1) for s in synapses[: len(p.synapses)])
                assert cycles <= pace * candidates + 16, f"pass {number}: a candidate takes {pace} cycles"

    run.bench.add(drive)
    run.bench.run()


def test_a_pass_from_kept_currents_has_one_empty_segment_a_tile():
    schedule = build_schedule(network(3), 2)
    number, p = next((n, p) for n, p in enumerate(schedule.passes) if p.keep)
    run = Run(schedule, 3, stall=0.3)

    async def drive(ctx):
        _, _, groups, tiles, _, _ = await run.run_pass(ctx, number, gather=0, first_step=0)
        assert [[segment["length"] for segment in group] for group in groups] == [[0]] * p.runs
        assert [tile["layer_last"] for tile in tiles] == [0] * (p.runs - 1) + [1]

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("neurons, pace", [(1, LOOK_UP), (2, 1)])
@pytest.mark.parametrize("stall", [0, 0.6])
def test_stop_ends_the_pass_with_the_tile_in_hand(stall, neurons, pace):
    schedule = build_schedule(network(0), 2, neurons)
    number = max(range(len(schedule.passes)), key=lambda n: schedule.passes[n].runs)
    runs = schedule.passes[number].runs
    run, lengths = Run(schedule, 9, stall), []

    async def drive(ctx):
        for stop_after in (0, 1, 2, 5, 17, 30):
            _, _, groups, tiles, _, _ = await run.run_pass(ctx, number, stop_after=pace * stop_after)
            assert len(groups) == len(tiles)
            assert [tile["layer_last"] for tile in tiles] == [0] * (len(tiles) - 1) + [1]
            lengths.append(len(tiles))
            *result, _ = await run.run_pass(ctx, number)
            check_pass(schedule, number, 1, *result)

    run.bench.add(drive)
    run.bench.run()
    assert lengths == sorted(lengths) and lengths[0] <= 2 < lengths[-1] < runs
