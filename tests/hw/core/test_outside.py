"""`hw.core.outside`: blocks in their order, one ahead of the pass; begun anew at any time; words written; faults."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from gen.plan.blocks import block_digest
from hw.core.outside import Outside
from sim.memory import BusModel
from tests.kit.streams import Bench

DEPTH, FIRST = 1024, 40  # words outside, the address of the first block
FOLLOWS = 1 << 31  # in a head: another block does


def random_blocks(rng, count):
    """Return blocks as lists of words, each with its head and its digest."""
    blocks = []
    for number in range(count):
        body = rng.integers(0, 2**32, int(rng.integers(3, 60) if rng.random() < 0.8 else rng.integers(257, 300)))
        head = [len(body) + 1 | FOLLOWS * (number < count - 1)]
        words = np.array([*head, *body.tolist()], np.uint32)
        blocks.append([*words.tolist(), block_digest(words)])
    return blocks


class Fetching(wiring.Component):
    """Runs an `Outside` before a memory, and keeps the words of runs that it hands out."""

    def __init__(self, sizes, contents, seed, stall=0.3, latency=(0, 25), limit=30_000):
        self.dut = Outside(sizes(outside=DEPTH))
        self.memory = BusModel(10, 32, depth=DEPTH, init=contents, latency=latency, stall=stall, seed=seed + 1)
        super().__init__({})
        self.bench = Bench(self, seed=seed, limit=limit)
        self._words = self.bench.collect(self.dut.o_valid, self.dut.o)
        self.spoiled = self.bench.collect(self.dut.spoiled, self.dut.spoiled)
        for stream in (self.dut.bus.request, self.dut.bus.write):
            self.bench.watch(stream)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.memory = self.dut, self.memory
        wiring.connect(m, self.dut.bus, self.memory.bus)
        return m

    @property
    def words(self):
        return [seen.payload for seen in self._words]

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()

    async def pulse(self, ctx, signal):
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def start(self, ctx, address=FIRST):
        ctx.set(self.dut.address, address)
        await self.pulse(ctx, self.dut.start)

    async def until_ready(self, ctx):
        while not ctx.get(self.dut.ready):
            await ctx.tick()


def laid(blocks):
    return [0] * FIRST + [word for block in blocks for word in block]


@pytest.mark.parametrize("seed", range(5))
def test_blocks_come_in_their_order_each_as_one_is_taken(sizes, seed):
    rng = np.random.default_rng(seed)
    blocks = random_blocks(rng, 4)
    fetching = Fetching(sizes, laid(blocks), seed, stall=0.4 * (seed > 0))

    async def drive(ctx):
        for _ in range(2):  # two rounds
            await fetching.start(ctx)
            for number in range(len(blocks)):
                await fetching.until_ready(ctx)
                for _ in range(int(rng.integers(40))):
                    await ctx.tick()
                    assert ctx.get(fetching.dut.ready), f"seed {seed}: it is kept until it is taken"
                assert len(fetching.words) % sum(len(b) - 2 for b in blocks) == sum(
                    len(block) - 2 for block in blocks[: number + 1]) % sum(len(b) - 2 for b in blocks)
                await fetching.pulse(ctx, fetching.dut.take)
            for _ in range(60):
                await ctx.tick()
                assert not ctx.get(fetching.dut.ready), "there is no block behind the last one"

    fetching.run(drive)
    assert fetching.words == 2 * [word for block in blocks for word in block[1:-1]]
    assert not fetching.spoiled


@pytest.mark.parametrize("seed", range(6))
def test_a_round_that_begins_amid_a_block_begins_with_the_first(sizes, seed):
    rng = np.random.default_rng(100 + seed)
    blocks = random_blocks(rng, 3)
    fetching = Fetching(sizes, laid(blocks), seed)

    async def drive(ctx):
        for _ in range(6):
            await fetching.start(ctx)
            for _ in range(int(rng.integers(120))):
                await ctx.tick()
                if ctx.get(fetching.dut.ready) and rng.random() < 0.1:
                    await fetching.pulse(ctx, fetching.dut.take)
        await fetching.start(ctx)
        await ctx.tick()
        for number in range(3):
            await fetching.until_ready(ctx)
            got = fetching.words
            want = blocks[number][1:-1]
            assert got[len(got) - len(want) :] == want, f"seed {seed}, block {number}"
            await fetching.pulse(ctx, fetching.dut.take)
            await ctx.tick()

    fetching.run(drive)
    assert not fetching.spoiled, "a block that is forgotten is whole"


@pytest.mark.parametrize("seed", range(3))
def test_what_is_written_is_fetched(sizes, seed):
    rng = np.random.default_rng(seed)
    block, = random_blocks(rng, 1)
    fetching = Fetching(sizes, [], seed)

    async def drive(ctx):
        dut = fetching.dut
        for place in rng.permutation(len(block)):
            ctx.set(dut.write_address, FIRST + int(place))
            ctx.set(dut.word, block[place])
            await fetching.pulse(ctx, dut.write)
            assert ctx.get(dut.writing)
            while ctx.get(dut.writing):
                await ctx.tick()
        await fetching.start(ctx)
        await fetching.until_ready(ctx)

    fetching.run(drive)
    assert fetching.words == block[1:-1]


@pytest.mark.parametrize("where", ["length", "first", "middle", "digest", "memory"])
def test_a_wrong_word_is_told_and_its_block_is_never_ready(sizes, where):
    rng = np.random.default_rng(7)
    block, = random_blocks(rng, 1)
    wrong = list(block)
    if where == "length":
        wrong[0] = FOLLOWS
    elif where != "memory":
        wrong[{"first": 1, "middle": len(block) // 2, "digest": -1}[where]] ^= 1 << 31
    fetching = Fetching(sizes, laid([wrong]), 3)

    async def drive(ctx):
        ctx.set(fetching.memory.fail, where == "memory")
        await fetching.start(ctx)
        while not fetching.spoiled:
            await ctx.tick()
        for _ in range(30):
            await ctx.tick()
            assert not ctx.get(fetching.dut.ready) and not ctx.get(fetching.dut.fetching)

    fetching.run(drive)
    assert len(fetching.spoiled) == 1
