"""The TFLite operations that a network may consist of, as `gen.model.operations` takes them.

Every function of `OPERATIONS` takes builder, site and what the node is given (`gen.model.tflite_given`); those of
`COMPUTED` take constants alone and return one. Maps come and go with channels last.
"""

from __future__ import annotations

from math import prod

import numpy as np

from gen.model import operations as ops
from gen.model.refusal import Refused
from gen.model.tflite_given import Bordered, check_size, planes, to_last
from gen.model.tflite_views import VIEWS, picks
from gen.model.values import is_constant

__all__ = ["COMPUTED", "ENDINGS", "FLOATS", "ON_EVERY_NUMBER", "OPERATIONS", "ORDER_ALONE"]

FLOATS = ("FLOAT32", "FLOAT16", "FLOAT64")
QUANTIZERS = {"QUANTIZE", "DEQUANTIZE", "FAKE_QUANT"}
ORDER_ALONE = QUANTIZERS | {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "CONCATENATION"}
ON_EVERY_NUMBER = QUANTIZERS | {"CAST", "ADD", "SUB", "MUL", "DIV", "PAD"}
ENDINGS = ORDER_ALONE | {"SOFTMAX", "LOG_SOFTMAX", "LOGISTIC"}


def _conv(build, site, given):
    source, weight = given.map(), given.constant(1, "weights", 4).transpose(0, 3, 1, 2)
    groups = max(1, source.seen[-1] // max(1, weight.shape[1]))
    return _convolved(build, site, given, source, weight, groups)


def _depthwise(build, site, given):
    source, weight = given.map(), given.constant(1, "weights", 4).transpose(3, 0, 1, 2)
    return _convolved(build, site, given, source, weight, source.seen[-1])


def _convolved(build, site, given, source, weight, groups):
    dilation = given.option("DilationHFactor", 1), given.option("DilationWFactor", 1)
    source = planes(build, site, source)
    result = ops.conv(build, site, source, weight, _bias(given), given.stride, given.padding, dilation, groups)
    return given.activated(build, site, to_last(build, site, result))


def _bias(given, index=2):
    return None if given[index] is None else given.constant(index, "biases").ravel()


def _transposed(build, site, given):
    rows = given.integers(0, "sizes")[1:3]
    weight, source, stride = given.constant(1, "weights", 4), given.map(2), given.stride
    if len(rows) != 2 or len(source.seen) != 3:
        raise Refused(f"makes a map of {len(rows)} axes", "maps of rows, columns and channels")
    check_size(*rows, weight.shape[0])
    source, weight = planes(build, site, source), weight.transpose(3, 0, 1, 2)
    before, after, more = [], [], []
    for size, n, k, s in zip(rows, source.seen[1:], weight.shape[2:], stride):
        whole = (n - 1) * s + k
        before.append(max(0, whole - size) // 2)
        after.append(max(0, whole - size) - before[-1])
        more.append(max(0, size - whole))
    padding = (*before, *after)
    result = ops.conv_transpose(build, site, source, weight, _bias(given, 3), stride, padding, more, (1, 1), 1)
    return given.activated(build, site, to_last(build, site, result))


def _linear(build, site, given):
    source, weight = given.map(), given.constant(1, "weights", 2)
    if given.option("WeightsFormat", 0):
        raise Refused("keeps its weights shuffled", "the default format of weights")
    if not given.option("KeepNumDims", False) and prod(source.seen) == weight.shape[1]:
        source = ops.reshape(build, site, source, (weight.shape[1],))
    return given.activated(build, site, ops.linear(build, site, source, weight, _bias(given)))


def _matmul(build, site, given):
    weight = given.constant(1, "weights", 2)
    if given.option("AdjX", False):
        raise Refused("transposes the maps", "the map as it is, times constant weights")
    return ops.linear(build, site, given.map(), weight if given.option("AdjY", False) else weight.T, None)


def _average(build, site, given):
    window = given.option("FilterHeight"), given.option("FilterWidth")
    source = planes(build, site, given.map())
    result = ops.average(build, site, source, window, given.stride, given.padding, None, False, False)
    return given.activated(build, site, to_last(build, site, result))


def _maximum(build, site, given):
    window, source, padding = (given.option("FilterHeight"), given.option("FilterWidth")), given[0], given.padding
    if isinstance(source, Bordered) and padding == "valid":
        source, padding = source.view, source.padding
    else:
        source = given.map()
    result = ops.maximum(build, site, planes(build, site, source), window, given.stride, padding, (1, 1), False)
    return given.activated(build, site, to_last(build, site, result))


def _reduce(kind):
    def reduce(build, site, given):
        source, axes = given.map(), given.integers(1, "axes")
        result = ops.mean(build, site, source, axes, given.option("KeepDims", False), "max" if kind == "max" else "sum")
        if kind != "sum":
            return result
        count = prod(source.seen[given.axis(axis, len(source.seen))] for axis in set(axes))
        return ops.multiply(build, site, result, np.array(float(count)))

    return reduce


def _add(alpha):
    def add(build, site, given):
        return given.activated(build, site, ops.add(build, site, given.operand(0), given.operand(1), alpha))

    return add


def _operands(given):
    """Return both operands, a constant as the second."""
    one, other = given.operand(0), given.operand(1)
    return (other, one) if is_constant(one) else (one, other)


def _multiply(build, site, given):
    value, constant = _operands(given)
    return given.activated(build, site, ops.multiply(build, site, value, constant))


def _divide(build, site, given):
    constant = given.constant(1, "divisors")
    if not np.all(constant):
        raise Refused("divides by zero", "divisors that are not zero")
    return given.activated(build, site, ops.multiply(build, site, given.map(), np.asarray(1 / constant)))


def _largest(build, site, given):
    value, constant = _operands(given)
    if not is_constant(constant) or np.any(constant):
        raise Refused("picks the larger of two maps, or cuts off at another number than zero", "RELU")
    return ops.fire(build, site, value)


def _fire(ceiling=None):
    def fire(build, site, given):
        return ops.fire(build, site, given.map(), ceiling=ceiling)

    return fire


def _leaky(build, site, given):
    return ops.fire(build, site, given.map(), slope=given.option("Alpha"))


def _prelu(build, site, given):
    slope, rank = given.constant(1, "slopes"), len(given.map().seen)
    slope = slope.reshape((1,) * (rank - slope.ndim) + slope.shape) if slope.ndim <= rank else slope
    return ops.fire(build, site, given.map(), slope=slope)


def _at_output(name):
    def at_output(build, site, given):
        value, beta = given.map(), given.options.get("Beta", 1.0)
        if beta != 1:
            value = ops.multiply(build, site, value, np.array(beta))
        return ops.at_output(build, site, value, name, None if name == "sigmoid" else -1, given.last)

    return at_output


def _same(build, site, given):
    return given.map()


def _cast(build, site, given):
    if given.results[0].type not in FLOATS:
        raise Refused(f"makes a map {given.results[0].type}", "floats")
    return given.map()


OPERATIONS = {
    "CONV_2D": _conv, "DEPTHWISE_CONV_2D": _depthwise, "TRANSPOSE_CONV": _transposed, "FULLY_CONNECTED": _linear,
    "BATCH_MATMUL": _matmul, "AVERAGE_POOL_2D": _average, "MAX_POOL_2D": _maximum, "MEAN": _reduce("mean"),
    "SUM": _reduce("sum"), "REDUCE_MAX": _reduce("max"), "ADD": _add(1.0), "SUB": _add(-1.0), "MUL": _multiply,
    "DIV": _divide, "MAXIMUM": _largest, "RELU": _fire(), "RELU6": _fire(6.0), "RELU_0_TO_1": _fire(1.0),
    "LEAKY_RELU": _leaky, "PRELU": _prelu, "SOFTMAX": _at_output("softmax"), "LOG_SOFTMAX": _at_output("log_softmax"),
    "LOGISTIC": _at_output("sigmoid"), "CAST": _cast, **VIEWS,
    **dict.fromkeys(QUANTIZERS, _same),
}

COMPUTED = {
    "SHAPE": lambda given: np.array(given[0].shape, np.int64),
    "STRIDED_SLICE": lambda given: given[0][picks(given)],
    "PACK": lambda given: np.stack(given.values, given.option("Axis", 0)),
    "CONCATENATION": lambda given: np.concatenate(given.values, given.option("Axis", 0)),
    "RESHAPE": lambda given: given[0].reshape(given.results[0].shape),
    "TRANSPOSE": lambda given: given[0].transpose(given.integers(1, "axes")),
    **dict.fromkeys((*QUANTIZERS, "CAST"), lambda given: given[0]),
}
