"""The ONNX operations that slide a window or reduce axes: convolutions, pools, Resize, Reduce.

As in `gen.model.onnx_nodes`, each takes builder, site and what the node is given.
"""

from __future__ import annotations

from math import prod

import numpy as np

from gen.model import operations as ops
from gen.model.refusal import Refused, refusal

__all__ = ["WINDOWS"]

AUTO = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
BY_WHOLE = "nearest Upsample by an integer"


def _window(given, rank):
    """Return stride, padding and dilation of a window of ``rank`` axes, by the specification where absent."""
    if rank not in (1, 2):
        raise Refused(f"has a window of {rank} dimensions", "one or two dimensions")
    padding = AUTO.get(given.get("auto_pad", "NOTSET"))
    padding = padding or tuple(given.get("pads", [0] * 2 * rank))
    return given.get("strides", [1] * rank), padding, given.get("dilations", [1] * rank)


def _weight(given, what):
    """Return the kernel of a convolution, a constant, and how many axes its window has."""
    weight = given.constant(1, "weights")
    if weight is None or weight.ndim < 3:
        raise Refused("has no weight of three or four axes", what)
    return weight, weight.ndim - 2


def _conv(build, site, given):
    weight, rank = _weight(given, "Conv")
    bias = given.constant(2, "biases")
    return ops.conv(build, site, given.view(), weight, bias, *_window(given, rank), given.get("group", 1))


def _conv_transpose(build, site, given):
    weight, rank = _weight(given, "ConvTranspose")
    stride, padding, dilation = _window(given, rank)
    more = list(given.get("output_padding", [0] * rank))
    wanted, sizes = given.get("output_shape"), given.view().seen[1:]
    if padding in ("same", "same_lower") and wanted is None:
        wanted = [n * s for n, s in zip(sizes, stride)]
    if wanted is not None:
        kernel = weight.shape[2:]
        spans = [s * (n - 1) + d * (k - 1) + 1 for n, s, k, d in zip(sizes, stride, kernel, dilation)]
        total = [span + o - w for span, o, w in zip(spans, more, wanted[-rank:])]
        more = [o + max(0, -t) for o, t in zip(more, total)]
        small, large = [max(0, t) // 2 for t in total], [max(0, t) - max(0, t) // 2 for t in total]
        before, after = (small, large) if given.get("auto_pad", "NOTSET") == "SAME_UPPER" else (large, small)
        padding = (*before, *after)
    bias, groups = given.constant(2, "biases"), given.get("group", 1)
    return ops.conv_transpose(build, site, given.view(), weight, bias, stride, padding, more, dilation, groups)


def _average(build, site, given):
    kernel = given.get("kernel_shape")
    stride, padding, dilation = _window(given, len(kernel))
    if any(step != 1 for step in dilation):
        raise Refused("has a dilated window", "dilation 1")
    include, ceil = bool(given.get("count_include_pad", 0)), bool(given.get("ceil_mode", 0))
    return ops.average(build, site, given.view(), kernel, stride, padding, None, include, ceil)


def _maximum(build, site, given):
    kernel = given.get("kernel_shape")
    ceil = bool(given.get("ceil_mode", 0))
    return ops.maximum(build, site, given.view(), kernel, *_window(given, len(kernel)), ceil)


def _globally(kind):
    def pool(build, site, given):
        return ops.mean(build, site, given.view(), tuple(range(2, len(given.view().seen) + 1)), True, kind)

    return pool


def _reduce(kind, summed=False):
    def reduce(build, site, given):
        value, axes = given.view(), given.whole("axes", 1)
        if not axes and given.get("noop_with_empty_axes", 0):
            return value
        axes = given.axes(axes if axes else range(len(value.seen) + 1))
        count = prod(value.seen[axis] for axis in axes)
        value = ops.mean(build, site, value, tuple(axis + 1 for axis in axes), bool(given.get("keepdims", 1)), kind)
        return ops.multiply(build, site, value, np.array(float(count))) if summed else value

    return reduce


def _resize(build, site, given):
    """Nearest by a whole factor, up or down, and what has one position in every mode."""
    value, wanted = given.view(), given.result()
    scales = given.get("scales") if given.opset < 9 else given.constant(1 if given.opset < 11 else 2, "scales")
    if given.get("mode", "nearest") != "nearest" and any(n not in (1, m) for n, m in zip(value.seen, wanted)):
        raise Refused(*refusal("resizebilinear"))
    picks = []
    for axis, (size, count) in enumerate(zip(value.seen, wanted)):
        scale = count / size
        if scales is not None and len(scales) == len(value.seen) + 1:
            scale = float(scales[axis + 1])
        picks.append(np.zeros(count, int) if size == 1 else _nearest(given, size, count, scale))
    for axis, pick in enumerate(picks):
        if len(pick) != value.seen[axis] or (pick != np.arange(len(pick))).any():
            value = ops.select(build, site, value, axis, pick)
    return value


def _nearest(given, size, count, scale):
    """Return which of ``size`` positions each of ``count`` takes, by the rules of the node; they must be even steps."""
    places, old = np.arange(count), given.opset < 11
    coordinates = "asymmetric" if old else given.get("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else given.get("nearest_mode", "round_prefer_floor")
    if coordinates in ("half_pixel", "half_pixel_symmetric") or (coordinates == "pytorch_half_pixel" and count > 1):
        at = (places + 0.5) / scale - 0.5
    elif coordinates == "tf_half_pixel_for_nn":
        at = (places + 0.5) / scale
    elif coordinates == "asymmetric":
        at = places / scale
    elif coordinates == "align_corners" and count > 1:
        at = places * (size - 1) / (count - 1)
    else:
        raise Refused(f"places its numbers by {coordinates}", BY_WHOLE)
    rounded = {"floor": np.floor, "ceil": np.ceil, "round_prefer_floor": lambda x: np.ceil(x - 0.5),
               "round_prefer_ceil": lambda x: np.floor(x + 0.5)}.get(rounding, np.floor)(np.round(at, 9))
    picks = np.clip(rounded, 0, size - 1).astype(int)
    step = max(1, size // count)
    if not (count % size == 0 and np.array_equal(picks, places // (count // size))
            or size % count == 0 and np.array_equal(picks, picks[0] + places * step)):
        raise Refused(f"takes {count} of {size} positions by {coordinates} and {rounding}, in uneven steps", BY_WHOLE)
    return picks


WINDOWS = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "AveragePool": _average, "MaxPool": _maximum,
    "GlobalAveragePool": _globally("sum"), "GlobalMaxPool": _globally("max"),
    "ReduceMean": _reduce("sum"), "ReduceSum": _reduce("sum", summed=True), "ReduceMax": _reduce("max"),
    "Resize": _resize, "Upsample": _resize,
}
