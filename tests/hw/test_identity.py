"""What the host is told of a design."""

from dataclasses import replace

import numpy as np
import pytest

from gen.inputs import input_values
from gen.plan.plan import make_plan
from hw.identity import build_id, describe_input, network_id, register_values
from tests.kit.random_networks import random_images, random_network

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_input_value_fits_the_bytes_it_is_sent_in(seed):
    network = random_network(seed)
    described = describe_input(network)
    values = input_values(network, random_images(network, seed, 4))
    assert values[0].size == described["values"], seed
    sent = values - described["lowest"]
    assert 0 <= sent.min() and sent.max() < 256 ** described["bytes"], seed


def test_wide_inputs_take_two_bytes():
    network = random_network(0)
    channels = network.source.shape[0]
    offset = np.linspace(0, 200, channels).astype(int)
    wide = replace(network.source, kind="direct", low=-100, high=255, offset=offset)
    assert describe_input(replace(network, source=wide))["bytes"] == 2


def test_the_build_id_names_parameters_image_and_tools():
    plan, versions = make_plan(random_network(1), 4), {"amaranth": "0.5.10"}
    same = build_id(make_plan(random_network(1), 4), dict(versions))
    assert build_id(plan, versions) == same and len(same) == 32 and int(same, 16)
    assert build_id(make_plan(random_network(1), 8), versions) != same
    assert build_id(make_plan(random_network(2), 4), versions) != same
    assert build_id(plan, {"amaranth": "0.5.11"}) != same


def test_register_values():
    network = random_network(3)
    manifest = {
        "build_id": "0123456789abcdef" * 2, "network_id": network_id(network), "initialised": True, "lanes": 4,
        "image_digest": 0xC0FFEE, "input": describe_input(network), "parameters": {"outputs": 9},
    }
    values = register_values(manifest, BAUD=1)
    assert [values[f"BUILD_{i}"] for i in range(4)] == [0x89ABCDEF, 0x01234567] * 2
    assert values["NETWORK"] == network_id(network) and 1 <= values["NETWORK"] < 2**32
    assert values["OUTPUTS"] == 9 and values["LANES"] == 4 and values["BAUD"] == 1
    assert values["LOADED"] == 0xC0FFEE
    empty = register_values({**manifest, "initialised": False})
    assert empty["NETWORK"] == empty["LOADED"] == 0
