"""Names and order follow from what a network computes, not from how a format lists it."""

from dataclasses import replace

import numpy as np
import pytest

from gen.layers import INPUT
from gen.model.canonical import canonical
from gen.model.network import FloatLayer, FloatNetwork, FloatPool, FloatSynapse, Output

RNG = np.random.default_rng(5)


def synapse(source, *shape, **geometry):
    return FloatSynapse(source, RNG.normal(size=shape), **geometry)


LAYERS = [
    FloatLayer("a", (synapse(INPUT, 4, 1, 3, 3, padding=(1, 1)),), RNG.normal(size=4)),
    FloatLayer("b", (synapse("a", 4, 1, 3, 3, padding=(1, 1), groups=4),), RNG.normal(size=4)),
    FloatLayer("c", (synapse("a", 4, 4, 1, 1),), RNG.normal(size=4)),
    FloatPool("p", "b", "sum", (2, 2), (2, 2), divisor=4.0),
    FloatPool("q", "c", "max", (2, 2), (2, 2)),
    FloatLayer("unused", (synapse("a", 2, 4, 1, 1),), np.zeros(2)),
    FloatLayer("d", (synapse("p", 4, 4, 1, 1), synapse("q", 4, 4, 1, 1), synapse("q", 4, 4, 3, 3, padding=(1, 1))),
          RNG.normal(size=4)),
    FloatLayer("z", (synapse("d", 3, 4, 2, 2),), RNG.normal(size=3), fires=False),
]


def shuffled(rng):
    """Return the same network in another order, under other names, synapses in another order."""
    names = {layer.name: f"n{i}" for i, layer in zip(rng.permutation(99), LAYERS)}
    names[INPUT] = INPUT
    order = [0, *rng.permutation([1, 2, 5]), *rng.permutation([3, 4]), 6, 7]
    result = []
    for layer in (LAYERS[i] for i in order):
        if not layer.weighted:
            result.append(FloatPool(names[layer.name], names[layer.source], layer.kind, layer.kernel, layer.stride,
                                    divisor=layer.divisor))
            continue
        parts = [FloatSynapse(names[s.source], s.weight, s.stride, s.padding, s.dilation, s.groups)
                 for s in layer.synapses]
        parts = tuple(parts[i] for i in rng.permutation(len(parts)))
        result.append(FloatLayer(names[layer.name], parts, layer.bias, layer.fires))
    return result


def test_names_say_kind_and_place_and_keep_the_origin():
    network = canonical((1, 4, 4), LAYERS)
    assert isinstance(network, FloatNetwork)
    assert {name[-1] for name in network.origins if name.startswith(("conv", "dw"))} == set("1234")
    kinds = {origin: name.rstrip("0123456789") for name, origin in network.origins.items()}
    assert kinds == {"a": "conv", "b": "dw", "c": "conv", "p": "pool", "q": "pool", "d": "conv", "z": "fc"}
    made = {INPUT}
    for layer in network.layers:
        assert made.issuperset(layer.sources)
        made.add(layer.name)


@pytest.mark.parametrize("seed", range(20))
def test_order_and_names_of_the_source_leave_no_trace(seed):
    other = canonical((1, 4, 4), shuffled(np.random.default_rng(seed)))
    assert other.digest == canonical((1, 4, 4), LAYERS).digest, f"seed {seed}"


@pytest.mark.parametrize("number, change", [
    (2, lambda layer: {"synapses": (synapse("a", 4, 4, 1, 1),)}),
    (2, lambda layer: {"bias": layer.bias + 1}),
    (2, lambda layer: {"slope": np.full(4, 0.1)}),
    (2, lambda layer: {"ceiling": 6.0}),
    (2, lambda layer: {"threshold": np.ones(4)}),
    (2, lambda layer: {"synapses": (replace(layer.synapses[0], padding=(0, 0, 1, 1)),)}),
    (2, lambda layer: {"synapses": (replace(layer.synapses[0], upsample=(2, 2), stride=(2, 2)),)}),
    (4, lambda pool: {"kind": "sum"}),
    (4, lambda pool: {"divisor": 2.0}),
    (4, lambda pool: {"upsample": (2, 2), "stride": (4, 4)}),
    (4, lambda pool: {"dilation": (2, 2), "padding": (0, 0, 1, 1)}),
])
def test_another_number_another_digest(number, change):
    changed = list(LAYERS)
    changed[number] = replace(LAYERS[number], **change(LAYERS[number]))
    assert canonical((1, 4, 4), changed).digest != canonical((1, 4, 4), LAYERS).digest


def test_a_normalisation_is_mean_and_std():
    factor, shift = np.array([4.0]), np.array([-2.0])
    network = canonical((1, 4, 4), LAYERS, norm=(factor, shift))
    assert network.mean.tolist() == [0.5] and network.std.tolist() == [0.25]
    assert network.digest != canonical((1, 4, 4), LAYERS).digest


ENDS = [*LAYERS, FloatLayer("y", (synapse("b", 2, 4, 1, 1),), np.zeros(2), fires=False)]


def test_outputs_keep_their_order_and_are_named_where_the_model_names_them():
    both = Output("both", ("z", "y"), (35,), np.arange(35))
    outputs = Output("mask", ("y",), (2, 4, 4)), both, Output("class", ("z",), (3,))
    network = canonical((1, 4, 4), ENDS, outputs, named=True)
    assert network.outputs == ("mask", "class")
    assert [output.readouts for output in network.returns] == [("mask",), ("class", "mask"), ("class",)]
    assert [layer.name for layer in network.layers if not layer.fires and layer.weighted] == ["mask", "class"]
    unnamed = canonical((1, 4, 4), ENDS, outputs)
    assert {"conv": 1, "fc": 1} == {name.rstrip("0123456789"): 1 for name in unnamed.outputs}
    assert unnamed.returns[0].name == "mask" and unnamed.returns[0].readouts == unnamed.outputs[:1]


def test_an_output_is_assembled_from_its_readouts():
    values = {"a": np.arange(8.0).reshape(2, 2, 1, 2), "b": np.array([[[[10.0]]], [[[20.0]]]])}
    picked = Output("x", ("b", "a"), (2, 2), np.array([[0, -1], [4, 1]]))
    assert picked.assemble(values).tolist() == [[[10, 0], [3, 0]], [[20, 0], [7, 4]]]
    assert Output("y", ("a",), (4,)).assemble(values).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
