"""`adafire run`, and `adafire evaluate` on a port: what they print, and how they fail."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

import sim.board
from gen.netfile import save_network
from gen.plan.plan import covering, make_plan
from host.transport import Transport
from sim.golden import Golden
from sim.metrics import evaluate
from tests.kit.random_networks import random_images, random_network
from tests.host.fake_board import FakeBoard, make_folder
from tests.host.fake_line import Faults, PtyBoard

FIRST, OTHER = 11, 5
KEYS = [
    "port", "task", "images", "accuracy", "mean_timesteps", "exit_histogram", "exit_accuracy", "events_per_image",
    "synaptic_ops_per_image", "seconds", "cycles_per_image", "lane_utilization", "energy", "images_per_second",
    "retries",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A generated folder, the network in it and another one, images for both; `.library` for a fake board."""
    path, library = tmp_path_factory.mktemp("run"), {}
    networks = {seed: random_network(seed) for seed in (FIRST, OTHER)}
    params = covering([make_plan(network, 4) for network in networks.values()])
    for seed, network in networks.items():
        folder, _, stream = make_folder(path / f"core{seed}", network, params=params)
        library[stream] = network
        save_network(network, path / f"{seed}.safetensors")
        x = random_images(network, seed, 20)
        y = Golden(network).run(x).classes
        np.savez(path / f"{seed}.npz", x=x, y=np.where(np.arange(20) < 5, (y + 1) % network.classes, y))
    save_network(random_network(3), path / "large.safetensors")
    return Files(path, library)


class Files:
    def __init__(self, path, library):
        self.path, self.library, self.folder = path, library, path / f"core{FIRST}"

    def __truediv__(self, name):
        return self.path / name

    def data(self, seed):
        return self / f"{seed}.npz"

    def expected(self, seed, limit=None):
        with np.load(self.data(seed)) as data:
            return evaluate(Golden(random_network(seed)), data["x"], data["y"], limit)

    @contextmanager
    def board(self, port, faults=None, **options):
        with PtyBoard(FakeBoard(self.folder, self.library, **options), port, faults) as fake:
            yield fake


@pytest.fixture
def port(files, tmp_path):
    with files.board(tmp_path / "port") as fake:
        yield fake.port


def agree(payload, expected):
    for key in set(expected) - {"seconds"}:
        assert payload[key] == expected[key], key


def test_run_as_json(adafire, files, port):
    outcome = adafire("run", files.folder, "--port", port, "--data", files.data(FIRST), "--json")
    assert outcome.code == 0 and outcome.err == ""
    assert list(outcome.json) == KEYS and outcome.json["port"] == port
    assert outcome.json["accuracy"] == 0.75 and outcome.json["retries"] == 0
    assert outcome.json["images_per_second"] == 20 / outcome.json["seconds"]
    agree(outcome.json, files.expected(FIRST))
    energy = outcome.json["energy"]
    assert 0 < energy["memory_estimated_uJ"] < energy["hardware_estimated_uJ"] and energy["convention_ann_uJ"] > 0
    assert energy["memory_words"].keys() >= {"weights", "maps", "states"}


def test_run_as_a_table(adafire, files, port):
    outcome = adafire("run", files.folder, "--port", port, "--data", files.data(FIRST), "--limit", "4")
    assert outcome.code == 0 and outcome.err == ""
    for text in ("On a board", port, "cycles per image (measured)", "images per second, link included"):
        assert text in outcome.out


def test_run_another_network_and_a_limit(adafire, files, port):
    words = ("--data", files.data(OTHER), "--network", files / f"{OTHER}.safetensors", "--limit", "7", "--json")
    payload = adafire("run", files.folder, "--port", port, *words).json
    agree(payload, files.expected(OTHER, 7))
    assert payload["images"] == 7


def test_retries_are_told(adafire, files, tmp_path):
    with files.board(tmp_path / "port", Faults({("rx", 400): ("flip", 4)})) as fake:
        payload = adafire("run", files.folder, "--port", fake.port, "--data", files.data(FIRST), "--json").json
    assert payload["retries"] == 1
    agree(payload, files.expected(FIRST))


def test_evaluate_on_a_port(adafire, files, port):
    for seed in (FIRST, OTHER):  # the folder's own network, then one that is loaded into the board
        words = ("--data", files.data(seed), "--device", port, "--folder", files.folder, "--json")
        payload = adafire("evaluate", files / f"{seed}.safetensors", *words).json
        assert payload["device"] == port
        agree(payload, files.expected(seed))


def test_sim_is_a_board_of_its_own(adafire, files, tmp_path, monkeypatch):
    opened = []

    class Simulated(PtyBoard):
        def __init__(self, folder, progress=None):
            opened.append(folder)
            super().__init__(FakeBoard(files.folder, files.library), tmp_path / "simulated")

    monkeypatch.setattr(sim.board, "SimulatedBoard", Simulated)
    outcome = adafire("run", files.folder, "--port", "sim", "--data", files.data(FIRST), "--json")
    assert outcome.json["port"] == "sim" and opened == [files.folder]
    agree(outcome.json, files.expected(FIRST))
    assert "cycles per image (simulated)" in adafire(
        "run", files.folder, "--port", "sim", "--data", files.data(FIRST)).out
    assert not (tmp_path / "simulated").exists()


def test_bad_input_is_refused_before_a_board_is_opened_or_compiled(adafire, files, tmp_path):
    np.savez(tmp_path / "narrow.npz", x=np.zeros((3, 2, 3, 7), np.uint8))
    np.savez(tmp_path / "labels.npz", x=np.zeros((3, 2, 3, 8), np.uint8), y=np.full(3, 99))
    good = files.data(FIRST)
    for folder, data, more, text in (
        (tmp_path, good, (), f"{tmp_path} is not a folder made by `adafire generate`: manifest.json cannot"),
        (files.folder, tmp_path / "none.npz", (), "none.npz does not exist: check the name"),
        (files.folder, tmp_path / "narrow.npz", (), "The network takes images of shape (2, 3, 8)"),
        (files.folder, tmp_path / "labels.npz", (), "y must hold labels in 0..10, its largest is 99"),
        (files.folder, good, ("--network", files / "large.safetensors"), "The network does not fit the core. "),
        (files.folder, good, ("--baud", "1"), "Invalid value for '--baud'"),
        (files.folder, good, ("--port", "/dev/ttyADAFIRE"), "There is no port '/dev/ttyADAFIRE'. "),
    ):
        outcome = adafire("run", folder, "--port", "sim", "--data", data, *more)
        assert outcome.code == 2 and outcome.out == "" and text in outcome.err, outcome
        assert outcome.err.count("\n") == 1


def test_a_port_needs_a_folder_and_only_a_port_has_one(adafire, files, port):
    words = ("evaluate", files / f"{FIRST}.safetensors", "--data", files.data(FIRST), "--device")
    outcome = adafire(*words, port)
    assert outcome.code == 2 and "name the folder that its bitstream was made from too: folder=DIR" in outcome.err
    outcome = adafire(*words, "golden", "--folder", files.folder)
    assert outcome.code == 2 and "The device 'golden' is no port: a folder goes with a board's port" in outcome.err
    outcome = adafire(*words, "sim")  # the checkout has a folder of that name
    assert outcome.code == 2 and "'sim' for a simulated one, name the folder" in outcome.err


def test_a_board_in_use(adafire, files, port):
    held = Transport(port, 115200)
    outcome = adafire("run", files.folder, "--port", port, "--data", files.data(FIRST), "--json")
    held.close()
    assert outcome.code == 1 and outcome.json["error"].startswith(f"{port} is in use by another program")


def test_the_board_of_another_folder(adafire, files, port):
    folder, _, _ = make_folder(files / "another", random_network(FIRST), build_id="a" * 32)
    outcome = adafire("run", folder, "--port", port, "--data", files.data(FIRST))
    assert outcome.code == 1 and f"is the build {'a' * 32}: load the bitstream of {folder}" in outcome.err


def test_control_c_leaves_the_port_to_others(files, tmp_path):
    with files.board(tmp_path / "port", compute_s=0.1) as fake:
        process = subprocess.Popen(
            [sys.executable, "-m", "host.cli", "run", str(files.folder), "--port", fake.port, "--data",
             str(files.data(FIRST))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        deadline = time.monotonic() + 30
        while fake.board.computed < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (130, "", "Interrupted; nothing half-written remains.\n")
        Transport(fake.port, 115200).close()
