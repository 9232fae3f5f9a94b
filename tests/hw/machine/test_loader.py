"""`hw.machine.loader`: load streams into memories, wide words, many blocks, pauses."""

import numpy as np
import pytest
from amaranth.hdl import Module

from gen.layout.image import load_stream
from gen.layout.program import MEMORIES, WORD_BITS, memory_shapes
from hw.machine.loader import LoadableMemory, Loader
from tests.kit.streams import Bench, play


def random_image(params, rng):
    """Return an image that fills every memory with words of any bits."""
    return {
        name: [int.from_bytes(rng.bytes(-(-bits // 8)), "little") % 2**bits for _ in range(depth)]
        for name, (depth, bits) in memory_shapes(params).items()
    }


def written(params, stream, seed=0, stall=0.5, closed=0.0):
    """Send a stream; return [(memory, address, word)] in the order of the writes, and the cycles it took."""
    loader = Loader(params)
    bench = Bench(loader, seed=seed, limit=40_000)
    pause = bench.pauses(closed)
    bits = [bits for _, bits in memory_shapes(params).values()]

    async def gate(ctx):
        while True:
            for _ in range(pause()):
                await ctx.tick()
            ctx.set(loader.enable, 1)
            await ctx.tick()
            ctx.set(loader.enable, int(not closed))

    bench.add(gate, background=True)
    bench.source(loader.i, [int(word) for word in stream], stall=stall)
    writes = bench.collect(loader.o.write.any(), loader.o)
    bench.run()
    codes = [write.payload["write"].bit_length() - 1 for write in writes]
    return [
        (MEMORIES[code], write.payload["address"], write.payload["data"] % 2 ** bits[code])
        for code, write in zip(codes, writes)
    ], bench.cycle


@pytest.mark.parametrize("lanes, stall, closed", [(1, 0.0, 0.0), (3, 0.5, 0.0), (7, 0.2, 0.6)])
def test_every_word_reaches_its_place(sizes, lanes, stall, closed):
    params = sizes(lanes=lanes, program=9, weights=11, class_tiles=5)
    image = random_image(params, np.random.default_rng(lanes))
    stream = [*load_stream(image, params), 0, 0]
    writes, cycles = written(params, stream, lanes, stall, closed)
    assert writes == [(name, n, word) for name in MEMORIES for n, word in enumerate(image[name])]
    if not stall:
        assert cycles <= len(stream) + 2, "one word a cycle"


def test_blocks_may_begin_anywhere_and_be_empty(sizes):
    params = sizes(lanes=5)
    code = {name: n << 24 for n, name in enumerate(MEMORIES)}
    wide = [1, 2, 3]
    assert memory_shapes(params)["bias"] == (8, 80)
    stream = [code["bias"] | 6, 1, *wide, code["limits"] | 60, 0, code["program"] | 9, 2, 10, 11, 0, 0]
    writes, _ = written(params, stream)
    joined = sum(word << WORD_BITS * n for n, word in enumerate(wide)) % 2**80
    assert writes == [("bias", 6, joined), ("program", 9, 10), ("program", 10, 11)]


@pytest.mark.parametrize("latency", [1, 2])
def test_a_memory_starts_with_its_words_and_takes_its_own_writes_only(sizes, latency):
    params = sizes()
    initial = list(range(100, 100 + params.weights))
    own, other = 1 << MEMORIES.index("weights"), 1 << MEMORIES.index("bias")
    rows = [{"load": {"data": 7, "address": 3, "write": own}},
            {"load": {"data": 8, "address": 4, "write": other}}, {"load": {}}]
    rows += [{"address": at} for at in range(params.weights)] + [{}] * latency
    seen = play(LoadableMemory(params, "weights", initial, latency=latency), rows, "data")
    assert [word for word, in seen[3 + latency:]] == [*initial[:3], 7, *initial[4:]]


def test_loader_and_memories_together(sizes):
    """The words of a load stream read back from the memories themselves."""
    params = sizes(lanes=4, program=6)
    image = random_image(params, np.random.default_rng(1))
    m = Module()
    m.submodules.loader = loader = Loader(params)
    memories = {name: LoadableMemory(params, name, []) for name in MEMORIES}
    for name, memory in memories.items():
        m.submodules[name] = memory
        m.d.comb += memory.load.eq(loader.o)
    m.d.comb += loader.enable.eq(1)
    bench = Bench(m, seed=1, limit=20_000)
    got = {}

    async def read(ctx):
        for word in [*load_stream(image, params), 0]:
            ctx.set(loader.i.payload, int(word))
            ctx.set(loader.i.valid, 1)
            await ctx.tick()
        ctx.set(loader.i.valid, 0)
        for name, memory in memories.items():
            got[name] = []
            for at in range(len(image[name])):
                ctx.set(memory.address, at)
                await ctx.tick().repeat(2)
                got[name].append(ctx.get(memory.data))

    bench.add(read)
    bench.run()
    assert got == image
