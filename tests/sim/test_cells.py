"""Cores with their weights in single-port RAM: loaded through the load port, equal to the golden model."""

from dataclasses import replace
from functools import reduce

import pytest

from gen.layout.program import CoreParams
from gen.layout.schedule import build_schedule, schedule_on
from hw.verilog import core_verilog
from sim.cells import SPRAM, with_cells
from sim.golden import Golden
from sim.model import CompiledCore
from tests.kit.random_networks import random_images, random_network


@pytest.mark.parametrize("lanes, seeds, layer_bits, deeper, spram", [
    (3, range(40), (), 20000, 2), (5, range(70, 100), (3, 4, 8), 1, 1),
])
def test_random_networks_run_from_single_port_ram(lanes, seeds, layer_bits, deeper, spram):
    networks = {seed: random_network(seed, layer_bits=layer_bits) for seed in seeds}
    params = reduce(CoreParams.covering, (build_schedule(network, lanes).params for network in networks.values()))
    params = replace(params, weights=max(deeper, params.weights), spram=spram)
    params = replace(params, program=params.program_words)
    core = CompiledCore.for_schedule(schedule_on(networks[seeds[0]], params), stalls=0.2, seed=lanes)
    for seed, network in networks.items():
        core.load(schedule_on(network, params))
        x = random_images(network, seed, 2)
        found, wanted = core.run(x), Golden(network).run(x)
        for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
            same = (getattr(found, name) == getattr(wanted, name)).all()
            assert same, f"random_network({seed}), {lanes} lanes: {name}"


def test_models_are_added_where_their_cells_are():
    schedule = build_schedule(random_network(3), 2)
    plain, other = (core_verilog(replace(schedule, params=replace(schedule.params, spram=n))) for n in (0, 1))
    assert with_cells([plain]) == [plain]
    assert with_cells([other, plain]) == [other, plain, SPRAM]
