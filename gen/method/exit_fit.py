"""When to stop, fitted on the integer network: one limit per timestep, for a loss that is allowed."""

from dataclasses import replace

import numpy as np

from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.method.exit_paper import paper_limits
from gen.method.exit_score import (
    NEVER, decisions, exit_steps, from_log_doubt, image_scores, least_limits, log_doubt, stops, temperature,
)
from gen.method.loss_curves import bound, fit_curves

__all__ = ["FITS", "cheapest_limits", "exit_images", "exit_steps", "fit_exit", "least_limits", "losses", "paper_limits"]

FITS = ("loss", "paper")
MOST_IMAGES = 10_000
CONFIDENCE = 0.9
ENOUGH = 1000  # images of their own that a fit prefers to more images which have set biases as well
LEAST_ALLOWED = 0.25  # losses: no number of images can show that there are fewer
LOG_PRICES, HALVINGS = (-60.0, 20.0), 14  # a price is the chance of a loss that a unit of cost is worth
CHANCES = 1e-12, 1 - 1e-12
SETTLING = 4


def exit_images(count: int, used: int) -> slice:
    """Return which of ``count`` calibration images fit the exits, the first ``used`` having set the biases."""
    first = used if count - used >= ENOUGH else 0
    return slice(first, first + MOST_IMAGES)


def fit_exit(z, logit: float, kind: str, exit_loss: float, labels=None, *, costs=None, confidence: float = CONFIDENCE,
             **looks) -> ExitRule:
    """Return the `ExitRule` that stops early and loses at most ``exit_loss`` points on images like ``z``.

    Parameters
    ----------
    z : int64 [N, T, C], the output that decides after every timestep, of images that nothing else was fitted to; of an
        output with positions [N, T, C, H, W]
    logit : units of z for one of the float network's output
    kind : entropy, confidence, margin or off
    exit_loss : accuracy points that early exits may lose, of positions where there are any
    labels : integers [N] or [N, H, W], or None: the decision after all timesteps stands in
    costs : [T], what each timestep costs; by default all the same, so that the mean timesteps are least
    confidence : of the bound, 0..1
    looks : the rule's ``output`` and ``share``

    Raises
    ------
    InputError : ``costs`` that are not T positive numbers.

    A loss is an image that the full run classifies correctly and an early exit does not; gains by chance do not offset
    it. See `cheapest_limits` for how the limits follow.
    """
    if kind == "off":
        return ExitRule()
    z, steps = np.asarray(z), np.shape(z)[1]
    costs = np.ones(steps) if costs is None else np.asarray(costs)
    if costs.shape != (steps,) or not (costs > 0).all():
        raise InputError(f"The costs must be {steps} positive numbers, one for each timestep, not {costs.tolist()}.")
    rule, found = ExitRule(kind, *temperature(logit), **looks), decisions(z)
    lost = losses(found[:, :-1], found[:, -1], labels)
    limits = cheapest_limits(rule, image_scores(z, rule)[:, :-1], lost, exit_loss, costs, confidence)
    return replace(rule, limits=(*limits, NEVER if kind == "margin" else 0))


def losses(early, final, labels=None) -> np.ndarray:
    """Return float [N, T], the share of an image's positions that ``early`` gets wrong and ``final`` does not.

    early : int64 [N, T, positions]; final : int64 [N, positions]; labels : integers [N, ...], by default ``final``
    """
    final = final[:, None]
    truth = final if labels is None else np.reshape(labels, final.shape)
    return ((early != truth) & (final == truth)).mean(axis=2)


def cheapest_limits(rule: ExitRule, scores, lost, exit_loss: float, costs,
                    confidence: float = CONFIDENCE) -> np.ndarray:
    """Return the limits, int64 [T], of the timesteps at which an image may stop.

    rule : what it measures doubt by
    scores : int64 [N, T] of `image_scores`, of those timesteps
    lost : [N, T], 0..1, what an image loses by stopping there
    exit_loss : points that may be lost in all
    costs : [T + 1], of each of these timesteps, and of what follows where an image stops at none of them

    The chance of a loss is a smooth curve of doubt at each timestep, `gen.method.loss_curves`. An image stops where
    this chance is worth what is saved: at one price for all timesteps, the chance of a loss for a unit of cost. That is
    the cheapest way to any number of losses, and every timestep gets a limit. The price is the highest under which the
    losses stay within the promise with probability ``confidence``.
    """
    count, steps = scores.shape
    if not steps:
        return np.zeros(0, np.int64)
    doubt = log_doubt(scores, rule)
    curves = fit_curves(doubt, lost)
    chance, allowed = curves.chance(doubt), count * exit_loss / 100
    spent = np.cumsum(costs)

    def limits_of(price):
        """Return the limits at that price, and whether they keep the promise."""
        saved = spent[-1] - spent[:-1]
        for _ in range(SETTLING):  # what stopping saves depends on where the others stop
            limits = from_log_doubt(curves.doubt(np.clip(price * saved, *CHANCES)), rule)
            stop = stops(scores, rule, limits)
            saved = _saved(stop, spent, saved)
        early = stop < steps
        seen, expected = (values[early, stop[early]].sum() for values in (lost, chance))
        return limits, seen <= allowed and bound(expected, seen, confidence) <= max(allowed, LEAST_ALLOWED)

    best, low, high = np.full(steps, -NEVER), *LOG_PRICES
    for _ in range(HALVINGS):
        price = (low + high) / 2
        limits, kept = limits_of(np.exp(price))
        best, low, high = (limits, price, high) if kept else (best, low, price)
    return np.clip(-best if rule.kind == "margin" else best, 0, NEVER)


def _saved(stop, spent, before):
    """Return [T], what it costs on average to go on after each timestep; as ``before`` where nothing does."""
    return np.array([
        spent[stop[stop > t]].mean() - spent[t] if (stop > t).any() else before[t] for t in range(len(spent) - 1)
    ])
