"""`open_device`: one signature for the golden model, the compiled core and a generated folder."""

import numpy as np
import pytest

from gen.errors import InputError
from host.device import open_device
from sim.golden import Golden
from sim.random_networks import random_images, random_network


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
    assert isinstance(device, Golden)
    np.testing.assert_array_equal(device.run(images).logits, Golden(network).run(images).logits)
