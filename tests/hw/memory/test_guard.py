"""`hw.memory.guard`: a bus keeps its promises while the one who asks is reset amid bursts."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.memory.guard import BusGuard
from sim.memory import BusModel
from tests.hw.memory.traffic import check, random_bursts
from tests.kit.streams import Bench

ADDRESS_BITS, WIDTH = 8, 32


class Guarded(wiring.Component):
    """A guard before a memory."""

    def __init__(self, seed):
        self.guard = BusGuard(ADDRESS_BITS, WIDTH)
        self.memory = BusModel(ADDRESS_BITS, WIDTH, latency=(0, 20), stall=0.3, seed=seed)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.guard, m.submodules.memory = self.guard, self.memory
        wiring.connect(m, self.guard.o, self.memory.bus)
        return m


@pytest.mark.parametrize("seed", range(4))
def test_bursts_pass_as_if_it_were_not_there(seed):
    dut = Guarded(seed)
    check(dut, dut.guard.i, random_bursts(seed, 30, address_bits=ADDRESS_BITS, width=WIDTH, longest=40), seed=seed,
          stall=0.3)


@pytest.mark.parametrize("seed", range(6))
def test_after_a_reset_at_any_time_the_next_burst_reads_what_it_asks_for(seed):
    """Words asked for before are dropped, a word that is owed is written as 0; the streams keep their rule."""
    dut, rng = Guarded(seed), np.random.default_rng(seed)
    guard, bus = dut.guard, dut.guard.i
    bench = Bench(dut, seed=seed, limit=30_000)
    for stream in (guard.o.request, guard.o.write):
        bench.watch(stream)

    async def request(ctx, address, length, write):
        ctx.set(bus.request.payload, {"address": address, "length": length - 1, "write": write})
        ctx.set(bus.request.valid, 1)
        taken = 0
        while not taken:
            _, _, taken = await ctx.tick().sample(bus.request.ready)
        ctx.set(bus.request.valid, 0)

    async def write(ctx, address, word):
        await request(ctx, address, 1, 1)
        ctx.set(bus.write.payload, word)
        ctx.set(bus.write.valid, 1)
        taken = 0
        while not taken:
            _, _, taken = await ctx.tick().sample(bus.write.ready)
        ctx.set(bus.write.valid, 0)

    async def read(ctx, address, length):
        await request(ctx, address, length, 0)
        ctx.set(bus.read.ready, 1)
        words = []
        while len(words) < length:
            _, _, valid, word = await ctx.tick().sample(bus.read.valid, bus.read.payload)
            words += [word] * valid
        ctx.set(bus.read.ready, 0)
        return words

    async def drive(ctx):
        for address in range(40):
            await write(ctx, address, 1000 + address)
        for _ in range(20):
            await request(ctx, int(rng.integers(20)), int(rng.integers(1, 20)), 0)
            writes = rng.random() < 0.5
            if writes:
                await request(ctx, 100, 1, 1)  # a word that is never given
            ctx.set(bus.read.ready, int(rng.integers(2)))
            for _ in range(int(rng.integers(30))):
                await ctx.tick()
            ctx.set(bus.read.ready, 0)
            ctx.set(guard.reset, 1)
            await ctx.tick()
            ctx.set(guard.reset, 0)
            address, length = int(rng.integers(20)), int(rng.integers(1, 20))
            assert await read(ctx, address, length) == [1000 + address + n for n in range(length)]

    bench.add(drive)
    bench.run()
