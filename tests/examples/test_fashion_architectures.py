"""The script that takes three architectures from a trained model to a verified core, on tiny ones."""

import importlib
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gen.data.train import save

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = {
    "vgg": {"widths": (2, 3)},
    "resnet": {"widths": (2, 3), "blocks": 1},
    "mobilenet": {"widths": (2, 3), "strides": (2,)},
}


@pytest.fixture
def play(tmp_path, monkeypatch, capsys):
    """Run the script on noise, with untrained models, in a folder of its own; return what it prints."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 28, 28), dtype=np.uint8), rng.integers(0, 10, 40)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:12], y_test=y[:12])

    def run(*words, models=()):
        torch.manual_seed(0)
        for name in models:
            module = getattr(importlib.import_module("architectures"), name)(**TINY[name])
            save(module.eval(), np.zeros((2, 1, 28, 28), np.uint8), f"{name}.pt2")
        words = ("--data", "data.npz", "--models", ".", "--timesteps", "2", *words)
        monkeypatch.setattr(sys, "argv", ["fashion_architectures.py", *words])
        runpy.run_path(str(EXAMPLES / "fashion_architectures.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_core_and_a_table(play, tmp_path):
    told = play("--networks", "vgg", "--out", "cores", "--lanes", "4", "--verify", "0", models=["vgg"])
    assert (tmp_path / "cores/vgg/core.v").is_file()
    row = r"{} +[│|] +{} +[│|]"
    weights = 9 * 2 + 9 * 4 + 9 * 6 + 9 * 9 + 30
    for name, value in (
        ("weights", weights), ("mean timesteps", r"[12]\.\d+"), ("synaptic operations", r"[\d,]+"), ("lanes", 4),
        ("uJ by convention, a burst one AC", r"\d\.\d+"), (r"LUTs \(estimated\)", r"[\d,]+"),
    ):
        assert re.search(row.format(name, value), told), told
    assert "differences" not in told and "vgg: evaluate 12 images" in told


@pytest.mark.parametrize(("words", "text"), [
    (("--models", "nowhere"), "There is no nowhere/vgg.pt2, no nowhere/resnet.pt2, .* examples/train.py vgg or resnet"),
    (("--data", "other.npz"), "other.npz does not exist"),
    (("--board", "abacus"), "abacus"),
])
def test_what_is_wrong_is_said_before_anything_slow(play, capsys, tmp_path, words, text):
    for name in TINY:
        (tmp_path / f"{name}.pt2").write_bytes(b"not looked at")
    with pytest.raises(SystemExit) as ended:
        play(*words)
    assert ended.value.code == 2 and re.search(f"error: .*{text}", capsys.readouterr().err)


@pytest.mark.slow
def test_three_cores_verified(play):
    told = play("--out", "cores", "--lanes", "4", "--verify", "2", models=TINY)
    assert re.search(r"images verified on the compiled core +│ +2 │ +2 │ +2", told), told
    assert re.search(r"differences +│ +0 │ +0 │ +0", told) and "uJ, estimated from counters" in told, told
