import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gen import netfile
from gen.errors import InputError
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import INPUT, INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from gen.netfile import SCHEMA, load_network, network_hash, save_network
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network


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


def signed():
    """Return a network of what schema 3 added: signed counts, a burst over 15, uneven padding, two outputs, order."""
    net = small(exit_rule=ExitRule(), order="tiles")
    conv, pool, fc = net.layers
    conv = replace(
        conv, theta_low=np.array([7, 8, 300]), burst_low=200, burst=255,
        synapses=[replace(conv.synapses[0], padding=(1, 0, 1, 2)), replace(conv.synapses[0], padding=(1, 1))],
    )
    small_map = Readout("map", [Synapse("pool", np.ones((2, 3, 1, 1), int), upsample=(2, 3), fill="zeros")],
                        np.zeros(2, int), np.full(2, 2))
    pool = replace(pool, kernel=(2, 1), dilation=(2, 1), padding=(1, 0, 2, 1))
    shape = pool.output_shape(conv.synapses[0].output_shape((2, 4, 4)))
    fc = replace(fc, synapses=[Synapse("pool", np.ones((2, *shape), int))])
    return replace(net, layers=(conv, pool, small_map, fc))


def staged():
    first = small(exit_rule=ExitRule("entropy", 1, 300, (100, 90)))
    return StagedNetwork([first, small(exit_rule=ExitRule())], {"from": "two"})


@pytest.mark.parametrize("make", [signed, staged])
def test_the_third_schema_comes_back_the_same(tmp_path, make):
    network, path = make(), tmp_path / "net.safetensors"
    save_network(network, path)
    back = load_network(path)
    assert netfile._read(path)[0]["schema"] == 3 and network_hash(back) == network_hash(network)
    assert back.provenance == network.provenance and len(back.stages) == len(network.stages)
    for one, other in zip(back.stages, network.stages):
        assert (one.shapes, one.exit_rule, one.order) == (other.shapes, other.exit_rule, other.order)
        for a, b in zip(one.layers, other.layers):
            assert [part.window for part in a.inputs] == [part.window for part in b.inputs]
            assert not a.fires or (a.burst, a.burst_low, a.min_burst) == (b.burst, b.burst_low, b.min_burst)


@pytest.mark.parametrize("change", [
    lambda n: replace(n, timesteps=65, exit_rule=ExitRule()),
    lambda n: replace(n, exit_rule=replace(n.exit_rule, share=5)),
    lambda n: replace(n, exit_rule=replace(n.exit_rule, output="fc")),
    lambda n: replace(n, order="tiles", exit_rule=ExitRule()),
    lambda n: replace(n, layers=(replace(n.layers[0], burst=16), *n.layers[1:])),
    lambda n: replace(n, layers=(n.layers[0], replace(n.layers[1], padding=(0, 0, 1, 1)), n.layers[2])),
    lambda n: replace(n, layers=(replace(n.layers[0], theta_low=np.ones(3, int), burst_low=1), *n.layers[1:])),
])
def test_every_new_field_is_in_file_and_hash(tmp_path, change):
    network, path = change(small()), tmp_path / "net.safetensors"
    save_network(network, path)
    assert netfile._read(path)[0]["schema"] == 3
    assert network_hash(load_network(path)) == network_hash(network) != network_hash(small())


# Hashes of random networks, and results of two files, as the program before schema 3 had them.
YESTERDAY = {
    0: "5a2133df3c9cdcf0d066a44996d4ae207aaa668694902a2220fbf52006e495fd",
    3: "417e24d49bb6f0393b4e7b6dea9b49a760e0855dd7b212348f4e92a2cdeeb54e",
    7: "c8e0c138fad294beb94cc954532576d149a5b891317cb80083fcd016b93ccd51",
    11: "aa93b9fb0c142ddb0e6855b286dfd51e755e3b3ae7cd9e7e1fa4f27a7f356581",
}
FILES = Path(__file__).with_name("yesterday")


@pytest.mark.parametrize("seed", YESTERDAY)
def test_hashes_are_those_of_yesterday(seed):
    assert network_hash(random_network(seed)) == YESTERDAY[seed]


@pytest.mark.parametrize(("name", "digest", "seed", "logits", "exit_steps", "events", "operations"), [
    ("bursts", "a2c77b985a17f67c5d278425a4f88a56eaa72ad7cba3301a3717dfab7dafb0ee", 134,
     [[-27, -39, -30, -4, -126, -96, -63, 8], [-10, -16, -16, 0, 38, -60, -16, 54],
      [-25, -38, -24, -10, -128, -19, -30, -167]], [5, 2, 4], [11, 5, 10], [306, 49, 306]),
    ("two_phase", "7c387aa36a3afbb419ec5799ed4436cd02edf5564d7ed5d114d1156811e4dbc6", 0,
     [[928, -161, -308], [544, 18, -253], [3290, -195, -327]], [4, 4, 4], [99, 58, 143], [431, 113, 449]),
])
def test_a_file_of_yesterday_gives_the_bits_of_yesterday(name, digest, seed, logits, exit_steps, events, operations):
    network = load_network(FILES / f"{name}.safetensors")
    assert network_hash(network) == digest
    result = Golden(network).run(random_images(network, seed, 3))
    assert result.logits.tolist() == logits and result.exit_steps.tolist() == exit_steps
    assert result.events.tolist() == events and result.synaptic_ops.tolist() == operations


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
    with pytest.raises(InputError, match=r"newer adafire \(its schema is 5, this program reads up to 4\): update"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda h, t: h.update(timesteps=0), r"breaks the contract \(timesteps must be 1..512, not 0\): convert"),
        (lambda h, t: h.pop("layers"), r"breaks the contract \('layers' is missing\)"),
        (lambda h, t: h["layers"][0].update(type="lstm"), r"breaks the contract \('lstm' is missing\)"),
        (lambda h, t: h["layers"][0].update(colour=1), "unexpected keyword argument 'colour'"),
        (lambda h, t: h["layers"][0].pop("burst"), "required positional argument: 'burst'"),
        (lambda h, t: h["exit_rule"].update(kind="luck"), "the exit rule must be one of .* not 'luck'"),
        (lambda h, t: h["layers"][0]["synapses"][0].update(stride=[1.0, 1]), "must hold integers, not fractions"),
        (lambda h, t: h.update(source=3), "breaks the contract"),
        (lambda h, t: h.update(provenance=3), "the provenance must be a JSON object"),
        (lambda h, t: t.pop("layers.0.theta"), r"breaks the contract \('layers.0.theta' is missing\)"),
        (lambda h, t: t.update({"layers.0.theta": np.zeros(3, np.int8)}), "theta must be positive, channel 0 has 0"),
        (lambda h, t: t.update({"layers.0.theta": np.ones(3, np.float32)}), "theta must hold integers, not float32"),
        (lambda h, t: h.update(layers="conv"), "the layers must be a list"),
        (lambda h, t: h.update(schema=0), "names the schema 0, which there never was"),
        (lambda h, t: h.update(schema="2"), "names the schema '2', which there never was"),
        (lambda h, t: t.update({"layers.7.bias": np.ones(3, np.int8)}), "the tensors layers.7.bias belong to no layer"),
        (lambda h, t: t.update({k: t[k].astype(np.int16) for k in t if "weight" in k and "bits" not in k}),
         "a weight is int8, not int16"),
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


@pytest.mark.parametrize("text", [
    '{"schema": NaN}', '{"schema": 1, "sha256": Infinity}', "[" * 100_000 + "]" * 100_000,
])
def test_a_header_that_is_no_json(tmp_path, text):
    path = tmp_path / "net.safetensors"
    save_file({"a": np.zeros(1, np.int8)}, path, {"adafire": text})
    with pytest.raises(InputError, match="is damaged: its content does not match its digest"):
        load_network(path)
