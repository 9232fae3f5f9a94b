"""`hw.core.copier`: every word of a list of copies lands at its place, in order; what is forgotten writes nothing."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.core.copier import BURST, Copier
from sim.memory import BusModel
from tests.hw.core.bus_watch import draw_words, pieces_of
from tests.kit.streams import Bench

OUTSIDE, PITCH = 1 << 12, 500
SHAPES = {  # pieces of a map's word and of the input's
    "1-1": {}, "2-3": {"count_bits": 12, "signed": 1, "image_tile": 8}, "4-1": {"width": 16, "count_bits": 8},
    "maps": {"image_ring": 0, "count_bits": 9}, "input": {"spilled": 0, "image_tile": 4},
}


class Copying(wiring.Component):
    """Runs a `Copier` before a memory of random words of maps and of the input."""

    def __init__(self, params, seed, stall=0.3, latency=(0, 25), limit=20_000):
        self.dut, self.params, self.rng = Copier(params), params, np.random.default_rng(seed)
        p, rng, self._init = params, self.rng, []
        self.maps = draw_words(rng, 250, p.width, p.map_bits, p.signed)
        self.inputs = [draw_words(rng, PITCH // p.image_pieces, p.image_tile, p.value_bits, True) for _ in range(2)]
        for words, bits, count in (
            (self.maps, p.map_bits, p.map_pieces), *((slot, p.value_bits, p.image_pieces) for slot in self.inputs)
        ):
            pieces = [piece for word in words for piece in pieces_of(word, bits, count)]
            self._init += pieces + [0] * (-len(pieces) % PITCH)
        self.image = len(self._init) - 2 * PITCH  # where the input begins
        self.memory = BusModel(p.outside_bits, 32, init=self._init, latency=latency, stall=stall, seed=seed)
        super().__init__({})
        self.bench = Bench(self, seed=seed, limit=limit)
        self.done = self.bench.collect(self.dut.done, self.dut.done)
        self.stored = self.bench.collect(self.dut.image.enable, self.dut.image)
        self.copied = self.bench.sink(self.dut.maps, stall=stall)
        self.requests = self.bench.collect(self.dut.request.valid & self.dut.request.ready, self.dut.request.payload)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.memory = dut, memory = self.dut, self.memory
        wiring.connect(m, dut.request, memory.bus.request)
        wiring.connect(m, memory.bus.read, dut.i)
        return m

    def draw(self, count, most=8):
        """Return copies (place, words, first word, of the input)."""
        p, rng, found = self.params, self.rng, []
        for _ in range(count):
            image = bool(not p.spilled or (p.image_ring and rng.random() < 0.5))
            held, words = (p.image_ring, len(self.inputs[0])) if image else (p.map_words, len(self.maps))
            size = int(rng.integers(1, min(most, held) + 1))
            found.append((int(rng.integers(held - size + 1)), size, int(rng.integers(words - size + 1)), image))
        return found

    def pieces(self, copy):
        return copy[1] * (self.params.image_pieces if copy[3] else self.params.map_pieces)

    async def list(self, ctx, copies):
        """Hand over a list of copies as the words of a block, which come with gaps."""
        dut, p = self.dut, self.params
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for copy in copies:
            place, _, first, image = copy
            address = self.image + first * p.image_pieces if image else first * p.map_pieces
            for word in (place | image << 31, self.pieces(copy), address):
                ctx.set(dut.list_word, word)
                ctx.set(dut.list_valid, 1)
                await ctx.tick()
                ctx.set(dut.list_valid, 0)
                if self.rng.random() < 0.2:
                    await ctx.tick()

    async def go(self, ctx):
        """Carry the list out."""
        before = len(self.done)
        ctx.set(self.dut.go, 1)
        while len(self.done) == before:
            await ctx.tick()
        ctx.set(self.dut.go, 0)

    def expected(self, copies, slot=0):
        """Return the (address, word) that go into the maps, and into the input."""
        of_maps, of_image = [], []
        for place, size, first, image in copies:
            words = self.inputs[slot] if image else self.maps
            (of_image if image else of_maps).extend((place + n, words[first + n]) for n in range(size))
        return of_maps, of_image

    def got(self):
        return [[(seen.payload["address"], seen.payload["word"]) for seen in row] for row in (self.copied, self.stored)]


def params_of(sizes, shape):
    return sizes(**{"outside": OUTSIDE, "spilled": 250, "image_ring": 64, "image_words": 160, **SHAPES[shape]})


@pytest.mark.parametrize("seed, stall, shape", [
    *((0, 0, shape) for shape in SHAPES), (1, 0.6, "2-3"), (1, 0.6, "input"), (1, 0.6, "maps"),
])
def test_every_word_lands_at_its_place_in_order(sizes, seed, stall, shape):
    copying = Copying(params_of(sizes, shape), seed, stall=stall, latency=(0, 25 * seed))
    lists = [copying.draw(count) for count in ((3, 0, 8), (1, 31))[seed]]
    slots, wanted = [int(copying.rng.integers(2)) for _ in lists], ([], [])

    async def drive(ctx):
        ctx.set(copying.dut.header, {"image": 0, "image_pitch": PITCH} if copying.params.image_ring else {})
        ctx.set(copying.dut.settled, 1)
        for number, (copies, slot) in enumerate(zip(lists, slots)):
            await copying.list(ctx, copies)
            ctx.set(copying.dut.slot, slot)
            await copying.go(ctx)
            for row, more in zip(wanted, copying.expected(copies, slot)):
                row.extend(more)
            await ctx.tick()
            assert copying.got() == list(wanted), f"seed {seed}, list {number}: all is there when it is done"
            await ctx.tick().repeat(8)
            assert len(copying.done) == number + 1, f"seed {seed}: done is told once"

    copying.bench.add(drive)
    copying.bench.run()
    assert sum(seen.payload["length"] + 1 for seen in copying.requests) == sum(
        copying.pieces(copy) for copies in lists for copy in copies), f"seed {seed}"


def test_long_copies_ask_in_bursts_and_take_a_word_a_cycle(sizes):
    copying = Copying(params_of(sizes, "2-3"), 3, stall=0, latency=(0, 0))
    copies = [(1, 60, 100, False), (0, 63, 90, True)]

    async def drive(ctx):
        ctx.set(copying.dut.settled, 1)
        await copying.list(ctx, copies)
        await copying.go(ctx)

    copying.bench.add(drive)
    copying.bench.run()
    assert copying.got() == list(copying.expected(copies))
    assert [seen.payload["length"] + 1 for seen in copying.requests] == [BURST, 56, BURST, BURST, 61]
    assert copying.bench.cycle < 60 * 2 + 63 * 3 + 80, "the bursts come back to back"


@pytest.mark.parametrize("waits", [0, 1])
def test_a_list_that_settles_waits_until_all_is_written(sizes, waits):
    copying = Copying(params_of(sizes, "1-1"), 4)
    dut, copies = copying.dut, copying.draw(4)

    async def drive(ctx):
        ctx.set(dut.settles, waits)
        await copying.list(ctx, copies)
        ctx.set(dut.go, 1)
        await ctx.tick().repeat(60)
        assert bool(copying.requests) != waits
        ctx.set(dut.settled, 1)
        await ctx.tick()
        ctx.set(dut.settled, 0)  # what is written from now on, the list has not waited for
        while not copying.done:
            await ctx.tick()
        ctx.set(dut.go, 0)
        await ctx.tick()

    copying.bench.add(drive)
    copying.bench.run()
    assert copying.got() == list(copying.expected(copies))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_forgotten_writes_nothing_more_and_owes_the_memory_nothing(sizes, seed):
    copying = Copying(params_of(sizes, list(SHAPES)[seed % 5]), 50 + seed, stall=(0, 0.5)[seed % 2])
    dut, first, second = copying.dut, copying.draw(12), copying.draw(6)
    wanted = copying.expected(first)

    async def drive(ctx):
        ctx.set(dut.settled, 1)
        await copying.list(ctx, first)
        ctx.set(dut.go, 1)
        await ctx.tick().repeat(int(copying.rng.integers(150)))
        ctx.set(dut.forget, 1)
        await ctx.tick()
        while ctx.get(dut.maps.valid):  # this one was offered already
            await ctx.tick()
        before = copying.got()
        while not copying.done:
            await ctx.tick()
        ctx.set(dut.go, 0)
        ctx.set(dut.forget, 0)
        assert copying.got() == before, f"seed {seed}"
        assert all(got == row[: len(got)] for got, row in zip(before, wanted)), f"seed {seed}"
        asked = sum(seen.payload["length"] + 1 for seen in copying.requests)
        assert asked == sum(map(copying.pieces, first)), f"seed {seed}"
        await copying.list(ctx, second)
        await copying.go(ctx)
        await ctx.tick()
        again = [got[len(row) :] for got, row in zip(copying.got(), before)]
        assert again == list(copying.expected(second)), f"seed {seed}: the next list is none the worse"

    copying.bench.add(drive)
    copying.bench.run()
    assert len(copying.done) == 2, f"seed {seed}"
