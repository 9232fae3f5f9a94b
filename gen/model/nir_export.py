"""A converted network as a NIR graph, for other simulators and chips.

A spiking layer becomes an IF node with ``v_threshold`` = theta and ``r`` = 1, behind a Conv2d, Affine or Scale
node for each of its synapses, with the integer weights; the image comes as ``pixel/255 - mean``, so the weights
that read it are multiplied by 255. One timestep is one unit of time, in which every bias counts once. The class is the
largest sum over time of what reaches the Output node.

What NIR cannot say is in the metadata: of an IF node ``burst`` (the spikes that a timestep may hold), ``least`` (fewer
are not sent), ``v_init`` and ``state_bits``; of the graph ``timesteps``, ``mean`` (0..1, for each channel) and the
reset, which subtracts the threshold. The early exit is left out.
"""

import io
import os
from pathlib import Path

import numpy as np

from gen.errors import InputError, UnsupportedModel
from gen.layers import INPUT
from gen.model.optional import need

__all__ = ["export_nir", "save_nir"]

nir = need("nir")

PIXELS = 255.0


def save_nir(network, path):
    """Write `export_nir` of ``network`` to ``path`` and return it; the file appears whole or not at all."""
    path, content, graph = Path(path), io.BytesIO(), export_nir(network)
    nir.write(content, graph)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content.getvalue())
        os.replace(temporary, path)
    except OSError as error:
        advice = "name a file in a folder you may write to"
        raise InputError(f"{path} cannot be written ({error}): {advice}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return graph


def export_nir(network):
    """Return the `nir.NIRGraph` of an `IntegerNetwork`; UnsupportedModel with all that NIR has no node for."""
    problems = [
        f"{layer.name} (maximum pool): NIR has no such node; nearest supported form: average pools"
        for layer in network.layers if not layer.weighted and layer.kind == "max"
    ]
    if network.two_phase:
        problems.append("every layer (inverse-leaky): NIR has no such neuron; nearest supported form: AdaFire")
    if network.source.kind != "direct":
        problems.append("input (frames): it must be the same at every timestep; nearest supported form: direct")
    if problems:
        raise UnsupportedModel(problems)
    return _Export(network).graph()


class _Export:
    """The graph under construction.

    A layer is a vector, its synapses matrices, if they read whole maps and only layers of this kind read it.
    """

    def __init__(self, network):
        self.network, self.shapes, self.vectors = network, _shapes(network), set()
        self.nodes, self.edges, self.ends = {}, [], {}
        for layer in reversed(network.layers):
            readers = {reader.name for reader in network.readers[layer.name]}
            if layer.weighted and all(map(self._whole, layer.synapses)) and readers <= self.vectors:
                self.vectors.add(layer.name)

    def graph(self):
        """Return the whole graph."""
        source, readout = self.network.source, self.network.readout
        self._node(INPUT, nir.Input(np.array(source.shape)))
        for layer in self.network.layers:
            if not layer.weighted:
                window = (np.array(value) for value in (layer.kernel, layer.stride, layer.padding))
                self._node(layer.name, nir.SumPool2d(*window), self.ends[layer.source])
            else:
                self._neurons(layer)
        ends = self.ends[readout.name]
        if readout.name not in self.vectors:
            ends = self._node("flat", self._flatten(readout.name), ends)
        self._node("output", nir.Output(np.array([self.network.classes])), ends)
        return nir.NIRGraph(self.nodes, self.edges, type_check=False, metadata={
            "tool": "adafire", "timesteps": self.network.timesteps, "mean": source.offset / PIXELS,
            "reset": "subtracts v_threshold", "readout": "sum over the timesteps",
        })

    def _whole(self, synapse):
        """Return whether the synapse is a matrix: every output reads the whole map."""
        matrix = synapse.groups == 1 and synapse.padding == (0, 0)
        return matrix and synapse.kernel == self.shapes[synapse.source][1:]

    def _node(self, name, node, sources=()):
        """Add a node that ``sources`` lead to; return its name in a list."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        self.ends[name] = [name]
        return [name]

    def _flatten(self, name):
        return nir.Flatten(np.array(self.shapes[name]), start_dim=0)

    def _neurons(self, layer):
        bias, ends = layer.bias.astype(float), []
        for i, synapse in enumerate(layer.synapses):
            scale = PIXELS if synapse.source == INPUT else 1.0
            alone = not layer.emits and len(layer.synapses) == 1
            name = layer.name if alone else f"{layer.name}.{i + 1}"
            ends += self._synapse(name, synapse, synapse.weight * scale, bias, layer.name in self.vectors)
            bias = np.zeros_like(bias)
        if not layer.emits:
            self.ends[layer.name] = ends
            return
        shape = self.shapes[layer.name][:1] if layer.name in self.vectors else self.shapes[layer.name]
        threshold = np.empty(shape)
        threshold[:] = layer.theta.reshape(-1, *(1,) * (len(shape) - 1))
        self._node(layer.name, nir.IF(r=np.ones(shape), v_threshold=threshold, v_reset=np.zeros(shape), metadata={
            "burst": layer.burst, "least": layer.min_burst, "v_init": layer.v_init.copy(), "state_bits": layer.state_bits,
        }), ends)

    def _synapse(self, name, synapse, weight, bias, vector):
        """Add the nodes of one synapse with ``weight`` and ``bias``; return the names of those that lead on."""
        sources, shape = self.ends[synapse.source], self.shapes[synapse.source]
        if vector:
            if synapse.source not in self.vectors:
                sources = self._node(f"{name}.flatten", self._flatten(synapse.source), sources)
            return self._node(name, nir.Affine(weight.reshape(len(weight), -1), bias), sources)
        single = synapse.kernel == synapse.stride == (1, 1) and synapse.padding == (0, 0)
        if single and synapse.groups == shape[0] == len(weight) and not bias.any():
            return self._node(name, nir.Scale(np.broadcast_to(weight[:, 0], shape).copy()), sources)
        geometry = (synapse.stride, synapse.padding, synapse.dilation, synapse.groups)
        return self._node(name, nir.Conv2d(shape[1:], weight, *geometry, bias), sources)


def _shapes(network):
    """Return name of every map to its shape before pools cut it: NIR computes whole maps."""
    shapes = {INPUT: network.source.shape}
    for layer in network.layers:
        part = layer if not layer.weighted else layer.synapses[0]
        shapes[layer.name] = part.output_shape(shapes[part.source])
    return shapes
