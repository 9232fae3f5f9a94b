"""The exit rules on batches: `gen.exit_rule` with arrays."""

import numpy as np

from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, X_MAX

__all__ = ["exits", "scores"]

_EXP, _LOG = np.array(EXP), np.array(LOG)


def scores(rule, z):
    """Return int64 [N], the score of the logits ``z`` [N, C] under an exit rule other than ``off``.

    entropy : L + A // S in 2**-8 octaves; confidence : S; margin : the distance of the second largest logit.
    """
    z = np.asarray(z, np.int64)
    distance = z.max(axis=1, keepdims=True) - z
    if rule.kind == "margin":
        return np.sort(distance, axis=1)[:, 1] if z.shape[1] > 1 else distance[:, 0]
    x = np.minimum((np.minimum(distance >> rule.shift, DISTANCE_MAX) * rule.scale) >> SCALE_FRACTION, X_MAX)
    e = _EXP[x & 255] >> (x >> 8)
    total = e.sum(axis=1)
    if rule.kind == "confidence":
        return total
    n = np.frexp(total.astype(np.float64))[1] - 1
    return 256 * (n - 16) + _LOG[(total >> (n - 8)) & 255] + (e * x).sum(axis=1) // total


def exits(rule, z, t):
    """Return bool [N]: which rows of the logits ``z`` [N, C] stop after timestep ``t`` (1..T), or [N] timesteps.

    The contract's A < S * (limit - L) is ``score < limit``: A / S < m and A // S < m are one for an integer m.
    """
    if rule.kind == "off":
        return np.zeros(len(z), bool)
    score, limit = scores(rule, z), np.take(rule.limits, np.subtract(t, 1))
    return score > limit if rule.kind == "margin" else score < limit
