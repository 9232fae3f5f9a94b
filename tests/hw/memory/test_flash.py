"""`hw.memory.flash`: bytes as they lie in the model of the part, at several clocks, with none of its rules broken."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from gen.errors import InputError
from hw.memory.flash import IS25LP128_W25Q128, FlashReader
from sim.flash import ERASED, RULES, FlashModel
from tests.kit.streams import Bench, plain, ticks

PART, ADDRESS = IS25LP128_W25Q128, 0x300000
WAKE, COMMAND, BYTE = 32, 32, 8  # bits
RANDOM = np.random.default_rng(5).integers(0, 256, 40, "u1").tobytes()


def read(contents, count, *, clock=80e6, part=PART, start=ADDRESS, stall=0.5, seed=5, address_bits=24, after=0):
    """Return what the reader gives, chip select in all cycles with the clock high (`Taken`), and how it ended."""
    m = Module()
    m.submodules.reader = reader = FlashReader(part, clock, ADDRESS)
    m.submodules.model = model = FlashModel(part, clock, contents, start, address_bits=address_bits)
    wiring.connect(m, reader.pins, model.pins)
    bench = Bench(m, seed=seed, limit=30_000)
    taken, high, found = bench.sink(reader.o, count, stall=stall), bench.collect(model.pins.clk, model.pins.cs), {}

    async def stop(ctx):
        while len(taken) < count:
            await ctx.tick()
        ctx.set(reader.stop, 1)
        await ticks(ctx, 2)
        found["bits"] = ctx.get(model.bits)
        await ticks(ctx, after)
        found.update(bits_after=ctx.get(model.bits), cs=ctx.get(model.pins.cs), broken=plain(ctx.get(model.broken)))

    bench.add(stop)
    bench.run()
    assert found.pop("broken") == dict.fromkeys(RULES, 0)
    return taken, high, found


@pytest.mark.parametrize("clock, divisor, stall", [
    (18e6, 4, 0), (80e6, 4, 0.9), (100e6, 4, 0), (132e6, 4, 0.5), (200e6, 8, 0)])
def test_bytes_come_as_they_lie_there_seed_5(clock, divisor, stall):
    assert PART.divisor(clock) == divisor
    taken, _, _ = read(RANDOM, len(RANDOM), clock=clock, stall=stall)
    assert bytes(byte for _, byte in taken) == RANDOM


def test_the_first_byte_comes_in_time_and_each_after_so_many_cycles():
    taken, high, _ = read(RANDOM, 3, stall=0)
    assert [cycle for cycle, _ in taken] == [289, 322, 355]  # 4 x (32 + 32 + 8) + 1; a cycle more, as a byte waits
    assert [cs for _, cs in high] == [0] * 2 * WAKE + [1] * 2 * (COMMAND + 3 * BYTE)  # two cycles a bit


def test_what_is_not_written_is_erased_and_the_end_is_followed_by_the_beginning():
    taken, _, _ = read(b"\x12\x34", 4)
    assert [byte for _, byte in taken] == [0x12, 0x34, ERASED, ERASED]
    taken, _, _ = read(b"\x12\x34\x56", 4, start=2**10 - 1, address_bits=10)  # 0x300000 is its address 0
    assert [byte for _, byte in taken] == [0x34, 0x56, ERASED, ERASED]


def test_a_reader_that_is_stopped_lets_the_flash_go_and_stays_so():
    taken, _, found = read(RANDOM, 2, after=500)
    assert len(taken) == 2 and found["cs"] == 0 and found["bits_after"] == found["bits"] < 4 * BYTE


def test_a_slow_part_needs_a_slow_clock():
    slow = replace(PART, valid_ns=40)
    assert slow.divisor(50e6) == 4
    with pytest.raises(InputError, match="cannot be read with a clock of 80 MHz: choose a lower one"):
        slow.divisor(80e6)
    taken, _, _ = read(RANDOM, 4, part=replace(PART, read_hz=5e6, valid_ns=100, select_ns=80))
    assert bytes(byte for _, byte in taken) == RANDOM[:4]
