"""`hw.core.decision` against the golden model's rule: every kind, ties, extremes, any limit, several positions."""

from dataclasses import replace

import numpy as np
import pytest

from gen.exit_rule import KINDS, LIMIT_MAX, SCALE_MAX, SHARE_ONE, SHIFT_MAX, ExitRule
from gen.plan.memories import memory_table
from gen.plan.program import EXIT_CODES
from hw.core.decision import Decision
from sim.golden import exits, scores
from sim.golden.plain import exits as plain_exits
from tests.kit.streams import Bench

LIMITS, BASE = 8, 3


def draw(rng, classes, positions, bits):
    """Draw the values of an output [classes, positions]: near, anywhere, tied, at the ends."""
    top, shape = 2 ** (bits - 1), (classes, positions)
    match rng.integers(5):
        case 0:
            z = rng.integers(-40, 40, shape)
        case 1:
            z = rng.integers(-top, top, shape)
        case 2:
            z = rng.choice([-top, top - 1], shape)
        case 3:
            z = rng.choice([5, 5, 4, -3], shape)
        case _:
            z = np.rint(rng.normal(0, 2 ** rng.uniform(1, bits - 3), shape)).astype(int)
    return np.clip(z, -top, top - 1)


def draw_limit(rng, rule, z):
    """Draw a limit: on the score of one position, beside it, or any at all."""
    score = int(scores(rule, z.T)[rng.integers(z.shape[1])])
    power = 2 ** int(rng.integers(0, 31))
    near = [score, score, score + 1, score - 1, score - 1]
    limit = rng.choice(near if rng.random() < 0.7 else [
        score + 40, power - 1, power, power + 1, rng.integers(power, 2 * power), 0, LIMIT_MAX])
    return int(np.clip(limit, 0, LIMIT_MAX))


def draw_rule(rng, kind, z):
    """Draw a rule of this kind, any temperature and share."""
    if kind == "off":
        return ExitRule()
    spread = max(1, int(np.ptp(z)))
    shift = int(rng.integers(0, SHIFT_MAX + 1))
    scale = int(np.clip(rng.uniform(0.1, 8) * 2 ** (shift + 16) / spread, 1, SCALE_MAX))
    if rng.random() < 0.2:
        scale = int(rng.choice([1, SCALE_MAX, rng.integers(1, SCALE_MAX)]))
    share = int(rng.choice([1, SHARE_ONE, rng.integers(1, SHARE_ONE)]))
    rule = ExitRule(kind, shift, scale, share=share)
    return replace(rule, limits=[draw_limit(rng, rule, z) for _ in range(LIMITS)])


class Deciding:
    """Runs a `Decision` beside a memory of outputs."""

    def __init__(self, params, seed):
        self.dut = Decision(params, [])
        self.words = [0] * (params.outputs + 8)
        self.bench = Bench(self.dut, seed=seed, limit=200_000)
        self.bench.memory(self.dut.address, self.dut.value, self.words, latency=2 + params.shared)
        loadable = [name for name, spec in memory_table(params).items() if spec.loadable]
        self._code = 1 << loadable.index("limits")

    async def decide(self, ctx, z, rule, step):
        """Return (exits, class) of the values ``z`` [classes, positions] at the round ``step``."""
        dut, (classes, positions) = self.dut, z.shape
        for address, limit in enumerate(rule.limits):
            ctx.set(dut.load, {"data": limit, "address": address, "write": self._code})
            await ctx.tick()
        ctx.set(dut.load, {})
        self.words[BASE : BASE + z.size] = z.T.ravel().tolist()
        ctx.set(dut.stage, {
            "limits": 0, "exit_kind": EXIT_CODES[rule.kind], "exit_shift": rule.shift, "exit_scale": rule.scale,
            "output": BASE, "classes": classes - 1, "positions": positions - 1,
            "required": -(-rule.share * positions // SHARE_ONE),
        })
        ctx.set(dut.step, step)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.busy)
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        assert ctx.get(dut.busy)
        stop, class_ = await ctx.tick().sample(dut.exits, dut.class_).until(dut.done)
        return bool(stop), class_


def expected(rule, z, step):
    """Return (exits, class) of the golden models; the rule may look at a map."""
    stop = bool(exits(rule, z[None, :, :, None], step + 1)[0])
    passing = sum(plain_exits(rule, position, step + 1) for position in z.T.tolist())
    assert stop == (rule.kind != "off" and passing * SHARE_ONE >= rule.share * z.shape[1])
    return stop, int(z[:, 0].argmax())


@pytest.mark.parametrize("classes, positions", [(1, 1), (1, 3), (2, 1), (5, 4), (10, 1), (17, 2)])
@pytest.mark.parametrize("bits, groups", [(12, 1), (32, 1), (12, 2)])
def test_decision_and_class_are_the_golden_models(sizes, classes, positions, bits, groups):
    """With two groups, which share inputs of readouts, a value comes a cycle later."""
    rng = np.random.default_rng([classes, positions, bits])
    params = sizes(classes=classes, positions=positions, acc_bits=bits, softmax=1, limits=LIMITS,
                   outputs=BASE + classes * positions, groups=groups, shared=groups - 1)
    run, seen = Deciding(params, classes), set()

    async def drive(ctx):
        for n in range(56):
            z = draw(rng, classes, positions, bits)
            rule, step = draw_rule(rng, KINDS[n % 4], z), int(rng.integers(LIMITS))
            got = await run.decide(ctx, z, rule, step)
            assert got == expected(rule, z, step), f"number {n}, z {z.tolist()}, {rule}, step {step}"
            seen.add((rule.kind, got[0]))

    run.bench.add(drive)
    run.bench.run()
    wanted = {(kind, stop) for kind in KINDS for stop in (False, True)} - {("off", True)}
    assert not wanted - seen or classes == 1, f"the draw never reaches {wanted - seen}"


def test_a_limit_over_every_entropy_exits(sizes):
    """Also one whose distance to L has more bits than the factor of the product."""
    values = [np.array(z)[:, None] for z in ([9, 9, 9, 9], [9, -2000, -2000, -2000], [9, 8, 7, 6])]
    rules = [ExitRule("entropy", 0, 2**14, limits=[limit] * LIMITS) for limit in (
        2**13, 2**14 - 1, 2**14, 2**14 + 1, 2**14 + 512, 2**14 + 513, 2**15 - 1, 2**15, 2**15 + 1, 2**16, LIMIT_MAX)]
    run = Deciding(sizes(softmax=1, classes=4, positions=1, limits=LIMITS, acc_bits=12), 5)

    async def drive(ctx):
        for z in values:
            for rule in rules:
                assert await run.decide(ctx, z, rule, 2) == expected(rule, z, 2) == (True, 0), f"{z.tolist()}, {rule}"

    run.bench.add(drive)
    run.bench.run()


def test_a_core_without_softmax_knows_the_margin(sizes):
    rng = np.random.default_rng(4)
    run = Deciding(sizes(softmax=0, classes=5, positions=2, limits=LIMITS), 4)

    async def drive(ctx):
        for n in range(24):
            z = draw(rng, 5, 2, 24)
            rule = draw_rule(rng, ("off", "margin")[n % 2], z)
            assert await run.decide(ctx, z, rule, 3) == expected(rule, z, 3), f"number {n}, {z.tolist()}, {rule}"

    run.bench.add(drive)
    run.bench.run()


@pytest.mark.parametrize("share, passing, stops", [(SHARE_ONE, 3, 0), (SHARE_ONE, 4, 1), (SHARE_ONE // 2, 2, 1),
                                                  (SHARE_ONE // 2 + 1, 2, 0), (1, 1, 1), (1, 0, 0)])
def test_enough_positions_must_pass(sizes, share, passing, stops):
    z = np.zeros((3, 4), int)
    z[1, :passing] = 10
    run = Deciding(sizes(classes=3, positions=4, limits=LIMITS), share)

    async def drive(ctx):
        rule = ExitRule("margin", limits=[9] * LIMITS, share=share)
        assert await run.decide(ctx, z, rule, 0) == (bool(stops), 1 if passing else 0)

    run.bench.add(drive)
    run.bench.run()
