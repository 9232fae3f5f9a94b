"""Training helpers and the example scripts."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gen.model.load import load
from gen.data.train import accuracy, augment, fit, save

pytestmark = pytest.mark.usefixtures("one_thread")
EXAMPLES = Path(__file__).parents[3] / "examples"


def test_augmentation_moves_and_mirrors_each_image():
    x = torch.zeros(200, 1, 5, 7, dtype=torch.uint8)
    x[:, 0, 2, 1] = 9
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(augment(x, 0, False, generator), x)
    moved = augment(x, 1, True, generator)
    _, _, rows, columns = moved.nonzero(as_tuple=True)
    assert moved.shape == x.shape and len(rows) == 200
    assert set(rows.tolist()) == {1, 2, 3} and set(columns.tolist()) == {0, 1, 2, 4, 5, 6}


def test_fit_learns_and_save_keeps_the_batch_free(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    x = (rng.integers(0, 100, (400, 1, 4, 4)) + 80 * y[:, None, None, None]).astype(np.uint8)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
    told = []
    fit(module, x, y, epochs=8, batch=40, rate=3e-2, shift=0, progress=lambda *step: told.append(step))
    assert accuracy(module, x, y) > 0.95 and not module.training
    assert told[-1][0].startswith("epoch 8 of 8: loss") and told[-1][1] == 1.0
    save(module, x, tmp_path / "new" / "model.pt2")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.pt2"]
    program = torch.export.load(tmp_path / "new" / "model.pt2").module()
    images = torch.as_tensor(x[:7]).float() / 255
    torch.testing.assert_close(program(images), module(images))


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, words)])
    monkeypatch.syspath_prepend(EXAMPLES)
    runpy.run_path(str(EXAMPLES / "train.py"), run_name="__main__")


@pytest.mark.parametrize("name, weights", [
    ("fashion", 28944), ("mnist_cnn", 9064), ("mnist_mlp", 784 * 128 + 1280), ("vgg", 72208), ("resnet", 270848),
    ("mobilenet", 17856),
])
def test_the_examples_write_a_model_that_converts(name, weights, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (512, 28, 28), dtype=np.uint8), rng.integers(0, 10, 512)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:50], y_test=y[:50])
    out = tmp_path / "model.pt2"
    run(monkeypatch, name, tmp_path / "data.npz", "--out", out, "--epochs", 1, "--threads", 1)
    assert "accuracy on 50 test images: " in capsys.readouterr().out
    network = load(out)
    assert network.weights == weights and network.shape == (1, 28, 28)
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, name, "nowhere.npz")
    assert "error: nowhere.npz does not exist" in capsys.readouterr().err
