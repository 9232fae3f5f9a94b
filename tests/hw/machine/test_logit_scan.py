"""`hw.machine.logit_scan`: fewer and more classes than lanes, narrow tiles, stalls; proved stable."""

import numpy as np
import pytest

from hw.machine.logit_scan import LogitScan
from tests.kit.proof import assume_constant, claim_stable, prove
from tests.kit.streams import Bench


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("classes, lanes, used", [
    (1, 1, 1), (1, 4, 4), (3, 4, 4), (4, 4, 4), (9, 4, 4), (9, 1, 1), (7, 4, 2),
])
def test_every_logit_in_order(sizes, classes, lanes, used, stall, shared):
    tiles = -(-classes // used)
    params = sizes(lanes=lanes, neurons=1 if shared else lanes, classes=classes, class_tiles=tiles)
    scan = LogitScan(params)
    bench = Bench(scan, seed=classes, limit=2000)
    rng = np.random.default_rng(classes)
    rounds = rng.integers(-(2**23), 2**23, (3, tiles, lanes)).tolist()
    taken, words = bench.sink(scan.o, 2 * len(rounds) * classes, stall=stall), [[0] * params.neurons] * 64
    bench.memory(scan.address, scan.logits, words, latency=1)

    async def drive(ctx):
        ctx.set(scan.header, {"classes": classes - 1, "class_lanes": used - 1})
        for round_ in rounds:
            flat = [logit for logits in round_ for logit in logits]
            words[: len(flat) // params.neurons] = np.reshape(flat, (-1, params.neurons)).tolist()
            for _ in range(2):
                assert not ctx.get(scan.read)
                ctx.set(scan.begin, 1)
                await ctx.tick()
                ctx.set(scan.begin, 0)
                assert ctx.get(scan.read)
                await ctx.tick().until(scan.o.valid & scan.o.ready & scan.o.payload.last)

    bench.add(drive)
    bench.run()
    expected = []
    for round_ in rounds:
        z = [logit for logits in round_ for logit in logits[:used]][:classes]
        expected += 2 * [{"logit": v, "index": n, "last": int(n == classes - 1)} for n, v in enumerate(z)]
    assert [word.payload for word in taken] == expected
    if not stall:
        cycles = 4 * (classes - 1) if params.shared else 2 * (classes - 1) + 2 * (tiles - 1)
        assert taken[classes - 1].cycle - taken[0].cycle == cycles


def test_the_output_is_proved_stable(sizes):
    scan = LogitScan(sizes(lanes=2, classes=3, class_tiles=2, acc_bits=4))

    def claims(m):
        assume_constant(m, scan.header)
        claim_stable(m, scan.o)

    prove(scan, claims)
