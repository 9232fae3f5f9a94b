"""The door for ONNX: a model of opset 7 or later becomes a `FloatNetwork`.

The graph is in topological order and walked once. What depends on constants and sizes alone is computed by ONNX's
own reference implementation; N counts as the batch size written in the model, 1 where it is free. Attributes that
later opsets turned into inputs are found in either place.
"""

from math import prod

import numpy as np

from gen.errors import InputError
from gen.model import operations as ops
from gen.model.builder import Builder
from gen.model.onnx_nodes import OPERATIONS
from gen.model.operations import is_constant
from gen.model.optional import need

__all__ = ["OLDEST_OPSET", "load_onnx", "read_onnx"]

onnx = need("onnx")
reference, inliner, shape_inference = map(need, ("onnx.reference", "onnx.inliner", "onnx.shape_inference"))
DecodeError = need("google.protobuf.message").DecodeError

OLDEST_OPSET = 7
IMAGES = "Export it with a 4-D example; a network of linear layers starts with Flatten."
FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}


def read_onnx(path):
    """Return the `onnx.ModelProto` in the file ``path``, external data included, or raise InputError."""
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise InputError(_foreign(path, error)) from error
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        places = sorted({entry.value for tensor in model.graph.initializer
                         for entry in tensor.external_data if entry.key == "location"})
        raise InputError(
            f"{path} keeps its weights in {', '.join(places)}, which cannot be read ({_line(error)}). Put it "
            f"into the folder {path.parent}, beside the model."
        ) from error
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise InputError(_foreign(path, error)) from error
    return model


def _foreign(path, error):
    return (
        f"{path} is not an ONNX model ({_line(error)}): it is truncated, or of another kind. Copy it again, or "
        "write one with torch.onnx.export(model.eval(), (images,), 'model.onnx')."
    )


def load_onnx(model):
    """Return the `FloatNetwork` of an `onnx.ModelProto`."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        advice = (
            f"the installed onnx {onnx.__version__} knows opsets up to {newest}: pip install -U onnx"
            if opset > newest else
            f"bring it to {OLDEST_OPSET} or later with onnx.version_converter.convert_version(model, 13)"
        )
        raise InputError(f"The ONNX model is written in opset {opset}: {advice}.")
    model = inliner.inline_local_functions(model)
    return _Walk(model.graph, opset, _shapes(model)).network()


def _shapes(model):
    """Return name of every tensor to its shape as far as ONNX infers it, without N."""
    try:
        graph = shape_inference.infer_shapes(model).graph
    except shape_inference.InferenceError:  # operations of others; the walk finds the shapes of ours by itself
        graph = model.graph
    known = [*graph.input, *graph.value_info, *graph.output]
    return {info.name: _sizes(info)[1:] for info in known if info.type.tensor_type.HasField("shape")}


def _sizes(info):
    sizes = (dim.dim_value or dim.dim_param or "?" for dim in info.type.tensor_type.shape.dim)
    return tuple(sizes)


class _Walk:
    """One pass over the nodes of a graph."""

    def __init__(self, graph, opset, shapes):
        self.graph, self.opset, self.shapes = graph, opset, shapes
        self.build, self.batch = Builder(), 1
        self.values, self.modules = {"": None}, {}
        for tensor in graph.initializer:
            self.values[tensor.name] = onnx.numpy_helper.to_array(tensor)
            module, _, kind = tensor.name.rpartition(".")
            if kind == "weight" and module:
                self.modules[tensor.name] = module

    def network(self):
        inputs = [info for info in self.graph.input if info.name not in self.values]
        if len(inputs) != 1:
            raise InputError(f"The model takes {len(inputs)} inputs; it must take one, the images.")
        if len(self.graph.output) != 1:
            count = len(self.graph.output)
            raise InputError(f"The model returns {count} results; it must return one tensor, [N, classes].")
        self._image(inputs[0])
        result = self.graph.output[0].name
        read = {name for node in self.graph.node for name in node.input}
        for node in self.graph.node:
            self._node(node, last=result in node.output and not read & set(node.output))
        value = self.values[result]
        if is_constant(value):
            raise InputError("The model returns a constant: no path leads from its input to its output.")
        return self.build.finish(value, result)

    def _image(self, info):
        tensor = info.type.tensor_type
        if tensor.elem_type not in FLOATS:
            kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
            raise InputError(
                f"The model takes images of type {kind}; it must take floats, the normalised pixels. Export it "
                "without the conversion in front, and give --mean and --std."
            )
        sizes = _sizes(info)
        self.values[info.name] = self.build.image(sizes, IMAGES)
        self.batch = sizes[0] if isinstance(sizes[0], int) else 1

    def _node(self, node, last):
        values = [self.values[name] for name in node.input]
        op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if op == "Shape" and not is_constant(values[0]) and values[0].shape is not None:
            values = [np.broadcast_to(np.float32(0), (self.batch, *values[0].seen))]
        if op == "CastLike" and is_constant(values[0]):
            values[1] = np.float32(0)  # all maps are floats
        if all(value is None or is_constant(value) for value in values):
            self.values.update(zip(node.output, self._computed(node, op, values)))
            if len(values) == 1 and node.input[0] in self.modules:  # a weight transposed
                self.modules[node.output[0]] = self.modules[node.input[0]]
            return
        shape = self.shapes.get(node.output[0])
        site = self._site(node)
        if op not in OPERATIONS:
            result = self.build.refuse(site, op, shape=shape)
        else:
            given = _Given(values, attributes, self.opset, self.batch, last)
            result = self.build.step(site, op, OPERATIONS[op], given, reads=values, shape=shape)
        self.values.update(dict.fromkeys(node.output, result))

    def _computed(self, node, op, values):
        """Return the outputs of a node that reads constants only."""
        feeds = {name: value for name, value in zip(node.input, values) if name}
        try:
            return reference.ReferenceEvaluator(node, opsets={"": self.opset}).run(None, feeds)
        except Exception as error:  # whatever an operation of the reference raises for what it cannot compute
            raise InputError(
                f"A constant of the ONNX model cannot be computed, {self._site(node)} ({op}): {_line(error)}. "
                "Fold it first, with onnxsim or the offline optimization of onnxruntime."
            ) from error

    def _site(self, node):
        """Return the name a user knows: the module whose weight it is, else that of the node."""
        modules = [self.modules[name] for name in node.input[1:] if name in self.modules]
        return next(iter(modules), node.name or node.output[0])


class _Given:
    """What a node is given: values by position, attributes by name, constants as float64."""

    def __init__(self, values, attributes, opset, batch, last):
        self.values = [v.astype(float) if is_constant(v) and v.dtype.kind == "f" else v for v in values]
        self.attributes, self.opset, self.batch, self.last = attributes, opset, batch, last

    def __getitem__(self, index):
        return self.values[index] if index < len(self.values) else None

    def get(self, name, default=None):
        """Return the attribute ``name``; text as str."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def either(self, name, index):
        """Return as integers what is an attribute in old opsets and an input in new ones; None if absent."""
        value = self.attributes.get(name, self[index])
        if value is not None and not is_constant(value) and not isinstance(value, list | tuple):
            raise ops.Refused(f"has {name} that depend on the image", f"constant {name}")
        return None if value is None else [int(n) for n in value]

    def resolved(self, sizes):
        """Return the shape without N that ``sizes``, which may hold 0 and -1, make of the first value."""
        whole = (self.batch, *self[0].seen)
        sizes = [whole[i] if n == 0 and i < len(whole) else int(n) for i, n in enumerate(sizes)]
        rest = prod(n for n in sizes if n != -1)
        sizes = [prod(whole) // rest if n == -1 and rest else n for n in sizes]
        if not sizes or sizes[0] != self.batch or prod(sizes) != prod(whole):
            raise ops.Refused(f"makes {list(whole)} {list(sizes)}, across images", "Flatten")
        return tuple(sizes[1:])


def _line(error):
    lines = (line.strip().rstrip(".:") for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
