"""`hw.link.result_buffer` against a list of results: two pieces wait, one is read, others are held up or dropped."""

import numpy as np
import pytest

from hw.link.result_buffer import ResultBuffer
from tests.kit.streams import Bench


class Reader:
    """Sends random results into a buffer and reads them."""

    def __init__(self, words, *, seed=0, stall=0.3):
        self.dut = ResultBuffer(words)
        self.bench = Bench(self.dut, seed=seed, limit=9000)
        self.rng = np.random.default_rng(seed)
        self.pause = self.bench.pauses(stall)
        self.stall = stall

    def send(self, results):
        """Send results to the end."""
        words = [
            {"data": word, "last": int(n == len(result) - 1)}
            for result in results for n, word in enumerate(result)
        ]
        self.bench.source(self.dut.i, words, stall=self.stall)

    async def pulse(self, ctx, name):
        ctx.set(getattr(self.dut, name), 1)
        await ctx.tick()
        ctx.set(getattr(self.dut, name), 0)

    async def whole(self, ctx):
        while not ctx.get(self.dut.whole):
            await ctx.tick()

    async def read(self, ctx):
        """Return the result whose reading has begun."""
        data = b""
        for n in range(4 * ctx.get(self.dut.length)):
            ctx.set(self.dut.word, n // 4)
            ctx.set(self.dut.byte, n % 4)
            for _ in range(1 + self.pause()):
                await ctx.tick()
            data += bytes([ctx.get(self.dut.data)])
        return np.frombuffer(data, "<i4").tolist()

    def run(self, testbench):
        self.bench.add(testbench)
        self.bench.run()


def draw(rng, n, longest):
    return [rng.integers(-2**31, 2**31, rng.integers(1, longest + 1)).tolist() for _ in range(n)]


@pytest.mark.parametrize("longest, seed, stall", [(8, 0, 0), (4, 1, 0.4), (16, 2, 0.6)])
def test_results_are_read_piece_by_piece_in_order(longest, seed, stall):
    reader, got = Reader(longest, seed=seed, stall=stall), []
    results = draw(reader.rng, 12, 3 * longest)
    reader.send(results)
    pieces = [
        (result[at : at + longest], at + longest >= len(result))
        for result in results for at in range(0, len(result), longest)
    ]

    async def drive(ctx):
        for _ in pieces:
            await reader.whole(ctx)
            final = ctx.get(reader.dut.final)
            await reader.pulse(ctx, "begin")
            assert not ctx.get(reader.dut.whole), "one at a time"
            got.append((await reader.read(ctx), bool(final)))
            await reader.pulse(ctx, "end")

    reader.run(drive)
    assert got == pieces


@pytest.mark.parametrize("reading", [False, True])
@pytest.mark.parametrize("after", range(0, 80, 9))
def test_clear_drops_all_but_the_result_being_read(after, reading):
    """Results flow until the clear, ``after`` cycles after the first one was whole; then one of another kind."""
    reader, got = Reader(4, stall=0), []
    first, last = [[n, n, n] for n in range(1, 6)], [-1, -2, -3, -4]
    dut = reader.dut

    async def drive(ctx):
        words = iter([(value, n == 2) for result in first for n, value in enumerate(result)])
        pending, spent = next(words), None
        while spent != after:
            ctx.set(dut.i.payload, {"data": pending[0], "last": int(pending[1])})
            ctx.set(dut.i.valid, 1)
            _, _, ready = await ctx.tick().sample(dut.i.ready)
            pending = next(words) if ready else pending
            if spent is None and ctx.get(dut.whole):
                spent = 0
                if reading:
                    await reader.pulse(ctx, "begin")
            elif spent is not None:
                spent += 1
        await reader.pulse(ctx, "clear")
        for value, is_last in zip(last, (0, 0, 0, 1)):
            ctx.set(dut.i.payload, {"data": value, "last": is_last})
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        if reading:
            got.append(await reader.read(ctx))
            await reader.pulse(ctx, "end")
        await reader.whole(ctx)
        await reader.pulse(ctx, "begin")
        got.append(await reader.read(ctx))
        await reader.pulse(ctx, "end")
        assert not ctx.get(dut.whole)

    reader.run(drive)
    assert got == [first[0]] * reading + [last]
