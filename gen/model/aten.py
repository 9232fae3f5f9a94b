"""The operations of PyTorch, by their ATen names, that a network may consist of.

Every function takes builder, site and the arguments by the names of the operation's schema; ``shape`` is that of the
result without N, ``last`` says that only outputs read it. Axes of PyTorch count N, those of `gen.model.operations` do
not.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gen.model import operations as ops
from gen.model.aten_views import ACROSS, VIEWS, axis_of, first, nearest, nearest_exact
from gen.model.operations import EVAL, Refused

__all__ = ["OPERATIONS", "PASSING"]

def _conv(build, site, a):
    geometry = a["stride"], a["padding"]
    if a.get("transposed"):
        return ops.conv_transpose(build, site, a["input"], a["weight"], a["bias"], *geometry, a["output_padding"],
                                  a["dilation"], a["groups"])
    return ops.conv(build, site, a["input"], a["weight"], a["bias"], *geometry, a["dilation"], a["groups"])


def _conv_transpose(build, site, a):
    return _conv(build, site, {**a, "transposed": True})


def _linear(build, site, a):
    return ops.linear(build, site, a["input"], a["weight"], a["bias"])


def _addmm(build, site, a):
    weight, bias = a["mat2"], a["self"]
    if not ops.is_constant(weight) or not ops.is_constant(bias):
        raise Refused("the weight must be a constant", "Linear")
    bias = np.broadcast_to(a["beta"] * bias, weight.shape[1:])
    return ops.linear(build, site, a["mat1"], a["alpha"] * weight.T, bias)


def _matmul(build, site, a):
    source, weight = list(a.values())[:2]
    if ops.is_constant(source) or not ops.is_constant(weight):
        raise Refused("multiplies two maps, or a constant with a map", "the map first, a constant second")
    return ops.linear(build, site, source, weight.T, None)


def _batch_norm(build, site, a):
    if a.get("training"):
        raise Refused("is in training mode", EVAL)
    parameters = (a[name] for name in ("weight", "bias", "running_mean", "running_var", "eps"))
    return [ops.batch_norm(build, site, a["input"], *parameters)]


def _add(build, site, a):
    return ops.add(build, site, _operand(a["self"]), _operand(a["other"]), float(a.get("alpha", 1)))


def _subtract(build, site, a):
    return ops.add(build, site, _operand(a["self"]), _operand(a["other"]), -float(a.get("alpha", 1)))


def _subtract_from(build, site, a):
    return ops.add(build, site, _operand(a["other"]), _operand(a["self"]), -float(a.get("alpha", 1)))


def _multiply(build, site, a):
    one, other = _operand(a["self"]), _operand(a["other"])
    return ops.multiply(build, site, other, one) if ops.is_constant(one) else ops.multiply(build, site, one, other)


def _divide(build, site, a):
    if not ops.is_constant(_operand(a["other"])) or a.get("rounding_mode"):
        raise Refused("divides by a map, or rounds", "a division by constants")
    return ops.multiply(build, site, a["self"], 1 / _operand(a["other"]))


def _operand(value) -> Any:
    """Return a number as the constant that it is."""
    return np.array(float(value)) if isinstance(value, int | float) else value


def _negative(build, site, a):
    return ops.multiply(build, site, a["self"], np.array(-1.0))


def _relu(build, site, a):
    return ops.fire(build, site, a["self"])


def _clamp(build, site, a):
    """Clip: at 0 from below, above or on both sides."""
    low, high = (None if bound is None else float(bound) for bound in (_bound(a, "min"), _bound(a, "max")))
    if low not in (None, 0.0):
        raise Refused(f"clips at {low:g} from below", "a lower bound of 0")
    return ops.fire(build, site, first(a), slope=None if low == 0 else 1.0, ceiling=high)


def _bound(a, name):
    bound = a.get(f"{name}_val", a.get(name))
    if not isinstance(bound, int | float | None):
        raise Refused("clips at bounds that are no numbers", "ReLU")
    return bound


def _relu6(build, site, a):
    return ops.fire(build, site, a["self"], ceiling=6.0)


def _threshold(build, site, a):
    if a["threshold"] or a["value"]:
        raise Refused(f"sets what is below {a['threshold']} to {a['value']}", "ReLU")
    return ops.fire(build, site, a["self"])


def _leaky(build, site, a):
    return ops.fire(build, site, a["self"], slope=float(a["negative_slope"]))


def _prelu(build, site, a):
    if not ops.is_constant(a["weight"]):
        raise Refused("has slopes that depend on the image", "constant slopes")
    return ops.fire(build, site, a["self"], slope=a["weight"])


def _larger(build, site, a):
    """Take the larger of a map and the constant 0."""
    one, other = a["self"], a["other"]
    one, other = (other, one) if ops.is_constant(one) else (one, other)
    if not ops.is_constant(other) or np.any(other):
        raise Refused("takes the larger of two maps, or of a map and a constant that is not 0", "ReLU")
    return ops.fire(build, site, one)


def _average(build, site, a):
    return ops.average(build, site, a["self"], a["kernel_size"], a["stride"] or a["kernel_size"], a["padding"],
                       a.get("divisor_override"), a["count_include_pad"], a["ceil_mode"])


def _maximum(build, site, a):
    return ops.maximum(build, site, a["self"], a["kernel_size"], a["stride"] or a["kernel_size"], a["padding"],
                       a["dilation"], a["ceil_mode"])


def _maximum_and_places(build, site, a):
    return [_maximum(build, site, a)]


def _adaptive(build, site, a):
    return ops.adaptive(build, site, a["self"], a["output_size"])


def _adaptive_max(build, site, a):
    return [ops.adaptive(build, site, a["self"], a["output_size"], "max")]


def _mean(build, site, a):
    return ops.mean(build, site, a["self"], a.get("dim"), a.get("keepdim", False))


def _sum(build, site, a):
    result = _mean(build, site, a)
    return ops.multiply(build, site, result, np.array(prod(a["self"].seen) / prod(result.seen)))


def _amax(build, site, a):
    return ops.mean(build, site, a["self"], a["dim"], a["keepdim"], "max")


def _max(build, site, a):
    """Take the maximum over an axis, with its places, or the larger of two."""
    if "other" in a:
        return _larger(build, site, a)
    axes = None if a.get("dim") is None else [a["dim"]]
    return [ops.mean(build, site, a["self"], axes, a.get("keepdim", False), "max")]


def _pad(build, site, a):
    value, pads = a["self"], a["pad"]
    if a.get("mode", "constant") != "constant" or a.get("value"):
        raise Refused("pads with other numbers than zeros", "zero padding")
    pairs = list(zip(pads[::2], pads[1::2]))[::-1]
    if len(pairs) > len(value.seen):
        raise Refused(ACROSS, "padding of axes after N")
    return ops.pad(build, site, value, [(0, 0)] * (len(value.seen) - len(pairs)) + pairs)


def _dropout(build, site, a):
    if a["train"]:
        raise Refused("is in training mode", EVAL)
    return a["input"]


def _ends_in(name):
    def decode(build, site, a):
        value = first(a)
        axis = axis_of(a, value) if "dim" in a else None
        return ops.at_output(build, site, value, name, axis, a["last"])

    return decode


DECODES = {
    "sigmoid": "sigmoid", "softmax": "softmax", "_softmax": "softmax", "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
}
PASSING = {*VIEWS, *DECODES}
OPERATIONS = {
    **VIEWS, **{op: _ends_in(name) for op, name in DECODES.items()},
    **dict.fromkeys(("conv1d", "conv2d", "convolution"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _conv_transpose),
    "linear": _linear, "addmm": _addmm, "matmul": _matmul, "mm": _matmul,
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "relu": _relu, "relu6": _relu6, "threshold": _threshold, "leaky_relu": _leaky,
    **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh", "clip"), _clamp),
    "add": _add, "sub": _subtract, "rsub": _subtract_from, "mul": _multiply, "div": _divide, "neg": _negative,
    "maximum": _larger, "max": _max, "amax": _amax, "mean": _mean, "sum": _sum,
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _average), **dict.fromkeys(("max_pool1d", "max_pool2d"), _maximum),
    **dict.fromkeys(("max_pool1d_with_indices", "max_pool2d_with_indices"), _maximum_and_places),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d"), _adaptive),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d"), _adaptive_max),
    **dict.fromkeys(("constant_pad_nd", "pad"), _pad),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), nearest),
    **dict.fromkeys(("_upsample_nearest_exact1d", "_upsample_nearest_exact2d"), nearest_exact),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), _dropout),
}
