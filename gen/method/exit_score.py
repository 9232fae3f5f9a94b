"""How sure an exit rule finds a network: the least limit with which it exits, for many images at once."""

import numpy as np

from gen.exit_rule import (
    DISTANCE_MAX, EXP, EXP_ONE, LIMIT_MAX, LOG, SCALE_FRACTION, SCALE_MAX, SHARE_ONE, SHIFT_MAX, X_MAX, ExitRule,
)

__all__ = [
    "NEVER", "decisions", "exit_steps", "from_log_doubt", "image_scores", "least_limits", "log_doubt", "stops",
    "temperature",
]

NEVER = LIMIT_MAX
LEAST_DOUBT = 0.5  # in units of a rule's score; below is nothing that it tells apart


def least_limits(z, rule: ExitRule) -> np.ndarray:
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


def image_scores(z, rule: ExitRule) -> np.ndarray:
    """Return int64 [N, T], the least limits with which ``rule`` stops images of logits ``z``.

    ``z`` is int64 [N, T, C], or [N, T, C, H, W] of an output with positions: there the limit is the least under which
    the rule's share of the positions pass.
    """
    z = np.asarray(z)
    if z.ndim == 3:
        return least_limits(z, rule)
    scores = least_limits(np.moveaxis(z, 2, -1), rule).reshape(*z.shape[:2], -1)
    passing = -(-rule.share * scores.shape[-1] // SHARE_ONE)
    return np.partition(scores, passing - 1, axis=-1)[..., passing - 1]


def decisions(z) -> np.ndarray:
    """Return the classes of ``z`` [N, T, C] or [N, T, C, H, W]: int64 [N, T, positions]."""
    classes = np.asarray(z).argmax(axis=2)
    return classes.reshape(*classes.shape[:2], -1)


def stops(scores, rule: ExitRule, limits=None) -> np.ndarray:
    """Return int64 [N], the first of T timesteps, 0..T-1, at which ``rule`` stops ``scores`` [N, T]; T: none.

    ``limits`` [T], by default the rule's, are of the kind of `least_limits`.
    """
    if limits is None:
        limits = np.asarray(rule.limits) * (-1 if rule.kind == "margin" else 1)
    passed = scores <= limits
    return np.where(passed.any(axis=1), passed.argmax(axis=1), scores.shape[1])


def exit_steps(z, rule: ExitRule) -> np.ndarray:
    """Return the timestep 1..T at which ``rule`` stops each image; ``z`` as for `image_scores`."""
    steps = np.asarray(z).shape[1]
    if rule.kind == "off":
        return np.full(len(z), steps)
    return np.minimum(stops(image_scores(z, rule), rule) + 1, steps)


def log_doubt(scores, rule: ExitRule) -> np.ndarray:
    """Return doubt on a scale, in nats, on which that of a losing second class falls as fast as it is behind.

    The entropy and the share left by the best class fall with the exponential of the margin, so their logarithm and
    the negated margin itself are three measures of one thing.
    """
    if rule.kind == "margin":
        return scores * _nats(rule)
    over = scores if rule.kind == "entropy" else scores - EXP_ONE - 1
    return np.log(np.maximum(over, LEAST_DOUBT))


def from_log_doubt(doubt, rule: ExitRule) -> np.ndarray:
    """Return int64, the greatest scores of at most that `log_doubt`, within what a limit can hold."""
    if rule.kind == "margin":
        return np.clip(np.floor(doubt / _nats(rule)), -NEVER, 0).astype(np.int64)
    over = np.exp(np.minimum(doubt, np.log(NEVER)))
    return np.clip(np.floor(over if rule.kind == "entropy" else over + EXP_ONE + 1), 0, NEVER).astype(np.int64)


def temperature(logit: float) -> tuple[int, int]:
    """Return (shift, scale) that make ``logit`` units of z, one of the float network's output, one nat."""
    octaves, shift = 1 / (logit * np.log(2)), 0
    while shift < SHIFT_MAX and octaves * 2 ** (16 + shift) < 64:
        shift += 1
    return shift, int(np.clip(np.rint(octaves * 2 ** (16 + shift)), 1, SCALE_MAX))


def _nats(rule):
    """Return what one unit of z is in nats."""
    return rule.scale / 2 ** (rule.shift + 16) * np.log(2)
