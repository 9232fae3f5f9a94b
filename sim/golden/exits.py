"""The exit rules on batches: `gen.exit_rule` with arrays."""

import math

import numpy as np

from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, SHARE_ONE, X_MAX, ExitRule

__all__ = ["exits", "scores"]

_EXP, _LOG = np.array(EXP), np.array(LOG)


def scores(rule: ExitRule, z: np.ndarray) -> np.ndarray:
    """Return int64 [N], the score of the logits ``z`` [N, C] under an exit rule other than ``off``.

    entropy : L + A // S in 2**-8 octaves; confidence : S; margin : the distance of the second largest logit.
    Of logits [N, C, H, W] the scores are [N, H, W], those of every position.
    """
    z = np.asarray(z, np.int64)
    distance = z.max(axis=1, keepdims=True) - z
    if rule.kind == "margin":
        return np.partition(distance, 1, axis=1)[:, 1] if z.shape[1] > 1 else distance[:, 0]
    x = np.minimum((np.minimum(distance >> rule.shift, DISTANCE_MAX) * rule.scale) >> SCALE_FRACTION, X_MAX)
    e = _EXP[x & 255] >> (x >> 8)
    total = e.sum(axis=1)
    if rule.kind == "confidence":
        return total
    n = np.frexp(total.astype(np.float64))[1] - 1
    return 256 * (n - 16) + _LOG[(total >> (n - 8)) & 255] + (e * x).sum(axis=1) // total


def exits(rule: ExitRule, z: np.ndarray, t: int | np.ndarray) -> np.ndarray:
    """Return bool [N]: which rows of the logits ``z``, [N, C] or [N, C, H, W], stop after timestep ``t``.

    ``t`` is one of 1..T, or [N] of them. Of a map enough positions must pass, ``rule.share`` of them. The contract's
    A < S * (limit - L) is ``score < limit``: A / S < m and A // S < m are one for an integer m.
    """
    if rule.kind == "off":
        return np.zeros(len(z), bool)
    score = scores(rule, z)
    positions = math.prod(score.shape[1:])
    score, limit = score.reshape(len(z), positions), np.take(rule.limits, np.subtract(t, 1))
    limit = limit.reshape(-1, 1)
    passing = (score > limit if rule.kind == "margin" else score < limit).sum(axis=1)
    return passing * SHARE_ONE >= rule.share * positions
