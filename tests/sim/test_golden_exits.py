"""The exit rules on batches against the equations one position at a time, over the whole range of every number."""

import re
from pathlib import Path

import numpy as np
import pytest

from gen.exit_rule import DISTANCE_MAX, LIMIT_MAX, SCALE_MAX, SHARE_ONE, SHIFT_MAX, X_MAX, ExitRule
from sim.golden import exits, scores
from sim.golden.plain import exits as plain_exits

PAGE = Path(__file__).parents[2] / "docs/integer-network.md"


def test_the_bounds_are_those_of_the_page():
    """Both models import the constants: only the page can tell that they are right."""
    equation = r"x_j = min\(\(min\(d_j >> shift, 2\*\*(\d+) - 1\) \* scale\) >> 8, 2\*\*(\d+) - 1\)"
    found = re.search(equation, PAGE.read_text())
    assert found, "the page has another equation for x_j"
    assert (DISTANCE_MAX, X_MAX) == tuple(2 ** int(power) - 1 for power in found.groups()) == (131071, 8191)


def test_distances_beyond_the_bound_are_cut():
    """With the smallest scale, x of any distance from 2**17 - 1 up is 511: e = EXP[255] >> 1."""
    near, far = np.array([[0, -(2**17 - 1)]]), np.array([[0, -(2**28)]])
    rule = ExitRule("confidence", 0, 1, (0,))
    assert scores(rule, near) == scores(rule, far) == 2**16 + (round(2**16 * 2 ** (-255 / 256)) >> 1)


def logits(rng, shape):
    """Return integers of that shape, of any magnitude, many close to one another."""
    size = 2.0 ** rng.integers(0, 31, (shape[0],) + (1,) * (len(shape) - 1))
    return np.clip(rng.normal(0, size, shape) // 1, -(2**31), 2**31 - 1).astype(np.int64)


def any_number(rng, least, most):
    """Return an integer of ``least..most`` of any number of bits."""
    return int(np.clip(rng.integers(0, 2 ** rng.integers(1, most.bit_length() + 1)), least, most))


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
@pytest.mark.parametrize("seed", range(60))
def test_fast_equals_plain(kind, seed):
    rng = np.random.default_rng([seed, len(kind)])
    classes = int(rng.choice([1, 2, 3, 10, 20]))
    z = logits(rng, (25, classes, *((2, 3) if seed % 2 else (1, 1))))
    rule = ExitRule(
        kind, int(rng.integers(0, SHIFT_MAX, endpoint=True)), any_number(rng, 1, SCALE_MAX), (0,),
        share=int(rng.choice([1, SHARE_ONE // 2, SHARE_ONE, rng.integers(1, SHARE_ONE)])),
    )
    score = scores(rule, z)
    drawn = [any_number(rng, 0, LIMIT_MAX) for _ in range(4)]
    for limit in (*drawn, 16384, *(int(np.clip(v, 0, LIMIT_MAX)) for v in rng.choice(score.ravel(), 4) + [0, 1, 0, 1])):
        limited = ExitRule(kind, rule.shift, rule.scale, (limit,), share=rule.share)
        passing = [
            sum(plain_exits(limited, position.tolist(), 1) for position in image.reshape(classes, -1).T) for image in z
        ]
        positions = z[0, 0].size
        expected = [count * SHARE_ONE >= rule.share * positions for count in passing]
        assert exits(limited, z, 1).tolist() == expected, (rule, limit)
        if positions == 1:
            assert exits(limited, z[:, :, 0, 0], np.ones(len(z), int)).tolist() == [bool(count) for count in passing]
