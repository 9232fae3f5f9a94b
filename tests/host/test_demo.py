"""`adafire demo`: what becomes of its folder, and (slowly) the whole path with its figures."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gen.errors import AdafireError
from host import demo

FIGURES = {
    "images": 497, "accuracy": 0.98, "mean_timesteps": 1.5, "exit_histogram": [300, 100, 50, 47],
    "events_per_image": 100.0, "synaptic_ops_per_image": 1000.0, "seconds": 0.5,
}

POSITIONS = {"pixel_accuracy": 0.97, "mean_iou": 0.81, "iou": {"nothing": 0.99}}


def played(folder, board, lanes, simulator, images, progress):
    """Stand in for the slow part: leave a file, return figures."""
    (folder / "digits.pt2").write_text("model")
    (folder / "core").mkdir()
    return {
        "board": board, "lanes": lanes, "timesteps": 4, "ann_accuracy": np.float64(0.985), "all_timesteps": FIGURES,
        "early_exit": FIGURES, "mismatches": 0, "verification": {
            "images": images, "mismatches": 0, "compared": {"counts": 900, "states": 100}, "simulator": "verilator",
            "cycles_per_image": 1234.0, "lane_utilization": 0.9,
        },
    }


def failing(folder, *_words):
    (folder / "digits.pt2").write_text("half")
    raise AdafireError("The simulator stopped.")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_whole_path", played)
    monkeypatch.setattr(demo, "segment", lambda folder, progress: {
        "float_accuracy": 0.975, "timesteps": 2, "all_timesteps": FIGURES | POSITIONS,
        "early_exit": FIGURES | POSITIONS | {"mean_timesteps": 1.25},
    })
    return tmp_path


def test_table_and_files(adafire, place):
    outcome = adafire("demo")
    assert outcome.code == 0
    for text in ("98.50 %", "98.00 %", "1.500", "1,234", "90.00 %", "1,000 (900 counts, 100 states)",
                 "97.50 %", "97.00 %", "81.00 %", "1.250"):
        assert text in outcome.out
    assert "adafire-demo/core" in outcome.out
    assert [path.name for path in place.iterdir()] == ["adafire-demo"]


def test_json(adafire, place):
    payload = adafire("demo", "--json", "--images", "7", "--lanes", "4", "--board", "ECPIX5-85F").json
    assert (payload["board"], payload["lanes"], payload["verification"]["images"]) == ("ecpix5_85f", 4, 7)
    assert "adafire-demo/demo.json" in payload["files"] and payload["ann_accuracy"] == 0.985


def test_an_earlier_demo_is_replaced(adafire, place):
    adafire("demo", "--out", "here")
    (place / "here" / "digits.pt2").write_text("of the earlier one")
    assert adafire("demo", "--out", "here").code == 0
    assert (place / "here" / "digits.pt2").read_text() != "of the earlier one"
    assert (place / "here" / "demo.json").exists()


def test_what_a_user_put_beside_it_is_left_alone(adafire, place, monkeypatch):
    adafire("demo", "--out", "here")
    (place / "here" / "mine").mkdir()
    monkeypatch.setattr(demo, "_whole_path", failing)
    outcome = adafire("demo", "--out", "here")
    assert outcome.code == 2 and (place / "here" / "mine").is_dir()
    assert outcome.err == (
        "here holds, beside an earlier demo, what adafire did not make and a new one would delete: mine. Move it "
        "elsewhere, or choose another folder with --out.\n"
    )


def test_an_empty_folder_is_used(adafire, place):
    (place / "here").mkdir()
    assert adafire("demo", "--out", "here").code == 0


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_anything_else_is_left_alone(adafire, place, monkeypatch, kind):
    monkeypatch.setattr(demo, "_whole_path", failing)
    mine = place / "here"
    if kind == "folder":
        mine.mkdir()
        mine = mine / "thesis.txt"
    mine.write_text("years of work")
    outcome = adafire("demo", "--out", "here")
    assert outcome.code == 2 and mine.read_text() == "years of work"
    assert outcome.err == (
        "here exists and is not an earlier demo (it holds no demo.json): move it away, or choose another folder "
        "with --out.\n"
    )


def test_an_error_leaves_nothing_and_keeps_the_earlier_demo(adafire, place, monkeypatch):
    adafire("demo")
    before = (place / "adafire-demo" / "demo.json").read_text()
    monkeypatch.setattr(demo, "_whole_path", failing)
    outcome = adafire("demo")
    assert (outcome.code, outcome.err) == (1, "The simulator stopped.\n")
    assert [path.name for path in place.iterdir()] == ["adafire-demo"]
    assert (place / "adafire-demo" / "demo.json").read_text() == before


def test_an_unknown_board_is_refused_before_anything_slow(adafire, place, monkeypatch):
    monkeypatch.setattr(demo, "_whole_path", failing)
    outcome = adafire("demo", "--board", "ulx3s_85")
    assert outcome.code == 2 and "the nearest names are ulx3s_85f" in outcome.err and not any(place.iterdir())


def test_no_simulator_is_said_before_anything_slow(adafire, place, monkeypatch):
    monkeypatch.setattr(demo, "_whole_path", failing)
    monkeypatch.setattr("sim.toolchain._wheel", lambda: None)
    monkeypatch.setattr("shutil.which", lambda *words, **options: None)
    outcome = adafire("demo")
    assert outcome.code == 1 and not any(place.iterdir())
    assert outcome.err.startswith("No Verilog simulator is installed. ") and "apt-get install iverilog" in outcome.err
    assert adafire("demo", "--simulator", "vcs").code == 2


def test_lanes_that_no_core_has_are_refused_at_once(adafire, place):
    outcome = adafire("demo", "--lanes", "5")
    assert (outcome.code, outcome.err) == (2, "The number of lanes must be 4, 8, 16, 32, 64, not 5.\n")
    assert not any(place.iterdir())


def test_a_place_that_cannot_be_written(adafire, place):
    (place / "file").write_text("")
    outcome = adafire("demo", "--out", "file/demo")
    assert outcome.code == 2
    assert "cannot be made in" in outcome.err and "choose another place with --out" in outcome.err


def test_control_c_leaves_nothing(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "host.cli", "demo"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"PYTHONPATH": str(Path(demo.__file__).parents[1])},
    )
    lines = iter(process.stderr.readline, "")
    assert any(line.startswith("Training") for line in lines)
    time.sleep(1)
    assert any(tmp_path.glob(".adafire-demo-*"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == "Interrupted; nothing half-written remains."
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_whole_path(adafire, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    payload = adafire("demo", "--json").json
    assert payload["ann_accuracy"] >= 0.985
    assert payload["all_timesteps"]["accuracy"] >= payload["ann_accuracy"] - 0.0031
    assert payload["early_exit"]["accuracy"] >= payload["ann_accuracy"] - 0.0031
    assert payload["early_exit"]["mean_timesteps"] <= 2.0
    assert payload["verification"]["images"] == 20 and payload["mismatches"] == 0
    found = payload["segment"]
    assert found["float_accuracy"] >= 0.98 and found["early_exit"]["mean_iou"] >= 0.75
    assert found["early_exit"]["pixel_accuracy"] >= found["float_accuracy"] - 0.003
    assert len(list((tmp_path / "adafire-demo/found").glob("*.png"))) == 6
    assert all((tmp_path / path).exists() for path in payload["files"])
