"""The examples that detect and segment: what they learn from, what they read, and a run on made-up data."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gen.errors import InputError
from gen.netfile import load_network

pytestmark = pytest.mark.usefixtures("one_thread")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Return a function that gives the names of one of the examples."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return lambda name: runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name=name)


def run(monkeypatch, name, *words):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
    monkeypatch.syspath_prepend(EXAMPLES)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_a_cell_is_learned_where_its_middle_is_and_comes_back(example):
    cells = example("blood_cells")
    known = torch.tensor([[0.0, 10, 10, 60, 60], [2, 31, 33, 41, 43]])  # a platelet in the middle of a red cell
    classes, boxes = cells["targets"](known)
    assert classes.shape == (15, 20) and boxes.shape == (4, 15, 20)
    assert sorted(classes.unique().tolist()) == [0, 1, 3]
    row, column = (classes == 3).nonzero()[0].tolist()
    assert boxes[:, row, column].tolist() == [31, 33, 41, 43]
    middle = (row + 0.5) * cells["STRIDE"], (column + 0.5) * cells["STRIDE"]
    output = torch.zeros(1, 4, 15, 20)
    output[0, :, row, column] = torch.tensor([
        (36 - middle[1]) / 2.6, (38 - middle[0]) / 2.6, np.log(10 / 26) / 0.2, np.log(10 / 26) / 0.2,
    ])
    torch.testing.assert_close(cells["decoded"](output)[0, :, row, column], torch.tensor([31.0, 33, 41, 43]))


def test_augmentation_takes_the_boxes_along(example):
    cells, generator = example("blood_cells"), torch.Generator().manual_seed(0)
    x = torch.zeros(16, 3, 120, 160, dtype=torch.uint8)
    x[:, :, 40:72, 60:100] = 255  # one bright cell
    pictures, classes, boxes = cells["augmented"](x, [torch.tensor([[1.0, 60, 40, 100, 72]])] * 16, generator)
    for number in range(16):
        assert classes[number].max() == 2, f"picture {number}"
        left, top, right, bottom = boxes[number][:, classes[number] == 2][:, 0].tolist()
        bright = (pictures[number].mean(0) > pictures[number].mean(0).mean() + 60).nonzero()
        found = [*bright.amin(0).flip(0).tolist(), *(bright.amax(0) + 1).flip(0).tolist()]
        assert np.allclose(found, [left, top, right, bottom], atol=1.5), f"picture {number}"


def test_overlaps_of_boxes_are_generalised(example):
    iou = example("blood_cells")["generalised_iou"]
    one, other = torch.tensor([[0.0, 0, 2, 2]]).T, torch.tensor([[1.0, 0, 3, 2], [4, 0, 6, 2]]).T
    torch.testing.assert_close(iou(one, one), torch.ones(1))
    torch.testing.assert_close(iou(one.expand(4, 2), other), torch.tensor([2 / 6, 0 - 4 / 12]))


def test_slices_are_cut_into_tiles_and_back(example):
    membranes = example("membranes")
    slices = np.arange(2 * 256 * 384).reshape(2, 256, 384)
    tiles = membranes["tiles"](slices)
    assert tiles.shape == (12, 128, 128)
    assert (tiles[1] == slices[0, :128, 128:256]).all() and (tiles[9] == slices[1, 128:, :128]).all()


def test_data_that_are_others_are_refused(example, tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 3, 8, 8), np.uint8), boxes=np.zeros((0, 6)), split=np.zeros(2))
    with pytest.raises(InputError, match="x must be"):
        example("blood_cells")["read_cells"](tmp_path / "d.npz")
    with pytest.raises(InputError, match="lacks boxes or split"):
        np.savez(tmp_path / "e.npz", x=np.zeros((2, 3, 8, 8), np.uint8))
        example("blood_cells")["read_cells"](tmp_path / "e.npz")
    with pytest.raises(InputError, match="no .npz file with x"):
        example("membranes")["read_slices"](tmp_path / "nothing.npz")


@pytest.mark.parametrize("name", ["blood_cells", "membranes", "nmnist", "points", "spoken_digits"])
def test_data_that_cannot_be_read_end_a_script_before_it_writes(monkeypatch, capsys, tmp_path, name):
    (tmp_path / "data.npz").write_bytes(b"no archive")
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, name, tmp_path / "data.npz", "--out", tmp_path / "out")
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.startswith("error: ") and "data.npz" in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_detector_is_trained_converted_and_judged(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (20, 3, 120, 160), dtype=np.uint8)
    boxes = np.array([[number, number % 3, 100, 80, 220, 190] for number in range(20)])
    np.savez(tmp_path / "cells.npz", x=x, boxes=boxes, split=np.repeat([0, 2], [17, 3]))
    run(monkeypatch, "blood_cells", tmp_path / "cells.npz", "--out", tmp_path / "out", "--epochs", 1, "--threads", 1)
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    assert len(figures) == 2 and all(row["integer"]["images"] == 3 for row in figures.values())
    network = load_network(tmp_path / "out/blood_cells_t4.safetensors")
    assert network.task.decoder.name == "ssd" and network.task.labels == ("RBC", "WBC", "platelet")
    assert network.readout.name == "scores" and network.exit_rule.kind == "confidence"
    assert len(list((tmp_path / "out/pictures").iterdir())) == 3


@pytest.mark.slow
def test_the_segmenter_is_trained_converted_and_judged(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (8, 128, 128), dtype=np.uint8)
    np.savez(tmp_path / "slices.npz", x=x, y=np.packbits(x > 100, axis=-1))
    run(monkeypatch, "membranes", tmp_path / "slices.npz", "--out", tmp_path / "out", "--epochs", 1, "--threads", 1)
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    assert len(figures) == 8 and figures["T = 1, bursts to 63"]["integer"]["images"] == 6
    steps = [row["mean_timesteps"] for name, row in figures.items() if name.endswith("sure")]
    assert steps == sorted(steps)
    assert load_network(tmp_path / "out/membranes.safetensors").task.kind == "segment"
