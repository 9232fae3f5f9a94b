"""Cores with their weights in single-port RAM: loaded through the load port, equal to the golden model."""

from contextlib import suppress
from dataclasses import replace

import pytest

from gen.errors import UnsupportedNetwork
from gen.plan.plan import covering, make_plan, plan_on
from hw.verilog import core_verilog
from sim.cells import SPRAM, with_cells
from sim.golden import Golden
from sim.compiled_core import CompiledCore
from tests.kit.random_networks import random_images, random_network


@pytest.mark.parametrize("lanes, seeds, layer_bits, deeper, spram", [
    (4, range(40), (), 20000, 2), (8, range(70, 100), (3, 4, 8), 1, 1),
])
def test_random_networks_run_from_single_port_ram(lanes, seeds, layer_bits, deeper, spram):
    networks = {}
    for seed in seeds:
        with suppress(UnsupportedNetwork):  # groupings that no tiles of so few lanes suit
            network = random_network(seed, layer_bits=layer_bits)
            networks[seed] = network, make_plan(network, lanes, spram=spram)
    assert len(networks) > len(seeds) * 3 // 4
    params = covering([plan for _, plan in networks.values()])
    networks = {seed: network for seed, (network, _) in networks.items()}
    params = replace(params, weights=max(deeper, params.weights))
    core = CompiledCore.for_plan(plan_on(next(iter(networks.values())), params), stalls=0.2, seed=lanes)
    for seed, network in networks.items():
        core.load(plan_on(network, params))
        x = random_images(network, seed, 2)
        found, wanted = core.run(x), Golden(network).run(x)
        for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
            same = (getattr(found, name) == getattr(wanted, name)).all()
            assert same, f"random_network({seed}), {lanes} lanes: {name}"


def test_models_are_added_where_their_cells_are():
    plain, other = (core_verilog(make_plan(random_network(3), 4, spram=n)) for n in (0, 1))
    assert with_cells([plain]) == [plain]
    assert with_cells([other, plain]) == [other, plain, SPRAM]
