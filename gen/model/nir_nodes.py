"""The NIR nodes that a network may consist of, as `gen.model.operations` takes them.

Every function takes builder, site, the value that reaches the node, the node, and whether only outputs read it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gen.model import operations as ops
from gen.model.refusal import Refused

__all__ = ["OPERATIONS", "passed"]


def _real(array, what) -> np.ndarray:
    """Return a parameter as float64; Refused unless it holds real numbers."""
    array = np.asarray(array)
    if array.dtype.kind == "c":
        raise Refused(f"has a complex {what}, whose imaginary part has no counterpart", f"a real {what}")
    if array.dtype.kind not in "biuf":
        raise Refused(f"has a {what} that is no number", f"a real {what}")
    return array.astype(float)


def _whole(value, what) -> list[int]:
    """Return a stride, padding or the like as integers."""
    numbers = _real(value, what).ravel()
    if not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any() or not 1 <= numbers.size <= 4:
        raise Refused(f"has a {what} of {numbers.tolist()}", "integers")
    return [int(n) for n in numbers]


def _neurons(array, what, value) -> np.ndarray:
    """Return a parameter of every neuron, float64 that broadcasts to ``value``."""
    array = _real(array, what)
    if array.size != 1 and array.shape != value.seen:
        raise Refused(f"has a {what} of shape {array.shape} for neurons of shape {value.seen}", "one shape")
    if not np.isfinite(array).all():
        raise Refused(f"has a {what} that is no number", f"a finite {what}")
    return array.reshape(value.seen if array.size != 1 else (1,) * len(value.seen))


def _conv(build, site, value, node, last):
    stride = _whole(node.stride, "stride")
    words = isinstance(node.padding, str)
    padding = node.padding if words else _whole(node.padding, "padding")
    if padding == "same" and any(n != 1 for n in stride):
        raise Refused("has 'same' padding and a stride", "explicit padding")
    bias = None if node.bias is None else _real(node.bias, "bias")
    (groups,) = _whole(node.groups, "number of groups")
    return ops.conv(build, site, value, _real(node.weight, "weight"), bias, stride, padding,
                    _whole(node.dilation, "dilation"), groups)


def _linear(build, site, value, node, last):
    bias = _real(node.bias, "bias") if hasattr(node, "bias") else None
    return ops.linear(build, site, value, _real(node.weight, "weight"), bias)


def _scale(build, site, value, node, last):
    return ops.multiply(build, site, value, _neurons(node.scale, "scale", value))


def _fire(build, site, value, node, last):
    threshold, r = (_neurons(getattr(node, name), name, value) for name in ("v_threshold", "r"))
    if node.v_reset is not None and np.any(_real(node.v_reset, "v_reset")):
        form = "v_reset = 0, which is taken as subtracting the threshold"
        raise Refused("resets to a v_reset that is not 0", form)
    if not (threshold > 0).all():
        raise Refused("has a threshold that is not positive", "v_threshold > 0")
    value = ops.multiply(build, site, value, r)
    parts = (replace(part, name=site) if isinstance(part, ops.Current) else part for part in value.parts)
    value = value.with_parts(parts)
    fired = ops.fire(build, site, value, threshold=np.broadcast_to(threshold, value.seen))
    return ops.multiply(build, site, fired, 1 / threshold)


def _pool(divisor):
    def pool(build, site, value, node, last):
        names = ("kernel_size", "stride", "padding")
        kernel, stride, padding = (_whole(getattr(node, name), name) for name in names)
        return ops.average(build, site, value, kernel, stride, padding, divisor)

    return pool


def _flatten(build, site, value, node, last):
    rank = len(value.seen)
    (start,), (end,) = _whole(node.start_dim, "start_dim"), _whole(node.end_dim, "end_dim")
    if not -rank <= start < rank or not -rank <= end < rank or start % rank > end % rank:
        raise Refused(f"flattens dimensions {start} to {end} of {list(value.seen)}", "start_dim=0, end_dim=-1")
    start, end = start % rank, end % rank + 1
    return ops.reshape(build, site, value, (*value.seen[:start], -1, *value.seen[end:]))


def _integrator(build, site, value, node, last):
    if not last:
        raise Refused("is not the accumulator of a readout", "Affine or Linear, then I, then Output")
    return ops.multiply(build, site, value, _neurons(node.r, "r", value))


def passed(build, site, value, node, last):
    """Return ``value`` as it came."""
    return value


OPERATIONS = {
    "Conv1d": _conv, "Conv2d": _conv, "Affine": _linear, "Linear": _linear, "Scale": _scale, "IF": _fire,
    "SumPool2d": _pool(1), "AvgPool2d": _pool(None), "Flatten": _flatten, "I": _integrator,
    "Output": passed,
}
