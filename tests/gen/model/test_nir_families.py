"""The families of networks that NIR can hold are the same network through its door as through PyTorch's."""

import nir
import numpy as np
import pytest
import torch

from examples.families import family
from gen.layers import INPUT
from gen.method.simulate import activations
from gen.model.load import load

pytestmark = pytest.mark.usefixtures("one_thread")

# the others have maximum pools, activations or windows that NIR has no node for
HELD = ["mobilenet_v1", "regnet_x", "resnet20", "resnext"]


def as_nir(network):
    """Return ``network`` as a graph whose neurons have a threshold of 1/4 or 2: scales that no rounding knows."""
    nodes, edges, units = {INPUT: nir.Input(np.array(network.shape))}, [], {INPUT: 1.0}
    for i, layer in enumerate(network.layers):
        shape, ends = network.shapes[layer.name], []
        if not layer.weighted:
            window = [np.array(v) for v in (layer.kernel, layer.stride, layer.padding[:2])]
            nodes[layer.name] = (nir.AvgPool2d if layer.divisor > 1 else nir.SumPool2d)(*window)
            edges.append((layer.source, layer.name))
            units[layer.name] = units[layer.source]
            continue
        for number, synapse in enumerate(layer.synapses):
            name, bias = f"{layer.name}.{number}", layer.bias if number == 0 else np.zeros_like(layer.bias)
            weight = synapse.weight * units[synapse.source]
            nodes[name] = nir.Conv2d(network.shapes[synapse.source][1:], weight, synapse.stride, synapse.padding[:2],
                                     synapse.dilation, synapse.groups, bias)
            edges.append((synapse.source, name))
            ends.append(name)
        units[layer.name] = (0.25, 2.0)[i % 2]
        nodes[layer.name] = nir.Output(np.array(shape)) if not layer.fires else nir.IF(
            r=np.ones(shape), v_threshold=np.full(shape, units[layer.name]))
        edges += [(end, layer.name) for end in ends]
    return nir.NIRGraph(nodes, edges, type_check=False)


@pytest.mark.parametrize("name", HELD)
def test_a_family_is_the_same_network_through_nir(name):
    module, shape = family(name)
    network = load(module, shape)
    back = load(as_nir(network))
    assert [layer.role for layer in back.layers] == [layer.role for layer in network.layers]
    assert back.weights == network.weights
    thresholds = {float(t) for layer in back.layers if layer.fires for t in layer.threshold}
    assert thresholds <= {0.25, 2.0} and thresholds
    x = torch.randn(4, *network.shape)
    ours, theirs = (activations(n, x)[n.outputs[0]] for n in (network, back))
    torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-6)
