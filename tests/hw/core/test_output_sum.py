"""`hw.core.output_sum`: values of all groups added up, in the accumulator's width, or that of group 0."""

import numpy as np
import pytest

from hw.core.output_sum import OutputSum
from tests.kit.streams import play


@pytest.mark.parametrize("groups", [2, 4])
def test_the_values_of_the_groups_are_added_up_where_they_share(sizes, groups):
    rng, top = np.random.default_rng(groups), 2**11
    rows = [{"own": rng.integers(-top, top, groups).tolist(), "shared": n % 2} for n in range(40)]
    rows += [{"own": [top - 1] * groups, "shared": 1}, {"own": [-top] * groups, "shared": 1}]
    seen = play(OutputSum(sizes(groups=groups, shared=1, acc_bits=12)), [*rows, {}], "o")
    for row, (value,) in zip(rows, seen[1:], strict=True):
        whole = sum(row["own"]) if row["shared"] else row["own"][0]
        assert value == (whole + top) % (2 * top) - top
