"""`verify` with the compiled core: equal with everything outside the chip, planted faults are found and named."""

import logging
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sim.dram
import sim.verify
from gen.errors import AdafireError, InputError
from gen.exit_rule import ExitRule
from gen.plan.image import load_stream, read_image
from gen.plan.regions import Room
from hw.emit import generate
from sim.bench.folder import read_folder
from sim.checked import planned_checks
from sim.dram import compiled_dram
from sim.golden import Golden
from sim.loading import inverted, port_stream
from sim.sdram import SdramModel
from sim.verify import verify
from tests.kit.little_room import leave_room
from tests.kit.random_networks import random_images, random_network
from tests.kit.verified import FAST, edit, put, tiny_network

SEED, IMAGES = 23, 3
OUTSIDE = Room(weights=1, maps=1)  # as if no more were left on the chip


def small_network():
    return random_network(SEED, max_layers=5, max_neurons=300, max_weights=1500)


def altered_network():
    """One bias of the readout is larger by one."""
    network = small_network()
    readout = network.layers[-1]
    bias = readout.bias + np.eye(1, len(readout.bias), dtype=int)[0]
    return replace(network, layers=(*network.layers[:-1], replace(readout, bias=bias)))


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """Return a function that makes a core for a board, all that can be outside the chip."""
    folders = tmp_path_factory.mktemp("checked")

    def make(network, name, board="ulx3s_85f"):
        with pytest.MonkeyPatch.context() as patch:
            leave_room(patch, OUTSIDE)
            generate(network, board=board, lanes=4, out=folders / name)
        return folders / name

    return make


@pytest.fixture(scope="module")
def original(outside):
    return outside(small_network(), "core")


@pytest.fixture
def core(original, tmp_path):
    """A core of its own for every test."""
    return Path(shutil.copytree(original, tmp_path / "core"))


@pytest.fixture
def x():
    return random_images(small_network(), SEED, IMAGES)


def test_everything_outside_the_chip_equals_the_golden_model(original, x):
    heard, plan = [], read_folder(original)
    assert plan.params.outside and plan.params.rowwise
    figures = verify(original, x, simulator="compiled", progress=lambda *news: heard.append(news))
    assert figures["first_difference"] is None and figures["mismatches"] == 0
    assert (figures["images"], figures["simulator"], figures["save_file"]) == (IMAGES, "compiled", None)
    whole = sum(planned_checks(IMAGES).values()) - 1  # one is given up
    compared = figures["compared"]
    assert compared["classes"] == compared["exit_steps"] == compared["events"] == compared["synaptic_ops"] == whole
    assert compared["counts"] >= whole * sum(
        layer_counts[0].size for layer_counts in Golden(plan.network).trace(x[0]).counts.values()) / 2
    assert figures["cycles_per_image"] > 100 and 0 < figures["lane_utilization"] < 1
    assert heard[-1][0] == "simulating" and heard[-1][1] <= 1
    fractions = [fraction for _, fraction in heard]
    assert fractions == sorted(fractions) and len(fractions) >= IMAGES


def test_each_image_once_and_none_again(original, x):
    figures = verify(original, x, images=2, simulator="compiled", once=True)
    assert (figures["mismatches"], figures["compared"]["classes"]) == (0, 2)


def test_a_memory_on_axi_equals_the_golden_model(outside, x):
    """The board's is a DDR3: other latencies, another rate, the same bits."""
    folder = outside(small_network(), "axi", "arty_a7_35")
    figures = verify(folder, x, simulator="compiled")
    assert (figures["first_difference"], figures["mismatches"]) == (None, 0)
    assert figures["cycles_per_image"] > 100


def test_cocotb_loads_what_lies_inside_before_anything_else(outside):
    """A core with anything outside begins empty."""
    network = replace(tiny_network(), timesteps=1, exit_rule=ExitRule("off"))
    folder = outside(network, "tiny")
    assert read_folder(folder).params.outside
    figures = verify(folder, random_images(network, 1, 1), simulator=FAST)
    assert (figures["first_difference"], figures["mismatches"]) == (None, 0)


def test_a_wrong_memory_image_is_named(core, outside, x):
    put(core, "image.bin", (outside(altered_network(), "altered") / "image.bin").read_bytes())
    figures = verify(core, x, images=1, simulator="compiled", seed=3)
    assert figures["mismatches"] == 1
    readout = small_network().layers[-1].name
    assert figures["first_difference"].startswith(f"layer {readout!r}, timestep ")
    assert figures["first_difference"].endswith("(image 0, scenario 'loaded', seed 3, compiled)")


def test_a_core_that_ignores_abort_is_found(core, x):
    edit(core, r"= abort \| spoiled;", "= spoiled;")
    figures = verify(core, x, images=1, simulator="compiled")
    assert figures["mismatches"] == 1
    assert "scenario 'aborted'" in figures["first_difference"]


def test_a_controller_that_does_not_wait_for_a_row_is_no_result(original, x, monkeypatch):
    """The part needs a longer time from opening a row to its first word than the controller knows."""
    monkeypatch.setattr(sim.dram, "SdramModel", lambda part, clock_hz: SdramModel(replace(part, rcd_ns=60), clock_hz))
    monkeypatch.setattr(sim.dram, "compiled_dram", compiled_dram.__wrapped__)
    with pytest.raises(AdafireError) as caught:
        verify(original, x, images=1, simulator="compiled")
    assert caught.value.exit_code == 1
    assert str(caught.value).startswith(
        "The controller of the SDRAM broke a rule of the part: rcd (a read or write too soon after its row was opened)")


def test_the_compiled_core_writes_no_waveform(original, x, tmp_path, monkeypatch):
    monkeypatch.setattr(sim.verify, "check_folder", lambda *words: pytest.fail("this comes too late"))
    with pytest.raises(InputError, match="The compiled core writes no waveform: leave it out, or name icarus"):
        verify(original, x, simulator="compiled", waves=tmp_path / "a.vcd")
    with pytest.raises(InputError, match="no file: give --waves FILE"):
        verify(original, x, simulator="compiled", wave_image=1)


@pytest.mark.parametrize("speed, said", [(1e9, None), (1, r"14 images of some [\d,]+ cycles each may take \d+ hours")])
def test_a_simulation_of_hours_is_foretold(original, x, monkeypatch, caplog, speed, said):
    monkeypatch.setattr(sim.verify, "COCOTB_SPEED", speed)
    monkeypatch.setattr(sim.verify, "_simulate", lambda *words: [])
    with caplog.at_level(logging.WARNING, "adafire.sim"):
        verify(original, x, images=1, simulator=FAST)
    assert bool(caplog.messages) == bool(said)
    if said:
        advice = r"--once runs each once, --simulator compiled is quick\."
        assert re.fullmatch(f"{said} under cocotb; {advice}", *caplog.messages)


def test_what_goes_through_the_load_port(original):
    plan, stream = read_folder(original), read_image(original / "image.bin")
    assert port_stream(stream, plan)[1] is None and (port_stream(stream, plan)[0] == stream).all()
    through, words = port_stream(stream, plan, most=0)
    inside = {name: held for name, held in plan.contents.items() if name != "outside"}
    assert (words == plan.contents["outside"]).all() and (through == load_stream(inside, plan.memories)).all()
    turned = inverted(through, plan)
    assert (inverted(turned, plan) == through).all()
    assert (turned != through).sum() == len(through) - 3 - 2 * len(inside)  # all but the digest and the heads of blocks
