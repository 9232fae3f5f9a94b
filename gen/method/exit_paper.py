"""When to stop by the paper's formula, which looks at doubts and at no loss."""

from dataclasses import replace

import numpy as np

from gen.errors import InputError
from gen.exit_rule import EXP_ONE, FRACTION, LIMIT_MAX, ExitRule
from gen.method.exit_score import NEVER, least_limits, temperature

__all__ = ["paper_limits"]


def paper_limits(z, logit: float, kind: str, labels=None, a: float = 0.6, b: float = 0.4, **looks) -> ExitRule:
    """Return the `ExitRule` of the paper's formula, its doubts measured on ``z`` int64 [N, T, C].

    Of an output with positions, ``z`` [N, T, C, H, W] and ``labels`` [N, H, W], each position counts as an image.
    ``looks``: the rule's ``output`` and ``share``.

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
    unfitted = ExitRule(kind, *temperature(logit), **looks)
    if z.ndim > 3:
        z = z.transpose(0, 3, 4, 1, 2).reshape(-1, *z.shape[1:3])
        labels = None if labels is None else np.ravel(labels)
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


