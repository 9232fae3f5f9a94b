"""Random exit rules for a network, with limits from the scores of random images: these exit at many timesteps."""

from dataclasses import replace

import numpy as np

from gen.exit_rule import LIMIT_MAX, SCALE_MAX, SHARE_ONE, SHIFT_MAX, ExitRule
from sim.golden import Golden, exits, scores
from tests.kit.random_images import random_images

__all__ = ["random_rule", "whole_range_rule"]

_CALIBRATION = 48


def random_rule(rng, network, kind, seed):
    """Draw a rule whose limits stop a random share of the random images after each timestep."""
    if kind == "off":
        return ExitRule()
    logits = Golden(network).all_logits(random_images(network, seed, _CALIBRATION))
    spread = max(1.0, float(np.median(np.ptp(logits, axis=2))))
    shift = int(rng.integers(0, 6))
    scale = int(np.clip(rng.uniform(1, 8) * 2 ** (shift + 16) / spread, 1, SCALE_MAX))
    return _limited(rng, ExitRule(kind, shift, scale), logits, _limit)


def whole_range_rule(rng, network, kind, seed, output=None):
    """Draw a rule of any output or of ``output``, any share, whose temperature and limits may be any numbers at all."""
    output = output or str(rng.choice(network.outputs))
    if kind == "off":
        return ExitRule(output=output)
    looking = Golden(replace(network, exit_rule=ExitRule(output=output)))
    logits = looking.all_logits(random_images(network, seed, _CALIBRATION))
    spread = max(1.0, float(np.median(np.ptp(logits, axis=2))))
    shift = int(rng.integers(0, 6))
    scale = int(np.clip(rng.uniform(1, 8) * 2 ** (shift + 16) / spread, 1, SCALE_MAX))
    if rng.random() < 0.3:
        shift, scale = int(rng.integers(0, SHIFT_MAX, endpoint=True)), _any(rng, 1, SCALE_MAX)
    share = int(rng.choice([1, SHARE_ONE, rng.integers(1, SHARE_ONE, endpoint=True)]))
    rule = ExitRule(kind, shift, scale, output=output, share=share)
    return _limited(rng, rule, logits, _limit if rng.random() < 0.7 else lambda rng, *_: _any(rng, 0, LIMIT_MAX))


def _any(rng, least, most):
    """Return an integer of ``least..most`` whose number of bits is any; often a power of two or a neighbour of one."""
    power = 2 ** int(rng.integers(0, most.bit_length()))
    value = rng.choice([power - 1, power, power + 1, rng.integers(power, 2 * power)])
    return int(np.clip(value, least, most))


def _limited(rng, rule, logits, draw):
    """Return ``rule`` with a limit for each timestep, drawn for the images that are still there; see `_limit`."""
    limits = []
    for t in range(logits.shape[1]):
        share = rng.choice([0.0, rng.uniform(0.1, 0.5), 1.0], p=[0.2, 0.75, 0.05])
        limits.append(draw(rng, scores(rule, logits[:, t]), share, rule.kind) if len(logits) else 0)
        logits = logits[~exits(replace(rule, limits=limits), logits[:, t], t + 1)]
    return replace(rule, limits=limits)


def _limit(rng, score, share, kind):
    """Return a limit that stops about ``share`` of the images with these scores; tied ones stay together."""
    tied = int(rng.integers(2))
    limit = np.quantile(score, 1 - share) - tied if kind == "margin" else np.quantile(score, share) + tied
    if share in (0.0, 1.0):
        limit = 0 if (share == 1.0) == (kind == "margin") else LIMIT_MAX
    return int(np.clip(limit, 0, LIMIT_MAX))
