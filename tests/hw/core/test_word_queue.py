"""`hw.core.word_queue`: order, what vanishes, where a tile ends, and room for all that is under way."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Assume, Signal

from hw.core import word_queue
from hw.core.word_queue import DEPTH, UNDER_WAY, WordQueue
from tests.kit.proof import Disproved, claim_stable, prove
from tests.kit.streams import Bench


def draw(rng, p, tiles, longest):
    """Return what comes in, an entry or None a cycle, and what must come out."""
    coming, wanted = [], []
    for _ in range(tiles):
        left = []
        for _ in range(int(rng.integers(0, longest + 1))):
            coming += [None] * int(rng.integers(0, 3))
            entry = {"word": int(rng.integers(0, 1 << 27)), "image": int(rng.integers(2)),
                     "mask": int(rng.integers(0, 1 << p.width)) * int(rng.random() < 0.6),
                     "dense": int(rng.integers(2)), "weight": int(rng.integers(0, 64)),
                     "active": int(rng.integers(0, 5)), "last": 0}
            coming.append(entry)
            left += [entry] if entry["mask"] else []
        if coming and coming[-1] and not coming[-1]["last"] and rng.random() < 0.6:
            coming[-1]["last"] = 1  # with the last word, whether or not it has events
        else:
            coming.append({"mask": 0, "dense": 0, "last": 1, "word": 5})
        wanted += [*left[:-1], {**left[-1], "last": 1}] if left else [None]
    return coming, wanted


@pytest.mark.parametrize("blocks", [0, 1])
@pytest.mark.parametrize("seed, stall", [(0, 0.0), (1, 0.4), (2, 0.8)])
def test_words_with_events_come_in_order_and_the_last_one_says_so(sizes, seed, stall, blocks):
    rng, p = np.random.default_rng(seed), sizes(spare_blocks=blocks)
    coming, wanted = draw(rng, p, 80, 6)
    queue = WordQueue(p)
    bench = Bench(queue, seed=seed)

    async def send(ctx):
        for entry in coming:
            while not ctx.get(queue.room):
                await ctx.tick()
            if entry is not None:
                ctx.set(queue.i, entry)
                ctx.set(queue.i_valid, 1)
            await ctx.tick()
            ctx.set(queue.i_valid, 0)

    bench.add(send)
    taken = bench.sink(queue.o, len(wanted), stall=stall)
    bench.run()
    for number, (word, entry) in enumerate(zip(taken, wanted)):
        got = word.payload
        if entry is None:
            assert (got["mask"], got["last"]) == (0, 1), f"seed {seed}, entry {number}"
        else:
            assert got == entry, f"seed {seed}, entry {number}"


@pytest.mark.parametrize("entries, lost", [(UNDER_WAY - 1, False), (UNDER_WAY, True)])
def test_all_that_is_under_way_finds_room(sizes, entries, lost):
    """So many entries, each a tile, come in a row once ``room`` has fallen, and nothing is taken."""
    queue, sent = WordQueue(sizes()), []
    bench = Bench(queue)

    async def send(ctx):
        left = entries
        while left:
            entry = {"mask": 1, "word": len(sent), "last": 1}
            sent.append(entry["word"])
            ctx.set(queue.i, entry)
            ctx.set(queue.i_valid, 1)
            _, _, room = await ctx.tick().sample(queue.room)
            left -= not room
        ctx.set(queue.i_valid, 0)
        await ctx.tick()
        ctx.set(queue.o.ready, 1)
        for _ in range(2 * DEPTH):
            await ctx.tick()

    bench.add(send)
    taken = bench.collect(queue.o.valid & queue.o.ready, queue.o.payload)
    bench.run()
    assert ([word.payload["word"] for word in taken] != sent) == lost


def order_claims(queue, under_way):
    """Claim that words come out in order, each in its tile, whatever comes in and however long it waits.

    Words are numbered by ``weight``; the lowest bit of ``active`` says whether their tile is an even or an odd one.
    """
    def claims(m):
        arrived, left, even, due = Signal(3), Signal(3), Signal(), Signal()
        late = Signal(range(under_way + 2))
        word, entry = queue.i_valid & queue.i.mask.any(), queue.o.payload
        with m.If(queue.room):
            m.d.sync += late.eq(0)
        with m.Elif(queue.i_valid):
            m.d.sync += late.eq(late + 1)
            m.d.comb += Assume(late < under_way)
        with m.If(word):
            m.d.comb += Assume((queue.i.weight == arrived) & (queue.i.active[0] == even))
            m.d.sync += arrived.eq(arrived + 1)
        with m.If(queue.i_valid & queue.i.last):
            m.d.sync += even.eq(~even)
        with m.If(queue.o.valid & queue.o.ready):
            m.d.comb += Assert(entry.mask.any() | entry.last)
            with m.If(entry.mask.any()):
                m.d.comb += Assert((entry.weight == left) & (entry.active[0] == due))
                m.d.sync += left.eq(left + 1)
            with m.If(entry.last):
                m.d.sync += due.eq(~due)
        claim_stable(m, queue.o)
    return claims


def small_queue(sizes, monkeypatch, under_way):
    """Return a queue of four small words that leaves room for ``under_way``; a solver is quick with it."""
    monkeypatch.setattr(word_queue, "DEPTH", 4)
    monkeypatch.setattr(word_queue, "UNDER_WAY", under_way)
    return WordQueue(sizes(count_bits=1, value_bits=1, image_tile=1, weights=8))


def test_order_and_tiles_proved(sizes, monkeypatch):
    """For 10 cycles from reset, in which the queue fills, empties and goes around."""
    queue = small_queue(sizes, monkeypatch, 2)
    prove(queue, order_claims(queue, 1), steps=10, bounded=True)


def test_a_planted_fault_is_found(sizes, monkeypatch):
    queue = small_queue(sizes, monkeypatch, 2)
    with pytest.raises(Disproved):
        prove(queue, order_claims(queue, 2), steps=10, bounded=True)
