"""`hw.machine.ingest` against a list of the nonzero values."""

import numpy as np
import pytest

from hw.machine.ingest import Ingest
from tests.kit.streams import Bench

EVENTS, POINTERS = 7, 3


def header(image):
    """Return the header of images [C, H, W] like this one, stored from `EVENTS` and `POINTERS` on."""
    channels, height, width = image.shape
    return {"input_channels": channels - 1, "input_row": width * channels - 1, "input_rows": height - 1,
            "event_base": EVENTS, "pointer_base": POINTERS}


def words(image, first=True):
    """Return the input words of an image [C, H, W]: raster order, channels innermost."""
    values = image.transpose(1, 2, 0).ravel().tolist()
    return [{"value": value, "first": int(first and n == 0)} for n, value in enumerate(values)]


def stored(image):
    """Return ({address: event}, {address: pointer}) that the image must leave in the store."""
    _, height, width = image.shape
    events, pointers = [], []
    for y in range(height):
        row = image[:, y].T
        for x in range(width):
            pointers.append(EVENTS + len(events))
            events += [{"index": x * len(image) + c, "value": int(v)} for c, v in enumerate(row[x]) if v]
    return dict(enumerate(events, EVENTS)), dict(enumerate(pointers + [EVENTS + len(events)], POINTERS))


class Stored:
    """Runs an `Ingest` and keeps what it writes."""

    def __init__(self, params, image, seed=0, stall=0.5, first_map=1):
        self.dut, self.events, self.pointers = Ingest(params), {}, {}
        self.bench = Bench(self.dut, seed=seed, limit=3000)
        self.stall, self.first_map, self.header = stall, first_map, header(image)
        self.bench.add(self._keep, background=True)

    async def _keep(self, ctx):
        async for _, _, write in ctx.tick().sample(self.dut.write):
            if write.event_enable:
                self.events[write.event_address] = {"index": write.event.index, "value": write.event.value}
            if write.pointer_enable:
                self.pointers[write.pointer_address] = write.pointer

    def start(self, ctx):
        """Pulse ``begin``."""
        ctx.set(self.dut.header, self.header)
        ctx.set(self.dut.first_map, self.first_map)
        ctx.set(self.dut.begin, 1)


def run(params, image, **options):
    """Store one image; return its `Stored` and the cycles from ``begin`` to ``done``."""
    store = Stored(params, image, **options)
    cycles = []

    async def control(ctx):
        store.start(ctx)
        await ctx.tick()
        begun = store.bench.cycle
        ctx.set(store.dut.begin, 0)
        await ctx.tick().until(store.dut.done)
        cycles.append(store.bench.cycle - begun)
        assert not ctx.get(store.dut.busy)

    store.bench.add(control)
    store.bench.source(store.dut.i, words(image, bool(store.first_map)), stall=store.stall)
    store.bench.run()
    return store, cycles[0]


def draw(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 5, 3)
    return rng.integers(-256, 256, shape) * (rng.random(shape) < rng.choice([0.1, 0.5, 1]))


@pytest.mark.parametrize("seed", range(6))
def test_zeros_are_skipped_and_every_position_has_a_pointer(sizes, seed):
    image = draw(seed)
    store, _ = run(sizes(), image, seed=seed)
    assert (store.events, store.pointers) == stored(image), f"seed {seed}"


@pytest.mark.parametrize("value", [0, 3])
def test_one_word_a_cycle_zero_or_not(sizes, value):
    image = np.full((2, 3, 4), value)
    store, cycles = run(sizes(), image, stall=0)
    assert (store.events, store.pointers) == stored(image)
    assert cycles == image.size + 1


def test_a_later_frame_begins_without_a_mark(sizes):
    image = draw(2)
    store, _ = run(sizes(), image, first_map=0)
    assert (store.events, store.pointers) == stored(image)


@pytest.mark.parametrize("taken, first_map", [(0, 0), (1, 1), (5, 1), (23, 1)])
def test_the_first_word_of_another_image_ends_this_one_untaken(sizes, taken, first_map):
    image = np.ones((2, 3, 4), int)
    store = Stored(sizes(), image, first_map=first_map)
    dut, seen = store.dut, []

    async def control(ctx):
        store.start(ctx)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        for n, word in enumerate([*words(image, bool(first_map))[:taken], {"value": 9, "first": 1}]):
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            _, _, restart, ready = await ctx.tick().sample(dut.restart, dut.i.ready)
            assert (restart, ready) == ((1, 0) if n == taken else (0, 1))
        seen.append((ctx.get(dut.busy), ctx.get(dut.i.ready)))

    store.bench.add(control)
    store.bench.run()
    assert seen == [(0, 0)]
    assert len(store.events) == taken


def test_stop_gives_the_map_up_and_the_next_one_is_whole(sizes):
    image = draw(5)
    store = Stored(sizes(), image)
    dut = store.dut

    async def control(ctx):
        for attempt in range(2):
            store.events.clear()
            store.pointers.clear()
            store.start(ctx)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            for word in words(image)[: 3 if attempt == 0 else None]:
                ctx.set(dut.i.payload, word)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.stop, attempt == 0)
            await ctx.tick()
            ctx.set(dut.stop, 0)
            assert not ctx.get(dut.busy)

    store.bench.add(control)
    store.bench.run()
    assert (store.events, store.pointers) == stored(image)
