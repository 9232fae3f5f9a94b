"""What `-v` shows: doors tell what they leave out, the conversion tells its steps, once each and in order."""

import logging

import numpy as np
import pytest
from torch import nn

from gen.method.convert import convert


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, logger="adafire")
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(8, 3), nn.Softmax(dim=1),
    ).eval()
    convert(module, np.random.default_rng(0).integers(0, 256, (8, 1, 4, 4)).astype(np.uint8), timesteps=2)
    return [record.getMessage() for record in caplog.records if record.name == "adafire.gen"]


def test_what_is_left_out_is_told(told):
    assert "2 (clone) is left out: it changes nothing" in told  # what torch.export makes of a Dropout
    assert "output: the softmax behind it is left to the host" in told


def test_steps_are_told_when_they_begin(told):
    steps = [text.removeprefix("conversion: ") for text in told if text.startswith("conversion: ")]
    assert steps == ["load", "thresholds", "integers", "biases", "exit rule", "activity", "done"]
