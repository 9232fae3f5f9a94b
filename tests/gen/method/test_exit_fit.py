"""What the fit of the exits promises it keeps, here and elsewhere; the paper's formula is what it says."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, X_MAX, ExitRule
from gen.method.exit_fit import (
    _budget, _cheapest, exit_images, exit_steps, fit_exit, least_limits, paper_limits,
)

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


def losses(z, labels, rule):
    """Images that the rule's exits lose, those they win, and the timesteps of each."""
    found, steps = z.argmax(2), exit_steps(z, rule)
    final, early = found[:, -1], found[np.arange(len(z)), steps - 1]
    return (final == labels) & (early != labels), (final != labels) & (early == labels), steps


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
@pytest.mark.parametrize("known", [True, False])
def test_a_loss_that_is_allowed_is_not_exceeded_here_and_ends_more_images_early(kind, known):
    z, labels = logits()
    spent = []
    for points in (0.0, 0.5, 2.0, 8.0, 100.0):
        rule = fit_exit(z, 50.0, kind, points, labels if known else None)
        assert len(rule.limits) == 4 and rule.limits[-1] == (2**31 - 1 if kind == "margin" else 0)
        lost, _, steps = losses(z, labels if known else z[:, -1].argmax(1), rule)
        assert 100 * lost.mean() <= points
        spent.append(steps.mean())
    assert spent == sorted(spent, reverse=True) and spent[0] > spent[-2] + 0.5
    assert spent[-1] < 1.03, "more than those of two classes at par"


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
def test_the_promise_holds_on_other_images(kind):
    kept, exceeded = 0, []
    for seed in range(25):
        z, labels = logits(1500, seed=2 * seed)
        rule = fit_exit(z, 50.0, kind, 1.0, labels)
        lost, won, _ = losses(*logits(4000, seed=2 * seed + 1), rule)
        kept += lost.sum() - won.sum() <= 40
        exceeded.append(lost.sum() > 40)
    assert kept >= 24 and np.mean(exceeded) <= 0.2


@pytest.mark.parametrize("images, share, confidence, losses", [
    (298, 0.01, 0.95, 0), (299, 0.01, 0.95, 1),  # the rule of three: 0.99**299 < 0.05 < 0.99**298
    (30, 0.1, 0.9, 1), (30, 0.1, 0.5, 3), (5000, 0.002, 0.8, 7), (9, 0.0, 0.8, 0), (9, 1.0, 0.8, 9),
])
def test_the_bound_is_that_of_clopper_and_pearson(images, share, confidence, losses):
    def fewer(n):
        return sum(math.comb(images, i) * share**i * (1 - share) ** (images - i) for i in range(n))

    assert _budget(images, share, confidence) == losses
    if 0 < share < 1:
        assert fewer(losses) <= 1 - confidence < fewer(losses + 1)


def test_the_allocation_is_the_cheapest_or_nearly():
    worse = []
    for seed in range(30):
        rng = RNG(seed)
        scores, costs, budget = rng.integers(0, 30, (40, 3)), rng.integers(1, 5, 3), int(rng.integers(1, 12))
        lost = rng.random((40, 3)) < scores / 60
        cost = {}
        for limits in itertools.product([-1, *range(30)], repeat=2):
            stop = np.column_stack((scores[:, :2] <= limits, np.ones(40, bool)))
            steps = stop.argmax(1)
            charge = sum(lost[steps == t, t].sum() + 1 for t in range(2) if (steps == t).any())
            if charge <= budget:
                cost[limits] = np.cumsum(costs)[steps].sum()
        found = _cheapest(scores, lost, budget, costs)
        limits = tuple(np.maximum(found[:2], -1).tolist())
        assert limits in cost and found[2] < 0, f"seed {seed}"
        worse.append(cost[limits] / min(cost.values()))
    assert np.mean(np.array(worse) == 1) >= 0.8 and max(worse) < 1.05


def test_what_a_timestep_costs_moves_the_exits():
    z, labels = logits()
    steps = [exit_steps(z, fit_exit(z, 50.0, "entropy", 2.0, labels, costs=costs))
             for costs in (None, (1, 20, 1, 1), (1, 1, 1, 20))]
    second, fourth = ([(s > t).mean() for s in steps] for t in (1, 3))
    assert second[1] < second[0] and fourth[2] < fourth[0]
    assert steps[0].mean() == min(s.mean() for s in steps)


@pytest.mark.parametrize("costs", [(1, 2, 3), (1, 1, 0, 1)])
def test_costs_that_are_none(costs):
    with pytest.raises(InputError, match="The costs must be 4 positive numbers, one for each timestep, not"):
        fit_exit(logits(20)[0], 50.0, "entropy", 1.0, costs=costs)


def test_without_labels_the_decision_after_all_timesteps_stands_in():
    z, _ = logits()
    assert fit_exit(z, 50.0, "margin", 1.0) == fit_exit(z, 50.0, "margin", 1.0, z[:, -1].argmax(1))


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
    (4000, 1500, 1500, 4000), (60000, 1500, 1500, 11500), (2400, 1500, 0, 2400), (60000, 60000, 0, 10000),
])
def test_images_that_set_no_biases_fit_the_exits_where_there_are_enough(count, used, first, last):
    assert np.arange(count)[exit_images(count, used)][[0, -1]].tolist() == [first, last - 1]
