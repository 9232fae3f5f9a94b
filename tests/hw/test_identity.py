"""What the host is told of a design."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gen.errors import InputError
from gen.inputs import input_values
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Readout, Source, Synapse
from gen.plan.plan import make_plan
from hw.identity import build_id, describe_input, describe_outputs, network_id, register_values
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


def test_recordings_beyond_the_positions_of_the_link_are_refused():
    """2**32 bytes are one too many; they would fit no memory either."""
    readout = Readout("r", [Synapse(INPUT, np.ones((1, 2, 1, 1), int), (64, 64))], np.zeros(1, int), np.array([8]))
    recordings = IntegerNetwork(Source((2, 2048, 2048), "frames"), [readout], 512)
    with pytest.raises(InputError, match="512 frames of 8388608 values, 4294967296 bytes in all; a host can send 429"):
        describe_input(recordings)
    assert describe_input(replace(recordings, timesteps=511))["values"] == 511 * 2**23


def test_images_that_are_run_together_are_one_input():
    network = random_network(3, sources=("direct",), max_timesteps=1)
    alone, together = describe_input(network), describe_input(network, 3)
    assert together == {"images": 3, **alone, "values": 3 * alone["values"]} and "images" not in alone
    assert describe_outputs(network, 3) == {"images": 3, **describe_outputs(network)}
    assert describe_input(network, 1) == alone and describe_outputs(network, 1) == describe_outputs(network)
    large = SimpleNamespace(source=Source((4, 2**14, 2**14)), timesteps=1)
    assert describe_input(large, 3)["values"] == 3 * 2**30
    said = r"would take 4 images together of 1073741824 values, 4294967296 bytes in all; .* Give a smaller --batch\."
    with pytest.raises(InputError, match=said):
        describe_input(large, 4)


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
