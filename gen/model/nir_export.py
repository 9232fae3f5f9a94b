"""A converted network as a NIR graph, for other simulators and chips.

A spiking layer becomes an IF node with ``v_threshold`` = theta and ``r`` = 1, behind a Conv2d, Affine or Scale
node for each of its synapses, with the integer weights; the image comes as ``pixel/255 - mean``, so the weights
that read it are multiplied by 255, frames come as they are. One timestep is one unit of time, in which every bias
counts once. Each output is an Output node: the sum over time of what reaches it. The class is the largest.

NIR pads both sides of a map alike; where a network does not, blank taps make up for it.

What NIR cannot say is in the metadata: of an IF node ``burst`` (the spikes that a timestep may hold), ``min_burst``
(fewer are not sent), ``v_init`` and ``state_bits``; of the graph ``timesteps``, ``mean`` (0..1, for each channel),
``frames``, the reset, which subtracts the threshold, ``task`` (`gen.task.Task.as_dict` as a text of JSON) and, where
the network has one, ``input_form`` (`gen.data.forms`). The early exit is left out.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from gen.data.forms import KEY
from gen.errors import InputError, UnsupportedModel
from gen.folders import whole_files
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import INPUT, Pool, Spiking, Synapse
from gen.model.optional import need

__all__ = ["export_nir", "save_nir"]

nir = need("nir")

PIXELS = 255.0


def save_nir(network: IntegerNetwork | StagedNetwork, path: str | Path) -> Any:
    """Write `export_nir` of ``network`` to ``path`` and return it; the file appears whole or not at all."""
    path, content, graph = Path(path), io.BytesIO(), export_nir(network)
    nir.write(content, graph)
    try:
        whole_files({path: content.getvalue()})
    except OSError as error:
        advice = "name a file in a folder you may write to"
        raise InputError(f"{path} cannot be written ({error}): {advice}.") from error
    return graph


def export_nir(network: IntegerNetwork | StagedNetwork) -> Any:
    """Return the `nir.NIRGraph` of a network; UnsupportedModel with all that NIR has no node for."""
    problems = [
        f"{layer.name} ({what}): NIR has no such node; nearest supported form: {form}"
        for stage in network.stages for layer in stage.layers for what, form in _lacking(layer)
    ]
    if network.two_phase:
        problems.append("every layer (inverse-leaky): NIR has no such neuron; nearest supported form: AdaFire")
    if len(network.stages) > 1:
        problems.append("network (stages): NIR has one network; nearest supported form: the file of one stage")
    if problems:
        raise UnsupportedModel(problems)
    return _Export(network).graph()


def _lacking(layer):
    """Yield what of ``layer`` NIR has no node for, and the nearest form that it has."""
    if layer.fires and layer.signed:
        yield "counts below zero", "ReLU, whose counts are not"
    for part in layer.inputs:
        window = part.window
        if window.upsample != (1, 1):
            yield f"upsampling of {part.source}", "convolutions and pools at one scale"
    if not layer.weighted and layer.kind == "max":
        yield "maximum pool", "average pools"
    elif not layer.weighted and (layer.window.dilation != (1, 1) or not layer.window.symmetric):
        yield "pool with dilation, or padded on one side", "a pool with the same padding on both sides"


class _Export:
    """The graph under construction.

    A layer is a vector, its synapses matrices, if they read whole maps and only layers of this kind read it.
    """

    def __init__(self, network):
        self.network, self.shapes, self.vectors = network, _shapes(network), set()
        self.unit = PIXELS if network.source.kind == "direct" else 1.0
        self.nodes, self.edges, self.ends = {}, [], {}
        for layer in reversed(network.layers):
            readers = {reader.name for reader in network.readers[layer.name]}
            if layer.weighted and all(map(self._whole, layer.synapses)) and readers <= self.vectors:
                self.vectors.add(layer.name)

    def graph(self):
        """Return the whole graph."""
        source, outputs = self.network.source, self.network.outputs
        form = {KEY: self.network.provenance[KEY]} if self.network.provenance.get(KEY) else {}
        self._node(INPUT, nir.Input(np.array(source.shape)))
        for layer in self.network.layers:
            self._pool(layer) if not layer.weighted else self._neurons(layer)
        for name in outputs:
            self._output(name, name if len(outputs) > 1 else "output")
        return nir.NIRGraph(self.nodes, self.edges, type_check=False, metadata={
            "tool": "adafire", "timesteps": self.network.timesteps, "mean": source.offset / self.unit,
            "frames": source.kind == "frames", "reset": "subtracts v_threshold", "readout": "sum over the timesteps",
            "task": json.dumps(self.network.task.as_dict()), **form,
        })

    def _output(self, name, title):
        """Add the Output node of the readout ``name``; one of a single position is a vector of classes."""
        shape, ends = self.shapes[name], self.ends[name]
        if shape[1:] == (1, 1):
            if name not in self.vectors:
                ends = self._node(f"{name}.flat", self._flatten(name), ends)
            shape = shape[:1]
        self._node(title, nir.Output(np.array(shape)), ends)

    def _whole(self, synapse: Synapse):
        """Return whether the synapse is a matrix: every output reads the whole map."""
        matrix = synapse.groups == 1 and not any(synapse.padding)
        return matrix and synapse.kernel == self.shapes[synapse.source][1:]

    def _node(self, name, node, sources=()):
        """Add a node that ``sources`` lead to; return its name in a list."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        self.ends[name] = [name]
        return [name]

    def _flatten(self, name):
        return nir.Flatten(np.array(self.shapes[name]), start_dim=0)

    def _pool(self, layer: Pool):
        window = (np.array(value) for value in (layer.kernel, layer.stride, layer.padding[:2]))
        self._node(layer.name, nir.SumPool2d(*window), self.ends[layer.source])

    def _neurons(self, layer):
        bias, ends = layer.bias.astype(float), []
        for i, synapse in enumerate(layer.synapses):
            scale = self.unit if synapse.source == INPUT else 1.0
            alone = not layer.emits and len(layer.synapses) == len(self.network.outputs) == 1
            name = layer.name if alone else f"{layer.name}.{i + 1}"
            ends += self._synapse(name, synapse, synapse.weight * scale, bias, layer.name in self.vectors)
            bias = np.zeros_like(bias)
        if layer.emits:
            self._node(layer.name, self._fire(layer), ends)
        else:
            self.ends[layer.name] = ends

    def _fire(self, layer: Spiking):
        shape = self.shapes[layer.name][:1] if layer.name in self.vectors else self.shapes[layer.name]
        threshold = np.empty(shape)
        threshold[:] = layer.theta.reshape(-1, *(1,) * (len(shape) - 1))
        return nir.IF(r=np.ones(shape), v_threshold=threshold, v_reset=np.zeros(shape), metadata={
            "burst": layer.burst, "min_burst": layer.min_burst, "v_init": layer.v_init.copy(),
            "state_bits": layer.state_bits,
        })

    def _synapse(self, name, synapse, weight, bias, vector):
        """Add the nodes of one synapse with ``weight`` and ``bias``; return the names of those that lead on."""
        sources, shape = self.ends[synapse.source], self.shapes[synapse.source]
        if vector:
            if synapse.source not in self.vectors:
                sources = self._node(f"{name}.flatten", self._flatten(synapse.source), sources)
            return self._node(name, nir.Affine(weight.reshape(len(weight), -1), bias), sources)
        single = synapse.kernel == synapse.stride == (1, 1) and not any(synapse.padding)
        if single and synapse.groups == shape[0] == len(weight) and not bias.any():
            return self._node(name, nir.Scale(np.broadcast_to(weight[:, 0], shape).copy()), sources)
        weight, padding, dilation = _evened(weight, synapse.padding, synapse.dilation)
        return self._node(
            name, nir.Conv2d(shape[1:], weight, synapse.stride, padding, dilation, synapse.groups, bias), sources)


def _evened(weight, padding, dilation):
    """Return weight, padding (vertical, horizontal) and dilation of a window that reads the same, padded evenly.

    A side that has less padding gets as much as the other, and the kernel blank taps at that side.
    """
    for axis in (0, 1):
        before, after = padding[axis], padding[axis + 2]
        more = abs(after - before)
        if more % dilation[axis]:  # no whole number of taps: blank ones between them all
            spread = [*weight.shape]
            spread[axis + 2] = (spread[axis + 2] - 1) * dilation[axis] + 1
            whole = np.zeros(spread)
            whole[(slice(None),) * (axis + 2) + (slice(None, None, dilation[axis]),)] = weight
            weight, dilation = whole, tuple(1 if a == axis else d for a, d in enumerate(dilation))
        blank = [(0, 0)] * 4
        taps = more // dilation[axis]
        blank[axis + 2] = (taps, 0) if after > before else (0, taps)
        weight = np.pad(weight, blank)
    return weight, (max(padding[0], padding[2]), max(padding[1], padding[3])), dilation


def _shapes(network):
    """Return name of every map to its shape before pools cut it: NIR computes whole maps."""
    shapes = {INPUT: network.source.shape}
    for layer in network.layers:
        shapes[layer.name] = layer.map_shape(shapes)
    return shapes
