"""`open_device`: one signature for the golden model, the compiled core and a generated folder."""

from inspect import signature

import numpy as np
import pytest

from gen.device import Device
from gen.errors import InputError
from host.board import Board
from host.device import open_device
from sim.golden import Golden
from sim.compiled_core import CompiledCore
from tests.kit.random_networks import random_images, random_network


@pytest.mark.parametrize("where", ["golden", "rtl"])
def test_a_model_needs_a_network(where):
    with pytest.raises(InputError, match=rf"The device '{where}' needs a network: open_device\('{where}', network\)\."):
        open_device(where)


def test_unknown_device_names_the_choices():
    with pytest.raises(InputError, match="There is no device '/dev/none': name 'golden' .* 'rtl' .* `adafire gen"):
        open_device("/dev/none", random_network(1))


def test_golden():
    network = random_network(3)
    images = random_images(network, 3, 5)
    device = open_device("golden", network)
    assert isinstance(device, Golden) and isinstance(device, Device)
    np.testing.assert_array_equal(device.run(images).logits, Golden(network).run(images).logits)


@pytest.mark.parametrize("kind", [Golden, CompiledCore, Board])
def test_every_device_takes_the_same_call(kind):  # that they are devices, by type, pyright sees in `open_device`
    told, asked = (signature(device.run).parameters.values() for device in (kind, Device))
    assert [(one.name, one.default) for one in told] == [(one.name, one.default) for one in asked]


def test_what_does_not_run_is_no_device():
    assert not isinstance(random_network(1), Device)
