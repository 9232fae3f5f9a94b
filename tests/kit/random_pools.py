"""Random networks some pool of which runs by itself on a core of several groups, though it could be fused."""

from collections.abc import Iterator
from itertools import count, islice

from gen.intnet import IntegerNetwork
from gen.plan.passes import layer_passes
from gen.plan.plan import make_plan
from tests.kit.random_networks import SECOND, random_network

__all__ = ["networks_with_pools_apart"]


def networks_with_pools_apart(
    number: int, width: int, groups: int, first: int = 0, **options
) -> Iterator[tuple[int, IntegerNetwork]]:
    """Yield (seed, network) of the first ``number`` seeds from ``first`` on; ``options``: of `random_network`."""
    drawn = ((seed, random_network(seed, contract=SECOND, **options)) for seed in count(first))
    return islice((row for row in drawn if _has_one(row[1], width, groups)), number)


def _has_one(network, width, groups):
    if not any(p.pool for p in layer_passes(network)):
        return False
    fused, apart = (make_plan(network, width=width, groups=groups, unfused=unfused) for unfused in (0, 1))
    return [p.layer.name for p in fused.passes] != [p.layer.name for p in apart.passes]
