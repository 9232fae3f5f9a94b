"""`hw.link.registers` in the simulator: what is read at every address, what can be written, how it counts."""

import numpy as np
import pytest

from hw.link.registers import Registers
from hw.regmap import COUNTERS, IDENTITY, MAGIC, PROTOCOL, REGISTERS, WRITABLE, register
from tests.kit.streams import Bench

VALUES = {
    "BUILD_0": 0x89ABCDEF, "BUILD_1": 1, "BUILD_2": 0xFFFFFFFF, "BUILD_3": 0x80000000, "NETWORK": 0xDEADBEEF,
    "INPUT_SIZE": 784, "INPUT_LOW": -100, "INPUT_BYTES": 2, "LANES": 16, "LOADED": 0xC0DE7E7D, "OUTPUTS": 10,
    "CLOCK_HZ": 50_000_000,
    "BAUD": 1_000_000, "RX_BYTES": 2048,
}
FIRST = {entry.name: VALUES.get(entry.name, 0) & 0xFFFFFFFF for entry in IDENTITY}
FIRST |= {"MAGIC": MAGIC, "VERSION": PROTOCOL}


async def read(ctx, dut, name):
    """Return a register, as it stood at the edge that took its address."""
    ctx.set(dut.address, register(name))
    await ctx.tick()
    return ctx.get(dut.data)


async def write(ctx, dut, address, word):
    ctx.set(dut.address, address)
    ctx.set(dut.write_data, word)
    ctx.set(dut.write, 1)
    await ctx.tick()
    ctx.set(dut.write, 0)


def run(testbench, values=VALUES, limit=5000):
    dut = Registers(values)
    bench = Bench(dut, limit=limit)

    async def bound(ctx):
        await testbench(ctx, dut)

    bench.add(bound)
    bench.run()


def test_the_first_values():
    async def check(ctx, dut):
        for name, value in FIRST.items():
            assert await read(ctx, dut, name) == value, name
        for entry in COUNTERS:
            assert await read(ctx, dut, entry.name) == 0, entry.name
        outputs = [ctx.get(port) for port in (dut.network, dut.input_size, dut.input_low, dut.input_bytes)]
        assert outputs == [0xDEADBEEF, 784, -100, 2]

    run(check)


def test_values_left_out_are_zero():
    async def check(ctx, dut):
        for entry in IDENTITY:
            expected = {"MAGIC": MAGIC, "VERSION": PROTOCOL}.get(entry.name, 0)
            assert await read(ctx, dut, entry.name) == expected, entry.name

    run(check, values={})


def test_the_data_come_one_cycle_after_the_address_and_stay_in_step():
    async def check(ctx, dut):
        names = [entry.name for entry in IDENTITY]
        ctx.set(dut.address, register(names[0]))
        await ctx.tick()
        for before, now in zip(names, names[1:]):
            ctx.set(dut.address, register(now))
            assert ctx.get(dut.data) == FIRST[before]
            await ctx.tick()
            assert ctx.get(dut.data) == FIRST[now]

    run(check)


def test_an_address_between_the_banks_reads_as_zero():
    async def check(ctx, dut):
        for address in [*range(len(IDENTITY), register("RESULTS")), register("BUSY") + 1]:
            ctx.set(dut.address, address)
            await ctx.tick()
            assert ctx.get(dut.data) == 0, address

    run(check)


@pytest.mark.parametrize("seed", range(3))
def test_only_the_writable_ones_are_written(seed):
    rng = np.random.default_rng(seed)
    held = dict(FIRST)

    async def check(ctx, dut):
        for _ in range(100):
            address, word = int(rng.integers(register("CONTROL"))), int(rng.integers(2**32))
            await write(ctx, dut, address, word)
            name = next((name for name in REGISTERS if register(name) == address), None)
            if name in {entry.name for entry in WRITABLE}:
                held[name] = word & 3 if name == "INPUT_BYTES" else word
        for name, value in held.items():
            assert await read(ctx, dut, name) == value, (seed, name)
        low = held["INPUT_LOW"]
        assert ctx.get(dut.network) == held["NETWORK"] and ctx.get(dut.input_size) == held["INPUT_SIZE"]
        assert ctx.get(dut.input_low) == low - (low >> 31 << 32), seed
        assert ctx.get(dut.input_bytes) == held["INPUT_BYTES"]

    run(check)


@pytest.mark.parametrize("seed", range(3))
def test_the_counters_count_every_cycle_until_cleared(seed):
    rng = np.random.default_rng(seed)
    ones = rng.integers(2, size=(300, len(COUNTERS)))

    async def count(ctx, dut):
        for row in ones:
            ctx.set(dut.counted, int(sum(1 << bit for bit in np.flatnonzero(row))))
            await ctx.tick()
        ctx.set(dut.counted, 0)
        assert [await read(ctx, dut, entry.name) for entry in COUNTERS] == ones.sum(axis=0).tolist(), seed
        ctx.set(dut.counted, 127)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.counted, 0)
        ctx.set(dut.clear, 0)
        assert [await read(ctx, dut, entry.name) for entry in COUNTERS] == [0] * len(COUNTERS), seed
        assert await read(ctx, dut, "NETWORK") == VALUES["NETWORK"]  # to clear is not to reset

    run(count)


def test_the_writable_registers_are_heard_whatever_the_address():
    async def check(ctx, dut):
        for address in range(register("CONTROL")):
            ctx.set(dut.address, address)
            await ctx.tick()
            outputs = [ctx.get(port) for port in (dut.network, dut.input_size, dut.input_low, dut.input_bytes)]
            assert outputs == [0xDEADBEEF, 784, -100, 2]

    run(check)
