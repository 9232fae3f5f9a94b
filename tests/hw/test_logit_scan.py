"""`hw.logit_scan`: fewer and more classes than lanes, narrow tiles, stalls; proved stable."""

import numpy as np
import pytest

from hw.logit_scan import LogitScan
from sim.proof import assume_constant, claim_stable, prove
from sim.streams import Bench


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("classes, lanes, used", [
    (1, 1, 1), (1, 4, 4), (3, 4, 4), (4, 4, 4), (9, 4, 4), (9, 1, 1), (7, 4, 2),
])
def test_every_logit_in_order(sizes, classes, lanes, used, stall):
    tiles = -(-classes // used)
    params = sizes(lanes=lanes, classes=classes, class_tiles=tiles)
    scan = LogitScan(params)
    bench = Bench(scan, seed=classes, limit=2000)
    rng = np.random.default_rng(classes)
    rounds = rng.integers(-(2**23), 2**23, (3, tiles, lanes)).tolist()
    taken = bench.sink(scan.o, 2 * len(rounds) * classes, stall=stall)

    async def drive(ctx):
        ctx.set(scan.header, {"classes": classes - 1, "class_lanes": used - 1})
        for round_ in rounds:
            ctx.set(scan.clear, 1)
            await ctx.tick()
            ctx.set(scan.clear, 0)
            for logits in round_:
                ctx.set(scan.logits, logits)
                ctx.set(scan.fired, 1)
                await ctx.tick()
                ctx.set(scan.fired, 0)
                await ctx.tick()
            for _ in range(2):
                ctx.set(scan.begin, 1)
                await ctx.tick()
                ctx.set(scan.begin, 0)
                await ctx.tick().until(scan.o.valid & scan.o.ready & scan.o.payload.last)

    bench.add(drive)
    bench.run()
    expected = []
    for round_ in rounds:
        z = [logit for logits in round_ for logit in logits[:used]][:classes]
        expected += 2 * [{"logit": v, "index": n, "last": int(n == classes - 1)} for n, v in enumerate(z)]
    assert [word.payload for word in taken] == expected
    if not stall:
        assert taken[classes - 1].cycle - taken[0].cycle == 2 * (classes - 1) + 2 * (tiles - 1)


def test_the_output_is_proved_stable(sizes):
    scan = LogitScan(sizes(lanes=2, classes=3, class_tiles=2, acc_bits=4))

    def claims(m):
        assume_constant(m, scan.header)
        claim_stable(m, scan.o)

    prove(scan, claims)
