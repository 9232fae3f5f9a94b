"""The ONNX operations that a network may consist of: attributes of any opset as `gen.model.operations` takes them.

Every function takes builder, site and what the node is given (`gen.model.onnx_file`).
"""

import numpy as np

from gen.model import operations as ops
from gen.model.operations import EVAL, Refused

__all__ = ["OPERATIONS"]

FLOAT_TYPES = (1, 10, 11, 16)  # FLOAT, FLOAT16, DOUBLE, BFLOAT16 of onnx.TensorProto


def _window(given, kernel):
    """Return stride, padding and dilation of a window of ``kernel``, by the specification where absent."""
    if len(kernel) != 2:
        raise Refused(f"has a window of {len(kernel)} dimensions", "two dimensions, with a height of 1")
    auto = given.get("auto_pad", "NOTSET")
    padding = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}.get(auto)
    return given.get("strides", (1, 1)), padding or given.get("pads", (0, 0, 0, 0)), given.get("dilations", (1, 1))


def _conv(build, site, given):
    weight = given[1]
    kernel = weight.shape[2:] if ops.is_constant(weight) else (1, 1)
    stride, padding, dilation = _window(given, kernel)
    return ops.conv(build, site, given[0], weight, given[2], stride, padding, dilation, given.get("group", 1))


def _gemm(build, site, given):
    if given.get("transA", 0):
        raise Refused("transposes the images", "transA=0")
    weight, bias = given[1], given[2]
    if ops.is_constant(weight):
        weight = given.get("alpha", 1.0) * (weight if given.get("transB", 0) else weight.T)
    if ops.is_constant(bias):
        bias = np.broadcast_to(given.get("beta", 1.0) * bias.ravel(), len(weight))
    return ops.linear(build, site, given[0], weight, bias)


def _matmul(build, site, given):
    if ops.is_constant(given[0]):
        raise Refused("multiplies a constant with a map", "the map first, the constant second")
    return ops.linear(build, site, given[0], given[1].T if ops.is_constant(given[1]) else None, None)


def _batch_norm(build, site, given):
    if given.get("training_mode", 0):
        raise Refused("is in training mode", EVAL)
    return ops.batch_norm(build, site, *(given[i] for i in range(5)), given.get("epsilon", 1e-5))


def _average(build, site, given):
    kernel = given.get("kernel_shape")
    stride, padding, dilation = _window(given, kernel)
    if tuple(dilation) != (1, 1):
        raise Refused("has a dilated window", "dilation 1")
    include = bool(given.get("count_include_pad", 0))
    ceil = bool(given.get("ceil_mode", 0))
    return ops.average(build, site, given[0], kernel, stride, padding, None, include, ceil)


def _maximum(build, site, given):
    kernel = given.get("kernel_shape")
    return ops.maximum(build, site, given[0], kernel, *_window(given, kernel), bool(given.get("ceil_mode", 0)))


def _reduce(kind):
    def reduce(build, site, given):
        return ops.mean(build, site, given[0], given.either("axes", 1), given.get("keepdims", 1), kind)

    return reduce


def _globally(kind):
    def pool(build, site, given):
        return ops.mean(build, site, given[0], (2, 3), True, kind)

    return pool


def _flatten(build, site, given):
    axis, rank = given.get("axis", 1), len(given[0].seen) + 1
    if axis % rank != 1:
        raise Refused(f"flattens at axis {axis}", "axis 1")
    return ops.reshape(build, site, given[0], (int(np.prod(given[0].seen)),))


def _reshape(build, site, given):
    return ops.reshape(build, site, given[0], given.resolved(given.either("shape", 1)))


def _squeeze(build, site, given):
    seen = given[0].seen
    axes = given.either("axes", 1)
    axes = [i + 1 for i, n in enumerate(seen) if n == 1] if axes is None else [a % (len(seen) + 1) for a in axes]
    if 0 in axes or any(seen[axis - 1] != 1 for axis in axes):
        raise Refused(f"squeezes axes {axes} of {list(seen)}", "Flatten")
    return ops.reshape(build, site, given[0], tuple(n for i, n in enumerate(seen, 1) if i not in axes))


def _unsqueeze(build, site, given):
    shape, axes = list(given[0].seen), given.either("axes", 1)
    for axis in sorted(a % (len(shape) + 1 + len(axes)) for a in axes):
        if axis == 0:
            raise Refused("adds an axis before the images", "axes after N")
        shape.insert(axis - 1, 1)
    return ops.reshape(build, site, given[0], tuple(shape))


def _pad(build, site, given):
    pads, value = given.either("pads", 1), given[2]
    axes = given.either("axes", 3)
    if axes is not None:
        pads = [pads[axes.index(i) + end] if i in axes else 0 for end in (0, len(axes)) for i in range(4)]
    mode, value = given.get("mode", "constant"), given.get("value", 0.0) if value is None else value
    if mode != "constant" or np.any(value) or len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)):
        raise Refused("pads other than with zeros in height and width", "zero padding")
    return ops.pad(build, site, given[0], (pads[2], pads[3], pads[6], pads[7]))


def _dropout(build, site, given):
    if given[2] is not None and np.any(given[2]):
        raise Refused("is in training mode", EVAL)
    return given[0]


def _softmax(build, site, given):
    return ops.softmax(build, site, given[0], given.get("axis", 1 if given.opset < 13 else -1), given.last)


def _cast(build, site, given):
    if given.get("to") not in FLOAT_TYPES:
        raise Refused("rounds to integers", "floats throughout: adafire quantizes")
    return given[0]


def _same(build, site, given):
    return given[0]


OPERATIONS = {
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _batch_norm,
    "Relu": lambda build, site, given: ops.fire(build, site, given[0]),
    "Add": lambda build, site, given: ops.add(build, site, given[0], given[1]),
    "AveragePool": _average, "MaxPool": _maximum, "GlobalAveragePool": _globally("sum"),
    "GlobalMaxPool": _globally("max"), "ReduceMean": _reduce("sum"), "ReduceMax": _reduce("max"),
    "Flatten": _flatten, "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Pad": _pad,
    "Identity": _same, "Cast": _cast, "CastLike": _same, "Dropout": _dropout,
    "Softmax": _softmax, "LogSoftmax": _softmax,
}
