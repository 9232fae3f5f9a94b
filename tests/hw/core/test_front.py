"""Fetch, queue, gather and lanes as one chain: random requests and memories against sums in plain Python."""

from collections import deque

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring

from hw.core.fetch import Fetch
from hw.core.gather import Gather
from hw.core.halves import Halves
from hw.core.lanes import Lanes
from hw.core.memory import CoreMemory
from hw.core.word_queue import WordQueue
from tests.hw.core.front import Memories, draw_tile, events_of, group_takes, lanes_of, sums_of, words_of
from tests.kit.streams import Bench

MIDDLE = {"last_column": 0, "last_tile": 0}


class Front:
    """The chain of one group; it is asked for ``tiles``, pairs of a tile's marks and its requests."""

    def __init__(self, p, memories, tiles, *, number=0, layer=(), slot=0, stall=0.0, seed=0, wanted):
        m = Module()
        parts = fetch, queue, gather, lanes = Fetch(p, number), WordQueue(p), Gather(p), Lanes(p)
        m.submodules.fetch, m.submodules.queue, m.submodules.gather, m.submodules.lanes = parts
        stored = {name: CoreMemory(*contents) for name, contents in memories.contents().items()}
        for name, memory in stored.items():
            m.submodules[name] = memory
        wiring.connect(m, queue.o, gather.i)
        m.d.comb += [
            queue.i_valid.eq(fetch.o_valid), queue.i.eq(fetch.o), lanes.event.eq(gather.o),
            stored["maps"].address.eq(fetch.map_address), fetch.map_word.eq(stored["maps"].data),
            stored["image"].address.eq(fetch.image_address), fetch.image_word.eq(stored["image"].data),
            stored["weights"].address.eq(gather.weight_address),
        ]
        layer = dict(layer)
        if p.narrow:
            m.submodules.halves = halves = Halves(p)
            m.d.comb += [
                halves.word.eq(stored["weights"].data), halves.narrow.eq(layer.get("narrow", 0)),
                halves.upper.eq(gather.upper), lanes.weights.eq(halves.weights),
            ]
        else:
            m.d.comb += lanes.weights.eq(stored["weights"].data)
        m.d.comb += fetch.slot.eq(slot)
        if p.maximum:
            m.d.comb += lanes.maximum.eq(layer.get("maximum", 0))
        self._fetch, self._queue, self._layers, self._layer = fetch, queue, (fetch.layer, gather.layer), layer
        self._tiles, self._rng, self._stall, self._wanted = tiles, np.random.default_rng([seed, 9]), stall, wanted
        taken = Signal()
        m.d.sync += taken.eq(gather.busy)
        self.bench = bench = Bench(m, seed=seed, limit=20_000)
        self.places = bench.collect(gather.busy, gather.weight_address)
        self.active = bench.collect(gather.busy, gather.active)
        self.idle = bench.collect(~gather.busy & (gather.active != 0), gather.active)
        self.events = bench.collect(taken, gather.o)
        self.sums = bench.collect(lanes.done, lanes.sums)
        bench.watch(queue.o)
        bench.add(self._ask)

    async def _ask(self, ctx):
        fetch, rooms = self._fetch, deque([1, 1], maxlen=2)
        for layer in self._layers:
            ctx.set(layer, self._layer)

        async def cycle():
            _, _, room = await ctx.tick().sample(self._queue.room)
            rooms.append(room)
            ctx.set(fetch.tile_valid, 0)
            ctx.set(fetch.request_valid, 0)

        for tile, requests in self._tiles:
            ctx.set(fetch.tile, tile)
            ctx.set(fetch.tile_valid, 1)
            if self._rng.random() < 0.5:
                await cycle()
            for request in requests:
                while not rooms[0] or self._rng.random() < self._stall:  # two are sent when there is no room any more
                    await cycle()
                ctx.set(fetch.request, request)
                ctx.set(fetch.request_valid, 1)
                await cycle()
        while len(self.sums) < self._wanted:
            await cycle()
        for _ in range(20):
            await cycle()


def run(p, memories, tiles, *, number=0, layer=(), slot=0, stall=0.0, seed=0):
    """Run the tiles and compare events, weights, lanes at work and sums; return the bench's records."""
    layer, wanted = {"spacing": 0, **dict(layer)}, []
    for tile, requests in tiles:
        takes, position, part = group_takes(layer, number, tile)
        if takes:
            wanted.append(events_of(words_of(
                p, memories, requests, slot=slot, layer=layer, position=position, part=part),
                lanes_of(p, layer, part, tile)))
    front = Front(p, memories, tiles, number=number, layer=layer, slot=slot, stall=stall, seed=seed,
                  wanted=len(wanted))
    front.bench.run()
    events = [event for tile in wanted for event in tile]
    assert [word.payload for word in front.places] == [at >> layer.get("narrow", 0) for _, at, _ in events]
    assert [word.payload for word in front.active] == [work for _, _, work in events]
    assert not front.idle, "lanes work without an event"
    got = [word.payload["word"] if word.payload.get("dense") else word.payload["value"] for word in front.events]
    assert got == [value if isinstance(value, int) else list(value) for value, _, _ in events]
    sums = [sums_of(p, tile, memories.weights, maximum=bool(layer.get("maximum"))) for tile in wanted]
    assert [word.payload for word in front.sums] == sums
    gaps = np.diff([word.cycle for word in front.sums])
    assert (gaps > layer["spacing"]).all(), "two tiles ended closer than the spacing"
    return front


def draw(rng, p, memories, count, longest, **chances):
    return [({"last_column": int(rng.random() < 0.3), "last_tile": int(rng.random() < 0.3)},
             draw_tile(rng, p, memories, int(rng.integers(0, longest + 1)), **chances)) for _ in range(count)]


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("seed, changes", [
    (0, {}), (1, {"signed": 1}), (2, {"dense": 0, "maximum": 0}), (3, {"width": 8, "image_tile": 8}),
    (4, {"width": 16, "image_tile": 1, "image_slots": 1}), (5, {"count_bits": 8, "value_bits": 8, "width": 8}),
    (6, {"image_words": 1, "map_words": 1, "image_slots": 3}), (7, {"image_slots": 4, "image_words": 5, "signed": 1}),
])
def test_sums_of_random_tiles(sizes, seed, changes, stall):
    rng, p = np.random.default_rng(seed), sizes(**changes)
    memories = Memories(rng, p)
    run(p, memories, draw(rng, p, memories, 40, 5), slot=p.image_slots - 1, stall=stall, seed=seed)


@pytest.mark.parametrize("spacing", [0, 1, 5, 18, 200])
def test_ends_of_tiles_lie_apart_and_nothing_else_waits(sizes, spacing):
    rng, p = np.random.default_rng(spacing), sizes()
    memories = Memories(rng, p)
    tiles = draw(rng, p, memories, 20, 3)
    front = run(p, memories, tiles, layer={"spacing": spacing})
    gaps = np.diff([word.cycle for word in front.sums])
    if spacing >= 18:  # no tile takes longer
        assert (gaps == spacing + 1).all(), gaps


@pytest.mark.parametrize("groups, number", [(2, 1), (4, 1), (4, 2), (4, 3)])
@pytest.mark.parametrize("part_bits", [0, 1, 2])
def test_a_group_moves_its_requests_and_sits_tiles_out(sizes, groups, number, part_bits):
    part_bits = min(part_bits, groups.bit_length() - 1)
    rng, p = np.random.default_rng([groups, number, part_bits]), sizes(groups=groups, signed=1)
    memories = Memories(rng, p)
    positions = (groups >> part_bits) - 1
    tiles = draw(rng, p, memories, 30, 4)
    for last in range(2):
        layer = {"part_bits": part_bits, "positions": positions, "last_positions": positions * last,
                 "last_parts": ((1 << part_bits) - 1) * last, "lanes": p.width - 1, "lanes_last": 1 + last}
        run(p, memories, tiles, number=number, layer=layer, seed=last)


def test_a_readout_runs_on_the_first_group_alone(sizes):
    rng, p = np.random.default_rng(1), sizes(groups=2)
    memories = Memories(rng, p)
    tiles = [(MIDDLE, requests) for _, requests in draw(rng, p, memories, 5, 4)]
    assert not run(p, memories, tiles, number=1).sums
    assert len(run(p, memories, tiles, number=0).sums) == 5


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_the_largest_count_of_both_signs(sizes, signed, stall):
    rng, p = np.random.default_rng(signed), sizes(signed=signed)
    memories = Memories(rng, p, ones=True, empty=0.1, zeros=0.2)
    tiles = draw(rng, p, memories, 60, 4, image=0, dense=1)
    for _, requests in tiles:
        for request in requests:
            request["active"] = 0
    run(p, memories, tiles, layer={"maximum": 1}, stall=stall)


@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_narrow_layers_and_whole_ones_of_one_core(sizes, narrow, stall):
    rng, p = np.random.default_rng(narrow), sizes(narrow=1)
    memories = Memories(rng, p, narrow=bool(narrow))
    run(p, memories, draw(rng, p, memories, 60, 5), layer={"narrow": narrow}, stall=stall)


def gaps_of(front):
    """Return the cycles from event to event: of those of one tile, and from the last of a tile to the next one."""
    gaps = np.diff([word.cycle for word in front.events])
    begins = np.array([word.payload["first"] for word in front.events[1:]], dtype=bool)
    return gaps[~begins], gaps[begins]


@pytest.mark.parametrize("words", [9, 25])
@pytest.mark.parametrize("width, empty, zeros", [(4, 0.0, 0.3), (16, 0.5, 0.6), (16, 0.0, 0.0), (16, 0.6, 0.5)])
def test_no_cycle_is_lost_while_words_hold_more_than_an_event(sizes, width, empty, zeros, words):
    """Neither between tiles nor on empty words, while the gather is busy."""
    rng, p = np.random.default_rng(width), sizes(width=width, map_words=400)
    memories = Memories(rng, p, empty=empty, zeros=zeros)
    tiles = [(MIDDLE, draw_tile(rng, p, memories, words, image=0, dense=0, on=1)) for _ in range(5)]
    within, between = gaps_of(run(p, memories, tiles))
    assert (within == 1).all()
    assert between.tolist() == [1] * 4


def test_dense_words_lose_none_their_end_comes_with_the_last(sizes):
    rng, p = np.random.default_rng(5), sizes()
    memories = Memories(rng, p, empty=0, zeros=0)
    tiles = [(MIDDLE, draw_tile(rng, p, memories, 30, image=0, dense=1, on=1, joined=1)) for _ in range(5)]
    within, between = gaps_of(run(p, memories, tiles))
    assert (within == 1).all()
    assert len(between) == 4
    assert set(between) <= {1, 2}, "a tile's marks may come a cycle before its first request"
