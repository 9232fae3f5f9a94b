"""What stopping loses, as a smooth function of doubt: a logistic curve for each timestep, all fitted together.

Few images are ever lost, and counting those says little. That the chance of a loss rises with doubt, and that the
curves of two timesteps resemble each other, is known before: that is what a handful of losses is spread over here.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaincinv, logit

__all__ = ["LossCurves", "bound", "fit_curves"]

EVIDENCE = 4.0  # losses that the curves are worth as evidence of their own sum
OWN = 4.0  # precision with which a timestep's curve is thought to be that of all; a normal prior, in standard doubts
COMMON = np.array([1e-3, 0.1])  # that of the common curve, around `GUESS`
GUESS = np.array([-3.0, 1.0])
LEAST_SLOPE = 0.05
SWEEPS, ENOUGH = 60, 1e-6  # of Newton's method


@dataclass(frozen=True, eq=False)
class LossCurves:
    """The chance of a loss at timestep t for an image of doubt d: ``expit(rise[t] + slope[t] * d)``."""

    rise: np.ndarray
    slope: np.ndarray

    def chance(self, doubt: np.ndarray) -> np.ndarray:
        """Return the chance of a loss for ``doubt`` [N, T]."""
        return expit(self.rise + self.slope * doubt)

    def doubt(self, chance: np.ndarray) -> np.ndarray:
        """Return the doubts [T] at which a loss has that ``chance`` [T], between 0 and 1."""
        return (logit(chance) - self.rise) / self.slope


def fit_curves(doubt: np.ndarray, lost: np.ndarray) -> LossCurves:
    """Return the curves of greatest posterior probability.

    doubt : [N, T]; lost : [N, T], 0..1, what an image loses at each timestep

    Each curve is a common one plus an own part that is kept small, so that a timestep with few losses takes the curve
    of the others.
    """
    center, spread = doubt.mean(), doubt.std() or 1.0
    d, steps = (doubt - center) / spread, doubt.shape[1]
    design = np.stack([np.ones_like(d), d])  # [2, N, T]
    guess = np.concatenate([GUESS, np.zeros(2 * steps)])
    precision = np.concatenate([COMMON, np.full(2 * steps, OWN)])
    found = guess.copy()
    for _ in range(SWEEPS):
        own = found[:2, None] + found[2:].reshape(2, steps)
        p = expit(own[0] + own[1] * d)
        slopes = np.einsum("knt,nt->kt", design, lost - p)
        curvature = np.einsum("knt,lnt,nt->klt", design, design, np.maximum(p * (1 - p), 1e-9))
        step = np.linalg.solve(
            _bordered(curvature) + np.diag(precision),
            np.concatenate([slopes.sum(axis=1), slopes.ravel()]) - precision * (found - guess),
        )
        found = found + step / max(1.0, np.abs(step).max() / 2)
        if np.abs(step).max() < ENOUGH:
            break
    rise, slope = found[:2, None] + found[2:].reshape(2, steps)
    slope = np.maximum(slope, LEAST_SLOPE) / spread
    return LossCurves(rise - slope * center, slope)


def _bordered(curvature):
    """Return the curvature of the common and the own parts, [2 + 2T, 2 + 2T], of that of each timestep [2, 2, T]."""
    steps = curvature.shape[2]
    blocks = curvature[..., None] * np.eye(steps)  # [2, 2, T, T]
    own = blocks.transpose(0, 2, 1, 3).reshape(2 * steps, 2 * steps)
    border = curvature.reshape(2, 2 * steps)
    return np.block([[curvature.sum(axis=2), border], [border.T, own]])


def bound(expected: float, seen: float, confidence: float) -> float:
    """Return what the losses of so many images stay under with probability ``confidence``.

    ``expected``: the sum of the curves' chances over these images; ``seen``: how much they did lose. The true mean is
    thought to be a multiple of the expected one, of gamma distribution around 1, as sure as `EVIDENCE` losses are:
    few losses leave the curves to speak, many speak for themselves.
    """
    return expected * float(gammaincinv(seen + EVIDENCE, confidence)) / (expected + EVIDENCE)
