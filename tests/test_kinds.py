"""Every kind of layer through every stage of the house; where one is missing or refused, its name is in the test's.

A kind is one of `gen.layers.ROLES` with what makes a stage take another path: how a neuron fires, how a pool reduces,
of which size an output is, how a window reads. A new kind is a line in `KINDS`, a new stage one in `STAGES`; whatever
a stage refuses on purpose stands in `REFUSED` with the words of the refusal.
"""

import importlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch

from gen.errors import AdafireError
from gen.inputs import input_stream
from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY, ROLES
from gen.method.quantize import quantize
from gen.method.simulate import activations, readout_sums
from gen.model.network import FloatLayer, FloatNetwork, FloatPool, FloatSynapse
from gen.model.nir_export import export_nir
from gen.netfile import load_network, network_hash, save_network
from gen.plan.plan import make_plan
from gen.window import ZEROS
from host.describe import describe
from sim.energy import convention
from sim.golden import Golden
from tests.kit.machine import Machine
from tests.sim.golden_checks import assert_equal_models

BY_ROLE = ["sim.golden.stepwise", "sim.golden.two_phase", "host.describe"]
CHANNELS, SIZE, CLASSES = 2, 6, 3


@pytest.mark.parametrize("module", BY_ROLE)
def test_a_table_by_role_has_every_role(module):
    assert set(importlib.import_module(module).BY_ROLE) == set(ROLES), f"{module}.BY_ROLE lacks a role"


def _weights(*shape):
    return np.random.default_rng(len(shape)).normal(0.1, 0.5, shape)


def _network(hidden=None, pool=None, positions=False, **window):
    """Return a float network: a layer of neurons, perhaps a pool, and an output of one position or of all."""
    neurons = {"bias": np.full(4, 0.1), **(hidden or {})}
    layers = [FloatLayer("a", (FloatSynapse(INPUT, _weights(4, CHANNELS, 3, 3), **window),), **neurons)]
    size = layers[0].inputs[0].output_shape((CHANNELS, SIZE, SIZE))
    if pool:
        layers.append(FloatPool("b", "a", **pool))
        size = layers[1].output_shape(size)
    kernel = (1, 1) if positions else size[1:]
    last = FloatSynapse(layers[-1].name, _weights(CLASSES, 4, *kernel))
    layers.append(FloatLayer("z", (last,), np.zeros(CLASSES), False))
    return FloatNetwork((CHANNELS, SIZE, SIZE), tuple(layers))


POOL = {"kernel": (2, 2), "stride": (2, 2)}
KINDS = {
    "ReLU": _network(),
    "clipped": _network({"ceiling": 0.5}),
    "leaky": _network({"slope": np.array([0.1, 0.2, 0.0, 0.5])}),
    "linear": _network({"slope": np.ones(4)}),
    "average pool": _network(pool={"kind": "sum", "divisor": 4.0, **POOL}),
    "max pool": _network(pool={"kind": "max", **POOL}),
    "output of many positions": _network(positions=True),
    "padding by side": _network(padding=(0, 1, 2, 1)),
    "nearest upsampling": _network(upsample=(2, 2), padding=(1, 1)),
    "transposed": _network(upsample=(2, 2), padding=(2, 2), fill=ZEROS),
}


@dataclass
class Case:
    """A float network on its way, and images for it."""

    real: FloatNetwork
    images: np.ndarray
    folder: object

    def integer(self, neuron=ADAFIRE):
        """Return its integer network; bursts to 7 at 3 timesteps."""
        return _quantized(self.real, neuron)


@cache
def _quantized(real, neuron):
    thresholds = {layer.name: np.full(len(layer.bias), 0.2) for layer in real.layers if layer.fires}
    return quantize(real, thresholds, timesteps=3, neuron=neuron)


def float_forward(case):
    maps = activations(case.real, torch.as_tensor(case.images / 255).float())
    assert {name: maps[name].shape[1:] for name in case.real.shapes} == case.real.shapes


def to_integers(case):
    network = case.integer()
    assert [layer.role for layer in network.layers] == [layer.role for layer in case.real.layers]
    assert network.shapes == case.real.shapes


def float_simulation(case):
    network = case.integer()
    np.testing.assert_array_equal(readout_sums(network, case.images), Golden(network).all_logits(case.images))


def golden_stepwise(case):
    assert assert_equal_models(case.integer(), case.images).events.any()


def golden_two_phase(case):
    assert assert_equal_models(case.integer(INVERSE_LEAKY), case.images).events.any()


def network_file(case):
    network, path = case.integer(), case.folder / "network.safetensors"
    save_network(network, path)
    assert network_hash(load_network(path)) == network_hash(network)


def description(case):
    assert [layer["name"] for layer in describe(case.integer())["layers"]] == list(case.real.shapes)[1:]


def energy(case):
    network = case.integer()
    assert (convention(network, Golden(network).run(case.images), case.images)["convention_uJ"] > 0).all()


def machine(case):
    """The programs of the core, walked in plain Python: the outputs are those of the golden model."""
    network = case.integer()
    plan = make_plan(network, 8)
    words, golden = input_stream(network, case.images), Golden(network).run(case.images)
    for row, image in enumerate(words):
        run = Machine(plan.params, plan.contents).run(image)
        assert run.outputs == golden.outputs["z"][row].transpose(1, 2, 0).ravel().tolist()
        assert run.timesteps == golden.exit_steps[row]


def nir_export(case):
    assert {"input", "output"} <= set(export_nir(case.integer()).nodes)


STAGES = {
    stage.__name__.replace("_", " "): stage for stage in (
        float_forward, to_integers, float_simulation, golden_stepwise, golden_two_phase, network_file, description,
        energy, machine, nir_export,
    )
}
REFUSED = {
    ("golden two phase", "leaky"): "may be below",
    ("golden two phase", "linear"): "may be below",
    ("golden two phase", "max pool"): "cannot be converted",
    ("nir export", "leaky"): "counts below zero",
    ("nir export", "linear"): "counts below zero",
    ("nir export", "max pool"): "maximum pool",
    ("nir export", "nearest upsampling"): "upsampling",
    ("nir export", "transposed"): "upsampling",
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_stage_takes_every_kind(stage, kind, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, CHANNELS, SIZE, SIZE), np.uint8)
    case = Case(KINDS[kind], images, tmp_path)
    if (stage, kind) not in REFUSED:
        STAGES[stage](case)
        return
    with pytest.raises(AdafireError, match=REFUSED[stage, kind]):
        STAGES[stage](case)
