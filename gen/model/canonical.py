"""One order and one set of names, whichever format a network came from.

Formats differ in what they call a layer, in which order they list parallel branches and which operand of an
addition comes first; an integer network and its hash must not. So the layers are ordered from the readout back,
each after what it reads and the deepest branch first, and named by kind and place: conv1, dw2, pool1, fc1.
"""

import hashlib
from collections import Counter
from dataclasses import replace

from gen.layers import INPUT
from gen.model.network import FloatNetwork, content

__all__ = ["canonical"]


def canonical(shape, layers):
    """Return the `FloatNetwork` for images of ``shape`` (C, H, W) of ``layers``, each after what it reads.

    The last layer is the readout; what it does not depend on is dropped. Names become origins.
    """
    layers = _sorted_synapses(layers)
    named = {layer.name: layer for layer in layers}
    order, shapes = {}, {INPUT: shape}

    def visit(name):
        if name in named and name not in order:
            for source in named[name].sources:
                visit(source)
            order[name] = None

    visit(layers[-1].name)
    names, counts, result = {INPUT: INPUT}, Counter(), []
    for name in order:
        layer = named[name]
        part = layer if not layer.weighted else layer.synapses[0]
        shapes[name] = part.output_shape(shapes[part.source])
        kind = _kind(layer, shapes)
        counts["conv" if kind == "dw" else kind] += 1
        names[name] = f"{kind}{counts['conv' if kind == 'dw' else kind]}"
        result.append(_renamed(layer, names))
    return FloatNetwork(shape, tuple(result))


def _sorted_synapses(layers):
    """Return ``layers`` with the synapses of each in an order that depends on what they compute alone."""
    depths, marks, result = {INPUT: 0}, {INPUT: INPUT}, []
    for layer in layers:
        depths[layer.name] = 1 + max(depths[source] for source in layer.sources)
        if not layer.weighted:
            text = repr(replace(layer, name="", origin="", source=marks[layer.source])).encode()
        else:
            keyed = sorted(
                (-depths[s.source], -s.weight.size, _hash(content(s, marks[s.source])), i)
                for i, s in enumerate(layer.synapses)
            )
            layer = replace(layer, synapses=tuple(layer.synapses[i] for *_, i in keyed))
            threshold = b"" if layer.threshold is None else layer.threshold.astype("<f8").tobytes()
            text = repr([key[2] for key in keyed]).encode() + layer.bias.astype("<f8").tobytes() + threshold
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
