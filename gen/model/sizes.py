"""Numbers of a window as formats write them, in the form of `gen.window`: rows first, a height of 1 for one axis.

And what is too large to be computed, before it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from gen.model.refusal import Refused
from gen.network_checks import MAX_MAP

__all__ = ["Numbers", "bounded", "pair", "sides"]

# One number for all axes, one for each, or the name of a padding.
Numbers = int | Sequence[int] | np.ndarray | str

SAME, SAME_LOWER, VALID = "same", "same_lower", "valid"


def bounded(shape, what: str = "map"):
    """Return ``shape``, of a map or a weight; Refused where it is more than the integer network may hold."""
    count = prod(int(n) for n in shape)
    if count > MAX_MAP:
        raise Refused(f"makes a {what} of {count} numbers, the most is {MAX_MAP}", "smaller maps")
    return shape


def pair(value, axes: int = 2, other: int = 1) -> tuple[int, int]:
    """Return (vertical, horizontal) of one number for all ``axes`` or one for each; of one axis (``other``, number)."""
    numbers = [int(v) for v in np.ravel(value)]
    numbers = numbers * axes if len(numbers) == 1 else numbers
    if len(numbers) != axes or axes > 2:
        raise Refused(f"has a window of {len(numbers)} dimensions over {axes} axes", "one or two dimensions")
    return (numbers[0], numbers[1]) if axes == 2 else (other, numbers[0])


def sides(size, padding, kernel, stride, dilation=(1, 1), axes: int = 2) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right) of a padding: a word, one number, one for each axis, or two for each.

    size : rows and columns of what is padded. same: as many results as positions over stride, the odd zero below and
    to the right; same_lower: above and to the left; valid: none.
    """
    if isinstance(padding, str):
        if padding == VALID:
            return 0, 0, 0, 0
        if padding not in (SAME, SAME_LOWER):
            raise Refused(f"has the padding {padding!r}", "numbers, 'same' or 'valid'")
        total = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
                 for n, s, d, k in zip(size, stride, dilation, kernel)]
        small, large = [n // 2 for n in total], [n - n // 2 for n in total]
        before, after = (small, large) if padding == SAME else (large, small)
        return before[0], before[1], after[0], after[1]
    numbers = [int(p) for p in np.ravel(padding)]
    if len(numbers) == 2 * axes:
        return *pair(numbers[:axes], axes, 0), *pair(numbers[axes:], axes, 0)
    rows, columns = pair(numbers, axes, 0)
    return rows, columns, rows, columns
