"""One pass over the nodes of an ONNX graph: every tensor becomes a constant or a view (`gen.model.values`).

N counts as the batch size written in the model, 1 where it is free. The shape of every node's results is inferred by
ONNX itself before the node is translated: a node that is not valid, or a map too large to look at, ends there.
"""

from __future__ import annotations

import logging
from collections import Counter
from math import prod
from typing import Any

import numpy as np

from gen.errors import InputError
from gen.model.builder import Builder
from gen.model.onnx_constants import Constants, as_operand, widened
from gen.model.onnx_given import Given, attributes
from gen.model.onnx_graph import STANDARD, Graph, first_line, node_name, sizes
from gen.model.onnx_nodes import OPERATIONS
from gen.model.onnx_quantized import INTEGERS, KEEPING, QDQ, QUANTIZERS, dequantized, quantized
from gen.model.onnx_shapes import known_operation, result_shapes
from gen.model.optional import need
from gen.model.refusal import Refused, refusal
from gen.model.values import View, is_constant

__all__ = ["Walk"]

onnx = need("onnx")

IMAGES = "Export it with such an example."
FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
MAX_MAP, MAX_MAPS = 2**26, 2**30  # numbers in a map, and in all of them together
ON_EVERY_NUMBER = {"Identity", "Cast", "Add", "Sub", "Mul", "Div", *QUANTIZERS}
SIZES = {"Shape", "Size"}  # they read no number
AT_THE_END = {"Cast", "Concat", *QUANTIZERS, *KEEPING, "Sigmoid", "Softmax", "LogSoftmax"} - {"MaxPool"}
LOG = logging.getLogger("adafire.model")


class Walk:
    """The pass: what is known of the tensors of ``graph``, and the network under construction."""

    def __init__(self, graph: Graph, opset: int):
        self.graph, self.opset = graph, opset
        self.build, self.constants, self.maps = Builder(), Constants(opset), MAX_MAPS
        self.batch, self.ends = 1, _ends(graph)
        self.values: dict[str, Any] = {"": None}
        self.modules, self.integers, self.pairs = {}, {}, 0
        self.used = {*graph.outputs, *(name for node in graph.nodes for name in node.input)}
        self.readers = Counter(name for node in graph.nodes for name in self._computes_with(node))
        for name in graph.initializers:
            module, _, kind = name.rpartition(".")
            if kind == "weight" and module:
                self.modules[name] = module

    def network(self):
        """Return the `FloatNetwork`; UnsupportedModel with all problems of all outputs."""
        if len(self.graph.inputs) != 1:
            names = ", ".join(info.name for info in self.graph.inputs)
            raise InputError(
                f"The model takes {len(self.graph.inputs)} inputs{': ' * bool(names)}{names}; it must take one, the "
                "images."
            )
        self._image(self.graph.inputs[0])
        for node in self.graph.nodes:
            self._node(node)
        if self.pairs:
            LOG.info("%d nodes that quantize maps are dropped: the model is read as its float network", self.pairs)
        for name in self.integers.keys() & set(self.graph.outputs):
            self.build.refuse(name, "output", "is made of integers", "DequantizeLinear at the end")
        return self.build.finish([self._value(name) for name in self.graph.outputs], self.graph.outputs)

    def _image(self, info):
        kind = info.type.tensor_type.elem_type
        if kind not in FLOATS:
            names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
            name = names.get(kind, str(kind)) if kind else "no tensor"
            raise InputError(
                f"The model takes images of type {name}; it must take floats, the normalised pixels. Export it "
                "without the conversion in front, and give --mean and --std."
            )
        shape = sizes(info)
        numbers = prod(size for size in shape if isinstance(size, int))
        if numbers > MAX_MAP:
            raise InputError(f"The model takes {numbers} numbers at once, of which {MAX_MAP} are looked at at most.")
        self.values[info.name] = self.build.image(shape, IMAGES, self._channels_last(info.name, shape))
        self.batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 1
        self.kind = np.float64 if kind == onnx.TensorProto.DOUBLE else np.float32

    def _channels_last(self, name, shape):
        """Return whether all that reads the image brings the last axis forward first, as converters write it."""
        waiting, found, rank = [name], False, len(shape)
        while waiting:
            name = waiting.pop()
            for node in self.graph.nodes:
                if name not in node.input:
                    continue
                if node.op_type in ON_EVERY_NUMBER:
                    waiting.append(node.output[0])
                elif node.op_type == "Transpose" and attributes(node).get("perm") == [0, rank - 1, *range(1, rank - 1)]:
                    found = True
                elif node.op_type == "Reshape" and rank > 2 and shape[1] != 1 == shape[-1]:
                    found = True  # a transpose of one channel, simplified
                else:
                    return False
        return found

    def _value(self, name):
        """Return the value of a tensor; a weight is read when it is first asked for."""
        if name not in self.values:
            tensor = self.graph.initializers[name]
            try:
                self.values[name] = widened(onnx.numpy_helper.to_array(tensor))
            except (onnx.checker.ValidationError, ValueError, KeyError, TypeError, OSError) as error:
                raise InputError(
                    f"The tensor {name!r} of the ONNX model, {list(tensor.dims)}, cannot be read "
                    f"({first_line(error)}): the file is damaged. Copy or export it again."
                ) from error
        return self.values[name]

    def _node(self, node):
        op = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
        site, shape = self._site(node), self.graph.declared.get(node.output[0], ())[1:]
        values = self._read(node, op)
        maps = [value for value in values if isinstance(value, View)]
        if any(value.seen is None for value in maps):
            result = self.build.unknown(site, shape)
        elif not maps:
            result = self.build.step(site, op, self._constant, node, values)
        else:
            try:
                results = self._shapes(node, op, values)
                shape = results[0][1:] if results[0] else shape
                result = self.build.step(site, op, self._translated, node, op, values, results, reads=maps, shape=shape,
                                         shared=self.readers[node.output[0]] > 1)
            except Refused as refused:
                result = self.build.refuse(site, op, refused.reason, refused.form, shape)
        if not isinstance(result, tuple):
            result = (result, *(self._second(site, op, node, i) for i in range(1, len(node.output))))
        self.values.update((name, value) for name, value in zip(node.output, result) if name)

    def _read(self, node, op):
        """Return what ``node`` reads; of the map whose sizes it asks for, a constant of that shape."""
        values: list[Any] = [self._value(name) for name in node.input]
        if op in SIZES and values and isinstance(values[0], View) and values[0].seen is not None:
            values = [np.broadcast_to(np.float32(0), (self.batch, *values[0].seen))]
        if op == "CastLike" and len(values) > 1 and is_constant(values[0]):
            values[1] = np.array(0, self.kind) if isinstance(values[1], View) else values[1]
        return values

    def _constant(self, build, site, node, values):
        """Return the outputs of a node that reads constants alone."""
        if len(values) == 1 and node.input[0] in self.modules:  # a weight transposed
            self.modules[node.output[0]] = self.modules[node.input[0]]
        return tuple(self.constants.compute(node, values))

    def _shapes(self, node, op, values):
        """Return the shapes of the results, N included; Refused for a node that has no meaning or is too large."""
        if op in QUANTIZERS:
            if not isinstance(values[0], View):
                raise Refused("has scales that depend on the image", "constant scales")
            return [(self.batch, *values[0].seen)]
        if not known_operation(node, self.opset):
            return [None]
        inputs = [(self.batch, *value.seen) if isinstance(value, View) else value for value in values]
        try:
            results = result_shapes(node, self.opset, inputs, MAX_MAP * self.batch)
        except Refused:
            if op in OPERATIONS:
                raise
            results = [None]  # its own reason comes first
        if op not in OPERATIONS:
            return results
        for shape in results:
            if shape is not None and (not shape or shape[0] != self.batch):
                raise Refused(f"makes {list(shape)} of {self.batch} image(s), across images", "N first throughout")
            if shape is not None and 0 in shape:
                raise Refused(f"makes {list(shape)}, no number at all", "sizes from 1 up")
            self.maps -= 0 if shape is None else prod(shape[1:])
        if self.maps < 0:
            raise Refused(f"makes more than {MAX_MAPS} numbers with all maps before it", "fewer or smaller maps")
        return results

    def _translated(self, build, site, node, op, values, results):
        """Return what the operation makes of ``values``."""
        if any(part in op.lower() for part in INTEGERS):
            raise Refused("computes in integers", QDQ)
        if op not in OPERATIONS and op not in QUANTIZERS or not known_operation(node, self.opset):
            raise Refused(*refusal(op))
        values = [as_operand(value) if is_constant(value) else value for value in values]
        last = node.output[0] in self.ends
        given = Given(values, attributes(node), self.opset, self.batch, results, last)
        integers = next((self.integers[name] for name in node.input if name in self.integers), None)
        if op in QUANTIZERS:
            self.pairs += 1
            if op == "DequantizeLinear":
                return dequantized(build, site, given, integers)
            result, self.integers[node.output[0]] = quantized(build, site, given)
            return result
        if integers is not None:
            if op not in KEEPING:
                raise Refused("computes in integers", QDQ)
            self.integers.update(dict.fromkeys(node.output, integers))
        result = OPERATIONS[op](build, site, given)
        for value, shape in zip(result if isinstance(result, tuple) else (result,), results):
            if shape is not None and value.seen != shape[1:]:
                raise Refused(f"makes {value.seen} by its weights and {shape[1:]} by its attributes", "one of the two")
        return result

    def _second(self, site, op, node, place):
        """Return a stand-in for an output that no operation here has, and note a problem where it is read."""
        name = node.output[place]
        if name not in self.used:
            return None
        if op not in OPERATIONS:
            return self.build.unknown(site, None)
        return self.build.refuse(site, op, f"its output {place + 1}, {name!r}, is read", "its first output alone")

    def _site(self, node):
        """Return the name a user knows: the module whose weight it is, else that of the node."""
        modules = [self.modules[name] for name in node.input[1:] if name in self.modules]
        return next(iter(modules), node_name(node))

    def _computes_with(self, node):
        """Return the tensors of which ``node`` computes what another layer reads: none where it sizes or orders."""
        if node.op_type in SIZES or node.op_type in AT_THE_END and self.ends.issuperset(node.output):
            return set()
        return set(node.input[:1] if node.op_type == "CastLike" else node.input)


def _ends(graph):
    """Return the tensors that nothing computes with: what reads them orders numbers, or is left to the host."""
    readers: dict[str, list] = {}
    for node in graph.nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    ends: set[str] = set()
    for node in reversed(graph.nodes):
        for name in node.output:
            if all(r.op_type in AT_THE_END and ends.issuperset(r.output) for r in readers.get(name, ())):
                ends.add(name)
    return ends
