"""Networks whose pools run by themselves though they could be fused, on one compiled core."""

import pytest

from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.regions import Room
from sim.compiled_core import CompiledCore
from tests.kit.compared import differences
from tests.kit.random_pools import networks_with_pools_apart

NETWORKS, IMAGES = 12, 3
WIDTH, GROUPS = 4, 4


@pytest.mark.slow
@pytest.mark.parametrize("room", [None, Room(weights=1, maps=1)])
def test_pools_by_themselves_change_no_bit(room):
    """With few lanes a tile, of which two neurons take a beat: their words come as close as they can."""
    networks = list(networks_with_pools_apart(NETWORKS, WIDTH, GROUPS))
    options = {"room": room} if room else {}
    params = covering([make_plan(network, width=WIDTH, groups=GROUPS, neurons=2, unfused=1, **options)
                       for _, network in networks], room)
    core = CompiledCore.for_plan(plan_on(networks[0][1], params, room), stalls=0.3)
    for seed, network in networks:
        core.load(plan_on(network, params, room))
        core.stalls = 0.3 * (seed % 3 > 0)
        assert not differences(core, network, seed, IMAGES), f"seed {seed}"
