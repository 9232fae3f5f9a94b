"""When to stop, fitted on the integer network: one limit per timestep, for a loss allowed or by the paper's formula."""

from dataclasses import replace

import numpy as np

from gen.errors import InputError
from gen.exit_rule import (
    DISTANCE_MAX, EXP, EXP_ONE, FRACTION, LIMIT_MAX, LOG, SCALE_FRACTION, SCALE_MAX, SHIFT_MAX, X_MAX, ExitRule,
)

__all__ = ["FITS", "exit_images", "exit_steps", "fit_exit", "least_limits", "paper_limits"]

FITS = ("loss", "paper")
NEVER = LIMIT_MAX
MOST_IMAGES = 10_000
CONFIDENCE = 0.9
MOST_WAYS = 200
ENOUGH = 1000  # images of their own that a fit prefers to more images which have set biases as well


def exit_images(count, used):
    """Return which of ``count`` calibration images fit the exits, the first ``used`` having set the biases."""
    first = used if count - used >= ENOUGH else 0
    return slice(first, first + MOST_IMAGES)


def least_limits(z, rule):
    """Return the least limit with which ``rule`` exits at ``z`` [..., C]: int64 without the last axis.

    For the margin, where a smaller limit exits more, it is the negated greatest limit.
    """
    z = np.asarray(z, np.int64)
    d = z.max(axis=-1, keepdims=True) - z
    if rule.kind == "margin":
        second = np.sort(d, axis=-1)[..., 1] if z.shape[-1] > 1 else np.zeros(z.shape[:-1], np.int64)
        return 1 - second
    x = np.minimum((np.minimum(d >> rule.shift, DISTANCE_MAX) * rule.scale) >> SCALE_FRACTION, X_MAX)
    e = np.asarray(EXP)[x & 255] >> (x >> 8)
    total = e.sum(axis=-1)
    if rule.kind == "confidence":
        return total + 1
    bits = np.frexp(total.astype(float))[1] - 1
    log = 256 * (bits - 16) + np.asarray(LOG)[(total >> (bits - 8)) & 255]
    return log + (e * x).sum(axis=-1) // total + 1


def exit_steps(z, rule):
    """Return the timestep 1..T at which ``rule`` stops each image; ``z`` int64 [N, T, C]."""
    if rule.kind == "off":
        return np.full(len(z), z.shape[1])
    limits = np.asarray(rule.limits)
    return _steps(least_limits(z, rule), -limits if rule.kind == "margin" else limits)


def _steps(scores, limits):
    """Return the timestep 1..T at which each image stops; ``scores`` [N, T] from `least_limits`."""
    stop = scores <= limits
    stop[:, -1] = True
    return stop.argmax(axis=1) + 1


def fit_exit(z, logit, kind, exit_loss, labels=None, *, costs=None, confidence=CONFIDENCE):
    """Return the `ExitRule` that stops earliest and loses at most ``exit_loss`` points on images like ``z``.

    Parameters
    ----------
    z : int64 [N, T, C], the readout after every timestep of images that nothing else was fitted to
    logit : units of z for one of the float network's output
    kind : entropy, confidence, margin or off
    exit_loss : accuracy points that early exits may lose
    labels : integers [N], or None: the decision after all timesteps stands in
    costs : [T], what each timestep costs; by default all the same, so that the mean timesteps are least
    confidence : of the bound, 0..1

    Raises
    ------
    InputError : ``costs`` that are not T positive numbers.

    A loss is an image that the full run classifies correctly and an early exit does not; gains by chance do not offset
    it. A limit is the greatest score before its next loss, so on new images it loses, in expectation, what it loses
    here and one more. All limits together stay under the exact binomial bound (Clopper and Pearson): were
    the true loss ``exit_loss``, so few losses would be seen with a probability of 1 - ``confidence`` at most. Where the
    images are too few for any promise, one timestep gets a limit, without a loss.

    Which timestep may lose how many images is found by a dynamic program over timesteps, which keeps of every number
    of losses the cheapest way there.
    """
    if kind == "off":
        return ExitRule()
    unfitted = ExitRule(kind, *_temperature(logit))
    scores, found = least_limits(z, unfitted), z.argmax(axis=2)
    if kind == "margin":
        scores[scores > 0] = NEVER  # two classes at par: no limit stops there
    final = found[:, -1:]
    lost = found != final if labels is None else (found != final) & (final == np.asarray(labels)[:, None])
    costs = np.ones(z.shape[1]) if costs is None else np.asarray(costs)
    if costs.shape != z.shape[1:2] or not (costs > 0).all():
        raise InputError(
            f"The costs must be {z.shape[1]} positive numbers, one for each timestep, not {costs.tolist()}."
        )
    best = _cheapest(scores, lost, max(1, _budget(len(z), exit_loss / 100, confidence)), costs)
    return replace(unfitted, limits=tuple(np.clip(-best if kind == "margin" else best, 0, NEVER)))


def _budget(images, share, confidence):
    """Return the greatest n so that fewer than n losses rule out, to ``confidence``, a loss of over ``share``."""
    if not 0 < share < 1:
        return round(images * share)
    n = np.arange(images + 1)
    factorials = np.cumsum(np.log(np.maximum(n, 1)))
    choices = factorials[-1] - factorials - factorials[::-1]
    below = np.cumsum(np.exp(choices + n * np.log(share) + (images - n) * np.log1p(-share)))
    return int(np.searchsorted(below, 1 - confidence, side="right"))


def _cheapest(scores, lost, budget, costs):
    """Return the limits [T] of least cost for ``scores`` and ``lost`` [N, T]; each is charged its losses and one.

    A way is (charge, cost, images still running, limits so far); ways that another one beats in both are dropped, and
    of more than `MOST_WAYS` left a choice is kept that is even in the charge.
    """
    ways = [(0, 0.0, np.arange(len(scores)), ())]
    for t in range(scores.shape[1] - 1):
        orders, options = [], []
        for i, (charge, cost, running, _) in enumerate(ways):
            order = running[np.argsort(scores[running, t], kind="stable")]
            ordered = scores[order, t]
            bounds = np.append(ordered[lost[order, t]], NEVER)[: budget - charge]
            charges = np.append(charge, charge + 1 + np.searchsorted(bounds, bounds))
            stopped = np.append(0, np.searchsorted(ordered, bounds))
            options.append(np.stack((charges, cost + costs[t + 1] * (len(order) - stopped), 0 * charges + i, stopped)))
            orders.append(order)
        ways = [
            (int(charge), cost, orders[int(i)][int(n) :],
             (*ways[int(i)][3], scores[orders[int(i)][int(n) - 1], t] if n else -NEVER))
            for charge, cost, i, n in _unbeaten(np.concatenate(options, axis=1)).T
        ]
    return np.array([*min(ways, key=lambda way: way[1])[3], -NEVER])


def _unbeaten(options):
    """Return those columns of ``options`` (charge, cost, ...) that none of less charge equals in cost."""
    options = options[:, np.lexsort(options[1::-1])]
    cheapest = np.minimum.accumulate(options[1])
    options = options[:, np.append(True, options[1, 1:] < cheapest[:-1])]
    return options[:, np.unique(np.linspace(0, options.shape[1] - 1, MOST_WAYS).round().astype(int))]


def paper_limits(z, logit, kind, labels=None, a=0.6, b=0.4):
    """Return the `ExitRule` of the paper's formula, its doubts measured on ``z`` int64 [N, T, C].

    An image stops when its doubt U is under ``1 - thr[t]``, with ``thr[t] = a + b * exp(min U - U(t))`` and U(t) the
    mean doubt of those images that timestep t classifies correctly (without labels: as the full run does; 1 if
    there is none). Doubt is 0 for a sure decision and 1 for a uniform one, of C classes::

        entropy      H / ln C
        confidence   (1 - p) * C / (C - 1)      p the largest probability
        margin       (1 - q) * 2                q the largest of the best two classes alone

    The authors' code puts the mean confidence itself in the place of U. That grows with time where a doubt falls, so
    early timesteps, the least sure ones, get the highest thresholds there; its complement is meant. The margin is not
    in the paper; for two classes it is the confidence.

    With a + b = 1 nothing stops at the timestep of least doubt, normally the last.
    """
    if kind == "off":
        return ExitRule()
    classes = z.shape[2]
    if classes < 2:
        raise InputError("The paper's exit formula compares classes: a network of one class has none. Use exit off.")
    if not (a >= 0 and b >= 0):
        raise InputError(f"The paper's exit formula takes a and b of at least 0, not {a!r} and {b!r}.")
    unfitted = ExitRule(kind, *_temperature(logit))
    found = z.argmax(axis=2)
    right = found == (found[:, -1:] if labels is None else np.asarray(labels)[:, None])
    doubt = _doubt(least_limits(z, unfitted) - 1, kind, classes, logit)
    count = right.sum(axis=0)
    mean = np.where(count, (doubt * right).sum(axis=0) / np.maximum(count, 1), 1.0)
    sure = a + b * np.exp(mean.min() - mean)
    return replace(unfitted, limits=tuple(_limits(1 - sure, kind, classes, logit)))


def _doubt(value, kind, classes, logit):
    """Return the doubt, 0..1, of what a rule compares: entropy in 1/256 bits, sum S, negated margin."""
    if kind == "entropy":
        return value / (2**FRACTION * np.log2(classes))
    if kind == "confidence":
        return (1 - EXP_ONE / value) * classes / (classes - 1)
    return 2 / (1 + np.exp(np.minimum(-value / logit, 700)))


def _limits(doubt, kind, classes, logit):
    """Return the limits, int64 [T], that stop below a ``doubt`` [T]; the inverse of `_doubt`."""
    some, doubt = doubt > 0, np.clip(doubt, 1e-12, 1)
    if kind == "entropy":
        limits = doubt * 2**FRACTION * np.log2(classes)
    elif kind == "confidence":
        limits = EXP_ONE / (1 - doubt * (classes - 1) / classes)
    else:
        limits = logit * np.log(2 / doubt - 1)
    limits = np.where(some, limits, NEVER if kind == "margin" else 0)
    limits[-1] = NEVER if kind == "margin" else 0
    return np.clip(np.rint(limits), 0, LIMIT_MAX).astype(np.int64)


def _temperature(logit):
    """Return (shift, scale) that make ``logit`` units of z, one of the float network's output, one nat."""
    octaves, shift = 1 / (logit * np.log(2)), 0
    while shift < SHIFT_MAX and octaves * 2 ** (16 + shift) < 64:
        shift += 1
    return shift, int(np.clip(np.rint(octaves * 2 ** (16 + shift)), 1, SCALE_MAX))
