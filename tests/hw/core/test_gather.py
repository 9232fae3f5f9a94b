"""`hw.core.gather` alone: order of the lanes, timing, stalls, spacing proved."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Signal

from hw.core.gather import Gather
from tests.kit.proof import Disproved, assume_constant, prove
from tests.kit.streams import Bench

ENTRY = {"image": 0, "dense": 0, "weight": 20, "active": 3, "last": 0}


def planes(values, bits):
    """Return the bit planes of a word: the lowest bits of all lanes, then the next bits of all lanes, and so on."""
    return sum((value >> bit & 1) << (bit * len(values) + lane) for lane, value in enumerate(values)
               for bit in range(bits))


def entry_of(p, values, **changes):
    """Return the entry of a word."""
    image = changes.get("image", 0)
    mask = sum((value != 0) << lane for lane, value in enumerate(values))
    return {**ENTRY, "word": planes(values, p.value_bits if image else p.count_bits), "mask": mask, **changes}


@pytest.mark.parametrize("seed, stall", [(0, 0.0), (1, 0.6)])
@pytest.mark.parametrize("signed", [0, 1])
def test_events_in_order_and_in_step_with_their_weights(sizes, signed, seed, stall):
    rng, p = np.random.default_rng(seed), sizes(signed=signed)
    entries, wanted = [], []
    for _ in range(120):
        dense, image = int(rng.random() < 0.3), int(rng.random() < 0.3)
        dense &= 1 - image
        low, high, lanes = (-256, 256, p.image_tile) if image else (-8 * signed, 16 - 8 * signed, p.width)
        values = (rng.integers(low, high, lanes) * (rng.random(lanes) < 0.6)).tolist()
        if not any(values):
            continue
        weight = int(rng.integers(0, 60))
        entries.append(entry_of(p, values, dense=dense, image=image, weight=weight, last=int(rng.random() < 0.2)))
        if dense:
            wanted.append((weight, sum(value != 0 for value in values), values))
        else:
            wanted += [(weight + lane, 3, value) for lane, value in enumerate(values) if value]
    gather = Gather(p)
    bench = Bench(gather, seed=seed)
    bench.source(gather.i, entries, stall=stall)
    taken = bench.collect(gather.busy, gather.weight_address)
    active = bench.collect(gather.busy, gather.active)
    every = bench.collect(gather.busy | ~gather.busy, gather.o)

    async def to_the_end(ctx):
        while len(taken) < len(wanted):
            await ctx.tick()
        await ctx.tick().repeat(6)

    bench.add(to_the_end)
    bench.run()
    by_cycle = {word.cycle: word.payload for word in every}
    got = [(at.payload, work.payload, by_cycle[at.cycle + 1]) for at, work in zip(taken, active)]
    assert [(at, work, event["word"] if event["dense"] else event["value"]) for at, work, event in got] == wanted
    busy = {word.cycle + 1 for word in taken}
    assert all(event["value"] == 0 and not event["dense"] for cycle, event in by_cycle.items() if cycle not in busy)


def test_an_empty_tile_is_one_event_that_adds_nothing(sizes):
    p = sizes()
    gather = Gather(p)
    bench = Bench(gather)
    bench.source(gather.i, [entry_of(p, [0, 0, 0, 0], last=1, word=0xFFFF)] * 3, stall=0)
    first = bench.collect(gather.o.first | gather.o.last, gather.o)
    busy = bench.collect(gather.busy | (gather.active != 0), gather.busy)

    async def wait(ctx):
        await ctx.tick().repeat(12)

    bench.add(wait)
    bench.run()
    assert [word.payload for word in first] == [{"value": 0, "dense": 0, "word": [15] * 4, "first": 1, "last": 1}] * 3
    assert np.diff([word.cycle for word in first]).tolist() == [1, 1], "without a gap"
    assert not busy


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_words_and_tiles_follow_without_a_gap(sizes, lanes):
    """Words of one event or of several; the event leaves a cycle after its weights' address."""
    p, words, tiles = sizes(), 3, 4
    values = [5] * lanes + [0] * (p.width - lanes)
    gather = Gather(p)
    bench = Bench(gather)
    bench.source(gather.i, [entry_of(p, values, last=word == words - 1) for word in range(words)] * tiles, stall=0)
    taken = bench.collect(gather.busy, gather.weight_address)
    left = bench.collect(gather.o.value != 0, gather.o)

    async def wait(ctx):
        await ctx.tick().repeat(words * lanes * tiles + 10)

    bench.add(wait)
    bench.run()
    events = words * lanes
    assert np.diff([word.cycle for word in taken]).tolist() == [1] * (events * tiles - 1)
    assert [word.cycle for word in left] == [word.cycle + 1 for word in taken]
    assert [word.payload["first"] for word in left] == [1, *[0] * (events - 1)] * tiles
    assert [word.payload["last"] for word in left] == [*[0] * (events - 1), 1] * tiles


def spacing_claims(gather, more):
    """Claim that ends come ``more`` than the spacing after one another, and that a tile begins behind each."""
    def claims(m):
        since, seen, ended = Signal(range(64)), Signal(), Signal()
        with m.If(gather.o.first | gather.o.last):
            m.d.sync += ended.eq(gather.o.last)
        with m.If(ended & (gather.o.value != 0)):
            m.d.comb += Assert(gather.o.first)
        m.d.sync += since.eq(since + 1)
        with m.If(gather.o.last):
            m.d.sync += [since.eq(0), seen.eq(1)]
            with m.If(seen & (gather.layer.spacing < 6)):
                m.d.comb += Assert(since >= gather.layer.spacing + more)
        assume_constant(m, gather.layer)
    return claims


def test_ends_of_tiles_lie_apart_proved(sizes):
    """For 14 cycles from reset of any words; one cycle more of a distance is not to be had."""
    small = sizes(count_bits=1, value_bits=1, image_tile=1, weights=2, weight_bits=2, dense=0)
    gather = Gather(small)
    prove(gather, spacing_claims(gather, 0), steps=14, bounded=True)
    gather = Gather(small)
    with pytest.raises(Disproved):
        prove(gather, spacing_claims(gather, 1), steps=14, bounded=True)


def test_a_tile_ends_where_there_is_room_for_its_states(sizes):
    """The last event of each tile waits, others do not; what counts the spacing goes on meanwhile."""
    p = sizes(parked=8, outside=64)
    gather, spacing, closed = Gather(p), 9, range(20, 45)
    bench = Bench(gather)
    bench.source(gather.i, [entry_of(p, [5, 5, 0, 0], last=1)] * 8, stall=0)
    ends = bench.collect(gather.o.last, gather.o.last)
    events = bench.collect(gather.busy, gather.busy)

    async def drive(ctx):
        ctx.set(gather.layer.spacing, spacing)
        while len(ends) < 8:
            ctx.set(gather.room, bench.cycle not in closed)
            await ctx.tick()

    bench.add(drive)
    bench.run()
    cycles = [word.cycle - 3 for word in ends]  # in which they were chosen
    apart = np.diff(cycles).tolist()
    assert not {cycle - 1 for cycle in cycles} & set(closed), "the room of the cycle before is sampled"
    assert sum(gap > spacing + 1 for gap in apart) == 1 and min(apart) == spacing + 1
    assert sum(closed.start < word.cycle < closed.stop for word in events) <= 2, "those of the tile that waits"
