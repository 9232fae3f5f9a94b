"""The dynamic program against all choices."""

from itertools import product

import numpy as np
import pytest

from gen.method.pareto import pareto_front


@pytest.mark.parametrize("seed", range(12))
def test_the_front_is_that_of_all_choices(seed):
    rng = np.random.default_rng(seed)
    options = rng.integers(1, 6, rng.integers(1, 6))
    costs = [rng.integers(0, 9, n).tolist() for n in options]
    losses = [(rng.integers(-3, 9, n) / 8).tolist() for n in options]  # eighths add up exactly
    every = {
        choice: (sum(c[i] for c, i in zip(costs, choice)), sum(s[i] for s, i in zip(losses, choice)))
        for choice in product(*map(range, options))
    }
    best = sorted({pair for pair in every.values()
                   if not any(a <= pair[0] and b <= pair[1] and (a, b) != pair for a, b in every.values())})
    front = pareto_front(costs, losses)
    assert [(point.cost, point.loss) for point in front] == best, f"seed {seed}"
    # the choice is in the layers' own order: it costs and loses what the point says
    assert all(every[point.choice] == (point.cost, point.loss) for point in front), f"seed {seed}"


def test_a_layer_of_one_option_and_equal_options():
    (point,) = pareto_front([[5], [2, 2]], [[0.5], [1.0, 1.0]])
    assert (point.cost, point.loss, point.choice) == (7, 1.5, (0, 0))


def test_layers_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        pareto_front([[1], [2]], [[1]])
