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
from gen.model.operations import EVAL, Refused

__all__ = ["DECODES", "OPERATIONS", "PASSING"]

ACROSS = "acts across images"


def _value(a):
    """Return the first argument, whatever its name."""
    return next(iter(a.values()))


def _axis(a, value, name="dim"):
    """Return an axis as `gen.model.operations` counts it."""
    axis = a[name] % (len(value.seen) + 1)
    if axis == 0:
        raise Refused(ACROSS, "axes after N")
    return axis - 1


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
    return ops.fire(build, site, _value(a), slope=None if low == 0 else 1.0, ceiling=high)


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


def _nearest(build, site, a):
    """Enlarge each axis by a whole factor, or take every so manieth row or column."""
    value, sizes = _value(a), a["shape"][1:]
    for axis, (new, old) in enumerate(zip(sizes, value.seen[1:]), 1):
        if new % old and old % new:
            raise Refused(f"makes {tuple(sizes)} of {value.seen[1:]}, by a factor that is not whole", "whole factors")
        value = ops.slice_(build, site, value, axis, 0, None, max(1, old // new))
    return ops.upsample(build, site, value, [max(1, new // old) for new, old in zip(sizes, _value(a).seen[1:])])


def _nearest_exact(build, site, a):
    if any(new < old for new, old in zip(a["shape"][1:], _value(a).seen[1:])):
        raise Refused("takes rows between those of nearest", "mode='nearest'")
    return _nearest(build, site, a)


def _reshape(build, site, a):
    return ops.reshape(build, site, _value(a), a["shape"])


def _transpose(build, site, a):
    value = _value(a)
    axes = list(range(len(value.seen) + 1))
    one, other = a["dim0"], a["dim1"]
    axes[one], axes[other] = axes[other], axes[one]
    return _permute(build, site, {"self": value, "dims": axes})


def _permute(build, site, a):
    rank = len(a["self"].seen) + 1
    axes = [axis % rank for axis in a["dims"]]
    if axes[0] != 0:
        raise Refused(ACROSS, "N as the first axis")
    return ops.transpose(build, site, a["self"], [axis - 1 for axis in axes[1:]])


def _concat(build, site, a):
    first = next(value for value in a["tensors"] if not ops.is_constant(value))
    return ops.concat(build, site, a["tensors"], _axis(a, first))


def _stack(build, site, a):
    values = a["tensors"]
    axis = a["dim"] % (len(values[0].seen) + 2)
    if axis == 0 or any(ops.is_constant(value) for value in values):
        raise Refused(ACROSS, "axes after N")
    return ops.stack(build, site, values, axis - 1)


def _split(build, site, a):
    value = a["self"]
    axis = _axis(a, value)
    sizes = a.get("split_sizes", a.get("split_size"))
    length = value.seen[axis]
    ends = np.cumsum(sizes) if isinstance(sizes, list | tuple) else np.minimum(
        np.arange(sizes, length + sizes, sizes), length)
    return [ops.slice_(build, site, value, axis, start, end) for start, end in zip([0, *ends[:-1]], ends)]


def _unbind(build, site, a):
    axis = _axis(a, a["self"])
    return [ops.select(build, site, a["self"], axis, i) for i in range(a["self"].seen[axis])]


def _slice(build, site, a):
    value = a["self"]
    if a["dim"] % (len(value.seen) + 1) == 0:
        if a["start"] or a["step"] != 1 or isinstance(a["end"], int) and a["end"] < 2**31:
            raise Refused(ACROSS, "all images alike")
        return value
    return ops.slice_(build, site, value, _axis(a, value), a["start"], a["end"], a["step"])


def _select(build, site, a):
    return ops.select(build, site, a["self"], _axis(a, a["self"]), a["index"])


def _index_select(build, site, a):
    if not ops.is_constant(a["index"]):
        raise Refused("picks by value", "constant places")
    return ops.select(build, site, a["self"], _axis(a, a["self"]), a["index"].astype(int))


def _index(build, site, a):
    """Pick constant places of one axis: x[:, places]."""
    given = [(axis, places) for axis, places in enumerate(a["indices"]) if places is not None]
    if len(given) != 1 or not given[0][0] or not ops.is_constant(given[0][1]) or given[0][1].ndim != 1:
        raise Refused("picks by value, or along several axes", "constant places of one axis")
    ((axis, places),) = given
    return ops.select(build, site, a["self"], axis - 1, places.astype(int))


def _flip(build, site, a):
    value = a["self"]
    for dim in a["dims"]:
        value = ops.slice_(build, site, value, _axis({"dim": dim}, value), None, None, -1)
    return value


def _expand(build, site, a):
    return ops.repeat(build, site, a["self"], a["shape"])


def _tile(build, site, a):
    value = a["self"]
    repeats = [1] * (len(value.seen) + 1 - len(a["repeats"])) + list(a["repeats"])
    if len(repeats) != len(value.seen) + 1 or repeats[0] != 1:
        raise Refused(ACROSS, "axes after N")
    for axis, count in enumerate(repeats[1:]):
        if count != 1:
            value = ops.concat(build, site, [value] * count, axis)
    return value


def _channel_shuffle(build, site, a):
    channels, *size = a["self"].seen
    value = ops.reshape(build, site, a["self"], (a["groups"], channels // a["groups"], *size))
    value = ops.transpose(build, site, value, (1, 0, *range(2, 2 + len(size))))
    return ops.reshape(build, site, value, (channels, *size))


def _pixel_shuffle(build, site, a):
    factor, (channels, height, width) = a["upscale_factor"], a["self"].seen
    value = ops.reshape(build, site, a["self"], (channels // factor**2, factor, factor, height, width))
    value = ops.transpose(build, site, value, (0, 3, 1, 4, 2))
    return ops.reshape(build, site, value, a["shape"])


def _pixel_unshuffle(build, site, a):
    factor, (channels, height, width) = a["downscale_factor"], a["self"].seen
    value = ops.reshape(build, site, a["self"], (channels, height // factor, factor, width // factor, factor))
    value = ops.transpose(build, site, value, (0, 2, 4, 1, 3))
    return ops.reshape(build, site, value, a["shape"])


def _dropout(build, site, a):
    if a["train"]:
        raise Refused("is in training mode", EVAL)
    return a["input"]


def _cast(build, site, a):
    dtype = a.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise Refused("rounds to integers", "floats throughout: adafire quantizes")
    return _value(a)


def _same(build, site, a):
    return _value(a)


def _ends_in(name):
    def decode(build, site, a):
        value = _value(a)
        axis = _axis(a, value) if "dim" in a else None
        return ops.at_output(build, site, value, name, axis, a["last"])

    return decode


DECODES = {
    "sigmoid": "sigmoid", "softmax": "softmax", "_softmax": "softmax", "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
}
VIEWS = {
    **dict.fromkeys(
        ("view", "reshape", "flatten", "_unsafe_view", "squeeze", "unsqueeze", "unflatten", "_reshape_alias"), _reshape
    ),
    **dict.fromkeys(("clone", "alias", "detach", "contiguous", "lift_fresh_copy"), _same),
    **dict.fromkeys(("_to_copy", "to"), _cast),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    "permute": _permute, "cat": _concat, "concat": _concat, "stack": _stack,
    **dict.fromkeys(("split", "split_with_sizes"), _split), "unbind": _unbind,
    "slice": _slice, "select": _select, "index_select": _index_select, "index": _index, "flip": _flip,
    "expand": _expand, "repeat": _tile, "tile": _tile, "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle, "pixel_shuffle": _pixel_shuffle, "pixel_unshuffle": _pixel_unshuffle,
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
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), _nearest),
    **dict.fromkeys(("_upsample_nearest_exact1d", "_upsample_nearest_exact2d"), _nearest_exact),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), _dropout),
}
