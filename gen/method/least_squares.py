"""Least squares with integer unknowns: the weights of a layer that reproduce given currents best.

Each output channel o has its own unknowns w and its own target y, over samples x of what it reads::

    least over w of  mean((w x - y)^2) + damping |w - start|^2  =  (w - w*)' H (w - w*) + constant

where H = mean(x x') + damping. The unknowns come in blocks. In a block of g groups, the outputs of a group share
their x, so their H; a linear layer or an ordinary convolution is one block of one group, a residual identity
beside it one of as many groups as channels. Weights are lists over the blocks of float [out, candidates, n].
"""

import numpy as np

__all__ = ["LeastSquares"]

DAMPING = 0.2  # of the mean square of an input
TOGETHER = 32
FAINT = 0.01  # a group that sees next to nothing is damped as if it saw this share of what the others see


class LeastSquares:
    """``columns``: per block the samples x, float [groups, rows, n]; ``start``: per block float [out, 1, n]."""

    def __init__(self, columns, start):
        self.x = [x - x.mean(1, keepdims=True) for x in columns]
        self.start = start
        self.h = [[_moment(a, b) for b in self.x] for a in self.x]
        squares = [h[i].diagonal(axis1=1, axis2=2).mean(1, keepdims=True) for i, h in enumerate(self.h)]
        level = max(s.mean() for s in squares) or 1.0
        for i, square in enumerate(squares):
            every = np.arange(self.x[i].shape[2])
            self.h[i][i][:, every, every] += DAMPING * np.maximum(square, FAINT * level)
        self.inverse = [np.linalg.inv(h[i]) for i, h in enumerate(self.h)]

    def predict(self, w):
        """Return what ``w`` makes of the samples, float [rows, out]."""
        parts = [x @ _grouped(v, len(x)).transpose(0, 2, 1) for x, v in zip(self.x, w)]
        return sum(part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in parts)

    def regress(self, y):
        """Return w* for ``y`` [rows, out]; where there are several blocks, each in turn until they agree."""
        rest = y - y.mean(0) - self.predict(self.start)
        pulls = []
        for x, v in zip(self.x, self.start):
            pull = x.transpose(0, 2, 1) @ rest.reshape(len(rest), len(x), -1).transpose(1, 0, 2) / len(rest)
            pulls.append(pull.transpose(0, 2, 1).reshape(v.shape))
        moved = [np.zeros_like(v) for v in self.start]
        for _ in range(8 if len(moved) > 1 else 1):
            for i, pull in enumerate(pulls):
                moved[i] = moved[i] + _times(pull - self._slope(moved, i), self.inverse[i])
        return [v + m for v, m in zip(self.start, moved)]

    def loss(self, w, goal):
        """Return (w - goal)' H (w - goal), float [out, candidates]."""
        off = [a - b for a, b in zip(w, goal)]
        return sum((e * self._slope(off, i)).sum(2) for i, e in enumerate(off))

    def round(self, goal, limit):
        """Return integers of at most ``limit`` [out] near ``goal``, chosen column by column.

        The columns not yet rounded take over the error of those that are, as in optimal brain quantization by the
        Cholesky factor of H^-1 (Frantar et al., GPTQ, ICLR 2023); a later block takes over that of an earlier one.
        """
        limit = np.broadcast_to(np.asarray(limit)[:, None, None], goal[0].shape[:2] + (1,))
        off, found = [np.zeros_like(v) for v in goal], []
        for i, want in enumerate(goal):
            moved = want - _times(self._slope(off, i), self.inverse[i])
            groups = len(self.x[i])
            integers = _feedback(_grouped(moved, groups), self.inverse[i], _grouped(limit, groups))
            found.append(integers.reshape(want.shape))
            off[i] = found[i] - want
        return found

    def descend(self, w, goal, limit, sweeps=4):
        """Return ``w`` after moving single weights, one after the other, to where the loss is least."""
        w = [v.copy() for v in w]
        for _ in range(sweeps):
            before = [v.copy() for v in w]
            for i, v in enumerate(w):
                groups, h = len(self.x[i]), self.h[i][i]
                slope = _grouped(self._slope([a - b for a, b in zip(w, goal)], i), groups)
                v, most = _grouped(v, groups), _grouped(np.asarray(limit)[:, None, None], groups)[..., 0]
                for j in range(v.shape[2]):
                    step = np.rint(v[..., j] - slope[..., j] / h[:, j, j, None]).clip(-most, most) - v[..., j]
                    v[..., j] += step
                    slope += step[..., None] * h[:, None, j]
            if all(np.array_equal(a, b) for a, b in zip(w, before)):
                break
        return w

    def _slope(self, off, i):
        """Return half the slope of the loss over block ``i``, where the weights are ``off`` the goal."""
        return sum(_times(e, self.h[k][i]) for k, e in enumerate(off))


def _grouped(rows, groups):
    """Return ``rows`` [out, candidates, n] as [groups, rows of a group, n], a view."""
    return rows.reshape(groups, -1, rows.shape[2])


def _times(rows, matrices):
    """Return ``rows`` [out, candidates, n] times the matrix of their group, ``matrices`` [groups, n, m]."""
    return (_grouped(rows, len(matrices)) @ matrices).reshape(*rows.shape[:2], -1)


def _moment(a, b):
    """Return mean(x_a x_b') for every group of the finer division, [groups, n_a, n_b]."""
    groups = int(np.lcm(len(a), len(b)))
    if groups > max(len(a), len(b)):
        a, b = (np.repeat(x, groups // len(x), axis=0) for x in (a, b))
    if len(a) > len(b):
        return _moment(b, a).transpose(0, 2, 1)
    rows, n = b.shape[1:]
    fine = b.reshape(len(a), -1, rows, n).transpose(0, 2, 1, 3).reshape(len(a), rows, -1)
    products = a.transpose(0, 2, 1) @ fine / rows
    return products.reshape(len(a), a.shape[2], -1, n).transpose(0, 2, 1, 3).reshape(groups, a.shape[2], n)


def _feedback(w, inverse, limit):
    """Return integers of at most ``limit`` [groups, rows, 1] for ``w`` [groups, rows, n], surest columns first.

    ``inverse`` is that of H. The error of a column reaches the rest of its `TOGETHER` columns at once, those beyond
    when these are done.
    """
    order = np.argsort(inverse.diagonal(axis1=1, axis2=2), axis=1, kind="stable")
    inverse = np.take_along_axis(np.take_along_axis(inverse, order[:, :, None], 1), order[:, None, :], 2)
    upper = np.linalg.cholesky(inverse).transpose(0, 2, 1)
    w = np.take_along_axis(w, order[:, None, :], 2)
    for first in range(0, w.shape[2], TOGETHER):
        last = min(first + TOGETHER, w.shape[2])
        error = np.empty((*w.shape[:2], last - first))
        for j in range(first, last):
            rounded = np.rint(w[..., j]).clip(-limit[..., 0], limit[..., 0])
            error[..., j - first] = (w[..., j] - rounded) / upper[:, j, j, None]
            w[..., j] = rounded
            w[..., j + 1 : last] -= error[..., j - first, None] * upper[:, None, j, j + 1 : last]
        w[..., last:] -= error @ upper[:, first:last, last:]
    result = np.empty_like(w)
    np.put_along_axis(result, np.broadcast_to(order[:, None, :], w.shape), w, 2)
    return result
