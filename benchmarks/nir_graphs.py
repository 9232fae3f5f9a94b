"""A float network written as a NIR graph of IF neurons, where NIR has a node for all of it."""

import nir
import numpy as np

from gen.errors import UnsupportedModel
from gen.layers import INPUT
from gen.model.network import FloatNetwork

__all__ = ["nir_graph"]


def nir_graph(network: FloatNetwork) -> nir.NIRGraph:
    """Return the graph: a layer is a Conv2d for each synapse and IF neurons of threshold 1.

    Raises UnsupportedModel with what NIR cannot say: maximum pools, signed or clipped activations, upsampled maps,
    padding that differs between the sides, several outputs.
    """
    problems = list(_problems(network))
    if problems:
        raise UnsupportedModel(problems)
    nodes, edges = {INPUT: nir.Input(np.array(network.shape))}, []
    for layer in network.layers:
        shape = network.shapes[layer.name]
        if not layer.weighted:
            window = (np.array(pair) for pair in (layer.window.kernel, layer.window.stride, layer.window.padding[:2]))
            average = layer.divisor == layer.window.area
            nodes[layer.name] = (nir.AvgPool2d if average else nir.SumPool2d)(*window)
            edges.append((layer.source, layer.name))
            continue
        bias = layer.bias
        for i, synapse in enumerate(layer.synapses):
            window, name = synapse.window, f"{layer.name}.{i}"
            size = network.shapes[synapse.source][1:]
            nodes[name] = nir.Conv2d(
                size, synapse.weight, window.stride, window.padding[:2], window.dilation, synapse.groups, bias,
            )
            edges += [(synapse.source, name), (name, layer.name)]
            bias = np.zeros_like(bias)
        ends = np.ones(shape)
        nodes[layer.name] = nir.IF(r=ends, v_threshold=ends, v_reset=0 * ends) if layer.fires else nir.Flatten(
            {"input": np.array(shape)}, start_dim=0
        )
    nodes["output"] = nir.Output(np.array([np.prod(network.shapes[network.outputs[0]])]))
    edges.append((network.outputs[0], "output"))
    return nir.NIRGraph(nodes, edges, type_check=False)


def _problems(network):
    if len(network.outputs) > 1 or network.shapes[network.outputs[0]][1:] != (1, 1):
        yield "the outputs: NIR's has one result; nearest supported form: one readout of one position"
    for layer in network.layers:
        if layer.fires and (layer.signed or layer.ceiling is not None):
            yield f"{layer.name} (activation): NIR's IF neuron is a ReLU; nearest supported form: ReLU"
        if not layer.weighted and layer.kind == "max":
            yield f"{layer.name} (maximum pool): NIR has no such node; nearest supported form: average pools"
        if not layer.weighted and layer.divisor not in (1, layer.window.area):
            yield f"{layer.name} (pool): NIR divides by the window or not at all; nearest supported form: AvgPool2d"
        for part in layer.inputs:
            if part.window.upsample != (1, 1) or not part.window.symmetric:
                yield f"{layer.name} (window): NIR has no such window; nearest supported form: the same on both sides"
