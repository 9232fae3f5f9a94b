"""Names and order follow from what a network computes, not from how a format lists it."""

import numpy as np
import pytest

from gen.layers import INPUT
from gen.model.canonical import canonical
from gen.model.network import FloatNetwork, FloatPool, FloatSynapse, FloatLayer

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


def test_another_weight_another_digest():
    changed = list(LAYERS)
    changed[2] = FloatLayer("c", (synapse("a", 4, 4, 1, 1),), LAYERS[2].bias)
    assert canonical((1, 4, 4), changed).digest != canonical((1, 4, 4), LAYERS).digest
