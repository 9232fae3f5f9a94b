"""`hw.core.outside` with rows: copies as far ahead as a block says, words written behind, rounds that are given up."""

from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from gen.plan.blocks import FIELDS, block_digest
from hw.core.outside import Outside
from sim.memory import BusModel
from tests.hw.core.bus_watch import BusWatch, draw_words, pieces_of
from tests.kit.streams import Bench

FIRST, MAPS, IMAGE = 16, 2048, 3072  # addresses outside: of the first block, of the maps, of the input
HELD, WORDS = 64, 120  # words of the maps on the chip, of a map outside


@dataclass
class Block:
    """A block as the memory has it; ``runs`` its words behind the list of ``copies``: (place, words, first, image)."""

    copies: list
    runs: list
    ahead: int  # of the blocks before it
    settles: bool
    address: int = 0


class Rows(wiring.Component):
    """Runs an `Outside` before a memory that holds blocks, a map and two input maps."""

    def __init__(self, sizes, seed, blocks, stall=0.3, latency=(0, 25), limit=20_000):
        self.params = p = sizes(outside=4096, map_words=HELD, spilled=WORDS, image_ring=16, image_words=WORDS,
                                count_bits=12, signed=1)
        self.dut, self.seed, self.blocks = Outside(p), seed, blocks
        self.rng = rng = np.random.default_rng([seed, 77])
        self.map = draw_words(rng, WORDS, p.width, p.map_bits, True)
        self.input = draw_words(rng, WORDS, p.image_tile, p.value_bits, True)
        self.memory = BusModel(12, 32, init=self._laid(), latency=latency, stall=stall, seed=seed + 1)
        super().__init__({})
        self.bench = Bench(self, seed=seed, limit=limit)
        self.bus = BusWatch(self.bench, self.dut.bus.request, self.dut.bus.write)
        self._runs = self.bench.collect(self.dut.o_valid, self.dut.o)
        self._image = self.bench.collect(self.dut.copied_image.enable, self.dut.copied_image)
        self._maps = self.bench.sink(self.dut.copied, stall=stall)
        self.spoiled = self.bench.collect(self.dut.spoiled, self.dut.spoiled)
        self.bench.add(self._begin)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.memory = self.dut, self.memory
        wiring.connect(m, self.dut.bus, self.memory.bus)
        return m

    async def _begin(self, ctx):
        ctx.set(self.dut.header, {"image": IMAGE, "image_pitch": 500})
        ctx.set(self.dut.base, MAPS)

    def _laid(self):
        p, words = self.params, [0] * FIRST
        for block, after in zip(self.blocks, [*self.blocks[1:], None]):
            block.address, body = len(words), []
            for place, size, first, image in block.copies:
                pieces, start = (p.image_pieces, IMAGE) if image else (p.map_pieces, MAPS)
                body += [place | image << 31, size * pieces, start + first * pieces]
            values = {"words": len(body) + len(block.runs) + 1, "copies": len(block.copies),
                      "ahead": after.ahead if after else 0, "settles": block.settles, "follows": after is not None}
            head, at = 0, 0
            for name, bits in FIELDS.items():
                head, at = head | int(values[name]) << at, at + bits
            written = np.array([head, *body, *block.runs], np.uint32)
            words += [*written.tolist(), block_digest(written)]
        words += [0] * (MAPS - len(words)) + [w for word in self.map for w in pieces_of(word, p.map_bits, p.map_pieces)]
        words += [0] * (IMAGE - len(words))
        return words + [w for word in self.input for w in pieces_of(word, p.value_bits, p.image_pieces)]

    def heads(self, since=0):
        """Return the addresses of the blocks that have been asked for."""
        own = {block.address for block in self.blocks}
        return [address for address, words, write in self.bus.bursts[since:]
                if words == 1 and not write and address in own]

    def begun(self):
        """Return how many blocks have been asked for since the first one was last."""
        heads = self.heads()
        tail = heads[len(heads) - 1 - heads[::-1].index(FIRST) :]
        assert tail == [block.address for block in self.blocks[: len(tail)]], f"seed {self.seed}: order of blocks"
        return len(tail)

    def got(self):
        """Return all words that have come so far: of runs, copied into the maps, copied into the input."""
        maps, images = ([(seen.payload["address"], seen.payload["word"]) for seen in row]
                        for row in (self._maps, self._image))
        return [[seen.payload for seen in self._runs], maps, images]

    def brings(self, blocks):
        """Return what the blocks bring, in the form of `got`."""
        runs, maps, images = [], [], []
        for block in blocks:
            runs += block.runs
            for place, size, first, image in block.copies:
                words = self.input if image else self.map
                (images if image else maps).extend((place + n, words[first + n]) for n in range(size))
        return [runs, maps, images]

    async def pulse(self, ctx, *signals):
        for value in (1, 0):
            for signal in signals:
                ctx.set(signal, value)
            if value:
                await ctx.tick()

    async def start(self, ctx):
        ctx.set(self.dut.address, FIRST)
        await self.pulse(ctx, self.dut.start)

    async def until_ready(self, ctx):
        while not ctx.get(self.dut.ready):
            await ctx.tick()

    async def until_quiet(self, ctx):
        quiet = 0
        while quiet < 12:
            quiet = 0 if ctx.get(self.dut.fetching) or ctx.get(self.dut.writing) else quiet + 1
            await ctx.tick()

    async def store(self, ctx, address, word):
        ctx.set(self.dut.map_word, {"enable": 1, "address": address, "word": word})
        await ctx.tick()
        ctx.set(self.dut.map_word.enable, 0)

    async def store_map(self, ctx, words):
        """Write the first words of the map anew."""
        for address, word in enumerate(words):
            while not ctx.get(self.dut.room):
                await ctx.tick()
            await self.store(ctx, address, word)
            self.map[address] = word


def draw_copies(rng, count):
    found = []
    for _ in range(count):
        image = bool(rng.random() < 0.4)
        size = int(rng.integers(1, 9))
        found.append((int(rng.integers((16 if image else HELD) - size + 1)), size, int(rng.integers(WORDS - 8)), image))
    return found


def draw_blocks(rng, passes=2, most_rows=5):
    """Return blocks of passes: one of weights or none, then one for each row."""
    blocks = []
    for _ in range(passes):
        runs = rng.integers(0, 2**32, int(rng.integers(0, 12))).tolist()
        blocks.append(Block([], runs, 0, False))
        ahead = int(rng.integers(0, 4))
        for row in range(int(rng.integers(1, most_rows + 1))):
            blocks.append(Block(draw_copies(rng, int(rng.integers(0, 4))), [], ahead if row else 0, not row))
    return blocks


def row(block):
    """Return whether it is the block of a row."""
    return bool(block.copies or block.ahead or block.settles)


@pytest.mark.parametrize("seed", range(4))
def test_a_block_is_begun_when_no_more_than_ahead_before_it_are_needed_and_at_once(sizes, seed):
    rng = np.random.default_rng(seed)
    blocks = draw_blocks(rng)
    rows = Rows(sizes, seed, blocks, stall=0, latency=(0, 3))
    dut = rows.dut

    async def drive(ctx):
        await rows.start(ctx)
        taken = freed = 0

        async def settle():
            await rows.until_quiet(ctx)
            begun = 0
            while begun < len(blocks) and begun - freed <= blocks[begun].ahead:
                begun += 1
            assert rows.begun() == begun, f"seed {seed}: {taken} taken, {freed} freed"
            assert ctx.get(dut.ready) == (begun > taken), f"seed {seed}: {taken} of {begun} taken"
            assert rows.got() == rows.brings(blocks[:begun]), f"seed {seed}: what {begun} blocks bring"

        await settle()
        while taken < len(blocks):
            if not row(blocks[taken]):  # of a pass
                await rows.pulse(ctx, dut.take)
                taken, freed = taken + 1, freed + 1
            else:
                await rows.pulse(ctx, dut.take_row)
                taken += 1
                await settle()
                await rows.pulse(ctx, dut.free_row)
                freed += 1
            await settle()

    rows.bench.add(drive)
    rows.bench.run()
    assert not rows.spoiled


async def machine(rows, ctx, rng, blocks):
    """Take the blocks of a round as a sequencer and a walker do; see that all that each brings has come."""
    dut, before = rows.dut, rows.got()
    frees, now = [0], 0  # cycles in which a row is freed
    for number, block in enumerate(blocks):
        of_row, waits = row(block), int(rng.integers(30))
        while waits > 0 or not ctx.get(dut.ready) or (frees[-1] > now and not of_row):
            waits, now = waits - 1, now + 1
            ctx.set(dut.free_row, now in frees)
            await ctx.tick()
            ctx.set(dut.free_row, 0)
        await rows.pulse(ctx, dut.take_row if of_row else dut.take)
        if of_row:
            frees.append(max(frees[-1], now) + int(rng.integers(1, 12)))
        got = [new[len(old) :] for new, old in zip(rows.got(), before)]
        for kind, words, wanted in zip(("runs", "maps", "input"), got, rows.brings(blocks[: number + 1])):
            assert words[: len(wanted)] == wanted, f"seed {rows.seed}, block {number}: {kind}"
    assert [new[len(old) :] for new, old in zip(rows.got(), before)] == rows.brings(blocks), f"seed {rows.seed}"


@pytest.mark.parametrize("seed", range(3))
def test_rounds_of_rows_while_words_are_written_behind(sizes, seed):
    """Words go to places that nothing copies, in the midst of it all; a block that settles copies what came before."""
    rng = np.random.default_rng([seed, 1])
    blocks = draw_blocks(rng)
    rows = Rows(sizes, seed, blocks, stall=0.2 * seed)
    p, dut, others = rows.params, rows.dut, {}
    pause = rows.bench.pauses(0.8)
    over = []

    async def drive(ctx):
        for _ in range(2 - seed % 2):
            await rows.store_map(ctx, draw_words(rng, 30, p.width, p.map_bits, True))
            await rows.start(ctx)
            await machine(rows, ctx, rng, blocks)
        over.append(True)

    async def images(ctx):
        """The input's other slot is filled meanwhile; at times nothing comes for so long that all is written."""
        place = 0
        while not over:
            for _ in range(pause() if place % 8 else 80):
                await ctx.tick()
            word = draw_words(rng, 1, p.image_tile, p.value_bits, True)[0]
            ctx.set(dut.image.payload, {"address": place << 1 | 1, "word": word})
            ctx.set(dut.image.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.image.ready)
            ctx.set(dut.image.valid, 0)
            address = IMAGE + 500 + place * p.image_pieces
            others.update(zip(range(address, address + 4), pieces_of(word, p.value_bits, p.image_pieces)))
            place = (place + 1) % WORDS
        await rows.until_quiet(ctx)

    rows.bench.add(drive)
    rows.bench.add(images)
    rows.bench.run()
    want = {MAPS + n * p.map_pieces + k: piece for n, word in enumerate(rows.map[:30])
            for k, piece in enumerate(pieces_of(word, p.map_bits, p.map_pieces))}
    assert rows.bus.written == want | others, f"seed {seed}"
    assert not rows.spoiled


@pytest.mark.parametrize("stops", [1, 0])
@pytest.mark.parametrize("seed", range(4))
def test_a_round_that_is_given_up_copies_nothing_more_and_the_next_is_whole(sizes, seed, stops):
    rng = np.random.default_rng([seed, 2])
    blocks = draw_blocks(rng, passes=1)
    for block in blocks[2:]:
        block.ahead = 3
    rows = Rows(sizes, seed, blocks)
    dut = rows.dut

    async def drive(ctx):
        for _ in range(4):
            await rows.start(ctx)
            takes = [dut.take, dut.take_row, dut.take_row]
            for _ in range(int(rng.integers(150))):
                if takes and ctx.get(dut.ready) and rng.random() < 0.2:
                    await rows.pulse(ctx, takes.pop(0))
                await ctx.tick()
            if stops:
                await rows.pulse(ctx, dut.stop)
                await ctx.tick()
                while ctx.get(dut.copied.valid):  # this one was offered already
                    await ctx.tick()
                begun, (_, *copied) = len(rows.bus.bursts), rows.got()
                if rng.random() < 0.5:
                    await rows.until_quiet(ctx)
                    assert len(rows.heads(begun)) <= 1, f"seed {seed}: blocks of a round that is given up"
                    assert rows.got()[1:] == copied, f"seed {seed}"
        rounds = rows.heads().count(FIRST)
        await rows.start(ctx)
        while rows.heads().count(FIRST) == rounds:  # the block under way comes to its end
            await ctx.tick()
        await machine(rows, ctx, rng, blocks)

    rows.bench.add(drive)
    rows.bench.run()
    assert not rows.spoiled, f"seed {seed}"
