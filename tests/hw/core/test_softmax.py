"""`hw.core.softmax` against the sums of `gen.exit_rule`."""

import numpy as np
import pytest

from gen.exit_rule import DISTANCE_MAX, EXP, SCALE_FRACTION, SCALE_MAX, SHIFT_MAX, X_MAX
from hw.core.softmax import SoftmaxSums
from tests.kit.streams import Bench


def sums(z, shift, scale):
    """Return (S, A), the equations as they stand."""
    s = a = 0
    for logit in z:
        x = min((min((max(z) - logit) >> shift, DISTANCE_MAX) * scale) >> SCALE_FRACTION, X_MAX)
        e = EXP[x & 255] >> (x >> 8)
        s, a = s + e, a + e * x
    return s, a


def logits(rng, classes, bits):
    """Draw logits of ``bits`` bits: near each other, anywhere, or at both ends."""
    top = 2 ** (bits - 1)
    match rng.integers(4):
        case 0:
            z = rng.integers(-50, 50, classes)
        case 1:
            z = rng.integers(-top, top, classes)
        case 2:
            z = rng.choice([-top, top - 1, 0], classes)
        case _:
            z = np.rint(rng.normal(0, 2 ** rng.uniform(1, bits - 3), classes)).astype(int)
    return np.clip(z, -top, top - 1).tolist()


@pytest.mark.parametrize("bits", [12, 24, 32])
def test_the_sums_of_random_and_extreme_logits(sizes, bits):
    rng = np.random.default_rng(bits)
    softmax = SoftmaxSums(sizes(acc_bits=bits, classes=20, softmax=1))
    bench = Bench(softmax, seed=bits, limit=20_000)

    async def drive(ctx):
        for n in range(60):
            z = logits(rng, int(rng.integers(1, 21)), bits)
            shift, scale = int(rng.integers(0, SHIFT_MAX + 1)), int(2 ** rng.uniform(0, 17))
            shift, scale = [(shift, scale), (0, SCALE_MAX), (SHIFT_MAX, 1), (0, 1)][n % 4 if n < 8 else 0]
            scale = min(scale, SCALE_MAX)
            for name, value in {"clear": 1, "shift": shift, "scale": scale, "best": max(z)}.items():
                ctx.set(getattr(softmax, name), value)
            await ctx.tick()
            ctx.set(softmax.clear, 0)
            for logit in z:
                for valid in [0] * int(rng.integers(0, 2)) + [1]:
                    ctx.set(softmax.logit, logit if valid else 123)
                    ctx.set(softmax.valid, valid)
                    await ctx.tick()
            ctx.set(softmax.valid, 0)
            while not ctx.get(softmax.settled):
                await ctx.tick()
            got = ctx.get(softmax.s), ctx.get(softmax.a)
            assert got == sums(z, shift, scale), f"z {z}, shift {shift}, scale {scale}"

    bench.add(drive)
    bench.run()
