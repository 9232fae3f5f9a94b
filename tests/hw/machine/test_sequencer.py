"""`hw.machine.sequencer` among stand-ins for the other components; its output proved stable."""

import numpy as np
import pytest

from hw.machine.sequencer import COUNTERS, Sequencer
from tests.kit.proof import assume_constant, claim_stable, prove
from tests.kit.streams import Bench

COUNTED = [1000 + n for n in range(len(COUNTERS))]


@pytest.mark.parametrize("seed, separated", [*((seed, 0) for seed in range(8)), *((seed, 1) for seed in range(4))])
def test_the_program_runs_in_order(sizes, seed, separated):
    """Ingest, every pass, the decision; again each timestep, until the exit or the last; the result.

    The program of a two-phase network runs once, and the exit step is the last all the same.
    """
    rng = np.random.default_rng(seed)
    timesteps, layers, exit_step = (int(n) for n in rng.integers(1, (6, 4, 9)))
    frames, keeps, class_ = bool(seed % 2), rng.integers(0, 2, layers).tolist(), int(rng.integers(0, 5))
    dut = Sequencer(sizes(separated=separated))
    bench, log = Bench(dut, seed=seed, limit=5000), []
    taken = bench.sink(dut.o, 2 + len(COUNTERS))

    async def reply(ctx, signal):
        for _ in range(int(rng.integers(0, 6))):
            await ctx.tick()
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def others(ctx):
        ctx.set(dut.counters, COUNTED)
        ctx.set(dut.class_, class_)
        ctx.set(dut.header, {"timesteps": timesteps - 1, "frames": frames} | ({"separated": 1} if separated else {}))
        await ctx.tick().repeat(3)
        assert ctx.get(dut.idle)
        ctx.set(dut.wanted, 1)
        running = -1
        while True:
            _, _, read, advance, ingest, begin, decide, answer, step = await ctx.tick().sample(
                dut.read, dut.advance, dut.ingest, dut.begin_pass, dut.decide, dut.answer, dut.step)
            if read or advance:
                log.extend(["read"] * read)
                ctx.set(dut.wanted, 0)
                running = -1 if read else (running + 1) % layers
                ctx.set(dut.keep, keeps[running])
                ctx.set(dut.last, running == layers - 1)
            ctx.set(dut.ready, int(rng.integers(2)))
            if ingest:
                log.append(("ingest", step))
                await reply(ctx, dut.ingested)
            if begin:
                log.append(("pass", step, running, ctx.get(dut.first_step), ctx.get(dut.gather)))
                await reply(ctx, dut.pass_done)
            if decide:
                log.append(("decide", step))
                ctx.set(dut.exits, step + 1 == exit_step)
                await reply(ctx, dut.decided)
            if answer:
                break
        assert ctx.get(dut.answering) and not ctx.get(dut.idle)
        await reply(ctx, dut.answered)
        assert ctx.get(dut.idle) and not ctx.get(dut.answering)

    bench.add(others)
    bench.run()
    steps, expected = min(exit_step, timesteps), ["read"]
    for step in range(1 if separated else steps):
        first = int(step == 0)
        if first or frames:
            expected.append(("ingest", step))
        expected += [("pass", step, n, first, int(first or not keep)) for n, keep in enumerate(keeps)]
        expected.append(("decide", step))
    assert log == expected
    result = [class_, timesteps if separated else steps, *COUNTED]
    assert [word.payload for word in taken] == [{"data": value, "last": 0} for value in result]


def test_the_result_is_proved_stable(sizes):
    dut = Sequencer(sizes(acc_bits=4))

    def claims(m):
        assume_constant(m, dut.class_, dut.counters, while_=dut.answering)
        claim_stable(m, dut.o)

    prove(dut, claims)
