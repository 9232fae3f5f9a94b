"""`hw.core.loader`: load streams into memories, the digest, damaged words, cut streams, a reset between."""

from zlib import crc32

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, Signal

from gen.plan.image import TRAILER, load_stream
from gen.plan.memories import loadable_memories, memory_table
from hw.core.loader import Loader
from hw.core.memory import CoreMemory
from tests.kit.streams import Bench


def random_contents(params, rng):
    """Return contents that fill every memory with words of any bits."""
    return {
        name: [int.from_bytes(rng.bytes(-(-spec.width // 8)), "little") % 2**spec.width for _ in range(spec.depth)]
        for name, spec in loadable_memories(params).items()
    }


def sealed(words):
    """Return load words with their trailer."""
    data = np.array(words, "<u4").tobytes()
    return [*words, TRAILER << 24, 1, crc32(data)]


class Loading:
    """Runs a `Loader` with a reset of its own, and keeps what it writes: (memory, address, word)."""

    def __init__(self, params, *, seed=0, stall=0.0, closed=0.0):
        self.loader, self.reset, self._specs = Loader(params), Signal(), list(loadable_memories(params).values())
        m = Module()
        m.submodules.loader = ResetInserter(self.reset)(self.loader)
        self.bench = Bench(m, seed=seed, limit=60_000)
        self._pause, self._gate = self.bench.pauses(stall), self.bench.pauses(closed)
        self._closed, self._seen = closed, self.bench.collect(self.loader.o.write.any(), self.loader.o)
        self.bench.add(self._open, background=True)

    async def _open(self, ctx):
        while True:
            for _ in range(self._gate()):
                await ctx.tick()
            ctx.set(self.loader.enable, 1)
            await ctx.tick()
            ctx.set(self.loader.enable, int(not self._closed))

    @property
    def writes(self):
        specs, words = self._specs, [seen.payload for seen in self._seen]
        codes = [word["write"].bit_length() - 1 for word in words]
        return [(specs[code].name, word["address"], word["data"] % 2**specs[code].width)
                for code, word in zip(codes, words)]

    async def send(self, ctx, words):
        """Send words, and wait until the last one is digested."""
        for word in words:
            for _ in range(self._pause()):
                await ctx.tick()
            ctx.set(self.loader.i.payload, int(word))
            ctx.set(self.loader.i.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(self.loader.i.ready)
            ctx.set(self.loader.i.valid, 0)
            assert ctx.get(self.loader.busy) and not ctx.get(self.loader.rests)
        while not ctx.get(self.loader.rests):
            await ctx.tick()

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()


@pytest.mark.parametrize("width, groups, stall, closed", [(4, 1, 0.0, 0.0), (8, 2, 0.5, 0.0), (4, 4, 0.2, 0.6)])
def test_every_word_reaches_its_place(sizes, width, groups, stall, closed):
    params = sizes(width=width, groups=groups, program=9, weights=7, parameters=5)
    contents = random_contents(params, np.random.default_rng(width))
    stream = load_stream(contents, memory_table(params))
    loading = Loading(params, seed=width, stall=stall, closed=closed)

    async def drive(ctx):
        for _ in range(2):
            await loading.send(ctx, stream[:-1])
            assert ctx.get(loading.loader.fault) and ctx.get(loading.loader.busy)
            await loading.send(ctx, stream[-1:])
            assert not ctx.get(loading.loader.fault) and not ctx.get(loading.loader.busy)
        if not stall:
            assert loading.bench.cycle <= 2 * (35 * len(stream) + 2), "a word in 35 cycles"

    loading.run(drive)
    assert loading.writes == 2 * [(name, n, word) for name in contents for n, word in enumerate(contents[name])]


def test_blocks_may_begin_anywhere_and_be_empty(sizes):
    params = sizes()
    code = {name: n << 24 for n, name in enumerate(loadable_memories(params))}
    wide = [1, 2]
    assert 32 < loadable_memories(params)["parameters_0"].width <= 64
    words = [code["parameters_0"] | 6, 1, *wide, code["limits"] | 5, 0, code["program"] | 9, 2, 10, 11]
    loading = Loading(params)

    async def drive(ctx):
        await loading.send(ctx, sealed(words))
        assert not ctx.get(loading.loader.fault)

    loading.run(drive)
    joined = (1 | 2 << 32) % 2**loadable_memories(params)["parameters_0"].width
    assert loading.writes == [("parameters_0", 6, joined), ("program", 9, 10), ("program", 10, 11)]


@pytest.mark.parametrize("seed", range(3))
def test_one_wrong_bit_anywhere_is_a_fault_until_a_whole_load(sizes, seed):
    """A bit of the data or of the digest; what the damage makes of addresses and lengths needs a reset."""
    rng = np.random.default_rng(seed)
    params = sizes()
    words = sealed([0, 3, *(int(word) for word in rng.integers(0, 2**32, 3))])
    loading = Loading(params, seed=seed)

    async def drive(ctx):
        for at in (2, 4, 7):
            damaged = list(words)
            damaged[at] ^= 1 << int(rng.integers(32))
            await loading.send(ctx, damaged)
            assert ctx.get(loading.loader.fault), f"word {at} is damaged"
            assert not ctx.get(loading.loader.busy)
        await loading.send(ctx, words)
        assert not ctx.get(loading.loader.fault)

    loading.run(drive)


@pytest.mark.parametrize("length", [3, 0, 9])
def test_a_wrong_length_is_a_fault(sizes, length):
    words = sealed([0, 5, 1, 2, 3, 4, 5])
    words[1] = length
    loading = Loading(sizes())

    async def drive(ctx):
        await loading.send(ctx, words)
        assert ctx.get(loading.loader.fault)

    loading.run(drive)


@pytest.mark.parametrize("cut", [1, 2, 3, 6, 8, 9])
def test_a_cut_load_is_a_fault_that_outlives_a_reset_and_the_next_load_is_whole(sizes, cut):
    words = sealed([0, 4, 1, 2, 3, 4])
    loading = Loading(sizes())

    async def drive(ctx):
        await loading.send(ctx, words)
        assert not ctx.get(loading.loader.fault)
        await loading.send(ctx, words[: min(cut, len(words) - 1)])
        ctx.set(loading.reset, 1)
        await ctx.tick()
        ctx.set(loading.reset, 0)
        assert ctx.get(loading.loader.fault) and not ctx.get(loading.loader.busy)
        await loading.send(ctx, words)
        assert not ctx.get(loading.loader.fault)

    loading.run(drive)
    assert loading.writes[-4:] == [("program", n, n + 1) for n in range(4)]


def test_a_reset_in_the_middle_of_a_word(sizes):
    words = sealed([0, 2, 8, 9])
    loading = Loading(sizes())

    async def drive(ctx):
        for wait in range(20):
            ctx.set(loading.loader.i.payload, words[0])
            ctx.set(loading.loader.i.valid, 1)
            await ctx.tick().until(loading.loader.i.ready)
            ctx.set(loading.loader.i.valid, 0)
            await ctx.tick().repeat(wait + 1)
            ctx.set(loading.reset, 1)
            await ctx.tick()
            ctx.set(loading.reset, 0)
            await loading.send(ctx, words)
            assert not ctx.get(loading.loader.fault), f"reset after {wait} cycles"

    loading.run(drive)


def test_loader_and_memories_together(sizes):
    """The words of a load stream read back from the memories themselves."""
    params = sizes(groups=2, program=6, weights=5, parameters=4)
    contents = random_contents(params, np.random.default_rng(1))
    m = Module()
    m.submodules.loader = loader = Loader(params)
    memories = {name: CoreMemory(spec, params=params) for name, spec in loadable_memories(params).items()}
    for name, memory in memories.items():
        m.submodules[name] = memory
        m.d.comb += memory.load.eq(loader.o)
    m.d.comb += loader.enable.eq(1)
    bench, got = Bench(m, seed=1, limit=20_000), {}

    async def read(ctx):
        for word in load_stream(contents, memory_table(params)):
            ctx.set(loader.i.payload, int(word))
            ctx.set(loader.i.valid, 1)
            await ctx.tick().until(loader.i.ready)
        ctx.set(loader.i.valid, 0)
        for name, memory in memories.items():
            got[name] = []
            for at in range(len(contents[name])):
                ctx.set(memory.address, at)
                await ctx.tick().repeat(2)
                got[name].append(ctx.get(memory.data))

    bench.add(read)
    bench.run()
    assert got == contents
