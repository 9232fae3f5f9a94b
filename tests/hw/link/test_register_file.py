"""`hw.link.register_file` read and written by bytes: what it holds at first, copies, counts and clears."""

import numpy as np
import pytest

from hw.link.register_file import RegisterFile
from hw.regmap import COUNTERS, IDENTITY, MAGIC, PROTOCOL, REGISTERS, WRITABLE
from tests.kit.streams import Bench

VALUES = {
    "BUILD_0": 0x89ABCDEF, "BUILD_1": 1, "BUILD_2": 0xFFFFFFFF, "BUILD_3": 0x80000000, "NETWORK": 0xDEADBEEF,
    "INPUT_SIZE": 784, "INPUT_LOW": -100, "INPUT_BYTES": 2, "LANES": 16, "LOADED": 0xC0DE7E7D, "OUTPUTS": 10,
    "CLOCK_HZ": 50_000_000,
}
FIRST = {entry.name: VALUES.get(entry.name, 0) & 0xFFFFFFFF for entry in IDENTITY}
FIRST |= {"MAGIC": MAGIC, "VERSION": PROTOCOL}
EVENTS = [entry.name for entry in COUNTERS if entry.name != "BUSY"]


class Reader:
    """A register file and words to and from it."""

    def __init__(self, values=VALUES, **options):
        self.dut = RegisterFile(values)
        self.bench = Bench(self.dut, **options)

    async def word(self, ctx, name):
        """Read a register."""
        dut, data = self.dut, b""
        ctx.set(dut.reading, 1)
        for place in range(4):
            ctx.set(dut.address, REGISTERS[name].offset + place)
            granted = 0
            while not granted:
                _, _, granted = await ctx.tick().sample(dut.granted)
            data += bytes([ctx.get(dut.data)])
            await ctx.tick()
        ctx.set(dut.reading, 0)
        await ctx.tick()
        return int.from_bytes(data, "little")

    async def write(self, ctx, name, value):
        """Write a register, lowest byte first."""
        for place, byte in enumerate((value & 0xFFFFFFFF).to_bytes(4, "little")):
            ctx.set(self.dut.write_address, REGISTERS[name].offset + place)
            ctx.set(self.dut.write_data, byte)
            ctx.set(self.dut.write, 1)
            await ctx.tick()
        ctx.set(self.dut.write, 0)

    def copies(self, ctx):
        dut = self.dut
        return [ctx.get(port) for port in (dut.loaded, dut.input_size, dut.input_low, dut.wide)]

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()


@pytest.mark.parametrize("values, copies", [(VALUES, [1, 784, -100, 1]), ({}, [0, 0, 0, 0])])
def test_the_first_values(values, copies):
    reader = Reader(values)
    first = FIRST if values else dict.fromkeys(FIRST, 0) | {"MAGIC": MAGIC, "VERSION": PROTOCOL}

    async def check(ctx):
        for name, value in (first | dict.fromkeys((entry.name for entry in COUNTERS), 0)).items():
            assert await reader.word(ctx, name) == value, name
        assert reader.copies(ctx) == copies

    reader.run(check)


def test_what_is_written_is_read_and_copied():
    reader = Reader()
    dut = reader.dut

    async def check(ctx):
        for entry in WRITABLE:
            await reader.write(ctx, entry.name, 0)
        assert reader.copies(ctx) == [0, 0, 0, 0]
        for network, size, low, wide in (
            (1 << 24, 0x89123456, -32768, 2), (0x100, 1, 32767, 1), (5, 2**32 - 1, -1, 2),
        ):
            new = dict(zip((entry.name for entry in WRITABLE), (network, size, low, wide)))
            for name, value in new.items():
                await reader.write(ctx, name, value)
                assert ctx.get(dut.loaded) == (name == WRITABLE[-1].name), "not before all four are written"
            assert reader.copies(ctx) == [1, size, low, wide >> 1]
            for name, value in (FIRST | new).items():
                assert await reader.word(ctx, name) == value & 0xFFFFFFFF, name

    reader.run(check)


@pytest.mark.parametrize("seed", range(3))
def test_counts_whatever_is_read_and_written_meanwhile(seed):
    """Each event comes at most every 90 cycles, BUSY in any cycle; words read are never torn."""
    rng = np.random.default_rng(seed)
    reader = Reader(seed=seed, limit=40_000)
    dut, counts, order = reader.dut, dict.fromkeys(EVENTS, 0) | {"BUSY": 0}, [entry.name for entry in COUNTERS]

    async def happen(ctx):
        last = dict.fromkeys(EVENTS, -90)
        for cycle in range(9000):
            now = {name for name in EVENTS if cycle - last[name] >= 90 and rng.random() < 0.05}
            last |= dict.fromkeys(now, cycle)
            now |= {"BUSY"} if rng.random() < 0.7 else set()
            ctx.set(dut.counted, sum(1 << order.index(name) for name in now))
            for name in now:
                counts[name] += 1
            await ctx.tick()
        ctx.set(dut.counted, 0)

    async def look(ctx):
        for _ in range(60):
            name = str(rng.choice(order))
            before = counts[name]
            assert before - 1 <= await reader.word(ctx, name) <= counts[name], f"seed {seed}: {name}"
            await reader.write(ctx, "NETWORK", int(rng.integers(0, 2**32)))
            for _ in range(rng.integers(0, 100)):
                await ctx.tick()

    async def both(ctx):
        await look(ctx)
        while reader.bench.cycle < 9200:
            await ctx.tick()
        for name in order:
            assert await reader.word(ctx, name) == counts[name], f"seed {seed}: {name}"

    reader.bench.add(happen)
    reader.run(both)
    assert counts["BUSY"] > 2**12 and all(counts.values())


def test_clear():
    reader = Reader()
    dut = reader.dut

    async def check(ctx):
        for cycle in range(700):
            ctx.set(dut.counted, 0x7F if cycle % 90 == 0 else 0x40)
            await ctx.tick()
        ctx.set(dut.counted, 0x7F)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.counted, 0)
        words = {entry.name: await reader.word(ctx, entry.name) for entry in COUNTERS}
        assert words == dict.fromkeys(words, 0)
        assert await reader.word(ctx, "NETWORK") == VALUES["NETWORK"]

    reader.run(check)
