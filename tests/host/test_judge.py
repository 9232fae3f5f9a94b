"""`evaluate` by task: boxes by COCO's rules, positions by intersection over union, numbers by their squared error."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from gen.data.npz import NpzSet
from gen.errors import InputError, ToolMissing
from gen.netfile import save_network
from gen.task import CLASSIFY, DETECT, SEGMENT, VALUES, Decoder, Task
from host.judge import judge_of
from sim.golden import Golden
from tests.kit.task_networks import NETWORKS, SIZE, network, readout

WINDOWS = (SIZE[0] // 4, SIZE[1] // 4)


def squares(*places):
    """Return pictures, each with the windows (row, column) of 4 x 4 that are named red."""
    x = np.zeros((len(places), 3, *SIZE), np.uint8)
    for n, windows in enumerate(places):
        for row, column in windows:
            x[n, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
    return x


def box(image, row, column, kind=0):
    return [image, kind, 4 * column, 4 * row, 4 * column + 4, 4 * row + 4]


@pytest.fixture
def evaluated(adafire, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(net, *words, code=0, **arrays):
        save_network(net, "net.safetensors")
        np.savez("data.npz", **arrays)
        outcome = adafire("evaluate", "net.safetensors", "--data", "data.npz", *words, "--json")
        assert outcome.code == code, outcome.out
        return outcome.json

    return run


def test_boxes(evaluated):
    x = squares([(0, 0), (3, 4)], [(1, 1)])
    right = np.array([box(0, 0, 0), box(0, 3, 4), box(1, 1, 1)])
    found = evaluated(NETWORKS[DETECT], x=x, boxes=right)
    assert found["task"] == "detect" and found["accuracy"] is None
    assert found["map50"] == pytest.approx(1) and found["map50_95"] == pytest.approx(1)
    missed = evaluated(NETWORKS[DETECT], x=x, boxes=np.concatenate([right, [box(1, 5, 5)]]))
    assert missed["map50"] == pytest.approx(0.75, abs=0.01)  # three of four, none wrong before them
    moved = evaluated(NETWORKS[DETECT], x=x, boxes=right + [0, 0, 0.4, 0, 0.4, 0])
    assert moved["map50"] == pytest.approx(1) and 0.5 < moved["map50_95"] < 0.9
    assert evaluated(NETWORKS[DETECT], x=x, boxes=np.zeros((0, 6)))["map50"] is None
    assert evaluated(NETWORKS[DETECT], x=x)["task"] == "detect"


def test_a_limit_counts_the_boxes_of_its_images(evaluated):
    x = squares([(0, 0)], [(1, 1)])
    boxes = np.array([box(0, 0, 0), box(1, 4, 4)])
    assert evaluated(NETWORKS[DETECT], "--limit", "1", x=x, boxes=boxes)["map50"] == pytest.approx(1)
    batches = evaluated(NETWORKS[DETECT], "--batch", "1", x=x, boxes=boxes)
    assert batches["map50"] == evaluated(NETWORKS[DETECT], x=x, boxes=boxes)["map50"] == pytest.approx(0.5, abs=0.01)


def test_boxes_in_several_files(adafire, tmp_path):
    """A folder of files has the boxes of all of them, whatever order the rows of each are in."""
    save_network(NETWORKS[DETECT], tmp_path / "net.safetensors")
    (tmp_path / "parts").mkdir()
    np.savez(tmp_path / "parts" / "a.npz", x=squares([(0, 0)], [(1, 1)]), boxes=np.array([box(1, 1, 1), box(0, 0, 0)]))
    np.savez(tmp_path / "parts" / "b.npz", x=squares([(2, 2)]), boxes=np.array([box(0, 2, 2)]))
    words = ("evaluate", tmp_path / "net.safetensors", "--data", tmp_path / "parts", "--json")
    assert adafire(*words).json["map50"] == pytest.approx(1)
    np.savez(tmp_path / "parts" / "c.npz", x=squares([]))
    assert "only one holds boxes" in adafire(*words).json["error"]


def test_no_box_found(evaluated):
    never = replace(NETWORKS[DETECT].layers[1], bias=np.array([200_000, 0]))
    net = replace(NETWORKS[DETECT], layers=(NETWORKS[DETECT].layers[0], never))
    assert evaluated(net, x=squares([(0, 0)]), boxes=np.array([box(0, 0, 0)]))["map50"] == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_positions(evaluated, channels):
    net = NETWORKS[SEGMENT]
    if channels == 1:
        net = network(net.task, readout("a", [3], (4, 4), [-6000]))
    x = squares([(0, 0), (0, 1)], [])
    y = np.zeros((2, *WINDOWS), int)
    y[0, 0, 0] = y[1, 5, 5] = 1
    found = evaluated(net, x=x, y=y)
    assert found["accuracy"] == found["pixel_accuracy"] == pytest.approx(94 / 96)
    assert found["iou"] == {"background": pytest.approx(93 / 95), "red": pytest.approx(1 / 3)}
    assert found["mean_iou"] == pytest.approx((93 / 95 + 1 / 3) / 2)


def test_numbers(evaluated):
    x = squares([(2, 3)], [])
    y = np.zeros((2, 2, *WINDOWS))
    y[:, 1], y[0, 0, 2, 3], y[0, 1, 2, 3] = 0.5, 16 * 255 / 1000, 2 * 16 * 255 / 1000 + 0.5 + 3
    assert evaluated(NETWORKS[VALUES], x=x, y=y)["mean_squared_error"] == pytest.approx(9 / y.size)


def test_a_class_is_what_it_was(evaluated):
    found = evaluated(NETWORKS[CLASSIFY], x=squares([], []), y=np.array([0, 1]))
    assert found["task"] == "classify" and found["accuracy"] == 0.5 and "pixel_accuracy" not in found


def test_tables(adafire, evaluated):
    x, boxes = squares([(0, 0)]), np.array([box(0, 0, 0)])
    evaluated(NETWORKS[DETECT], x=x, boxes=boxes)
    told = adafire("evaluate", "net.safetensors", "--data", "data.npz").out
    assert "mean average precision at 0.5 " in told and "100.00 %" in told
    evaluated(NETWORKS[SEGMENT], x=x, y=np.zeros((1, *WINDOWS), int))
    told = adafire("evaluate", "net.safetensors", "--data", "data.npz").out
    assert "mean intersection over union" in told and "97.92 %" in told


def test_a_decoder_of_ones_own(evaluated, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def decode(outputs, size, options):\n    return [([[0, 0, 4, 4]], [0.9], [0]) for _ in outputs['a']]"
    )
    net = replace(NETWORKS[DETECT], stated_task=Task(DETECT, decoder=Decoder("mine.py")))
    data = {"x": squares([], []), "boxes": np.array([box(0, 0, 0), box(1, 0, 0)])}
    assert evaluated(net, "--decode", "mine.py", **data)["map50"] == pytest.approx(1)
    assert "name it with --decode mine.py" in evaluated(net, code=2, **data)["error"]


@pytest.mark.parametrize(("kind", "arrays", "words"), [
    (DETECT, {"y": np.array([0])}, "the network's task is detect: give boxes"),
    (DETECT, {"boxes": np.array([box(0, 0, 0, 1)])}, "boxes of class 1, the network has classes 0..0"),
    (DETECT, {"boxes": np.array([box(1, 0, 0)])}, "must number images 0..0"),
    (DETECT, {"boxes": np.array([[0, 0, 5, 0, 4, 4]])}, "end before they begin"),
    (DETECT, {"boxes": np.array([[0, 0.5, 0, 0, 4, 4]])}, "by whole numbers"),
    (DETECT, {"boxes": np.zeros((1, 5))}, r"must be numbers \[M, 6\]"),
    (SEGMENT, {"y": np.zeros((1, 2, 2), int)}, r"labels of a batch have shape \(1, 2, 2\)"),
    (SEGMENT, {"y": np.full((1, *WINDOWS), 2)}, r"must hold labels in 0\.\.1"),
    (VALUES, {"y": np.zeros((1, 3, *WINDOWS))}, r"shape \(3, 6, 8\) for each image"),
    (VALUES, {"y": np.full((1, 2, *WINDOWS), np.nan)}, "finite numbers"),
    (CLASSIFY, {"y": np.zeros((1, 2))}, "holds numbers as y, the network's task is classify"),
])
def test_data_of_another_task(evaluated, kind, arrays, words):
    assert re.search(words, evaluated(NETWORKS[kind], code=2, x=squares([]), **arrays)["error"])


@pytest.mark.parametrize(("kind", "module", "package"), [
    (DETECT, "pycocotools", "pycocotools"), (SEGMENT, "sklearn", "scikit-learn"),
])
def test_libraries_that_measure(tmp_path, monkeypatch, kind, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    np.savez(tmp_path / "a.npz", x=squares([]), boxes=np.array([box(0, 0, 0)]), y=np.zeros((1, *WINDOWS), int))
    with pytest.raises(ToolMissing, match=f"pip install {package}"):
        judge_of(NETWORKS[kind], NpzSet(tmp_path / "a.npz"))


def test_no_decoder_where_there_are_no_boxes(tmp_path):
    np.savez(tmp_path / "a.npz", x=squares([]))
    with pytest.raises(InputError, match="task is segment: there are no boxes"):
        judge_of(NETWORKS[SEGMENT], NpzSet(tmp_path / "a.npz"), "mine.py")
    assert judge_of(NETWORKS[SEGMENT], NpzSet(tmp_path / "a.npz")) is None
    assert Golden(NETWORKS[SEGMENT]).run(squares([(0, 0)])).classes[0, 0, 0] == 1
