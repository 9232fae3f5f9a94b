"""The host's runtime on the simulated board: the campaigns of `benchmarks.link`, small; the long ones are slow."""

import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.campaigns import PACE, attack, compare_devices, disturb, swap
from benchmarks.compiled import differences
from gen.exit_rule import ExitRule
from gen.plan.regions import Room
from gen.result import results_in
from host.board import Board
from hw.emit import generate
from hw.flash_file import flash_file
from sim.board import SimulatedBoard
from sim.golden import Golden
from tests.kit.little_room import leave_room
from tests.kit.random_networks import random_images, random_network

SIZES = dict(max_layers=3, max_neurons=400, max_weights=1500)
SEED = 12


@pytest.fixture(scope="module")
def network():
    return random_network(SEED, **SIZES)


@pytest.fixture(scope="module")
def others():
    return [random_network(10, **SIZES), random_network(11, sources=("frames",), **SIZES)]


@pytest.fixture(scope="module")
def folder(network, others, tmp_path_factory):
    folder = tmp_path_factory.mktemp("board") / "core"
    generate(network, lanes=4, also=others, out=folder)
    return folder


def test_one_call_the_same_bits_on_every_device(network, folder):
    figures = compare_devices(network, random_images(network, SEED, 60), folder)
    assert figures["images"] == 60
    for name in ("golden", "compiled core", "simulated board"):
        assert figures[f"differences, {name}"] == 0 and figures[f"images per second, {name}"] > 0


@pytest.mark.parametrize("which", [0, 1], ids=["inputs of two bytes", "frames"])
def test_another_network_in_the_running_design(network, others, folder, which):
    other = others[which]
    figures = swap(folder, network, random_images(network, SEED, 10), other, random_images(other, SEED, 10))
    assert figures == {"images": 40, "differences": 0}


def test_recordings_frame_by_frame(others, folder):
    network = others[1]
    x = random_images(network, SEED, 20)
    golden = Golden(network).run(x)
    with SimulatedBoard(folder) as board, Board(board.port, folder, network, pace=PACE) as device:
        rows = np.stack([device.watch(recording)[0] for recording in x])
        assert differences(results_in(device.content.outputs, rows), golden) == 0
        assert golden.exit_steps.min() < network.frames
        assert differences(device.run(x), golden) == 0 and device.statistics.retries == 0


def test_an_icebreaker_begins_empty_and_has_small_buffers(tmp_path):
    network, folder = random_network(1, **SIZES), tmp_path / "core"
    network = replace(network, exit_rule=ExitRule("margin", limits=(50,) * network.timesteps))  # no softmax: it fits
    assert not generate(network, board="icebreaker", out=folder)["initialised"]
    x = random_images(network, 1, 20)
    golden = Golden(network).run(x)
    with SimulatedBoard(folder) as board, Board(board.port, folder, pace=PACE) as device:
        assert device.identity["RX_BYTES"] == 512
        assert differences(device.run(x), golden) == 0
        board.reset()
        assert differences(device.run(x), golden) == 0
        assert device.statistics.retries == 1


def test_what_lies_outside_the_chip_is_loaded_checked_and_loaded_again(tmp_path, monkeypatch):
    """A bit that turns in the board's memory costs a load, never a wrong result."""
    network, folder = random_network(23, max_layers=5, max_neurons=600, max_weights=2500), tmp_path / "core"
    room = Room(weights=1, maps=1)  # as if no more were left
    leave_room(monkeypatch, room)
    manifest = generate(network, lanes=4, out=folder)
    assert not manifest["initialised"]
    x = random_images(network, SEED, 30)
    golden = Golden(network).run(x)
    with SimulatedBoard(folder) as board, Board(board.port, folder, pace=PACE) as device:
        assert differences(device.run(x), golden) == 0 and device.statistics.retries == 0
        board.spoil(7, 1 << 20)  # of the first block
        assert differences(device.run(x), golden) == 0
        assert device.statistics.retries > 0
        board.reset()  # what lay there is lost with the power
        assert differences(device.run(x), golden) == 0


def check_attack(folder, network, size, seed):
    figures = attack(folder, network, random_images(network, SEED, 50), size, seed)
    assert figures["wrong results"] == []
    assert figures["bytes"] >= size and figures["replies"]["0xff"] > size / 4000
    return figures


def check_disturb(folder, network, count, seed):
    figures = disturb(folder, network, random_images(network, SEED, 50), count, seed)
    assert figures["wrong results"] == []
    assert figures["faults"] == count and figures["recoveries"] > count / 4
    return figures


def test_noise_and_nonsense_neither_hang_the_board_nor_bend_a_result(folder, network):
    check_attack(folder, network, 40_000, seed=1)


def test_every_result_is_right_through_faults_of_cable_and_board(folder, network):
    check_disturb(folder, network, 12, seed=1)


@pytest.mark.slow
def test_a_million_bytes_of_noise_and_nonsense(folder, network):
    figures = check_attack(folder, network, 1_000_000, seed=2)
    assert figures["right results amid the noise"] > 20
    assert len(figures["bytes by kind"]) == 9


@pytest.mark.slow
def test_two_hundred_faults(folder, network):
    figures = check_disturb(folder, network, 200, seed=2)
    assert len(figures["faults by kind"]) > 12


def test_a_board_with_a_flash_is_loaded_at_power_up_and_the_host_leaves_it_so(tmp_path, monkeypatch):
    network, folder = random_network(23, max_layers=5, max_neurons=600, max_weights=2500), tmp_path / "core"
    room = Room(weights=1, maps=1)
    leave_room(monkeypatch, room)
    manifest = generate(network, lanes=4, out=folder)
    flash = flash_file(manifest, (folder / "image.bin").read_bytes(), 1024)
    x = random_images(network, SEED, 30)
    golden, told = Golden(network).run(x), []
    with SimulatedBoard(folder, flash=flash) as board:
        begun = board.cycles
        wait_until_still(board)
        assert board.cycles - begun > len(flash) * 32
        with Board(board.port, folder, pace=PACE, progress=lambda step, fraction: told.append(step)) as device:
            assert device.identity["NETWORK"] == manifest["network_id"] and told == []
            assert differences(device.run(x), golden) == 0 and device.statistics.retries == 0
            board.reset()
            wait_until_still(board)
            assert differences(device.run(x), golden) == 0
            assert told == []  # neither was anything loaded the second time
        board.reset()
        with Board(board.port, folder, pace=PACE, progress=lambda step, fraction: told.append(step)) as device:
            assert told and set(told) == {"loading the network"}  # who comes early has the board, and loads it
            assert differences(device.run(x), golden) == 0


def wait_until_still(board):
    """Wait until the board has nothing to do."""
    deadline, before = time.monotonic() + 60, -1
    while board.cycles != before:
        assert time.monotonic() < deadline, "the board does not come to rest"
        before = board.cycles
        time.sleep(0.3)
