"""What the fit of the exits promises it keeps, here and elsewhere; the paper's formula is what it says."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.exit_rule import SHARE_ONE, ExitRule
from gen.method.exit_fit import cheapest_limits, exit_images, fit_exit, losses
from gen.method.exit_paper import paper_limits
from gen.method.exit_score import (
    NEVER, exit_steps, from_log_doubt, image_scores, least_limits, log_doubt, stops, temperature,
)
from gen.method.loss_curves import bound, fit_curves
from sim.golden.plain import exits

RNG = np.random.default_rng


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
            assert exits(replace(rule, limits=(sign * score,)), z, 1)
        if sign * score - sign >= 0:
            assert not exits(replace(rule, limits=(sign * score - sign,)), z, 1)


def logits(images=3000, timesteps=4, classes=10, seed=0):
    """Sums that grow surer with time, and the labels they are about."""
    rng = RNG(seed)
    labels = rng.integers(0, classes, images)
    signal = 120.0 * np.eye(classes)[labels] * rng.random((images, 1)) * 2
    steps = signal[:, None] + rng.normal(scale=60, size=(images, timesteps, classes))
    return steps.cumsum(axis=1).astype(np.int64), labels


def judged(z, labels, rule):
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
        lost, _, steps = judged(z, labels if known else z[:, -1].argmax(1), rule)
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
        lost, won, _ = judged(*logits(4000, seed=2 * seed + 1), rule)
        kept += lost.sum() - won.sum() <= 40
        exceeded.append(lost.sum() > 40)
    assert kept >= 24 and np.mean(exceeded) <= 0.2


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
def test_some_hundred_images_give_every_timestep_a_limit_and_keep_the_promise(kind):
    kept, limits = 0, []
    for seed in range(12):
        z, labels = logits(400, timesteps=8, seed=2 * seed)
        rule = fit_exit(z, 50.0, kind, 1.0, labels)
        lost, won, steps = judged(*logits(4000, timesteps=8, seed=2 * seed + 1), rule)
        kept += lost.sum() - won.sum() <= 40
        limits.append((np.bincount(steps, minlength=9)[1:] > 0).all())
        assert steps.mean() < 6
    assert kept >= 11 and all(limits)


def test_the_curves_are_those_that_the_losses_come_from():
    rng = RNG(0)
    doubt, rise, slope = rng.normal(-4, 2, (20000, 3)), np.array([1.0, 2.0, 0.0]), np.array([1.0, 1.5, 0.8])
    lost = rng.random(doubt.shape) < 1 / (1 + np.exp(-rise - slope * doubt))
    curves = fit_curves(doubt, lost)
    assert np.allclose(curves.rise, rise, atol=0.3) and np.allclose(curves.slope, slope, atol=0.1)
    chance = np.array([0.01, 0.2, 0.5])
    assert np.allclose(np.diag(curves.chance(np.tile(curves.doubt(chance), (3, 1)))), chance)


def test_a_timestep_without_losses_takes_the_curve_of_the_others():
    rng = RNG(1)
    doubt = rng.normal(-4, 2, (400, 3))
    lost = rng.random(doubt.shape) < 1 / (1 + np.exp(-doubt))
    lost[:, 2] = False
    curves = fit_curves(doubt, lost)
    assert curves.slope[2] > curves.slope[:2].mean() / 3
    assert curves.chance(np.full((1, 3), -4.0))[0, 2] < curves.chance(np.full((1, 3), -4.0))[0, :2].min()


@pytest.mark.parametrize("expected, seen, confidence, most", [
    (0.0, 0, 0.9, 0.0), (4.0, 0, 0.5, 1.84), (4.0, 4, 0.9, 5.89), (4.0, 12, 0.9, 10.65), (1e6, 100, 0.9, 117.5),
])
def test_few_losses_leave_the_curves_to_speak_and_many_speak_for_themselves(expected, seen, confidence, most):
    assert bound(expected, seen, confidence) == pytest.approx(most, rel=0.01)


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
def test_no_other_limits_are_cheaper_for_as_much_expected_loss(kind):
    z, labels = logits(1500, timesteps=3, seed=5)
    rule, costs = ExitRule(kind, *temperature(50.0)), np.array([1.0, 2.0, 3.0])
    scores, found = image_scores(z, rule)[:, :2], z.argmax(2)[..., None]
    lost = losses(found[:, :2], found[:, 2], labels)
    limits = cheapest_limits(rule, scores, lost, 3.0, costs)
    chance = fit_curves(log_doubt(scores, rule), lost).chance(log_doubt(scores, rule))

    def expected(limits):
        stop = stops(scores, rule, limits)
        early = stop < 2
        return chance[early, stop[early]].sum(), np.cumsum(costs)[stop].mean()

    allowed, cost = expected(-limits if kind == "margin" else limits)
    grid = (np.quantile(scores[:, t], np.linspace(0, 1, 60)) for t in range(2))
    rivals = [cost for loss, cost in map(expected, itertools.product(*grid)) if loss <= allowed]
    assert cost < min(rivals) + 0.02 * costs.sum()


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
def test_a_limit_of_a_doubt_passes_just_that_doubt(kind):
    rule = ExitRule(kind, *temperature(50.0))
    scores = np.sort(image_scores(logits(200)[0], rule).ravel())
    limits = from_log_doubt(log_doubt(scores, rule), rule)
    assert (np.abs(limits - scores) <= 1 + np.abs(scores) * 1e-9)[scores > (-NEVER if kind == "margin" else 1)].all()
    assert (np.diff(limits) >= 0).all()


def dense(images=200, timesteps=4, rows=3, columns=4, classes=5, seed=0):
    z, labels = logits(images * rows * columns, timesteps, classes, seed)
    z = z.reshape(images, rows, columns, timesteps, classes).transpose(0, 3, 4, 1, 2)
    return z, labels.reshape(images, rows, columns)


@pytest.mark.parametrize("kind", ["entropy", "confidence", "margin"])
@pytest.mark.parametrize("share", [1, SHARE_ONE // 3, SHARE_ONE // 3 + 1, SHARE_ONE])
def test_a_map_stops_where_the_share_of_its_positions_passes(kind, share):
    z, _ = dense()
    limit = int(np.median(image_scores(z, ExitRule(kind, *temperature(50.0), share=share))[:, :3]))
    rule = ExitRule(kind, *temperature(50.0), (abs(limit),) * 3 + (0,), share=share)
    steps = exit_steps(z, rule)
    for one, step in zip(z[:40], steps):
        held = [sum(exits(rule, list(map(int, at)), t) for at in one[t - 1].reshape(5, -1).T) * SHARE_ONE >= share * 12
                for t in range(1, 4)]
        assert step == (held.index(True) + 1 if True in held else 4)
    assert len(np.unique(steps)) > 1


@pytest.mark.parametrize("known", [True, False])
def test_the_loss_of_a_map_is_the_share_of_positions_it_gets_wrong(known):
    z, labels = dense(600)
    rule = fit_exit(z, 50.0, "entropy", 3.0, labels if known else None, output="mask", share=SHARE_ONE // 2)
    assert (rule.output, rule.share) == ("mask", SHARE_ONE // 2)
    others, truth = dense(1000, seed=1)
    steps, found = exit_steps(others, rule), others.argmax(2)
    final, early = found[:, -1], found[np.arange(1000), steps - 1]
    truth = truth if known else final
    assert 0.005 < ((final == truth) & (early != truth)).mean() <= 0.03
    assert steps.mean() < 3.7


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


def test_the_papers_formula_takes_every_position_of_a_map_as_an_image():
    z, labels = dense()
    rule = paper_limits(z, 50.0, "entropy", labels, output="mask", share=SHARE_ONE // 2)
    flat = z.transpose(0, 3, 4, 1, 2).reshape(-1, 4, 5)
    one = paper_limits(flat, 50.0, "entropy", labels.ravel())
    assert rule == replace(one, output="mask", share=SHARE_ONE // 2)


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
