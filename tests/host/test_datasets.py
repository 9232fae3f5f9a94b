"""Images by name, folder and file at the verbs that take images; `adafire datasets`."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gen.data.named import NAMED
from gen.netfile import save_network
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network
from tests.gen.data.published import publish

ROOT = Path(__file__).parents[2]
SEED = 0  # spiking layers, pools, a residual; an entropy rule over four timesteps


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working directory with net.safetensors and mnist.npz: 12 images to test, all classified as their labels say,
    and 9 to train, none of which is."""
    network = random_network(SEED)
    x_train, x_test = (random_images(network, seed, count) for seed, count in ((1, 9), (2, 12)))
    labels = [Golden(network).run(x).classes for x in (x_train, x_test)]
    for name in ("ADAFIRE_CACHE", "ADAFIRE_DATA"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    save_network(network, "net.safetensors")
    np.savez("mnist.npz", x_train=x_train, y_train=(labels[0] + 1) % network.classes, x_test=x_test, y_test=labels[1])
    return tmp_path / "work"


def test_evaluate_by_name_and_split(adafire, work):
    words = ("evaluate", "net.safetensors", "--data", "mnist", "--json")
    test, train = (adafire(*words, *more).json for more in ((), ("--split", "train")))
    assert (test["images"], test["accuracy"], train["images"], train["accuracy"]) == (12, 1.0, 9, 0.0)
    outcome = adafire(*words, "--split", "middle")
    assert outcome.code == 2 and "holds no split 'middle': choose one of test, train." in outcome.json["error"]


def test_batches_change_nothing(adafire, work):
    words = ("evaluate", "net.safetensors", "--data", "mnist.npz", "--json")
    whole, parts = adafire(*words).json, adafire(*words, "--batch", "5").json
    assert whole | {"seconds": 0} == parts | {"seconds": 0}
    assert "'--batch'" in adafire(*words, "--batch", "0").json["error"]


def test_wrong_images_are_refused_before_anything_is_compiled(adafire, work, monkeypatch):
    monkeypatch.setattr(
        "sim.compiled_core.CompiledCore.for_network", lambda *_words, **_options: pytest.fail("compiled"),
    )
    np.savez("other.npz", x=np.zeros((3, 5, 5), np.uint8))
    outcome = adafire("evaluate", "net.safetensors", "--data", "other.npz", "--device", "rtl")
    assert outcome.code == 2 and "give the images the network was converted for" in outcome.err


def test_evaluate_a_folder_of_shards(adafire, work):
    (work / "shards").mkdir()
    with np.load("mnist.npz") as held:
        for number in range(3):
            part = slice(4 * number, 4 * number + 4)
            np.savez(f"shards/{number}.npz", x=held["x_test"][part], y=held["y_test"][part])
    payload = adafire("evaluate", "net.safetensors", "--data", "shards", "--json").json
    assert (payload["images"], payload["accuracy"]) == (12, 1.0)


def test_no_network_at_all(adafire, work, monkeypatch):
    publish(monkeypatch, "cifar10", {"cifar-10-binary.tar.gz": b""}, "http://127.0.0.1:1/")
    outcome = adafire("evaluate", "net.safetensors", "--data", "cifar10")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "tried: http://127.0.0.1:1/cifar-10-binary.tar.gz (no connection). Without a network, put" in outcome.err


@pytest.mark.parametrize("more, count", [((), 9), (("--calibration-images", "4"), 4)])
def test_calibration_takes_the_images_for_training(adafire, work, monkeypatch, more, count):
    seen = {}

    def convert(_model, x, labels, **_settings):
        seen.update(x=x, labels=labels)
        return random_network(SEED)

    monkeypatch.setattr("gen.method.convert.convert", convert)
    outcome = adafire("convert", "m.pt2", "--calibration", "mnist", "--out", "made.safetensors", *more)
    assert outcome.code == 0, outcome.err
    with np.load("mnist.npz") as held:
        np.testing.assert_array_equal(seen["x"], held["x_train"][:count])
        assert seen["labels"].tolist() == held["y_train"][:count].tolist()


@pytest.mark.parametrize("more, count", [((), 5), (("--image", "7"), 8)])
def test_verify_reads_no_more_than_it_needs(adafire, work, monkeypatch, more, count):
    seen = []
    folder = SimpleNamespace(network=random_network(SEED))
    monkeypatch.setattr("gen.generated.GeneratedFolder.open", lambda _folder: folder)
    monkeypatch.setattr("sim.verify.verify", lambda _folder, x, **_options: seen.append(len(x)) or {"mismatches": 0})
    assert adafire("verify", "core", "--data", "mnist", "--images", "5", "--json", *more).code == 0
    assert seen == [count]


def test_datasets_are_listed(adafire, work):
    payload = adafire("datasets", "--json").json["datasets"]
    assert [entry["name"] for entry in payload] == list(NAMED)
    assert (payload[0]["where"], payload[0]["path"], payload[2]["where"]) == ("local", "mnist.npz", "download")
    outcome = adafire("datasets")
    assert outcome.code == 0 and outcome.err == ""
    for text in (
        "mnist: mnist.npz\n", " fashion_mnist ", " download ", "handwritten digits", "60,000", "3 x 32 x 32",
        "--data also takes",
    ):
        assert text in outcome.out


def test_control_c_while_the_bar_runs(work):
    with np.load("mnist.npz") as held:
        np.savez("large.npz", x=np.concatenate([held["x_test"]] * 5000), y=np.tile(held["y_test"], 5000))
    before = sorted(work.iterdir())
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "host.cli", "evaluate", "net.safetensors", "--data", "large.npz"], stderr=follower,
        stdout=subprocess.PIPE, env=os.environ | {"TERM": "xterm", "COLUMNS": "120", "PYTHONPATH": str(ROOT)},
    )
    os.close(follower)
    drawn = bytearray()
    while b"100.00 % so far" not in drawn:
        drawn += os.read(leader, 4096)
    process.send_signal(signal.SIGINT)
    while chunk := read(leader):
        drawn += chunk
    os.close(leader)
    assert (process.wait(60), process.stdout.read()) == (130, b"")
    text = drawn.decode()
    assert re.search(r"[\d,]+ of 60,000 images, [\d,.]+/s, 100.00 % so far", text)
    assert text.endswith("Interrupted; nothing half-written remains.\r\n") and sorted(work.iterdir()) == before


def read(terminal):
    """Return what a terminal shows next, nothing when its last program has ended."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
