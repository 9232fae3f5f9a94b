"""Boxes of a picture, and which of many that overlap are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Boxes", "overlaps", "suppress"]

MOST_CANDIDATES = 1000  # of a class, the best of them: what is compared with each other


@dataclass(frozen=True, eq=False)
class Boxes:
    """What a detector found in one picture, best first.

    corners : float64 [M, 4], left, top, right and bottom in pixels, (0, 0) the upper left corner of the first pixel
    scores : float64 [M], 0..1
    classes : int64 [M]
    points : float64 [M, P, 2], x and y of each box's points in the same pixels, or None
    """

    corners: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    points: np.ndarray | None = None

    def __len__(self):
        return len(self.scores)

    def moved(self, scale: tuple[float, float], shift: tuple[float, float], size: tuple[float, float]) -> Boxes:
        """Return them in other pixels: times ``scale`` (x, y), plus ``shift`` (x, y), cut to a picture of ``size``.

        ``size`` is (width, height).
        """
        corners = self.corners.reshape(-1, 2, 2) * scale + shift
        points = None if self.points is None else self.points * scale + shift
        return Boxes(np.clip(corners, 0, size).reshape(-1, 4), self.scores, self.classes, points)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes [M, 4] and [K, 4], left, top, right and bottom: float64 [M, K]."""
    least = np.maximum(one[:, None, :2], other[None, :, :2])
    most = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.prod(np.maximum(most - least, 0), axis=2)
    areas = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def suppress(corners: np.ndarray, scores: np.ndarray, points: np.ndarray | None, *, score: float, iou: float,
             most: int) -> Boxes:
    """Return the boxes of one picture that are good enough and alone, class by class: greedy suppression.

    The best box stays and takes away all of its class that overlap it by more than ``iou``; of the rest the best
    stays, and so on (Felzenszwalb et al., 2010, section 7.2).

    Parameters
    ----------
    corners : [R, 4]; scores : [R, classes]; points : [R, P, 2] or None
    score : the least of a box; most : boxes of the picture
    """
    kept = []
    for number in range(scores.shape[1]):
        rows = np.flatnonzero(scores[:, number] >= score)
        rows = rows[np.argsort(-scores[rows, number], kind="stable")][:MOST_CANDIDATES]
        taken = overlaps(corners[rows], corners[rows]) > iou
        alive = np.ones(len(rows), bool)
        for i in range(len(rows)):
            if alive[i]:
                alive[i + 1 :] &= ~taken[i, i + 1 :]
        kept += [(scores[row, number], number, row) for row in rows[alive]]
    kept = sorted(kept, key=lambda found: (-found[0], found[1]))[:most]
    rows = np.array([row for _, _, row in kept], np.int64)
    return Boxes(
        corners[rows], np.array([found for found, _, _ in kept], float),
        np.array([number for _, number, _ in kept], np.int64), None if points is None else points[rows],
    )
