"""The examples on points, sound and events: what they learn from, and what they leave in their folder, on tiny data."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gen.data.forms import form_of
from gen.netfile import load_network
from tests.gen.data.test_sound import sound, write

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Return an example as a module."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


def play(module, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words), "--threads", "1"])
    module.main()


def test_points(example, monkeypatch, tmp_path):
    points = example("points")
    monkeypatch.setattr(points, "STEPS", 2)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 28, 28), np.uint8), np.arange(40) % 10
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:10], y_test=y[:10])
    play(points, monkeypatch, tmp_path / "data.npz", "--out", tmp_path / "out", "--epochs", 1)
    network = load_network(tmp_path / "out/points.safetensors")
    told = json.loads((tmp_path / "out/figures.json").read_text())
    assert form_of(network).text == "points:scale=1" and network.source.shape == (3, points.POINTS, 1)
    assert told["points"]["images"] == 10 and 0 <= told["points"]["accuracy"] <= 1
    module = points.pointnet().eval()
    maps = torch.rand(2, 3, points.POINTS, 1)
    assert torch.allclose(module(maps), module(maps.flip(2)), atol=1e-6)  # the order of points does not matter
    moved = points.moved(torch.full((50, 3, 4, 1), 250, dtype=torch.uint8), torch.Generator().manual_seed(0))
    assert (moved[:, 2] == 250).all() and moved[:, :2].min() >= 240 and moved[:, :2].max() == 255


def test_spoken_digits_of_a_folder_and_of_a_file(example, tmp_path):
    digits = example("spoken_digits")
    for name in ("3_anna_0", "3_anna_7", "8_bo_12"):
        write(tmp_path / f"{name}.wav", sound(3000, len(name)))
    x, y, index = digits.recordings(tmp_path)
    assert x.shape == (3, 1, 32, 32) and y.tolist() == [3, 3, 8] and index.tolist() == [0, 7, 12]
    np.savez(tmp_path / "d.npz", x=x[:, 0], y=y.astype(np.uint8), index=index)
    assert all((a == b).all() for a, b in zip(digits.recordings(tmp_path / "d.npz"), (x, y, index)))
    assert digits.words()(torch.rand(2, 1, 32, 32)).shape == (2, 10)


def test_a_recording_that_has_begun_is_the_mean_of_its_first_frames(example, monkeypatch):
    nmnist = example("nmnist")
    for name in ("TURN", "SCALE", "SHIFT"):
        monkeypatch.setattr(nmnist, name, 0.0)
    x = torch.randint(0, 9, (30, 4, 2, 6, 6), dtype=torch.uint8)
    found = nmnist.begun(x, torch.Generator().manual_seed(1)) / 255
    means = torch.stack([x[:, : n + 1].float().mean(dim=1) for n in range(4)], dim=1)
    which = (means - found[:, None]).abs().amax(dim=(2, 3, 4)) < 1e-4
    assert which.any(dim=1).all() and which.any(dim=0).all()
