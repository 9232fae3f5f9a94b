"""`hw.machine.gather` (with the lanes behind it) against sums: values, weights, credits, and not one bubble."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Module, Signal

from hw.machine.gather import Gather
from hw.machine.halves import Halves
from hw.machine.lanes import Lanes
from hw.machine.state import READ
from tests.kit.proof import prove
from tests.kit.streams import Bench

WEIGHT_LATENCY = 2          # as `hw.machine.core` builds its weight memory
CREDITS = 4


def draw_tiles(rng, params, events, count, longest):
    """Draw tiles, lists of segments; some places have no weight, some segments are empty."""
    tiles = []
    for _ in range(count):
        segments = []
        for _ in range(int(rng.integers(1, 4))):
            length = int(rng.integers(1, longest + 1))
            address = int(rng.integers(0, len(events) - length))
            origin = int(rng.integers(-3, 60))
            count_ = int(rng.integers(1, 30))
            weights = int(rng.integers(0, params.weights - 30)) - origin
            segments.append({"address": address, "length": length, "origin": origin, "count": count_,
                             "weights": weights, "active": int(rng.integers(1, params.lanes + 1)), "last": 0})
        if rng.random() < 0.3:
            segments = [dict(segments[0], length=0)]
        segments[-1]["last"] = 1
        tiles.append(segments)
    return tiles


def expected(tile, events, weights):
    """Return (sums of every lane, lanes at work summed over the cycles, cycles) of one tile."""
    sums, active, cycles = np.zeros(len(weights[0]), int), 0, 0
    for segment in tile:
        cycles += max(1, segment["length"])
        for event in events[segment["address"] : segment["address"] + segment["length"]]:
            if 0 <= event["index"] - segment["origin"] < segment["count"]:
                sums += event["value"] * np.array(weights[segment["weights"] + event["index"]])
                active += segment["active"]
    return sums.tolist(), active, cycles


class Run:
    """A gather with its memories and lanes; credits come back some cycles after each tile's end."""

    def __init__(self, params, tiles, events, weights, *, seed=0, stall=0.0, delay=3, refill=True, narrow=False):
        m = Module()
        m.submodules.gather = self.gather = gather = Gather(params, credits=CREDITS)
        m.submodules.lanes = lanes = Lanes(params)
        m.d.comb += [getattr(lanes, name).eq(gather.o[name]) for name in ("value", "first", "last")]
        if params.narrow:
            m.submodules.halves = halves = Halves(params)
            m.d.comb += [
                gather.narrow.eq(narrow), halves.narrow.eq(narrow), halves.upper.eq(gather.upper),
                lanes.weights.eq(halves.weights),
            ]
        self.bench = bench = Bench(m, seed=seed, limit=8000)
        bench.source(gather.i, [segment for tile in tiles for segment in tile], stall=stall)
        bench.memory(gather.event_address, gather.event, events, latency=1)
        if params.narrow:
            bench.memory(gather.weight_address, halves.word, words(weights, params, narrow), latency=1)
        else:
            bench.memory(gather.weight_address, lanes.weights, weights, latency=WEIGHT_LATENCY)
        self.ends = bench.collect(gather.ending, gather.ending)
        self.sums = bench.collect(lanes.done, lanes.sums)
        self.busy = bench.collect(gather.busy, gather.busy)
        self.active = bench.collect(gather.o.active.any(), gather.o.active)
        self._count, self._pause, self._delay = len(tiles), bench.pauses(0.5 * (delay > 3)), delay
        if refill:
            bench.add(self._return_credits)

    async def _return_credits(self, ctx):
        for returned in range(self._count):
            while len(self.sums) <= returned:
                await ctx.tick()
            for _ in range(self._pause()):
                await ctx.tick()
            ctx.set(self.gather.credit, 1)
            await ctx.tick()
            ctx.set(self.gather.credit, 0)


def words(weights, params, narrow):
    """Return the memory words of rows of weights, two rows in one of a narrow layer."""
    bits = params.weight_bits >> narrow
    rows = np.array(weights) & 2**bits - 1
    if narrow:
        rows = rows[0::2] | rows[1::2] << bits
    return [sum(int(v) << params.weight_bits * lane for lane, v in enumerate(row)) for row in rows]


def memories(rng, params):
    events = [{"index": int(i), "value": int(v)} for i, v in
              zip(rng.integers(0, 80, params.events), rng.integers(-255, 256, params.events))]
    weights = rng.integers(-127, 128, (params.weights, params.lanes)).tolist()
    return events, weights + [[99] * params.lanes] * 1000


@pytest.mark.parametrize("seed, stall, delay", [(0, 0.0, 3), (1, 0.5, 3), (2, 0.0, 9), (3, 0.7, 9)])
def test_every_tile_sums_its_events(sizes, seed, stall, delay):
    rng, params = np.random.default_rng(seed), sizes(weights=120, events=40)
    events, weights = memories(rng, params)
    tiles = draw_tiles(rng, params, events, 60, 6)
    run = Run(params, tiles, events, weights, seed=seed, stall=stall, delay=delay)
    run.bench.run()
    wanted = [expected(tile, events, weights) for tile in tiles]
    assert [word.payload for word in run.sums] == [sums for sums, _, _ in wanted]
    assert [word.cycle - READ for word in run.sums] == [word.cycle for word in run.ends]
    assert sum(word.payload for word in run.active) == sum(active for _, active, _ in wanted)
    assert len(run.busy) == sum(segment["length"] for tile in tiles for segment in tile)


@pytest.mark.parametrize("neurons, stall", [(3, 0.0), (3, 0.5), (1, 0.0)])
@pytest.mark.parametrize("narrow", [True, False])
def test_narrow_words_and_whole_ones_of_one_core(sizes, narrow, neurons, stall):
    rng, params = np.random.default_rng(6), sizes(weights=120, events=40, narrow=1, neurons=neurons)
    events, weights = memories(rng, params)
    weights = np.clip(weights, *((-8, 7) if narrow else (-128, 127))).tolist()
    tiles = draw_tiles(rng, params, events, 60, 6)
    run = Run(params, tiles, events, weights, seed=6, stall=stall, narrow=narrow)

    async def to_the_end(ctx):
        while len(run.sums) < len(tiles):
            await ctx.tick()

    run.bench.add(to_the_end)
    run.bench.run()
    assert [word.payload for word in run.sums] == [expected(tile, events, weights)[0] for tile in tiles]


def test_no_bubble_between_events_segments_and_tiles(sizes):
    rng, params = np.random.default_rng(4), sizes(weights=120, events=80)
    events, weights = memories(rng, params)
    tiles = [tile for tile in draw_tiles(rng, params, events, 60, 12)
             if sum(segment["length"] for segment in tile) > 8]
    run = Run(params, tiles, events, weights)
    run.bench.run()
    cycles = [word.cycle for word in run.ends]
    assert np.diff(cycles).tolist() == [expected(tile, events, weights)[2] for tile in tiles[1:]]
    first, last = run.busy[0].cycle, run.busy[-1].cycle
    assert last - first + 1 == len(run.busy), "the lanes take an event in every cycle"


def test_a_tile_waits_for_a_credit(sizes):
    rng, params = np.random.default_rng(5), sizes(weights=120, events=40)
    events, weights = memories(rng, params)
    tiles = draw_tiles(rng, params, events, 12, 3)
    run = Run(params, tiles[:CREDITS + 2], events, weights, refill=False)
    seen = []

    async def refill(ctx):
        for expected_ends in (CREDITS, CREDITS + 1, CREDITS + 2):
            await ctx.tick().repeat(60)
            seen.append((len(run.ends), expected_ends))
            ctx.set(run.gather.credit, 1)
            await ctx.tick()
            ctx.set(run.gather.credit, 0)

    run.bench.add(refill)
    run.bench.run()
    assert all(got == wanted for got, wanted in seen), seen


@pytest.mark.parametrize("lanes", [1, 4, 7])
def test_a_neuron_for_all_lanes_has_time_for_every_tile(sizes, lanes):
    rng, params = np.random.default_rng(lanes), sizes(lanes=lanes, neurons=1, weights=120, events=40)
    events, weights = memories(rng, params)
    tiles = draw_tiles(rng, params, events, 60, 3)
    run = Run(params, tiles, events, weights, refill=False)

    async def to_the_end(ctx):
        while len(run.sums) < len(tiles):
            await ctx.tick()

    run.bench.add(to_the_end)
    run.bench.run()
    wanted = [expected(tile, events, weights) for tile in tiles]
    assert [word.payload for word in run.sums] == [sums for sums, _, _ in wanted]
    gaps = np.diff([word.cycle for word in run.ends])
    fetching = [cycles + 3 * len(tile) for (_, _, cycles), tile in zip(wanted, tiles)]
    assert gaps.tolist() == [max(lanes, cycles) for cycles in fetching[1:]], "no cycle more than it takes"


def test_tiles_under_way_never_exceed_the_credits_proved(sizes):
    """From reset, for 14 cycles of any segments and any lawful credits."""
    credits = 2
    params = sizes(lanes=2, events=3, weights=3, value_bits=2, index_bits=2, offset_bits=3)
    gather = Gather(params, credits=credits)

    def claims(m):
        under_way = Signal(range(credits + 2))
        m.d.sync += under_way.eq(under_way + gather.o.first - gather.credit)
        m.d.comb += [Assume(gather.credit <= under_way), Assert(under_way <= credits)]

    prove(gather, claims, steps=14, bounded=True)
