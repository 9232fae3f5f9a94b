import json
import os
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from gen import netfile
from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from gen.netfile import SCHEMA, load_network, network_hash, save_network
from sim.golden import Golden
from sim.random_networks import random_images, random_network


def small(**changes):
    rng = np.random.default_rng(0)
    network = IntegerNetwork(
        Source((2, 4, 4), offset=np.array([3, 0])),
        [
            Spiking(
                "conv", [Synapse(INPUT, rng.integers(-7, 8, (3, 2, 3, 3)), padding=(1, 1))],
                bias=np.array([5, -300, 70000]), theta=np.array([40, 50, 60]), v_init=np.array([20, 25, 30]),
                burst=3, state_bits=12, weight_bits=np.array([4, 4, 8]),
            ),
            Pool("pool", "conv", "sum", (2, 2), (2, 2)),
            Readout("fc", [Synapse("pool", rng.integers(-1, 2, (2, 3, 2, 2)))], np.array([1, -1]), np.full(2, 2)),
        ],
        2, ExitRule("entropy", 1, 300, (100, 90)), {"model": "tiny", "accuracy": 0.5, "steps": [1, 2]},
    )
    return replace(network, **changes)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "net.safetensors"
    save_network(small(), path)
    return path


@pytest.mark.parametrize("seed", range(40))
def test_a_network_comes_back_the_same(tmp_path, seed):
    network, path = random_network(seed), tmp_path / "net.safetensors"
    save_network(network, path)
    back = load_network(path)
    assert network_hash(back) == network_hash(network) and back.provenance == network.provenance
    assert back.exit_rule == network.exit_rule and back.shapes == network.shapes
    images = random_images(network, seed, 4)
    np.testing.assert_array_equal(Golden(back).run(images).logits, Golden(network).run(images).logits)


def test_same_network_same_bytes(path, tmp_path):
    again = tmp_path / "again.safetensors"
    save_network(load_network(path), again)
    assert again.read_bytes() == path.read_bytes()


def test_arrays_are_stored_narrow(path):
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    assert header["layers.0.synapses.0.weight"]["dtype"] == "I8"
    assert header["layers.0.bias"]["dtype"] == "I32" and header["layers.0.theta"]["dtype"] == "I8"
    assert json.loads(header["__metadata__"]["adafire"])["schema"] == 1


def separated():
    network = small(exit_rule=ExitRule())
    conv = replace(network.layers[0], burst=1, v_init=np.zeros(3, int), neuron=INVERSE_LEAKY)
    return replace(network, layers=(conv, *network.layers[1:]))


def test_the_neuron_is_in_the_file(tmp_path):
    path = tmp_path / "net.safetensors"
    save_network(separated(), path)
    assert netfile._read(path)[0]["schema"] == 2 and netfile._read(path)[0]["layers"][0]["neuron"] == INVERSE_LEAKY
    assert load_network(path).two_phase and network_hash(load_network(path)) == network_hash(separated())


def test_a_network_of_adafire_neurons_is_the_first_schema_still(path):
    """Files and hashes of burst networks are what they were before there was another neuron."""
    header, _ = netfile._read(path)
    assert header["schema"] == 1 and "neuron" not in header["layers"][0]
    assert not load_network(path).two_phase


def test_hash_leaves_out_provenance_only():
    network = small()
    assert network_hash(network) == network_hash(small(provenance={}))
    assert len(network_hash(network)) == 64
    for changes in (
        {"timesteps": 3, "exit_rule": ExitRule()},
        {"exit_rule": ExitRule("entropy", 1, 300, (100, 91))},
        {"source": Source((2, 4, 4))},
        {"layers": (network.layers[0], replace(network.layers[1], kind="max"), network.layers[2])},
        {"layers": (replace(network.layers[0], burst=4), *network.layers[1:])},
        {"layers": (replace(network.layers[0], theta=np.array([40, 50, 61])), *network.layers[1:])},
    ):
        assert network_hash(small(**changes)) != network_hash(network)


def test_every_altered_byte_is_noticed(path):
    good = path.read_bytes()
    for position in range(0, len(good), 3):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        path.write_bytes(bad)
        with pytest.raises(InputError, match=f"^{path} "):
            load_network(path)


def test_every_truncation_is_noticed(path):
    good = path.read_bytes()
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(InputError, match=r"cannot be read as a network file \(.*\): it is truncated or of"):
            load_network(path)


def test_an_altered_tensor_is_damage(path):
    good = bytearray(path.read_bytes())
    good[-1] ^= 1
    path.write_bytes(good)
    with pytest.raises(InputError, match="is damaged: its content does not match its digest. Copy it again, or"):
        load_network(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="nothing.safetensors does not exist: check the name, or make it with"):
        load_network(tmp_path / "nothing.safetensors")


def test_a_folder(tmp_path):
    with pytest.raises(InputError, match="is a folder, not a network file: name the .safetensors file in it"):
        load_network(tmp_path)


def test_another_kind_of_file(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros(9))
    with pytest.raises(InputError, match="x.npz cannot be read as a network file .* of another kind"):
        load_network(tmp_path / "x.npz")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_another_safetensors_file(tmp_path, metadata):
    save_file({"weight": np.zeros((3, 3), np.float32)}, tmp_path / "model.safetensors", metadata)
    with pytest.raises(InputError, match="model.safetensors is a .safetensors file, but no network of adafire: float"):
        load_network(tmp_path / "model.safetensors")


def rewrite(path, change):
    """Write the file again with ``change(header, tensors)`` made and the digest right."""
    header, tensors = netfile._read(path)
    change(header, tensors)
    header["sha256"] = netfile._digest(header, tensors)
    save_file(tensors, path, {"adafire": netfile._json(header)})


def test_a_newer_schema(path):
    rewrite(path, lambda header, _: header.update(schema=SCHEMA + 1))
    with pytest.raises(InputError, match=r"newer adafire \(its schema is 3, this program reads up to 2\): update"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda h, t: h.update(timesteps=0), r"breaks the contract \(timesteps must be 1..64, not 0\): convert"),
        (lambda h, t: h.pop("layers"), r"breaks the contract \('layers'\)"),
        (lambda h, t: h["layers"][0].update(type="lstm"), r"breaks the contract \('lstm'\)"),
        (lambda h, t: h["layers"][0].update(colour=1), "unexpected keyword argument 'colour'"),
        (lambda h, t: h["layers"][0].pop("burst"), "required positional argument: 'burst'"),
        (lambda h, t: h["exit_rule"].update(kind="luck"), "the exit rule must be one of .* not 'luck'"),
        (lambda h, t: h["layers"][0]["synapses"][0].update(stride=[1.0, 1]), "must hold integers, not fractions"),
        (lambda h, t: h.update(source=3), "breaks the contract"),
        (lambda h, t: h.update(provenance=3), "the provenance must be a JSON object"),
        (lambda h, t: t.pop("layers.0.theta"), r"breaks the contract \('layers.0.theta'\)"),
        (lambda h, t: t.update({"layers.0.theta": np.zeros(3, np.int8)}), "theta must be positive, channel 0 has 0"),
        (lambda h, t: t.update({"layers.0.theta": np.ones(3, np.float32)}), "theta must hold integers, not float32"),
    ],
)
def test_a_network_against_the_contract(path, change, text):
    rewrite(path, change)
    with pytest.raises(InputError, match=text):
        load_network(path)


@pytest.mark.parametrize("metadata", ["{", "[]", "3", '{"schema": 1}', '{"sha256": 0}', '{"schema": 1, "sha256": 0}'])
def test_a_header_that_is_none(tmp_path, metadata):
    save_file({"a": np.zeros(1, np.int8)}, tmp_path / "net", {"adafire": metadata})
    with pytest.raises(InputError, match="is damaged: its content does not match its digest"):
        load_network(tmp_path / "net")


def test_provenance_that_json_cannot_hold(tmp_path):
    for value in (np.float32(1), float("nan"), {1, 2}):
        with pytest.raises(InputError, match="cannot be written: the provenance must be a JSON object"):
            save_network(small(provenance={"a": value}), tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be written .*: name a file in a folder you may write to"):
        save_network(small(), tmp_path / "no" / "net.safetensors")


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    good = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="disk full"):
        save_network(small(timesteps=1, exit_rule=ExitRule()), path)
    assert path.read_bytes() == good and list(path.parent.iterdir()) == [path]
