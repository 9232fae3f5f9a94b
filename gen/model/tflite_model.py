"""A ``.tflite`` file as plain data: the tensors and operations of its first graph, every number of it checked.

The file is a FlatBuffer: tables that point into each other by offsets, read in place. A damaged or hostile one may
point anywhere, so all of it is read here, once, within bounds; what leaves this module are tuples, numbers and arrays.

A quantized tensor stands for real numbers, ``(q - zero_point) * scale``, with one scale or one for each position of an
axis; `Tensor.real` returns those.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from gen.errors import InputError
from gen.model.optional import need

__all__ = ["Graph", "Node", "Tensor", "read_graph"]

tflite = need("tflite")

MAX_TENSORS = 2**16
MAX_NODES = 2**14
MAX_OPERANDS = 2**10  # of a node
MAX_RANK = 8
MAX_NAME = 2**12  # bytes
MAX_NUMBERS = 2**28  # of all constants

DTYPES = {
    "FLOAT32": "<f4", "FLOAT16": "<f2", "FLOAT64": "<f8", "INT8": "i1", "UINT8": "u1", "INT16": "<i2", "INT32": "<i4",
    "INT64": "<i8", "BOOL": "?",
}


def _names(enumeration):
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


TYPES, OPERATORS, OPTIONS = map(_names, (tflite.TensorType, tflite.BuiltinOperator, tflite.BuiltinOptions))


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor: ``shape`` has N first, and ``content`` is the bytes of a constant, in place.

    free : axes whose size is not fixed, whatever ``shape`` says of them
    type : name of the type, as in the schema
    scale, zero : float64 and int64, one number or one for each position of ``axis``; empty where it is not quantized
    """

    name: str
    shape: tuple[int, ...]
    free: tuple[int, ...]
    type: str
    content: np.ndarray | None = field(repr=False)
    scale: np.ndarray
    zero: np.ndarray
    axis: int

    @property
    def quantized(self) -> bool:
        """Whether its integers stand for real numbers."""
        return self.scale.size > 0 and self.type in ("INT8", "UINT8", "INT16", "INT32")

    @property
    def lowest(self) -> float:
        """The smallest number that it can hold."""
        if not self.quantized:
            return -float(np.finfo("f4").max)
        return float(((np.iinfo(DTYPES[self.type]).min - self.zero) * self.scale).max())

    @cached_property
    def real(self) -> np.ndarray | None:
        """The constant: integers as they are, real numbers as float64; None where it is none, or of another type."""
        if self.content is None or self.type not in DTYPES:
            return None
        array = self.content.view(DTYPES[self.type]).reshape(self.shape)
        if not self.quantized:
            return array.astype(float) if array.dtype.kind == "f" else array
        sizes = [1] * len(self.shape)
        if self.scale.size > 1:
            sizes[self.axis] = -1
        return (array.astype(float) - self.zero.reshape(sizes)) * self.scale.reshape(sizes)


@dataclass(frozen=True, eq=False)
class Node:
    """An operation: ``op`` is its name; ``inputs`` and ``outputs`` number tensors, -1 for one that is left out.

    options : name of an option, as in the schema, to a number or a tuple of numbers
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict


@dataclass(frozen=True, eq=False)
class Graph:
    """The graph that a model runs: nodes in order of execution, ``inputs`` and ``outputs`` number tensors."""

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(content: bytes, name: str = "The model") -> Graph:
    """Return the first graph of the TFLite model ``content``; InputError where there is none.

    ``name`` is what messages call it.
    """
    try:
        if content[4:8] != b"TFL3":
            raise ValueError("it does not begin as one")
        model = tflite.Model.GetRootAs(content, 0)
        if model.Version() != 3:
            raise ValueError(f"it is of version {model.Version()}")
        return _graph(model, content)
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError, struct.error) as error:
        text = str(error).rstrip(".") or type(error).__name__
        raise InputError(
            f"{name} is not a TFLite model ({text}): it is truncated, or of another kind. Copy it again, or write one "
            "with tf.lite.TFLiteConverter."
        ) from error


def _graph(model, content):
    if not model.SubgraphsLength():
        raise ValueError("it has no graph")
    graph = model.Subgraphs(0)
    codes = [_operator(model.OperatorCodes(i)) for i in range(_count(model.OperatorCodesLength(), MAX_NODES))]
    buffers = _count(model.BuffersLength(), MAX_TENSORS)
    tensors = tuple(
        _tensor(graph.Tensors(i), model, buffers, content)
        for i in range(_count(graph.TensorsLength(), MAX_TENSORS))
    )
    numbers = sum(prod(tensor.shape) for tensor in tensors if tensor.content is not None)
    if numbers > MAX_NUMBERS:
        raise ValueError(f"its constants are {numbers} numbers, the most is {MAX_NUMBERS}")
    nodes = tuple(
        _node(graph.Operators(i), codes, len(tensors)) for i in range(_count(graph.OperatorsLength(), MAX_NODES))
    )
    ends = (_numbered(graph, end, len(tensors)) for end in ("Inputs", "Outputs"))
    return Graph(tensors, nodes, *ends)


def _count(length, most):
    if not 0 <= length <= most:
        raise ValueError(f"a list of {length}, the most is {most}")
    return length


def _vector(table, name, most):
    """Return the vector ``name`` of a table as a tuple of numbers, () where it has none."""
    _count(getattr(table, f"{name}Length")(), most)
    values = getattr(table, f"{name}AsNumpy")()
    return () if np.isscalar(values) else tuple(values.tolist())


def _numbered(table, name, tensors):
    """Return the vector ``name``, each of its numbers that of a tensor or -1."""
    numbers = _vector(table, name, MAX_OPERANDS)
    if not all(-1 <= number < tensors for number in numbers):
        raise ValueError(f"{name.lower()} beyond its {tensors} tensors")
    return numbers


def _text(raw):
    return b"".join([raw or b""])[:MAX_NAME].decode("utf-8", "replace")


def _operator(code):
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = OPERATORS.get(number, f"operation {number}")
    return _text(code.CustomCode()) or name if name == "CUSTOM" else name


def _node(operator, codes, tensors):
    inputs, outputs = (_numbered(operator, end, tensors) for end in ("Inputs", "Outputs"))
    if not outputs or -1 in outputs:
        raise ValueError("an operation without a result")
    return Node(codes[operator.OpcodeIndex()], inputs, outputs, _options(operator))


def _options(operator):
    """Return the options of an operator by name, whichever of the schema's tables they are in."""
    kind, table = OPTIONS.get(operator.BuiltinOptionsType(), "NONE"), operator.BuiltinOptions()
    if kind == "NONE" or table is None:
        return {}
    options = getattr(tflite, kind)()
    options.Init(table.Bytes, table.Pos)
    found = {}
    for name in vars(type(options)):
        if name.endswith("AsNumpy"):
            found[name.removesuffix("AsNumpy")] = _vector(options, name.removesuffix("AsNumpy"), MAX_OPERANDS)
        elif f"{name}AsNumpy" not in vars(type(options)) and _is_scalar(name):
            found[name] = getattr(options, name)()
    return found


def _is_scalar(name):
    return name[0].isupper() and name != "Init" and not name.endswith(("Length", "IsNone")) and "GetRoot" not in name \
        and "HasIdentifier" not in name


def _tensor(tensor, model, buffers, content):
    shape = _vector(tensor, "Shape", MAX_RANK)
    if not all(0 <= size < 2**31 for size in shape):
        raise ValueError(f"a tensor of shape {shape}")
    free = tuple(axis for axis, size in enumerate(_vector(tensor, "ShapeSignature", MAX_RANK)) if size < 0)
    kind = TYPES.get(tensor.Type(), f"type {tensor.Type()}")
    scale, zero, axis = np.zeros(0), np.zeros(0, np.int64), 0
    quantization = tensor.Quantization()
    if quantization is not None:
        scale = np.array(_vector(quantization, "Scale", MAX_TENSORS), float)
        zero = np.array(_vector(quantization, "ZeroPoint", MAX_TENSORS) or (0,), np.int64)
        axis = quantization.QuantizedDimension()
        if scale.size > 1 and not (0 <= axis < len(shape) and scale.size == shape[axis]):
            raise ValueError(f"{scale.size} scales for axis {axis} of a tensor of shape {shape}")
        if scale.size and not (np.isfinite(scale).all() and zero.size in (1, scale.size)):
            raise ValueError("scales that are no numbers, or not as many as zero points")
    if tensor.Sparsity() is not None:
        kind = f"sparse {kind}"
    return Tensor(
        _text(tensor.Name()), shape, free, kind, _content(tensor, model, buffers, content, shape, kind), scale, zero,
        axis,
    )


def _content(tensor, model, buffers, content, shape, kind):
    """Return the bytes of a constant, None for a tensor that is computed."""
    if tensor.Buffer() >= buffers:
        raise ValueError(f"a tensor in buffer {tensor.Buffer()} of {buffers}")
    buffer = model.Buffers(tensor.Buffer())
    data = buffer.DataAsNumpy()
    if buffer.Offset() > 1:  # behind the tables, in files that may be larger than 2 GiB
        data = np.frombuffer(content, np.uint8, buffer.Size(), buffer.Offset())
    if np.isscalar(data) or not len(data):
        return None
    if kind in DTYPES and len(data) != prod(shape) * np.dtype(DTYPES[kind]).itemsize:
        raise ValueError(f"{len(data)} bytes for {kind} numbers of shape {shape}")
    return data
