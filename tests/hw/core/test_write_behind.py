"""`hw.core.write_behind`: every word arrives where it belongs, in few bursts; none is lost when there is no room."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from gen.plan.spilling import LONGEST_RUN, PATIENCE
from hw.core.tile_queue import SLACK, depth
from hw.core.write_behind import SPARE, WriteBehind
from sim.memory import BusModel
from tests.hw.core.bus_watch import BusWatch, draw_words, pieces_of
from tests.kit.streams import Bench

MAPS, IMAGE = 1 << 11, 1 << 10  # words outside; where the input lies
PITCH = 300
SHAPES = {  # pieces of a map's word and of the input's
    "1-1": {}, "2-3": {"count_bits": 12, "signed": 1, "image_tile": 8}, "4-1": {"width": 16, "count_bits": 8},
    "maps": {"image_ring": 0, "count_bits": 9}, "input": {"spilled": 0, "image_tile": 4},
}


class Writing(wiring.Component):
    """Runs a `WriteBehind` before a memory; keeps what came in which order."""

    def __init__(self, params, seed, stall=0.3, latency=(0, 25), limit=30_000):
        self.dut, self.params, self.seed = WriteBehind(params), params, seed
        self.memory = BusModel(params.outside_bits, 32, latency=latency, stall=stall, seed=seed + 1)
        super().__init__({})
        self.bench = Bench(self, seed=seed, limit=limit)
        self.bus = BusWatch(self.bench, self.dut.request, self.dut.write)
        self.expected, self.arrived = {}, []  # {address: piece}; (address, pieces, cycle) in their order
        self.bench.add(self._arrive, background=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.memory = dut, memory = self.dut, self.memory
        wiring.connect(m, dut.request, memory.bus.request)
        wiring.connect(m, dut.write, memory.bus.write)
        return m

    async def _arrive(self, ctx):
        """Note what comes; see that ``busy`` tells of it until it is written."""
        dut, p, pieces = self.dut, self.params, 0
        shapes = dut.map_word.shape(), dut.image.payload.shape()
        samples = ctx.tick().sample(
            dut.busy, dut.base, dut.map_word.enable, dut.image.valid, dut.image.ready,
            dut.map_word.as_value(), dut.image.payload.as_value())
        async for _, _, busy, base, enable, valid, ready, word, image in samples:
            late = pieces - self.bus.taken
            assert busy or late <= 0, f"seed {self.seed}: not busy, {late} words are not written"
            assert not (enable and valid and ready), f"seed {self.seed}: two words in a cycle"
            if enable:
                word = shapes[0].from_bits(word)
                lanes = [word.word[n] for n in range(p.width)]
                pieces += self._note(base + word.address * p.map_pieces, lanes, p.map_bits, p.map_pieces)
            elif valid and ready:
                image = shapes[1].from_bits(image)
                place, slot = image.address >> p.slot_bits, image.address % (1 << p.slot_bits)
                lanes = [image.word[n] for n in range(p.image_tile)]
                address = IMAGE + PITCH * slot + place * p.image_pieces
                pieces += self._note(address, lanes, p.value_bits, p.image_pieces)

    def _note(self, address, lanes, bits, count):
        self.arrived.append((address, count, self.bench.cycle))
        self.expected |= {address + n: piece for n, piece in enumerate(pieces_of(lanes, bits, count))}
        return count

    def runs(self):
        """Return the (address, words) of the bursts that join what came one behind the other."""
        runs, words, after, before = [], 0, None, 0
        for address, pieces, cycle in self.arrived:
            if address == after and words < LONGEST_RUN and cycle - before <= PATIENCE + 1:
                runs[-1][1] += pieces
                words += 1
            else:
                runs.append([address, pieces])
                words = 1
            after, before = address + pieces, cycle
        return [tuple(run) for run in runs]

    async def word(self, ctx, address, lanes):
        ctx.set(self.dut.map_word, {"enable": 1, "address": address, "word": lanes})
        await ctx.tick()
        ctx.set(self.dut.map_word.enable, 0)

    async def until_quiet(self, ctx):
        while ctx.get(self.dut.busy):
            await ctx.tick()

    def check(self):
        assert self.bus.written == self.expected, f"seed {self.seed}: what lies outside"
        longest = LONGEST_RUN * max(self.params.map_pieces, self.params.image_pieces)
        assert all(words <= longest and write for _, words, write in self.bus.bursts), f"seed {self.seed}"
        assert [burst[:2] for burst in self.bus.bursts] == self.runs(), f"seed {self.seed}: what is joined"


def params_of(sizes, shape, **changes):
    return sizes(**{"outside": MAPS, "spilled": 150, "image_ring": 16, "image_words": 40, **shape, **changes})


def rising(rng, words, count):
    """Return ``count`` addresses below ``words``: runs that rise by one, with jumps between them."""
    found = []
    while len(found) < count:
        length = int(rng.integers(1, 40))
        first = int(rng.integers(words - length))
        found += range(first, first + length)
    return found[:count]


def feed(writing, rng, stall, count=50):
    """Let words of maps and of the input come at once, each kind with its own pauses."""
    dut, p, bench = writing.dut, writing.params, writing.bench
    pause = bench.pauses(stall)

    async def maps(ctx):
        ctx.set(dut.header, {"image": IMAGE, "image_pitch": PITCH} if p.image_ring else {})
        for n, address in enumerate(rising(rng, 150, count if p.spilled else 0)):
            if n % 20 == 0:
                ctx.set(dut.base, int(rng.integers(IMAGE - 150 * p.map_pieces)))
            for _ in range(pause()):
                await ctx.tick()
            while not ctx.get(dut.room):
                await ctx.tick()
            await writing.word(ctx, address, draw_words(rng, 1, p.width, p.map_bits, p.signed)[0])

    def images():
        for n, place in enumerate(rising(rng, 40, count if p.image_ring else 0)):
            slot = n // 40 % 2
            yield {"address": (place << p.slot_bits) + slot,
                   "word": draw_words(rng, 1, p.image_tile, p.value_bits, True)[0]}

    bench.add(maps)
    bench.source(dut.image, images(), stall=stall)


@pytest.mark.parametrize("seed, stall, shape", [
    *((0, 0, shape) for shape in SHAPES), (1, 0.5, "1-1"), (1, 0.5, "input"), (1, 0.5, "maps"), (2, 0.8, "2-3"),
])
def test_words_of_maps_and_of_the_input_arrive_at_their_places(sizes, seed, stall, shape):
    params = params_of(sizes, SHAPES[shape])
    writing = Writing(params, seed, stall=(0, 0.3, 0.8)[seed])
    rng = np.random.default_rng([seed, list(SHAPES).index(shape)])
    feed(writing, rng, stall)
    count = 50 * ((params.spilled > 0) + (params.image_ring > 0))

    async def end(ctx):
        while len(writing.arrived) < count:
            await ctx.tick()
        await ctx.tick()
        assert ctx.get(writing.dut.busy), f"seed {seed}"
        await writing.until_quiet(ctx)
        await ctx.tick().repeat(PATIENCE + 10)
        assert not ctx.get(writing.dut.busy), f"seed {seed}"

    writing.bench.add(end)
    writing.bench.run()
    writing.check()


@pytest.mark.parametrize("seed", range(2))
def test_words_one_behind_the_other_go_in_few_bursts(sizes, seed):
    params = params_of(sizes, SHAPES["2-3"])
    writing = Writing(params, seed, stall=0)
    rng = np.random.default_rng(seed)
    count = int(rng.integers(20, 60))

    async def drive(ctx):
        for address in range(count):
            for _ in range(int(rng.integers(PATIENCE - 1))):
                await ctx.tick()
            await writing.word(ctx, address, draw_words(rng, 1, 4, 12, True)[0])
        await ctx.tick()
        await writing.until_quiet(ctx)

    writing.bench.add(drive)
    writing.bench.run()
    writing.check()
    assert len(writing.bus.bursts) == -(-count // LONGEST_RUN), f"seed {seed}"


def test_a_run_that_nothing_goes_on_with_is_written_all_the_same(sizes):
    writing = Writing(params_of(sizes, SHAPES["1-1"]), 0, stall=0, latency=(0, 0))

    async def drive(ctx):
        for address in (3, 4):
            await writing.word(ctx, address, [1, 2, 3, address])
            await ctx.tick().repeat(PATIENCE + 10)
            assert not ctx.get(writing.dut.busy)

    writing.bench.add(drive)
    writing.bench.run()
    writing.check()
    assert [words for _, words, _ in writing.bus.bursts] == [1, 1]


@pytest.mark.parametrize("groups, step, quick", [(1, 37, 0), (1, 1, 0), (4, 1, 0), (2, 1, 1)])
def test_all_that_is_under_way_finds_room_while_the_memory_takes_nothing(sizes, groups, step, quick):
    """Words come in every cycle; when it is told that there is no room, so many of each group are still to come."""
    params = params_of(sizes, SHAPES["2-3"], groups=groups, quick=quick)
    tiles = (depth(params) + SLACK) * groups
    late = tiles + SPARE + 13
    writing = Writing(params, 5, stall=0, latency=(late, late))
    dut, rng, left = writing.dut, np.random.default_rng(5), tiles

    async def drive(ctx):
        nonlocal left
        ctx.set(dut.header, {"image": IMAGE, "image_pitch": PITCH})
        ctx.set(dut.image.payload, {"address": 5})
        ctx.set(dut.image.valid, 1)  # it waits
        sent = 0
        while left:
            left -= not ctx.get(dut.room)
            await writing.word(ctx, sent * step % 150, draw_words(rng, 1, 4, 12, True)[0])
            sent += 1
        assert not writing.bus.taken and len(writing.arrived) == sent, "nothing is written yet, and no image word came"
        while not ctx.get(dut.room):
            await ctx.tick()
        ctx.set(dut.image.valid, 0)
        await writing.until_quiet(ctx)

    writing.bench.add(drive)
    writing.bench.run()
    writing.check()
