"""Integer least squares: the optimum where it is known, better than rounding where it is not."""

import itertools

import numpy as np
import pytest

from gen.method.least_squares import LeastSquares

pytestmark = pytest.mark.usefixtures("one_thread")
OUT, ROWS, LIMIT = 6, 400, 7


def case(seed, *blocks):
    """A problem of ``blocks`` (groups, columns), its inputs mixed so that they go together, and its target."""
    rng = np.random.default_rng(seed)
    columns = [rng.random((g, ROWS, n)) @ rng.normal(size=(g, n, n)) + rng.random((g, ROWS, 1)) for g, n in blocks]
    start = [rng.normal(size=(OUT, 1, n)) for _, n in blocks]
    problem = LeastSquares(columns, start)
    return problem, problem.predict(start) + 0.3 * rng.normal(size=(ROWS, OUT))


def full(problem, output):
    """H of one output over the columns of all blocks, from the samples."""
    parts = [x[output * len(x) // OUT] for x in problem.x]
    h = np.concatenate(parts, axis=1)
    h = h.T @ h / ROWS
    at = 0
    for i, part in enumerate(parts):
        damped = problem.h[i][i][output * len(problem.x[i]) // OUT]
        every = np.arange(at, at + part.shape[1])
        h[every, every] = damped.diagonal()
        at += part.shape[1]
    return h


SHAPES = [((1, 6),), ((2, 5),), ((6, 3),), ((1, 1),), ((6, 1), (1, 6)), ((6, 2), (3, 2), (2, 3), (1, 4))]


@pytest.mark.parametrize("blocks", SHAPES)
def test_loss_and_regression_are_those_of_every_output_alone(blocks):
    problem, y = case(0, *blocks)
    goal = problem.regress(y)
    rng = np.random.default_rng(1)
    w = [v + rng.normal(size=v.shape) for v in goal]
    rest = y - y.mean(0) - problem.predict(problem.start)
    for o in range(OUT):
        h = full(problem, o)
        off = np.concatenate([(a - b)[o, 0] for a, b in zip(w, goal)])
        assert problem.loss(w, goal)[o, 0] == pytest.approx(off @ h @ off)
        x = np.concatenate([x[o * len(x) // OUT] for x in problem.x], axis=1)
        moved = np.concatenate([(a - b)[o, 0] for a, b in zip(goal, problem.start)])
        assert moved == pytest.approx(np.linalg.solve(h, x.T @ rest[:, o] / ROWS), abs=0.02)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("blocks", SHAPES)
def test_rounding_with_feedback_beats_rounding_and_descent_never_loses(blocks, seed):
    problem, y = case(seed, *blocks)
    goal, limit = [3 * v for v in problem.regress(y)], np.full(OUT, LIMIT)
    plain = [np.rint(v).clip(-LIMIT, LIMIT) for v in goal]
    rounded = problem.round(goal, limit)
    best = problem.descend(rounded, goal, limit)
    for w in (rounded, best):
        assert all((v == np.rint(v)).all() and np.abs(v).max() <= LIMIT for v in w), f"seed {seed}"
    losses = [problem.loss(w, goal) for w in (plain, rounded, best)]
    assert (losses[2] <= losses[1] * (1 + 1e-9)).all(), f"seed {seed}"
    assert losses[2].sum() <= losses[0].sum() * (1 + 1e-9), f"seed {seed}"
    moved = problem.descend(plain, goal, limit)
    assert (problem.loss(moved, goal) <= losses[0] * (1 + 1e-9)).all(), f"seed {seed}"


def test_close_to_the_best_of_all_integers():
    every, excess = np.array(list(itertools.product(range(-2, 3), repeat=4)), float), []
    for seed in range(10):
        problem, y = case(seed, (1, 4))
        goal, limit = problem.regress(y), np.full(OUT, 2)
        least = problem.loss([np.broadcast_to(every, (OUT, *every.shape))], goal).min(1)
        found = problem.loss(problem.descend(problem.round(goal, limit), goal, limit), goal)[:, 0]
        plain = problem.loss([np.rint(goal[0]).clip(-2, 2)], goal)[:, 0]
        assert (found >= least - 1e-12).all(), f"seed {seed}"
        excess.append(((found - least).sum(), (plain - least).sum()))
    mine, theirs = np.sum(excess, axis=0)
    assert mine <= 0.4 * theirs


def test_limits_and_candidates_are_independent():
    problem, y = case(3, (6, 2), (1, 5))
    goal = [v * np.array([1.0, 3.0, 9.0])[:, None] for v in problem.regress(y)]
    limit = np.array([1, 3, 7, 127, 7, 3])
    together = problem.round(goal, limit)
    for k in range(3):
        alone = problem.round([v[:, k : k + 1] for v in goal], limit)
        assert all(np.array_equal(a[:, k], b[:, 0]) for a, b in zip(together, alone))
    assert (np.abs(together[1]).max((1, 2)) <= limit).all()


def test_inputs_that_are_never_active_leave_their_weights_alone():
    rng = np.random.default_rng(4)
    x = rng.random((1, ROWS, 5))
    x[..., 2] = 0.0
    start = [rng.normal(size=(OUT, 1, 5)), rng.normal(size=(OUT, 1, 1))]
    problem = LeastSquares([x, np.zeros((6, ROWS, 1))], start)
    goal = problem.regress(rng.normal(size=(ROWS, OUT)))
    assert np.array_equal(goal[0][..., 2], problem.start[0][..., 2])
    assert np.array_equal(goal[1], problem.start[1])
    assert all(np.isfinite(v).all() for v in problem.round(goal, np.full(OUT, LIMIT)))
