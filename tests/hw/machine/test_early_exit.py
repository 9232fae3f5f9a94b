"""`hw.machine.early_exit` against the golden model's rule: every kind, ties, extremes, any number of classes."""

from dataclasses import replace

import numpy as np
import pytest

from gen.exit_rule import LIMIT_MAX, SCALE_MAX, SHIFT_MAX, ExitRule
from gen.layout.program import EXIT_CODES, MEMORIES
from hw.machine.early_exit import EarlyExit
from sim.golden import exits, scores
from tests.kit.proof import assume_constant, claim_stable, prove
from tests.kit.streams import Bench

LIMITS = 64


def draw(rng, classes, bits):
    """Draw logits: near, anywhere, tied, at the ends."""
    top = 2 ** (bits - 1)
    match rng.integers(5):
        case 0:
            z = rng.integers(-40, 40, classes)
        case 1:
            z = rng.integers(-top, top, classes)
        case 2:
            z = rng.choice([-top, top - 1], classes)
        case 3:
            z = rng.choice([5, 5, 4, -3], classes)
        case _:
            z = np.rint(rng.normal(0, 2 ** rng.uniform(1, bits - 3), classes)).astype(int)
    return np.clip(z, -top, top - 1)


def draw_rule(rng, kind, z):
    """Draw a rule of this kind whose limit lies near the score of ``z``, exactly on it as often as not."""
    if kind == "off":
        return ExitRule()
    spread = max(1, int(np.ptp(z)))
    shift = int(rng.integers(0, SHIFT_MAX + 1))
    scale = int(np.clip(rng.uniform(0.1, 8) * 2 ** (shift + 16) / spread, 1, SCALE_MAX))
    rule = ExitRule(kind, shift, scale)
    limit = int(scores(rule, z[None])[0]) + int(rng.choice([0, 0, 1, -1, 40, -40, LIMIT_MAX, -LIMIT_MAX]))
    return replace(rule, limits=[int(np.clip(limit, 0, LIMIT_MAX))] * LIMITS)


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def decide(ctx, dut, words, z, rule, step, used):
    """Put the readout's ``words`` in place and ask for the decision; return (exits, class)."""
    lanes = len(dut.logits)
    ctx.set(dut.header, {
        "classes": len(z) - 1, "class_lanes": used - 1, "exit_kind": EXIT_CODES[rule.kind],
        "exit_shift": rule.shift, "exit_scale": rule.scale,
    })
    ctx.set(dut.step, step)
    tiles = [[int(v) for v in [*z[at : at + used], *[-7] * lanes][:lanes]] for at in range(0, len(z), used)]
    words[: len(tiles)] = tiles
    if rule.limits:
        await load(ctx, dut, step, rule.limits[step])
    await pulse(ctx, dut.begin)
    stop, class_ = await ctx.tick().sample(dut.exits, dut.class_).until(dut.done)
    return bool(stop), class_


async def load(ctx, dut, address, word):
    """Write one limit through the load port."""
    ctx.set(dut.load, {"data": word, "address": address, "write": 1 << MEMORIES.index("limits")})
    await ctx.tick()
    ctx.set(dut.load, {})


@pytest.mark.parametrize("classes, lanes, used", [
    (1, 1, 1), (1, 4, 4), (2, 3, 3), (5, 8, 8), (10, 4, 4), (17, 4, 3),
])
@pytest.mark.parametrize("bits", [12, 32])
def test_decision_and_class_are_the_golden_models(sizes, classes, lanes, used, bits):
    rng = np.random.default_rng([classes, lanes, bits])
    params = sizes(lanes=lanes, classes=classes, class_tiles=-(-classes // used), acc_bits=bits)
    dut = EarlyExit(params, {"limits": [0] * LIMITS})
    bench = Bench(dut, seed=classes, limit=60_000)
    seen, words = [], [[0] * lanes] * LIMITS
    bench.memory(dut.logit_address, dut.logits, words, latency=1)

    async def drive(ctx):
        for n in range(48):
            z = draw(rng, classes, bits)
            rule, step = draw_rule(rng, list(EXIT_CODES)[n % 4], z), int(rng.integers(0, LIMITS))
            stop, class_ = await decide(ctx, dut, words, z, rule, step, used)
            expected = bool(exits(rule, z[None], step + 1)[0])
            note = f"z {z.tolist()}, {rule.kind}, {rule.limits[:1]}"
            assert (stop, class_) == (expected, int(z.argmax())), note
            seen.append((rule.kind, stop))

    bench.add(drive)
    bench.run()
    wanted = {(kind, stop) for kind in EXIT_CODES for stop in (False, True)} - {("off", True)}
    missing = wanted - set(seen)
    assert not missing or classes == 1, f"the draw never reaches {missing}"


def test_a_core_without_softmax_knows_the_margin(sizes):
    dut, words = EarlyExit(sizes(softmax=0), {"limits": [0] * LIMITS}), [[0] * 3] * LIMITS
    rng = np.random.default_rng(4)
    bench = Bench(dut, limit=5000)
    bench.memory(dut.logit_address, dut.logits, words, latency=1)

    async def drive(ctx):
        for n in range(16):
            z = draw(rng, 5, 24)
            rule = draw_rule(rng, ("off", "margin")[n % 2], z)
            assert await decide(ctx, dut, words, z, rule, 3, 3) == (bool(exits(rule, z[None], 4)[0]), int(z.argmax()))

    bench.add(drive)
    bench.run()


@pytest.mark.parametrize("stall", [0, 0.6])
def test_the_answer_streams_every_logit(sizes, stall):
    dut = EarlyExit(sizes(), {"limits": [0] * LIMITS})
    bench = Bench(dut, seed=3, limit=5000)
    z = np.array([5, -(2**23), 2**23 - 1, 0, -1])
    taken, words = bench.sink(dut.o, 2 * len(z), stall=stall), [[0] * 3] * LIMITS
    bench.memory(dut.logit_address, dut.logits, words, latency=1)

    async def drive(ctx):
        for _ in range(2):
            assert not (await decide(ctx, dut, words, z, ExitRule(), 0, 3))[0]
            await pulse(ctx, dut.answer)
            await ctx.tick().until(dut.o.valid & dut.o.ready & dut.o.payload.last)
        assert not ctx.get(dut.o.valid)

    bench.add(drive)
    bench.run()
    assert [word.payload for word in taken] == 2 * [
        {"data": int(v), "last": int(n == len(z) - 1)} for n, v in enumerate(z)
    ]


def test_the_answer_is_proved_stable(sizes):
    dut = EarlyExit(sizes(lanes=2, classes=3, class_tiles=2, acc_bits=4), {"limits": [0] * LIMITS})

    def claims(m):
        assume_constant(m, dut.header)
        claim_stable(m, dut.o)

    prove(dut, claims)
