"""Sequences of tensors in ONNX: what PyTorch's exporter makes of a split when it does not optimize.

``SplitToSequence`` puts the pieces of a tensor into a list and ``SequenceAt`` takes one out. With constant sizes and
places the two are a ``Slice``, which is what the walk is given. Any other use of a sequence is left, to be refused.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gen.model.optional import need

__all__ = ["without_sequences"]

onnx = need("onnx")


def without_sequences(nodes: Iterable, initializers: dict) -> list:
    """Return ``nodes`` with every piece that is taken from a split at a constant place as a slice."""
    nodes = list(nodes)
    tensors = dict(initializers)
    for node in nodes:
        if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    splits = {node.output[0]: node for node in nodes if node.op_type == "SplitToSequence"}
    result = []
    for node in nodes:
        split = splits.get(node.input[0]) if node.op_type == "SequenceAt" else None
        places = None if split is None else _places(split, node, tensors)
        result += [node] if split is None or places is None else _slice(split, node, places)
    return result


def _places(split, taken, tensors):
    """Return (start, end) of the piece that ``taken`` takes; None unless sizes and place are constant."""
    sizes, place = (tensors.get(name) for name in (split.input[1] if len(split.input) > 1 else "", taken.input[1]))
    keeps = all(attribute.i for attribute in split.attribute if attribute.name == "keepdims")
    if sizes is None or place is None or not keeps:
        return None
    sizes, place = onnx.numpy_helper.to_array(sizes), int(onnx.numpy_helper.to_array(place))
    if sizes.ndim == 0:  # pieces of one size, the last one shorter
        return (place * int(sizes), (place + 1) * int(sizes)) if place >= 0 else None
    if not -len(sizes) <= place < len(sizes):
        return None
    ends = np.cumsum(sizes)
    return int(ends[place] - sizes[place]), int(ends[place])


def _slice(split, taken, places):
    axis = next((attribute.i for attribute in split.attribute if attribute.name == "axis"), 0)
    names = [f"{taken.output[0]}.{what}" for what in ("start", "end", "axis")]
    constants = [
        onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.array([value], np.int64)))
        for name, value in zip(names, (*places, axis))
    ]
    return [*constants, onnx.helper.make_node("Slice", [split.input[0], *names], [taken.output[0]], name=taken.name)]
