"""`hw.link.uart` on a wire: every divisor, baud rates off by what is allowed, glitches, breaks, missing stop bits."""

import numpy as np
import pytest
from amaranth.hdl import Module

from hw.link.uart import LEAST_DIVISOR, Receiver, Transmitter
from tests.kit.cable import UartCable
from tests.kit.streams import Bench, ticks


class Wire:
    """A `Receiver`, what it has received, and a cable to it."""

    def __init__(self, divisor, cycles=None, **options):
        self.dut = Receiver(divisor)
        self.bench = Bench(self.dut, **options)
        self._taken = self.bench.collect(self.dut.o.valid, self.dut.o.payload)
        self.cable = UartCable(self.bench, self.dut.rx, None, cycles or divisor)

    @property
    def received(self):
        """[(byte, whether its stop bit was missing)]."""
        return [(word.payload["data"], word.payload["broken"]) for word in self._taken]

    def run(self, testbench):
        async def and_wait(ctx):
            await testbench(ctx)
            await ticks(ctx, 20 * self.dut._divisor)

        self.bench.add(and_wait)
        self.bench.run()


@pytest.mark.parametrize("off", [-0.02, 0, 0.02])
@pytest.mark.parametrize("divisor", [LEAST_DIVISOR, 5, 14])
def test_bytes_back_to_back_at_a_baud_rate_a_little_off(divisor, off):
    sent = np.random.default_rng(divisor).integers(0, 256, 24).tolist() + [0, 255, 0, 255]
    wire = Wire(divisor, divisor * (1 + off), limit=9_000)

    async def drive(ctx):
        await wire.cable.send(ctx, sent)

    wire.run(drive)
    assert wire.received == [(byte, 0) for byte in sent]


@pytest.mark.parametrize("divisor", [LEAST_DIVISOR, 11])
def test_a_missing_stop_bit_is_reported_and_the_next_byte_is_whole(divisor):
    wire = Wire(divisor)

    async def drive(ctx):
        for byte, broken in ((0x55, False), (0x55, True), (0, True), (0x7E, False)):
            await wire.cable.send(ctx, [byte], broken=broken)

    wire.run(drive)
    assert wire.received == [(0x55, 0), (0x55, 1), (0, 1), (0x7E, 0)]


def test_a_line_held_low_is_one_broken_byte():
    wire = Wire(8)

    async def drive(ctx):
        ctx.set(wire.dut.rx, 0)
        await ticks(ctx, 8 * 50)
        ctx.set(wire.dut.rx, 1)
        await ticks(ctx, 8)
        await wire.cable.send(ctx, [0xA5])

    wire.run(drive)
    assert wire.received == [(0, 1), (0xA5, 0)]


def test_a_glitch_is_no_byte():
    wire = Wire(16)

    async def drive(ctx):
        for length in range(1, 8):
            ctx.set(wire.dut.rx, 0)
            await ticks(ctx, length)
            ctx.set(wire.dut.rx, 1)
            await ticks(ctx, 20)
        await wire.cable.send(ctx, [0x5A])

    wire.run(drive)
    assert wire.received == [(0x5A, 0)]


@pytest.mark.parametrize("stall", [0, 0.95])
@pytest.mark.parametrize("divisor", [1, LEAST_DIVISOR, 9])
def test_what_is_sent_is_on_the_wire(divisor, stall):
    sent = np.random.default_rng(divisor).integers(0, 256, 30).tolist()
    dut = Transmitter(divisor)
    bench = Bench(dut, seed=divisor, limit=9_000)
    bench.source(dut.i, sent, stall=stall)
    levels = bench.collect(1, dut.tx)

    async def wait(ctx):
        await ticks(ctx, (30 * 12 + 20) * divisor + (1000 if stall else 0))

    bench.add(wait)
    bench.run()
    levels, got, at = [level.payload for level in levels], [], 0
    while 0 in levels[at:]:
        at = levels.index(0, at)
        bits = [levels[at + n * divisor : at + (n + 1) * divisor] for n in range(10)]
        assert all(len(set(bit)) == 1 for bit in bits), f"a bit of byte {len(got)} is not {divisor} cycles long"
        assert bits[9][0] == 1
        got.append(sum(bit[0] << n for n, bit in enumerate(bits[1:9])))
        at += 10 * divisor
    assert got == sent


def test_transmitter_to_receiver():
    sent = [*range(0, 256, 5), 255]
    m = Module()
    m.submodules.transmitter = transmitter = Transmitter(LEAST_DIVISOR)
    m.submodules.receiver = receiver = Receiver(LEAST_DIVISOR)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    bench = Bench(m, limit=9_000)
    bench.source(transmitter.i, sent, stall=0)
    taken = bench.collect(receiver.o.valid, receiver.o.payload)

    async def wait(ctx):
        while len(taken) < len(sent):
            await ctx.tick()

    bench.add(wait)
    bench.run()
    assert [word.payload for word in taken] == [{"data": byte, "broken": 0} for byte in sent]
