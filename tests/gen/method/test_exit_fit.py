"""What the fit of the exits promises it keeps, here and elsewhere; the paper's formula is what it says."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, X_MAX, ExitRule
from gen.method.exit_fit import exit_images, exit_steps, fit_exit, least_limits, paper_limits

RNG = np.random.default_rng


def exits_by_the_book(rule, z, t):
    """The rule of `gen.exit_rule` in Python integers."""
    d = [max(z) - value for value in z]
    if rule.kind == "margin":
        return sorted(d)[1] > rule.limits[t] if len(z) > 1 else 0 > rule.limits[t]
    x = [min((min(v >> rule.shift, DISTANCE_MAX) * rule.scale) >> SCALE_FRACTION, X_MAX) for v in d]
    e = [EXP[v & 255] >> (v >> 8) for v in x]
    total = sum(e)
    if rule.kind == "confidence":
        return total < rule.limits[t]
    n = total.bit_length() - 1
    entropy = 256 * (n - 16) + LOG[(total >> (n - 8)) & 255]
    return sum(a * b for a, b in zip(e, x)) < total * (rule.limits[t] - entropy)


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
@pytest.mark.parametrize("classes", [1, 2, 10])
def test_least_limits_is_where_the_rule_turns(kind, classes):
    rng = RNG(classes)
    for z in rng.integers(-(10 ** rng.integers(2, 6, 40)), 10**5, (40,))[:, None] * rng.random((40, classes)):
        z = [int(value) for value in z]
        rule = ExitRule(kind, int(rng.integers(0, 5)), int(rng.integers(64, 2**10)))
        score = int(least_limits(np.array(z), rule))
        sign = -1 if kind == "margin" else 1
        if sign * score >= 0:
            assert exits_by_the_book(replace(rule, limits=(sign * score,)), z, 0)
        if sign * score - sign >= 0:
            assert not exits_by_the_book(replace(rule, limits=(sign * score - sign,)), z, 0)


def logits(images=3000, timesteps=4, classes=10, seed=0):
    """Sums that grow surer with time, and the labels they are about."""
    rng = RNG(seed)
    labels = rng.integers(0, classes, images)
    signal = 120.0 * np.eye(classes)[labels] * rng.random((images, 1)) * 2
    steps = signal[:, None] + rng.normal(scale=60, size=(images, timesteps, classes))
    return steps.cumsum(axis=1).astype(np.int64), labels


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
@pytest.mark.parametrize("known", [True, False])
def test_exits_lose_no_more_than_allowed_here_and_elsewhere(kind, known):
    z, labels = logits()
    other, other_labels = logits(seed=1)
    spent = []
    for points in (0.0, 0.5, 2.0, 8.0):
        rule = fit_exit(z, 50.0, kind, points, labels if known else None)
        assert len(rule.limits) == 4 and rule.limits[-1] == (2**31 - 1 if kind == "margin" else 0)
        for sums, truth, slack in ((z, labels, 0), (other, other_labels, 0.6)):
            found, steps = sums.argmax(2), exit_steps(sums, rule)
            final, early = found[:, -1], found[np.arange(len(sums)), steps - 1]
            lost = (early != final) & (final == truth) if known else early != final
            assert 100 * lost.mean() <= points + slack
        spent.append(steps.mean())
    assert spent == sorted(spent, reverse=True) and spent[0] > spent[-1] + 0.5


def test_off_and_a_single_timestep():
    z, labels = logits(timesteps=1)
    assert fit_exit(z, 50.0, "off", 1.0).kind == "off"
    assert fit_exit(z, 50.0, "entropy", 1.0, labels).limits == (0,)


@pytest.mark.parametrize("logit", [0.01, 1.0, 250.0, 1e6])
def test_one_unit_of_the_float_output_is_one_nat(logit):
    rule = fit_exit(logits(50)[0], logit, "entropy", 1.0)
    octaves = logit * rule.scale / 2 ** (rule.shift + 16)
    assert 64 <= rule.scale < 2**17 and 0 <= rule.shift <= 15
    if logit >= 1:
        assert octaves == pytest.approx(1 / np.log(2), rel=0.01)


def doubts(z, kind, logit):
    """Doubt of each image and timestep [N, T], from the definition, in floating point."""
    z = np.sort(z, axis=2)[..., ::-1] / logit
    p = np.exp(z - z[..., :1])
    q = p[..., 0] / (p[..., 0] + p[..., 1])
    p /= p.sum(axis=2, keepdims=True)
    classes = z.shape[2]
    return {
        "entropy": -(p * np.log(np.maximum(p, 1e-300))).sum(axis=2) / np.log(classes),
        "confidence": (1 - p[..., 0]) * classes / (classes - 1),
        "margin": 2 * (1 - q),
    }[kind]


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("a, b", [(0.6, 0.4), (0.3, 0.5)])
def test_the_papers_formula(kind, known, a, b):
    z, labels = logits()
    rule = paper_limits(z, 50.0, kind, labels if known else None, a, b)
    doubt, found = doubts(z, kind, 50.0), z.argmax(2)
    truth = labels if known else found[:, -1]
    mean = np.array([doubt[found[:, t] == truth, t].mean() for t in range(4)])
    stop = 1 - doubt > a + b * np.exp(mean.min() - mean)
    stop[:, -1] = True
    steps = exit_steps(z, rule)
    assert (steps == stop.argmax(1) + 1).mean() > 0.99, "one limit is off by more than its rounding"
    assert len(np.unique(steps)) >= 3
    if a + b == 1:
        assert not stop[:, mean.argmin()].any() or mean.argmin() == 3


def test_a_timestep_that_is_never_right_has_full_doubt():
    z, labels = logits()
    z[:, 1] = np.roll(z[:, 1], 1, axis=1)
    labels = np.where(z[:, 1].argmax(1) == labels, (labels + 1) % 10, labels)
    labels = np.where(z[:, 1].argmax(1) == labels, (labels + 1) % 10, labels)
    rule = paper_limits(z, 50.0, "entropy", labels)
    doubt = np.array([doubts(z, "entropy", 50.0)[z[:, t].argmax(1) == labels, t].mean() for t in (0, 2, 3)])
    wanted = 256 * np.log2(10) * (1 - 0.6 - 0.4 * np.exp(doubt.min() - 1))
    assert rule.limits[1] == pytest.approx(wanted, abs=5)


def test_the_papers_formula_of_what_it_does_not_cover():
    z, labels = logits()
    assert paper_limits(z, 50.0, "off", labels) == ExitRule()
    with pytest.raises(InputError, match="compares classes: a network of one class has none. Use exit off."):
        paper_limits(z[:, :, :1], 50.0, "entropy")
    with pytest.raises(InputError, match="takes a and b of at least 0, not -0.1 and 0.4"):
        paper_limits(z, 50.0, "entropy", a=-0.1)


@pytest.mark.parametrize("count, used, first, last", [
    (4000, 1500, 1500, 4000), (60000, 1500, 1500, 6500), (2400, 1500, 0, 2400), (60000, 60000, 0, 5000),
])
def test_images_that_set_no_biases_fit_the_exits_where_there_are_enough(count, used, first, last):
    assert np.arange(count)[exit_images(count, used)][[0, -1]].tolist() == [first, last - 1]
