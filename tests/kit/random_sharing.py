"""Random networks whose readouts' inputs the groups of a core share."""

from collections.abc import Callable, Iterator
from itertools import count, islice

from gen.errors import UnsupportedNetwork
from gen.plan.plan import make_plan
from tests.kit.random_networks import random_network

__all__ = ["networks_that_share"]


def networks_that_share(
    number: int, width: int, groups: int, draw: Callable[[int], object] = random_network, first: int = 0, **options
) -> Iterator[tuple]:
    """Yield (seed, network) of the first ``number`` seeds from ``first`` on.

    ``draw`` makes a network of a seed; ``options``: of `make_plan`.
    """
    drawn = ((seed, draw(seed)) for seed in count(first))
    return islice((row for row in drawn if _shares(row[1], width, groups, options)), number)


def _shares(network, width, groups, options):
    try:
        return make_plan(network, width=width, groups=groups, **options).layout.shared
    except UnsupportedNetwork:
        return False
