"""One order and one set of names, whichever format a network came from.

Formats differ in what they call a layer, in which order they list parallel branches and which operand of an
addition comes first; an integer network and its hash must not. So the layers are ordered from the readouts back,
each after what it reads and the deepest branch first, and named by kind and place: conv1, dw2, pool1, fc1.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gen.layers import INPUT
from gen.model.network import FloatLayer, FloatNetwork, FloatPool, Output, activation, content, pool_content

__all__ = ["canonical"]


def canonical(shape, layers: Sequence[FloatLayer | FloatPool], outputs: Sequence[Output] = (), norm=None,
              named: bool = False) -> FloatNetwork:
    """Return the `FloatNetwork` for images of ``shape`` (C, H, W) of ``layers``, each after what it reads.

    outputs : what the model returns, made of readouts among the layers; by default the last layer
    norm : (factor, shift) of each channel of an image scaled to 0..1, or None
    named : whether a readout is called by the output that it alone makes, not by kind and place

    What no output depends on is dropped. Names become origins.
    """
    layers = _sorted_synapses(layers)
    known = {layer.name: layer for layer in layers}
    order, shapes = {}, {INPUT: shape}

    def visit(name):
        if name in known and name not in order:
            for source in known[name].sources:
                visit(source)
            order[name] = None

    ends = dict.fromkeys(name for output in outputs for name in output.readouts) or {layers[-1].name: None}
    for name in ends:
        visit(name)
    given = {output.readouts[0]: output.name for output in outputs if named and len(output.readouts) == 1}
    names, counts, result = {INPUT: INPUT}, Counter(), []
    for name in order:
        layer = known[name]
        part = layer.inputs[0]
        shapes[name] = part.output_shape(shapes[part.source])
        kind = _kind(layer, shapes)
        counts["conv" if kind == "dw" else kind] += 1
        names[name] = given.get(name, f"{kind}{counts['conv' if kind == 'dw' else kind]}")
        result.append(_renamed(layer, names))
    mean, std = (None, None) if norm is None else (0.0 - norm[1] / norm[0], 1 / norm[0])
    returns = tuple(replace(output, readouts=tuple(names[name] for name in output.readouts)) for output in outputs)
    return FloatNetwork(shape, tuple(result), tuple(names[name] for name in ends), mean, std, returns=returns)


def _sorted_synapses(layers):
    """Return ``layers`` with the synapses of each in an order that depends on what they compute alone."""
    depths, marks, result = {INPUT: 0}, {INPUT: INPUT}, []
    for layer in layers:
        depths[layer.name] = 1 + max(depths[source] for source in layer.sources)
        if not layer.weighted:
            text = pool_content(layer, "", marks[layer.source])
        else:
            keyed = sorted(
                (-depths[s.source], -s.weight.size, _hash(content(s, marks[s.source])), i)
                for i, s in enumerate(layer.synapses)
            )
            layer = replace(layer, synapses=tuple(layer.synapses[i] for *_, i in keyed))
            text = repr([key[2] for key in keyed]).encode() + layer.bias.astype("<f8").tobytes()
            text += activation(layer).removeprefix(b"threshold")  # the order that files of schema 2 were written in
        marks[layer.name] = _hash(text)
        result.append(layer)
    return result


def _hash(content):
    return hashlib.sha256(content).hexdigest()


def _kind(layer, shapes):
    if not layer.weighted:
        return "pool"
    if all(s.groups > 1 and s.groups == len(s.weight) for s in layer.synapses):
        return "dw"
    whole = any(s.groups == 1 and s.weight.shape[2:] == shapes[s.source][1:] for s in layer.synapses)
    return "fc" if whole and shapes[layer.name][1:] == (1, 1) else "conv"


def _renamed(layer, names):
    known = {"name": names[layer.name], "origin": layer.origin or layer.name}
    if not layer.weighted:
        return replace(layer, **known, source=names[layer.source])
    return replace(layer, **known, synapses=tuple(replace(s, source=names[s.source]) for s in layer.synapses))
