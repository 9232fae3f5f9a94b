import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.errors import InputError
from gen.exit_rule import EXP, KINDS, LIMIT_MAX, LOG, SCALE_MAX, SHIFT_MAX, ExitRule
from sim import golden
from sim.golden import plain


def test_tables_are_the_rounded_functions():
    assert len(EXP) == len(LOG) == 256
    for i in range(256):
        assert abs(EXP[i] - 2**16 * 2 ** (-i / 256)) <= 0.5
        assert abs(LOG[i] - 256 * math.log2(1 + i / 256)) <= 0.5
    assert EXP[0] == 2**16 and EXP[255] > 2**15 and LOG[0] == 0 and LOG[255] == 255


@pytest.mark.parametrize(
    ("keywords", "text"),
    [
        ({"kind": "entropie"}, "the exit rule must be one of off, entropy, confidence, margin, not 'entropie'"),
        ({"shift": 16}, "the exit rule's shift and scale are out of range: 16, 1"),
        ({"shift": -1}, "out of range: -1, 1"),
        ({"scale": 0}, "out of range: 0, 0"),
        ({"scale": SCALE_MAX + 1}, f"out of range: 0, {SCALE_MAX + 1}"),
        ({"limits": (1, -1)}, r"the exit limits must be 0..2147483647, not \(1, -1\)"),
        ({"limits": (LIMIT_MAX + 1,)}, "the exit limits must be 0..2147483647"),
    ],
)
def test_bad_rules_are_refused(keywords, text):
    with pytest.raises(InputError, match=text):
        ExitRule(**keywords)


def both(rule, z, t=1):
    stops = plain.exits(rule, [int(v) for v in z], t)
    assert golden.exits(rule, np.array([z]), t).tolist() == [stops]
    return stops


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(KINDS),
    shift=st.integers(0, SHIFT_MAX),
    scale=st.one_of(st.integers(1, SCALE_MAX), st.just(256)),
    z=st.one_of(
        st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
        st.lists(st.integers(-9, 9), min_size=1, max_size=5),
        st.lists(st.integers(-3000, 3000), min_size=1, max_size=12),
    ),
    limit=st.one_of(st.integers(0, 1200), st.integers(2**16, 2**20), st.integers(0, LIMIT_MAX)),
)
def test_fast_equals_plain(kind, shift, scale, z, limit):
    both(ExitRule(kind, shift, scale, (limit,)), z)


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
def test_the_score_is_the_limit_where_the_rule_turns(kind):
    rng = np.random.default_rng(3)
    for _ in range(200):
        z = rng.integers(-600, 600, int(rng.integers(1, 12)))
        score = int(golden.scores(ExitRule(kind, 0, 256), z[None])[0])
        if kind == "margin":
            assert not both(ExitRule(kind, limits=(score,)), z)
            assert score == 0 or both(ExitRule(kind, limits=(score - 1,)), z)
        else:
            assert not both(ExitRule(kind, 0, 256, (score,)), z)
            assert both(ExitRule(kind, 0, 256, (score + 1,)), z)


def test_the_scores_are_the_entropy_and_the_probability():
    """256 units of z are one octave at shift 0, scale 2**8 (z >> 0 times 2**-8 * 2**8 in 2**-8 octaves)."""
    rng = np.random.default_rng(4)
    z = rng.integers(-1500, 1500, (300, 10))
    p = 2.0 ** ((z - z.max(axis=1, keepdims=True)) / 256)
    p /= p.sum(axis=1, keepdims=True)
    entropy = -(p * np.log2(p)).sum(axis=1)
    confidence = p.max(axis=1)
    np.testing.assert_allclose(golden.scores(ExitRule("entropy", 0, 256), z) / 256, entropy, atol=0.012)
    np.testing.assert_allclose(2**16 / golden.scores(ExitRule("confidence", 0, 256), z), confidence, rtol=1e-3)


def test_limits_go_with_the_timestep():
    rule = ExitRule("margin", limits=(10, 5, 0))
    assert [both(rule, [7, 0], t) for t in (1, 2, 3)] == [False, True, True]


def test_ties_and_a_single_class():
    assert not both(ExitRule("margin", limits=(0,)), [4, 4, 1])
    assert not both(ExitRule("margin", limits=(0,)), [4])
    assert both(ExitRule("entropy", limits=(1,)), [4]) and not both(ExitRule("entropy", limits=(0,)), [4])
    assert both(ExitRule("confidence", limits=(2**16 + 1,)), [-4])
    assert not both(ExitRule("confidence", limits=(2**16,)), [-4])
    assert not both(ExitRule(), [1000, 0])
