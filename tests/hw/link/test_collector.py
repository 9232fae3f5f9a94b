"""`hw.link.collector` against runs of values cut in plain Python."""

import numpy as np
import pytest

from hw.link.collector import Collector
from tests.kit.streams import Bench


def draw(rng, size):
    """Return values as the collector takes them, images of any length, and the words that it must make of them."""
    sent, wanted = [], []
    for length in rng.integers(1, 3 * size + 1, 12).tolist():
        values = rng.integers(-256, 256, length).tolist()
        sent += [{"value": value, "first": int(n == 0)} for n, value in enumerate(values)]
        wanted += [
            {"values": values[at : at + size], "first": int(at == 0)} for at in range(0, length - size + 1, size)
        ]
    return sent, wanted


@pytest.mark.parametrize("seed, size, stall", [(0, 2, 0), (1, 2, 0.5), (2, 4, 0), (3, 4, 0.5)])
def test_values_become_words_and_each_image_begins_one(sizes, seed, size, stall):
    sent, wanted = draw(np.random.default_rng(seed), size)
    dut = Collector(sizes(image_tile=4, input_values=size))
    bench = Bench(dut, seed=seed)
    bench.source(dut.i, sent, stall=stall)
    taken = bench.sink(dut.o, len(wanted), stall=stall)
    bench.run()
    assert [word.payload for word in taken] == wanted, f"seed {seed}"


def test_what_is_held_is_told_and_dropped(sizes):
    dut = Collector(sizes(image_tile=4, input_values=4))
    bench = Bench(dut)

    async def give(ctx, values, first):
        for n, value in enumerate(values):
            ctx.set(dut.i.payload, {"value": value, "first": int(first and n == 0)})
            ctx.set(dut.i.valid, 1)
            while not ctx.get(dut.i.ready):
                await ctx.tick()
            await ctx.tick()
            ctx.set(dut.i.valid, 0)

    async def drive(ctx):
        for count in (1, 3, 4):
            await give(ctx, range(count), True)
            assert ctx.get(dut.begins) and ctx.get(dut.o.valid) == (count == 4)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            assert not ctx.get(dut.begins) and not ctx.get(dut.o.valid)
            await give(ctx, [9], False)  # of the image that was given up
            assert not ctx.get(dut.begins)
        await give(ctx, range(4), True)
        ctx.set(dut.o.ready, 1)
        await give(ctx, range(4, 6), False)
        assert not ctx.get(dut.begins), "the second word of an image"

    bench.add(drive)
    bench.run()
