"""The ONNX operations that a network may consist of, in the spelling of any opset, as calls of `gen.model.operations`.

Every function takes builder, site and what the node is given (`gen.model.onnx_given`). Here are those that work on
every number and those that multiply matrices; windows and views have modules of their own.
"""

from __future__ import annotations

import numpy as np

from gen.layers import INPUT
from gen.model import operations as ops
from gen.model.onnx_views import VIEWS
from gen.model.onnx_windows import WINDOWS
from gen.model.refusal import EVAL, Refused

__all__ = ["OPERATIONS"]

FLOAT_TYPES = (1, 10, 11, 16)  # FLOAT, FLOAT16, DOUBLE, BFLOAT16 of onnx.TensorProto
LARGE = 3e38  # exporters write the largest float for no bound
CLIP = "Relu, or Clip from 0 to a number above it"


def _gemm(build, site, given):
    if given.get("transA", 0):
        raise Refused("transposes the images", "transA=0")
    weight, bias = given.constant(1, "weights"), given[2]
    weight = given.get("alpha", 1.0) * (weight if given.get("transB", 0) else weight.T)
    beta = given.get("beta", 1.0)
    if bias is None or ops.is_constant(bias):
        return ops.linear(build, site, given.view(), weight, None if bias is None else _row(beta * bias, len(weight)))
    return ops.add(build, site, ops.linear(build, site, given.view(), weight, None), bias, beta)


def _row(bias, count):
    """Return ``bias``, which broadcasts to [N, count], as [count]."""
    if bias.size not in (1, count) or bias.ndim > 1 and bias.shape[0] != 1:
        raise Refused(f"has a bias of shape {bias.shape}, not one for each output", "one number for each output")
    return np.broadcast_to(bias.ravel(), count)


def _matmul(build, site, given):
    one, other = given[0], given[1]
    if ops.is_constant(one):
        weight, value = _matrix(one), given.view(1)
        order = [*range(len(value.seen))]
        if len(order) < 2:
            raise Refused("multiplies a constant with a vector", "the map first, the constant second")
        order[-2:] = order[-1], order[-2]
        value = ops.linear(build, site, ops.transpose(build, site, value, order), weight, None)
        return ops.transpose(build, site, value, order)
    if not ops.is_constant(other):
        raise Refused("multiplies two maps, and a synapse multiplies a map with a constant", "constant weights")
    value = ops.linear(build, site, one, other[None] if other.ndim == 1 else _matrix(other).T, None)
    return ops.reshape(build, site, value, value.seen[:-1]) if other.ndim == 1 else value


def _matrix(weight):
    """Return a constant without leading axes of 1."""
    if weight.ndim < 2 or any(n != 1 for n in weight.shape[:-2]):
        raise Refused(f"has a weight of shape {weight.shape}", "one matrix")
    return weight.reshape(weight.shape[-2:])


def _batch_norm(build, site, given):
    if given.get("training_mode", 0):
        raise Refused("is in training mode", EVAL)
    scale, shift, mean, variance = (given.constant(i, "parameters") for i in range(1, 5))
    return ops.batch_norm(build, site, given.view(), scale, shift, mean, variance, given.get("epsilon", 1e-5))


def _plus(build, site, given):
    return ops.add(build, site, given[0], given[1])


def _minus(build, site, given):
    return ops.add(build, site, given[0], given[1], -1.0)


def _total(build, site, given):
    """Sum of any number of maps and constants."""
    result = given[0]
    for value in given.values[1:]:
        both = ops.is_constant(result) and ops.is_constant(value)
        result = result + value if both else ops.add(build, site, result, value)
    return result


def _mean(build, site, given):
    return ops.multiply(build, site, _total(build, site, given), np.array(1 / len(given.values)))


def _times(build, site, given):
    one, other = (given[1], given[0]) if ops.is_constant(given[0]) else (given[0], given[1])
    return ops.multiply(build, site, one, other)


def _over(build, site, given):
    divisor = given.constant(1, "divisors")
    if not np.all(divisor):
        raise Refused("divides by zero", "other divisors")
    return ops.multiply(build, site, given.view(), 1 / divisor)


def _negated(build, site, given):
    return ops.multiply(build, site, given.view(), np.array(-1.0))


def _relu(build, site, given):
    return ops.fire(build, site, given.view())


def _leaky(build, site, given):
    return ops.fire(build, site, given.view(), slope=given.get("alpha", 0.01))


def _prelu(build, site, given):
    slope = given.constant(1, "slopes")
    seen = given.view().seen
    slope = slope[0] if slope.ndim == len(seen) + 1 and len(slope) == 1 else slope
    if slope.ndim > len(seen) or any(n not in (1, m) for n, m in zip(slope.shape[::-1], seen[::-1])):
        raise Refused(f"has slopes of shape {slope.shape} for a map of {seen}", "one slope for each channel")
    slope = slope.reshape((1,) * (len(seen) - slope.ndim) + slope.shape)
    return ops.fire(build, site, given.view(), slope=slope)


def _thresholded(build, site, given):
    if given.get("alpha", 1.0) != 0:
        raise Refused("jumps at its threshold", "Relu")
    return ops.fire(build, site, given.view())


def _clip(build, site, given):
    return _between(build, site, given.view(), given.number("min", 1, None), given.number("max", 2, None))


def _between(build, site, value, low, high):
    """Return ``value`` no less than ``low`` and no more than ``high``; None or a very large number is no bound."""
    low, high = (None if bound is None or abs(bound) >= LARGE else bound for bound in (low, high))
    if low is None and high is None:
        return value
    if (low is None or low < 0) and not _never_negative(value) or (low or 0) > 0 or (high is not None and high <= 0):
        raise Refused(f"keeps what lies between {low} and {high}", CLIP)
    return ops.fire(build, site, value, ceiling=high)


def _never_negative(value):
    plain = value.factor is None and value.shift is None
    return plain and not value.pending and not any(part.signed or part.name == INPUT for part in value.parts)


def _extreme(largest):
    """Max or Min of one map and constants of one number."""
    def extreme(build, site, given):
        bounds = [value for value in given.values if ops.is_constant(value)]
        maps = [value for value in given.values if not ops.is_constant(value)]
        if len(maps) > 1:
            raise Refused("compares two maps, number by number", "Add, or MaxPool within a map")
        if any(np.ptp(bound) for bound in bounds):
            raise Refused("has another bound for each number", CLIP)
        bounds = [float(bound.flat[0]) for bound in bounds]
        low, high = (max(bounds, default=None), None) if largest else (None, min(bounds, default=None))
        return _between(build, site, maps[0], low, high)

    return extreme


def _dropout(build, site, given):
    if given[2] is not None and np.any(given[2]):
        raise Refused("is in training mode", EVAL)
    return given[0]


def _cast(build, site, given):
    if given.get("to") not in FLOAT_TYPES:
        raise Refused("rounds to integers", "floats throughout: adafire quantizes")
    return given[0]


def _cast_like(build, site, given):
    if ops.is_constant(given[1]) and given[1].dtype.kind != "f":
        raise Refused("rounds to integers", "floats throughout: adafire quantizes")
    return given[0]


def _same(build, site, given):
    return given[0]


def _softmax(name):
    def softmax(build, site, given):
        value = given.view()
        axis = given.axis(given.get("axis", 1 if given.opset < 13 else -1))
        if given.opset < 13 and any(n != 1 for n in value.seen[axis + 1:]):
            raise Refused("normalizes over several axes", "one axis")
        return ops.at_output(build, site, value, name, axis, given.last)

    return softmax


def _sigmoid(build, site, given):
    return ops.at_output(build, site, given.view(), "sigmoid", None, given.last)


OPERATIONS = {
    **WINDOWS, **VIEWS, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _batch_norm,
    "Add": _plus, "Sub": _minus, "Sum": _total, "Mean": _mean, "Mul": _times, "Div": _over, "Neg": _negated,
    "Relu": _relu, "LeakyRelu": _leaky, "PRelu": _prelu, "ThresholdedRelu": _thresholded, "Clip": _clip,
    "Max": _extreme(True), "Min": _extreme(False),
    "Identity": _same, "Cast": _cast, "CastLike": _cast_like, "Dropout": _dropout,
    "Softmax": _softmax("softmax"), "LogSoftmax": _softmax("log_softmax"), "Sigmoid": _sigmoid,
}
