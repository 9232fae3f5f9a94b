"""`hw.core.result_reader`: head and outputs in order, stable while nobody takes them."""

import numpy as np
import pytest

from gen.result import HEADER_WORDS
from hw.core.counters import COUNTED
from hw.core.result_reader import ResultReader
from tests.kit.proof import assume_constant, claim_stable, prove
from tests.kit.streams import Bench


@pytest.mark.parametrize("outputs, stall, shared", [(1, 0, 0), (7, 0.6, 0), (7, 0.6, 1)])
def test_a_result_is_its_head_and_every_output(sizes, outputs, stall, shared):
    """A value that is added up comes a cycle later."""
    rng = np.random.default_rng(outputs)
    dut = ResultReader(sizes(outputs=16, acc_bits=24, groups=1 + shared, shared=shared))
    bench = Bench(dut, seed=outputs, limit=3000)
    values = rng.integers(-2**23, 2**23, 16).tolist()
    counters = rng.integers(0, 2**31, (2, len(COUNTED))).tolist()
    bench.memory(dut.address, dut.output, values, latency=2 + shared)
    taken = bench.sink(dut.o, 2 * (HEADER_WORDS + outputs), stall=stall)

    async def drive(ctx):
        ctx.set(dut.header, {"outputs": outputs - 1})
        for turn in range(2):
            ctx.set(dut.class_, 3 - turn)
            ctx.set(dut.timesteps, 9 + turn)
            left = list(counters[turn])
            ctx.set(dut.counter, left[0])
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            assert ctx.get(dut.busy) and ctx.get(dut.heading)
            while ctx.get(dut.busy):
                _, _, shift = await ctx.tick().sample(dut.shift)
                if shift:  # the counters move up, as those of `hw.core.counters`
                    assert ctx.get(dut.heading) or left[0] == counters[turn][-1]
                    left.append(left.pop(0))
                    ctx.set(dut.counter, left[0])
            assert left == counters[turn], "once round"
            assert not ctx.get(dut.heading)

    bench.add(drive)
    bench.run()
    wanted = []
    for turn in range(2):
        words = [3 - turn, 9 + turn, *counters[turn], *values[:outputs]]
        wanted += [{"data": word, "last": int(n == len(words) - 1)} for n, word in enumerate(words)]
    assert [word.payload for word in taken] == wanted


def test_the_result_is_proved_stable(sizes):
    dut = ResultReader(sizes(outputs=3, acc_bits=4, classes=3, stages=1))

    def claims(m):
        assume_constant(m, dut.header)
        claim_stable(m, dut.o)

    prove(dut, claims)
