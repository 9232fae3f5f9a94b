"""What has no counterpart says why, and what would have one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen.errors import UnsupportedModel
from gen.model.load import load
from gen.model.refusal import OUTSIDE, refusal
from tests.gen.model.graph import Graph

pytestmark = pytest.mark.usefixtures("one_thread")

SQUEEZE = Graph(lambda m, x: m.c(x) * torch.sigmoid(m.c(x).mean((2, 3), keepdim=True)), c=nn.Conv2d(3, 3, 1))
REFUSED = {
    "reduces all axes, N among them": lambda x: x.mean(),
    "reduces N, across images": lambda x: x.mean(0),
    "not rows or columns": lambda x: F.relu(x).mean(1),
    "makes the map of shape (3, 8, 8) one of (4, 8), across images": lambda x: x.reshape(-1, 4, 8),
    "acts across images": lambda x: x[1:],
    "rounds to integers": lambda x: (x * 255).to(torch.uint8),
    "clips at -1 from below": lambda x: F.hardtanh(x),
    "has a slope below zero": lambda x: F.leaky_relu(x, -0.1),
    "cuts off at 0": lambda x: x.clamp(0, 0),
    "takes the larger of two maps": lambda x: torch.maximum(x, -x),
    "divides by a map": lambda x: 1 / x,
    "pads with other numbers than zeros": lambda x: (
        F.pad(x, (1, 1), value=1.0) + F.pad(x, (1, 1, 0, 0), mode="reflect")
    ),
    "by a factor that is not whole": lambda x: F.interpolate(x, (12, 12)),
    "weighs neighbours by their distance": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "is not made of straight lines": lambda x: F.silu(x) + F.hardswish(x) + F.gelu(x) + torch.tanh(x),
    "is not the last operation": lambda x: x.softmax(1) * 2,
    "normalizes over positions": lambda x: F.relu(x).softmax(2),
    "draws random numbers": lambda x: x + torch.rand(8),
    "is asked where the largest lies": lambda x: F.max_pool2d(F.relu(x), 2, return_indices=True)[1],
    "picks by value": lambda x: x.argmax(1),
    "pools the image itself": lambda x: F.max_pool2d(x, 2),
    "does not divide the map": lambda x: F.adaptive_avg_pool2d(F.relu(x), 5),
    "takes its statistics from the very image": lambda x: F.layer_norm(x, (8,)) + F.group_norm(x, 3),
    "mixes channels and positions": lambda x: F.conv2d(F.relu(x).transpose(1, 2), torch.ones(1, 8, 1, 1)),
    "is a constant": lambda x: (x, torch.ones(3)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_counterpart_is_refused_with_the_reason(reason):
    with pytest.raises(UnsupportedModel) as caught:
        load(Graph(lambda m, x: REFUSED[reason](x)), (3, 8, 8))
    assert all(reason in problem or "straight" in problem for problem in caught.value.problems)
    assert all("supported" in problem for problem in caught.value.problems)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(8, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


class Attention(nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x)


@pytest.mark.parametrize(
    "module, shape, reason",
    [
        (Recurrent(), (6, 8), "feeds its result back"),
        (Attention(), (6, 8), "multiplies two maps"),
        (SQUEEZE, (3, 8, 8), "multiplies two maps"),
    ],
)
def test_whole_kinds_of_networks_are_refused_with_the_reason(module, shape, reason):
    with pytest.raises(UnsupportedModel, match=reason):
        load(module, shape)


@pytest.mark.parametrize("spelled, reason", [
    ("HardSwish", "straight lines"), ("hardswish", "straight lines"), ("HARD_SWISH", "straight lines"),
    ("com.microsoft.Gelu", "straight lines"), ("LSTM", "feeds its result back"), ("_native_dropout", "training mode"),
])
def test_a_name_is_known_as_any_format_spells_it(spelled, reason):
    assert reason in refusal(spelled)[0] and refusal(spelled)[1]


def test_a_name_that_nobody_knows_is_outside():
    assert refusal("frobnicate") == (OUTSIDE, None)
