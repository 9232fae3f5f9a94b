"""`tests.kit.buses.job`: both wrappers' Verilog around a small core, on both simulators, equal to the golden model."""

import re

import pytest

from gen.errors import AdafireError
from tests.kit.buses.job import BUSES, simulate_bus
from tests.kit.random_networks import random_network
from sim.toolchain import SIMULATORS, choose_simulator

SMALL = dict(
    max_neurons=60, max_weights=300, max_size=4, max_channels=4, max_timesteps=3, max_classes=5, max_layers=2,
)
LARGER = dict(max_neurons=400, max_weights=2000, max_size=8, max_channels=8, max_timesteps=4, max_classes=12)
IMAGES = 3
COMPARED = {
    "registers": 3, "images_in_a_row": 3, "another_network": 6, "aborted": 4, "core_reset": 15, "damaged_load": 3,
    "bus_reset": 6,
}


def run(bus, folder, size=SMALL, first=0, simulator="icarus", **options):
    """Simulate with two random networks: a direct one, which the memories hold at first, and one of frames."""
    networks = [
        random_network(first + number, sources=(kind,), **size) for number, kind in enumerate(("direct", "frames"))
    ]
    figures = simulate_bus(bus, networks, folder, simulator=choose_simulator(simulator), images=IMAGES, **options)
    assert figures == COMPARED | ({"lost_places": 12} if bus == "axi" else {})


@pytest.mark.parametrize("bus", BUSES)
def test_results_over_a_bus_are_golden(bus, tmp_path):
    """Of networks whose core takes four values in a cycle."""
    run(bus, tmp_path, first=2)


@pytest.mark.parametrize("simulator, seed", [
    ("icarus", 0), *(pytest.param("verilator", seed, marks=pytest.mark.slow) for seed in range(1, 5)),
])
def test_results_with_everything_in_a_memory_on_axi_are_golden(simulator, seed, tmp_path):
    """Weights, maps and inputs behind ``m_axi_memory``, cocotbext-axi's memory with pauses; aborts and resets too."""
    run("axi", tmp_path, first=20 + 2 * seed, simulator=simulator, seed=seed, outside=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("bus", BUSES)
def test_many_orders_of_everything(bus, simulator, seed, tmp_path):
    run(bus, tmp_path, simulator=simulator, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("first, lanes", [(10, 4), (12, 8)])
@pytest.mark.parametrize("bus", BUSES)
def test_larger_networks(bus, first, lanes, tmp_path):
    run(bus, tmp_path, LARGER, first, "verilator", lanes=lanes, seed=first)


def planted(pattern, replacement):
    """Return a function that changes one place of a Verilog text."""
    def change(verilog):
        changed, count = re.subn(pattern, replacement, verilog)
        assert count == 1
        return changed

    return change


@pytest.mark.slow
def test_a_wrapper_that_does_not_abort_is_found(tmp_path):
    fault = planted(r"(adafire_core core \(\s+)\.abort\(abort\)", r"\1.abort(1'h0)")
    with pytest.raises(AdafireError, match="The wishbone wrapper on icarus, seed 0: exit code [1-9]") as error:
        run("wishbone", tmp_path, planted=fault)
    assert re.search(r"scenarios.aborted +FAIL", str(error.value))
    assert re.search(r"scenarios.images_in_a_row +PASS", str(error.value))
