"""`hw.core.image_writer` against maps cut into words in plain Python."""

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Source, Synapse
from gen.plan.estimate import expected_cycles
from gen.plan.plan import make_plan
from gen.plan.program import header_fields, unpack
from hw.core.image_writer import ImageWriter
from tests.gen.plan.networks import readout
from tests.kit.beats import beats
from tests.kit.streams import Bench


def header(image, tile, frames=0):
    """Return the header of maps [positions, channels] like this one."""
    positions, channels = image.shape
    return {"image_channels": channels - 1, "image_positions": positions - 1, "image_tile": tile - 1, "frames": frames}


def stored(image, tile, width):
    """Return the words [words, width] that a map must leave, lanes beyond its values 0."""
    words = []
    for position in image:
        for at in range(0, len(position), tile):
            lanes = [int(v) for v in position[at : at + tile]]
            words.append(lanes + [0] * (width - len(lanes)))
    return words


class Written:
    """Runs an `ImageWriter` and keeps what lies in its slots."""

    def __init__(self, params, image, tile, *, frames=0, seed=0, stall=0.4):
        self.dut, self._params = ImageWriter(params), params
        self.bench = Bench(self.dut, seed=seed, limit=5000)
        self.memory, self.stall, self._slot_bits = {}, stall, params.slot_bits
        self.header = header(image, tile, frames)
        self.bench.add(self._keep, background=True)
        self.pause = self.bench.pauses(stall)

    async def _keep(self, ctx):
        ctx.set(self.dut.header, self.header)
        ctx.set(self.dut.enable, 1)
        if self._params.image_ring:
            return
        rows, lanes = self._params.image_rows, self._params.image_row_lanes
        async for _, _, write in ctx.tick().sample(self.dut.write):
            if write.enable:
                for row, address in enumerate([write.address] if rows == 1 else write.address):
                    word = self.memory.setdefault(address, [None] * len(write.word))
                    own = range(row * lanes, (row + 1) * lanes)
                    word[own.start : own.stop] = [write.word[lane] for lane in own]

    def values(self, image, first=True):
        """Return the words that carry a map, or another array of values."""
        return beats(self._params, image, first)

    async def send(self, ctx, words):
        for word in words:
            for _ in range(self.pause()):
                await ctx.tick()
            ctx.set(self.dut.i.payload, word)
            ctx.set(self.dut.i.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(self.dut.i.ready)
            ctx.set(self.dut.i.valid, 0)

    async def take(self, ctx, count):
        """Wait for a map, return its words and give its slot back."""
        while not ctx.get(self.dut.full):
            await ctx.tick()
        await ctx.tick()  # the last word is written while the map is already called whole
        slot = ctx.get(self.dut.slot)
        words = [list(self.memory[(n << self._slot_bits) + slot]) for n in range(count)]
        await self.pulse(ctx, self.dut.release)
        return words

    async def pulse(self, ctx, signal):
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)


def draw(rng, count, size):
    """Return maps and a tile, whole beats of ``size`` values both."""
    positions, channels = (int(n) for n in rng.integers(1, 6, 2))
    return rng.integers(-256, 256, (count, positions, channels * size)), int(rng.integers(1, 4)) * size


@pytest.mark.parametrize("frames", [0, 1])
@pytest.mark.parametrize("seed, size", [*((seed, 1) for seed in range(4)), (4, 2), (5, 2), (6, 4), (7, 4)])
def test_maps_become_words_one_ahead_of_the_one_that_is_read(sizes, seed, size, frames):
    rng = np.random.default_rng(seed)
    images, tile = draw(rng, 5, size)
    params = sizes(image_tile=3 * size, input_values=size)
    run = Written(params, images[0], tile, frames=frames, seed=seed, stall=0.4 * (seed % 2))
    got, wanted = [], [stored(image, tile, 3 * size) for image in images]

    async def feed(ctx):
        for n, image in enumerate(images):
            await run.send(ctx, run.values(image, n == 0 or not frames))

    async def read(ctx):
        for words in wanted:
            for _ in range(int(rng.integers(0, 60))):
                await ctx.tick()
            got.append(await run.take(ctx, len(words)))
        assert ctx.get(run.dut.idle) and not ctx.get(run.dut.full)

    run.bench.add(feed)
    run.bench.add(read)
    run.bench.run()
    assert got == wanted, f"seed {seed}"


@pytest.mark.parametrize("size", [1, 2, 4])
def test_one_beat_a_cycle_and_no_more_than_two_maps(sizes, size):
    image = np.arange(3 * size * 4).reshape(4, 3 * size)
    run = Written(sizes(image_tile=3 * size, input_values=size), image, 3 * size, stall=0)

    async def drive(ctx):
        before = run.bench.cycle
        await run.send(ctx, run.values(image) * 2)
        assert run.bench.cycle - before == 2 * image.size // size
        ctx.set(run.dut.i.payload, {"first": 1})
        ctx.set(run.dut.i.valid, 1)
        await ctx.tick().repeat(3)
        assert not ctx.get(run.dut.i.ready)
        await run.pulse(ctx, run.dut.release)
        assert ctx.get(run.dut.i.ready)

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("size, cut", [(1, 1), (1, 5), (1, 11), (2, 4)])
def test_an_image_that_begins_early_takes_the_place_of_the_one_before(sizes, size, cut):
    image, tile = np.arange(-6 * size, 6 * size).reshape(4, 3 * size), 2 * size
    run = Written(sizes(image_tile=3 * size, input_values=size), image, tile)

    async def drive(ctx):
        await run.send(ctx, run.values(np.full(3 * size, 5), first=False))
        assert ctx.get(run.dut.idle), "values that begin no image are dropped"
        await run.send(ctx, run.values(image)[:cut])
        assert not ctx.get(run.dut.idle)
        await run.send(ctx, run.values(image[::-1]))
        wanted = stored(image[::-1], tile, 3 * size)
        assert await run.take(ctx, len(wanted)) == wanted
        assert not ctx.get(run.dut.full)

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("batch", [2, 3])
def test_the_maps_of_a_batch_come_as_one_image_and_the_next_one_behind_them(sizes, batch):
    rng = np.random.default_rng(batch)
    images, tile = draw(rng, 3 * batch, 1)
    run = Written(sizes(batch=batch), images[0], tile, seed=batch)
    got, wanted = [], [stored(image, tile, 3) for image in images]

    async def feed(ctx):
        for n, image in enumerate(images):
            await run.send(ctx, run.values(image, n % batch == 0))
        await run.send(ctx, [{"value": 1, "first": 0}])  # begins none, and is dropped

    async def read(ctx):
        for words in wanted:
            assert not ctx.get(run.dut.restart)
            got.append(await run.take(ctx, len(words)))
        await ctx.tick().repeat(40)
        assert ctx.get(run.dut.idle)

    run.bench.add(feed)
    run.bench.add(read)
    run.bench.run()
    assert got == wanted


@pytest.mark.parametrize("kind", ["frames", "batch"])
@pytest.mark.parametrize("taken", [0, 1, 7, 12])
def test_another_image_in_place_of_a_later_frame_waits_for_the_end(sizes, taken, kind):
    image, tile = np.arange(1, 13).reshape(4, 3), 3
    run = Written(sizes(batch=3 if kind == "batch" else 1), image, tile, frames=int(kind == "frames"), stall=0)
    dut = run.dut

    async def drive(ctx):
        await run.send(ctx, run.values(image) + run.values(image, False)[:taken])
        ctx.set(dut.i.payload, {"value": 9, "first": 1})
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(2)
        assert (ctx.get(dut.restart), ctx.get(dut.i.ready)) == (1, 0)
        await run.pulse(ctx, dut.ends)
        assert not ctx.get(dut.restart) and not ctx.get(dut.full)
        await run.send(ctx, run.values(image + 20))
        wanted = stored(image + 20, tile, 3)
        assert await run.take(ctx, len(wanted)) == wanted

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("at", range(12))
def test_a_later_frame_is_dropped_in_whatever_cycle_the_image_ends(sizes, at):
    """Also in that of its last beat: once what came next was looked for in the other slot."""
    image, tile = np.arange(1, 13).reshape(4, 3), 3
    run = Written(sizes(), image, tile, frames=1, stall=0)
    dut = run.dut

    async def drive(ctx):
        await run.send(ctx, run.values(image))
        for number, word in enumerate(run.values(image, False)[: at + 1]):
            ctx.set(dut.ends, number == at)
            await run.send(ctx, [word])
        ctx.set(dut.ends, 0)
        await ctx.tick()
        assert ctx.get(dut.idle) and not ctx.get(dut.full)
        await run.send(ctx, run.values(image + 20))
        wanted = stored(image + 20, tile, 3)
        assert await run.take(ctx, len(wanted)) == wanted

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("frames", [0, 1])
@pytest.mark.parametrize("sent", [0, 1, 7, 12, 17])
def test_a_clear_drops_all_with_the_word_that_stands_there(sizes, sent, frames):
    image, tile = np.arange(1, 13).reshape(4, 3), 2
    run = Written(sizes(), image, tile, frames=frames, stall=0)
    dut = run.dut

    async def drive(ctx):
        await run.send(ctx, (run.values(image) + run.values(image, not frames))[:sent])
        ctx.set(dut.i.payload, {"value": 99, "first": 1})
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.clear, 1)
        _, _, ready = await ctx.tick().sample(dut.i.ready)
        assert ready
        ctx.set(dut.clear, 0)
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.idle) and not ctx.get(dut.full)
        await run.send(ctx, [{"value": 3, "first": 0}] * 2)
        await run.send(ctx, run.values(image - 40))
        wanted = stored(image - 40, tile, 3)
        assert await run.take(ctx, len(wanted)) == wanted

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("late", [0, 0.8])
@pytest.mark.parametrize("seed, size, frames", [(0, 1, 0), (1, 1, 1), (2, 2, 0), (3, 4, 1)])
def test_maps_become_words_for_the_outside_however_late_they_are_taken(sizes, seed, size, frames, late):
    """A map that is dropped amid its words leaves none behind that waits, and those that follow are whole."""
    rng = np.random.default_rng([seed, 5])
    images, tile = draw(rng, 5, size)
    params = sizes(image_tile=3 * size, input_values=size, image_ring=8, spilled=0, outside=512)
    run = Written(params, images[0], tile, frames=frames, seed=seed, stall=0.2 * (seed % 2))
    dut, wanted = run.dut, [stored(image, tile, 3 * size) for image in images]
    taken, cut = run.bench.sink(dut.store, stall=late), images[0].size // size // 2
    ends = []

    async def feed(ctx):
        await run.send(ctx, run.values(images[-1])[:cut])
        await run.pulse(ctx, dut.clear)
        while ctx.get(dut.store.valid):  # what is given up goes where another map will go
            await ctx.tick()
        await ctx.tick()
        assert ctx.get(dut.idle)
        taken.clear()
        for n, image in enumerate(images):
            await run.send(ctx, run.values(image, n == 0 or not frames))
        ends.append(True)

    async def read(ctx):
        slot = ctx.get(dut.slot)
        while not ctx.get(dut.enable):
            await ctx.tick()
        for number, words in enumerate(wanted):
            for _ in range(int(rng.integers(0, 60))):
                await ctx.tick()
            while not ctx.get(dut.full):
                await ctx.tick()
            while len(taken) < len(words):  # the last one may still wait
                assert not ctx.get(dut.idle)
                await ctx.tick()
            slot = ctx.get(dut.slot)
            got = [(seen.payload["address"], seen.payload["word"]) for seen in taken[: len(words)]]
            assert got == [(n << 1 | slot, word) for n, word in enumerate(words)], f"seed {seed}, map {number}"
            del taken[: len(words)]
            await run.pulse(ctx, dut.release)
        while not ends:
            await ctx.tick()
        assert ctx.get(dut.idle) and not taken, f"seed {seed}"

    run.bench.add(feed)
    run.bench.add(read)
    run.bench.run()


def windows(rng):
    """Return the plan of a network that reads its input in whole windows."""
    channels, rows, columns = int(rng.integers(1, 3)), *(int(n) for n in rng.integers(4, 8, 2))
    kernel = (3, 3) if channels == 1 else (2, 2)
    padding = tuple(int(n) for n in rng.integers(0, 2, 4))
    synapse = Synapse(INPUT, np.ones((1, channels, *kernel), int), padding=padding)
    return make_plan(IntegerNetwork(Source((channels, rows, columns)), [readout("out", synapse)], 1), strips="windows")


@pytest.mark.parametrize("ends", ["anew", "clear"])
@pytest.mark.parametrize("seed", range(8))
def test_whole_windows_however_the_map_before_ended(seed, ends):
    """Maps are cut short at any beat, or in the rows of zeros; the one behind them must be whole."""
    rng = np.random.default_rng(seed)
    plan = windows(rng)
    params, strips = plan.params, plan.layout.tiling.strips
    maps = rng.integers(0, 256, (6, strips.channels, strips.height, strips.width))
    rows = strips.height + strips.above + strips.below - strips.rows + 1
    run = Written(params, maps[0, 0], 1, seed=seed, stall=0.3 * (seed % 2))
    run.header = unpack(header_fields(params), plan.contents["program"])
    assert params.image_rows == strips.rows > 1
    cut = 1 if ends == "clear" else None  # the map of which only zeros are to come

    async def drive(ctx):
        await ctx.tick()
        for number, values in enumerate(maps):
            words = run.values(values.transpose(1, 2, 0).reshape(-1, strips.channels))
            if number % 2:
                await run.send(ctx, words if number == cut else words[: int(rng.integers(1, len(words)))])
                if ends == "clear":
                    await ctx.tick().repeat(int(rng.integers(0, strips.row_values)))
                    await run.pulse(ctx, run.dut.clear)
                continue
            await run.send(ctx, words)
            found = await run.take(ctx, rows * strips.columns)
            wanted = strips.of_map(values)[:, :rows].reshape(strips.values, -1).T
            assert found == wanted.tolist(), f"seed {seed}, map {number}"

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("seed", range(6))
def test_a_map_of_whole_windows_takes_a_cycle_for_each_beat_or_zeros_in_its_place(seed):
    """As many as the estimate counts of an image that waits for nothing else."""
    plan = windows(np.random.default_rng(seed))
    params, strips = plan.params, plan.layout.tiling.strips
    run = Written(params, np.zeros((1, 1)), 1, stall=0)
    run.header = unpack(header_fields(params), plan.contents["program"])
    ends = []

    async def feed(ctx):
        await ctx.tick()
        for _ in range(4):
            await run.send(ctx, run.values(np.ones((strips.height * strips.width, strips.channels), int)))

    async def read(ctx):
        for _ in range(4):
            while not ctx.get(run.dut.full):
                await ctx.tick()
            ends.append(run.bench.cycle)
            await run.pulse(ctx, run.dut.release)

    run.bench.add(feed)
    run.bench.add(read)
    run.bench.run()
    beats = strips.map_values // params.input_values
    assert np.diff(ends).tolist() == [beats] * 3 and expected_cycles(plan).interval >= beats
