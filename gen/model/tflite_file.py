"""The door for TFLite (LiteRT): a float or quantized model becomes a `FloatNetwork`.

A quantized model is read as the float network that it stands for: weights are taken to be the real numbers behind
their integers, maps to be exact, `QUANTIZE` and `DEQUANTIZE` to do nothing. Its image is what its integers mean: a
pixel of 0..255 as uint8, or less 128 as int8, so that scale and zero point become the network's mean and std.

TFLite has channels last, here they come first: what works on planes is transposed before and after, which costs
nothing in the network. A model made from PyTorch may take its image with channels first and transpose it itself.
N counts as the batch size written in the model, mostly 1.
"""

from __future__ import annotations

import logging
from math import prod
from pathlib import Path

import numpy as np

from gen.errors import InputError
from gen.model import operations as ops
from gen.model.builder import STAND_IN, Builder
from gen.model.network import FloatNetwork
from gen.model.refusal import Refused, refusal
from gen.model.tflite_given import MAX_MAP, Bordered, Given
from gen.model.tflite_model import DTYPES, Graph, Node, Tensor, read_graph
from gen.model.tflite_nodes import COMPUTED, ENDINGS, FLOATS, ON_EVERY_NUMBER, OPERATIONS, ORDER_ALONE
from gen.model.values import View

__all__ = ["load_tflite", "read_tflite"]

PIXEL_OFFSET = {"UINT8": 0, "INT8": 128}
IMAGES = "Convert it with a fixed shape of the image, [1, H, W, C]."
MAX_NAME = 80
LOG = logging.getLogger("adafire.model")
MAX_MAPS = 2**31  # numbers in all maps together


def read_tflite(path: str | Path) -> Graph:
    """Return the graph in the file ``path``; InputError where there is none."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    return read_graph(content, str(path))


def load_tflite(graph: Graph, shape: tuple[int, int, int] | None = None) -> FloatNetwork:
    """Return the `FloatNetwork` of a graph; ``shape`` (C, H, W) where its input is a vector of pixels."""
    return _Walk(graph).network(shape)


class _Walk:
    """One pass over the nodes, which are in order of execution."""

    def __init__(self, graph: Graph):
        self.graph, self.build, self.batch, self.numbers = graph, Builder(), 1, 0
        self.values: dict[int, View | Bordered | np.ndarray | None] = {-1: None}
        self.last, self.shared = _readers(graph)

    def network(self, shape):
        """Return the network; ``shape`` as in `load_tflite`."""
        inputs, outputs = self.graph.inputs, self.graph.outputs
        if len(inputs) != 1 or not outputs or -1 in (*inputs, *outputs):
            raise InputError(
                f"The model takes {len(inputs)} inputs and returns {len(outputs)} results; it must take one, the "
                "images, and return something."
            )
        self.values[inputs[0]] = self._image(self.graph.tensors[inputs[0]], shape)
        for number, node in enumerate(self.graph.nodes):
            self._node(number, node)
        maps = sum(tensor.quantized and tensor.content is None for tensor in self.graph.tensors)
        if maps:
            LOG.info("%d maps are quantized in the model: it is read as its float network", maps)
        names = [self.graph.tensors[number].name or f"output{i}" for i, number in enumerate(outputs)]
        return self.build.finish([self._value(number) for number in outputs], names)

    def _image(self, tensor, shape):
        if tensor.type not in FLOATS and not tensor.quantized:
            raise InputError(
                f"The model takes images of type {tensor.type}; it must take floats or quantized integers. Convert it "
                "without the preprocessing in front."
            )
        sizes = tuple("?" if axis in tensor.free else size for axis, size in enumerate(tensor.shape))
        self.batch = tensor.shape[0] if sizes and sizes[0] != "?" else 1
        site = tensor.name or "input"
        if len(sizes) == 2 and shape is not None and np.prod(shape) == sizes[1]:
            image = ops.reshape(self.build, site, self.build.image(("N", *shape), IMAGES), sizes[1:])
        else:
            image = self.build.image(sizes, IMAGES, channels_last=not self._channels_first())
        if not tensor.quantized:
            return image
        if tensor.scale.size != 1 or tensor.type not in PIXEL_OFFSET or not tensor.scale[0] > 0:
            raise InputError(
                f"The model takes images of type {tensor.type} by {tensor.scale.size} scales; it must be uint8 or "
                "int8 by one scale above zero, or float."
            )
        scale, offset = tensor.scale[0], PIXEL_OFFSET[tensor.type] + tensor.zero[0]
        image = ops.multiply(self.build, site, image, np.array(255 * scale))
        return ops.add(self.build, site, image, np.array(-offset * scale))

    def _channels_first(self):
        """Return whether all that reads the image brings its axis 1 last first, as converters from PyTorch write it."""
        (image,), found = self.graph.inputs, False
        rank, *waiting = len(self.graph.tensors[image].shape), image
        for number in waiting:
            for node in self.graph.nodes:
                if number not in node.inputs:
                    continue
                before, after = (self.graph.tensors[i].shape for i in (number, node.outputs[0]))
                if node.op in ON_EVERY_NUMBER or len(after) > len(before) == rank == 3 and after[1] == before[1]:
                    waiting.append(node.outputs[0])
                elif node.op == "TRANSPOSE" and after == (before[0], *before[2:], before[1]):
                    found = True
                elif node.op == "RESHAPE" and len(before) > 2 and after == (before[0], *before[2:], 1) != before:
                    found = True  # a transpose of one channel, simplified
                else:
                    return False
        return found

    def _value(self, number):
        """Return the value of a tensor; a weight is read when it is first asked for."""
        if number not in self.values:
            tensor = self.graph.tensors[number]
            if tensor.content is None:
                raise InputError(f"The model reads {tensor.name or number} before it is computed. Convert it again.")
            if tensor.real is None:
                raise InputError(
                    f"The model holds {tensor.name or number} as {tensor.type}, which cannot be read; it must be one "
                    f"of {', '.join(DTYPES)}. Convert it without that optimization."
                )
            self.values[number] = tensor.real
        return self.values[number]

    def _node(self, number, node: Node):
        values = [self._value(i) for i in node.inputs]
        tensors = [self.graph.tensors[i] for i in node.outputs]
        site, shape = _site(tensors[0], node, number), tensors[0].shape[1:]
        if node.op == "SHAPE" and isinstance(values[0], View) and values[0].seen is not None:
            values = [np.broadcast_to(np.float32(0), (self.batch, *values[0].seen))]
        given = Given(node, values, tensors, self.batch, node.outputs[0] in self.last)
        maps = [value.view if isinstance(value, Bordered) else value for value in values
                if isinstance(value, View | Bordered)]
        if not maps:
            result = self._computed(site, given)
        else:
            first = (*shape[-1:], *shape[:-1]) if prod(shape) <= MAX_MAP else None
            shared = node.outputs[0] in self.shared
            result = self.build.step(site, node.op, self._translated, given, reads=maps, shape=first, shared=shared)
        if isinstance(result, View) and result.parts and result.parts[0].name == STAND_IN + site:
            result = ops.transpose(self.build, site, result, (*range(1, len(shape)), 0))
        results = result if isinstance(result, list) else [result] * len(node.outputs)
        self.values.update(zip(node.outputs, results))

    def _translated(self, build, site, given):
        """Return what the operation makes of the values that it is given: a view, or a list of them."""
        if given.op not in OPERATIONS:
            raise Refused(*refusal(given.op))
        result = OPERATIONS[given.op](build, site, given)
        views = result if isinstance(result, list) else [result.view if isinstance(result, Bordered) else result]
        self.numbers += sum(prod(view.seen) for view in views)
        if self.numbers > MAX_MAPS:
            raise InputError(f"The maps of the model are more than {MAX_MAPS} numbers. Use smaller images.")
        return result

    def _computed(self, site, given):
        """Return the output of a node that reads constants only."""
        try:
            if sum(np.size(value) for value in given.values) > MAX_MAP:
                raise ValueError("is too large")
            return COMPUTED[given.op](given)
        except (LookupError, ValueError, TypeError, ops.Refused) as error:
            raise InputError(
                f"A constant of the TFLite model cannot be computed, {site} ({given.op}). Convert it again with the "
                "default optimizations, which fold constants."
            ) from error


def _readers(graph: Graph) -> tuple[set[int], set[int]]:
    """Return the tensors that lead to outputs alone, by no more than their order; and those that several nodes read."""
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for number in node.inputs:
            readers.setdefault(number, []).append(node)
    last = set(graph.outputs)
    for node in reversed(graph.nodes):
        for number in node.outputs:
            if number in readers and all(r.op in ORDER_ALONE and last.issuperset(r.outputs) for r in readers[number]):
                last.add(number)
            elif number in readers:
                last.discard(number)
    shared = {
        number for number, nodes in readers.items()
        if sum(r.op not in ENDINGS or not last.issuperset(r.outputs) for r in nodes) > 1
    }
    return last, shared


def _site(tensor: Tensor, node: Node, number: int) -> str:
    """Return the name a user knows: the first of those that the converter joined, else operation and place."""
    return tensor.name.partition(";")[0][-MAX_NAME:] or f"{node.op.lower()}{number}"
