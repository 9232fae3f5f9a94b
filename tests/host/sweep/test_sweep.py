"""Sweeps: the graph on Dask, what is kept, the table."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.folders import whole_folder
from gen.netfile import save_network
from gen.task import DETECT, Decoder, Task
from host.sweep import steps
from host.sweep.description import read_sweep
from host.sweep.run import run_sweep
from sim.golden import Golden
from tests.kit.random_images import random_images
from tests.kit.random_networks import random_network
from tests.kit.task_networks import NETWORKS, SIZE

distributed = pytest.importorskip("distributed")

BOARD = "ulx3s_85f"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two networks, one that is damaged, and images for them."""
    folder = tmp_path_factory.mktemp("sweep")
    for name, seed in (("one", 8), ("other", 8)):
        network = random_network(seed)
        save_network(network, folder / f"{name}.safetensors")
    images = random_images(network, 1, 6)
    np.savez(folder / "images.npz", x=images, y=Golden(network).run(images).classes)
    (folder / "broken.safetensors").write_bytes(b"no network")
    return folder


@pytest.fixture(scope="module")
def scheduler():
    """The address of a scheduler with two workers, each a thread of this process."""
    local = {"processes": False, "dashboard_address": None}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **local) as cluster:
        yield cluster.scheduler_address


def _described(folder, text):
    path = folder / "sweep.toml"
    path.write_text(text)
    return read_sweep(path)


EVERYTHING = f"""
data = "images.npz"
limit = 4
boards = ["{BOARD}"]
lanes = [4]
[[network]]
file = "one.safetensors"
[[network]]
file = "broken.safetensors"
"""


def test_every_combination_is_a_row_and_a_failed_one_says_why(folder, scheduler, tmp_path):
    seen = []
    rows = run_sweep(_described(folder, EVERYTHING), tmp_path, scheduler,
                     progress=lambda done, total: seen.append((done, total)))
    good, bad = rows
    assert good["network"] == "one" and good["failed"] is None and good["lanes"] == 4 and good["accuracy"] == 1.0
    assert good["images"] == 4 and good["cycles"] > 0 and good["estimated_lut"] > 0
    assert bad["network"] == "broken" and "broken.safetensors" in bad["failed"] and "accuracy" not in bad
    assert seen[-1] == (6, 6)


def test_the_table_is_the_same_in_three_forms(folder, scheduler, tmp_path):
    rows = run_sweep(_described(folder, EVERYTHING), tmp_path, scheduler)
    assert json.loads((tmp_path / "table.json").read_text()) == rows
    read = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [row["network"] for row in read] == ["one", "broken"] and read[0]["lanes"] == "4"
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert len(lines) == 4 and all(line.count(" | ") == lines[0].count(" | ") for line in lines)


def test_what_is_kept_is_not_made_again(folder, scheduler, tmp_path, monkeypatch):
    """A second run reads results; one that failed is tried again; a network of the same content counts as the same."""
    made = []
    monkeypatch.setattr(
        steps, "whole_folder", lambda place, **options: made.append(place) or whole_folder(place, **options))
    sweep = _described(folder, EVERYTHING)
    first = run_sweep(sweep, tmp_path, scheduler)
    assert len(made) == 4
    assert run_sweep(sweep, tmp_path, scheduler) == first and len(made) == 6
    other = _described(folder, EVERYTHING.replace("one.safetensors", "other.safetensors"))
    rows = run_sweep(other, tmp_path, scheduler)
    assert rows[0] == first[0] | {"network": "other"} and len(made) == 8


def test_models_are_converted_with_every_setting(folder, scheduler, tmp_path, monkeypatch):
    """The settings reach the conversion, and their networks are evaluated apart."""
    (folder / "model.pt2").write_bytes(b"a model")
    sweep = _described(folder, """
data = "images.npz"
[[network]]
model = "model.pt2"
[[setting]]
timesteps = 2
[[setting]]
name = "margin"
exit = "margin"
task = "classify"
""")
    options = []

    def converted(model, x, labels, progress, **given):
        options.append(given)
        return random_network(8)

    monkeypatch.setattr("gen.method.convert.convert", converted)
    rows = run_sweep(sweep, tmp_path, scheduler)
    assert [row["setting"] for row in rows] == ["timesteps 2", "margin"] and all(row["images"] for row in rows)
    assert sorted(options, key=str) == [{"exit": "margin", "task": "classify"}, {"timesteps": 2}]


def test_a_decoder_of_ones_own_is_run_by_the_evaluation(folder, scheduler, tmp_path, monkeypatch):
    """Another text of it is evaluated anew; the figures of the network's task are kept with the others."""
    net = replace(NETWORKS[DETECT], stated_task=Task(DETECT, ("spot",), Decoder("boxes.py")))
    monkeypatch.setattr("gen.method.convert.convert", lambda model, x, labels, progress, decode: net)
    np.savez(tmp_path / "spots.npz", x=np.zeros((2, 3, *SIZE), np.uint8),
             boxes=[[0, 0, 4, 4, 12, 12], [1, 0, 4, 4, 12, 12]])
    (tmp_path / "model.pt2").write_bytes(b"a model")
    found = []
    for left in (4, 20):
        corners = [[left, 4, left + 8, 12]]
        (tmp_path / "boxes.py").write_text(
            f"def decode(outputs, size, options):\n    return [({corners}, [1.0], [0]) for _ in outputs['a']]\n")
        sweep = _described(tmp_path, """
data = "spots.npz"
[[network]]
model = "model.pt2"
[[setting]]
decode = "boxes.py"
""")
        row, = run_sweep(sweep, tmp_path / "out", scheduler)
        assert row["failed"] is None and row["accuracy"] is None
        found.append(row["map50"])
    assert found == [pytest.approx(1.0), 0.0]


@pytest.mark.slow
def test_cores_are_routed_with_every_seed(folder, tmp_path):
    """In processes of this machine; the two builds of one core do not get into each other's way."""
    text = EVERYTHING.replace('file = "broken.safetensors"', 'file = "other.safetensors"').replace(
        "lanes = [4]", "lanes = [4]\nseeds = [1, 2]")
    rows = run_sweep(_described(folder, text), tmp_path, workers=2)
    assert [(row["network"], row["seed"], row["failed"]) for row in rows] == [
        (name, seed, None) for name in ("one", "other") for seed in (1, 2)
    ]
    assert all(row["lut"] > 1000 and row["fmax_mhz"] > 20 for row in rows)


def test_no_scheduler_at_the_address(folder, tmp_path):
    with pytest.raises(InputError, match="No Dask scheduler answers at nonsense://there"):
        run_sweep(_described(folder, EVERYTHING), tmp_path, "nonsense://there")


def test_workers_are_those_of_this_machine(folder, tmp_path, adafire):
    """A scheduler brings its own; nothing is made, nobody is asked."""
    (folder / "sweep.toml").write_text(EVERYTHING)
    outcome = adafire("sweep", folder / "sweep.toml", "--out", tmp_path / "out", "--scheduler", "tcp://there:8786",
                      "--workers", 3)
    assert outcome.code == 2 and not (tmp_path / "out").exists()
    assert "A scheduler has workers of its own: leave either --scheduler or --workers out." in outcome.err
