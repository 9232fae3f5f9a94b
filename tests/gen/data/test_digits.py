"""The demo's network learns the digits and survives its conversion."""

import numpy as np
import pytest
from torch import nn

from gen.data.digits import load_digits, network_module, small_module, train
from gen.data.train import accuracy
from gen.method.convert import convert
from gen.method.exit_fit import exit_steps
from gen.method.simulate import readout_sums

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_split_is_fixed_and_disjoint():
    x, y, x_test, y_test = load_digits()
    assert x.shape == (1300, 1, 8, 8) and x_test.shape == (497, 1, 8, 8) and x.dtype == x_test.dtype == np.uint8
    assert (x.min(), x.max()) == (0, 255) and set(np.unique(x)) == set(np.rint(np.arange(17) * 255 / 16))
    assert np.bincount(y, minlength=10).min() > 100 and np.bincount(y_test, minlength=10).min() > 30
    assert y[:8].tolist() == load_digits()[1][:8].tolist()
    assert len({image.tobytes() for image in x} & {image.tobytes() for image in x_test}) == 0


def test_the_network_shows_what_a_conversion_must_handle():
    kinds = [type(layer) for layer in network_module().modules()]
    assert {nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.AvgPool2d, nn.Linear} < set(kinds)


def test_the_small_network_converts_for_the_margin_rule():
    module = train(seed=0, make=small_module)
    x, y, x_test, y_test = load_digits()
    floating = accuracy(module, x_test, y_test)
    net = convert(module, x, labels=y, exit="margin")
    assert floating >= 0.97 and max(len(layer.synapses) for layer in net.layers) == 1
    z = readout_sums(net, x_test)
    assert net.exit_rule.kind == "margin" and (z[:, -1].argmax(axis=1) == y_test).mean() >= floating - 0.006


def test_digits_convert_without_loss():
    told = []
    module = train(seed=0, progress=lambda text, fraction: told.append(fraction))
    x, y, x_test, y_test = load_digits()
    floating = accuracy(module, x_test, y_test)
    assert floating >= 0.985 and told[-1] == 1.0

    net = convert(module, x, labels=y)
    assert any(len(layer.synapses) == 2 for layer in net.layers if layer.weighted), "no residual"
    z = readout_sums(net, x_test)
    found = z.argmax(axis=2)
    steps = exit_steps(z, net.exit_rule)
    assert (found[:, -1] == y_test).mean() >= floating - 0.003
    assert (found[np.arange(497), steps - 1] == y_test).mean() >= floating - 0.003
    assert steps.mean() <= 2.0
