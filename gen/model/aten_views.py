"""The operations of PyTorch that reshape, pick, repeat and join; see `gen.model.aten`."""

from __future__ import annotations

import numpy as np

from gen.model import operations as ops
from gen.model.operations import Refused

__all__ = ["ACROSS", "VIEWS", "axis_of", "first", "nearest", "nearest_exact"]

ACROSS = "acts across images"


def first(a):
    """Return the first argument, whatever its name."""
    return next(iter(a.values()))


def axis_of(a, value, name="dim"):
    """Return an axis as `gen.model.operations` counts it."""
    axis = a[name] % (len(value.seen) + 1)
    if axis == 0:
        raise Refused(ACROSS, "axes after N")
    return axis - 1


def nearest(build, site, a):
    """Enlarge each axis by a whole factor, or take every so manieth row or column."""
    value, sizes = first(a), a["shape"][1:]
    for axis, (new, old) in enumerate(zip(sizes, value.seen[1:]), 1):
        if new % old and old % new:
            raise Refused(f"makes {tuple(sizes)} of {value.seen[1:]}, by a factor that is not whole", "whole factors")
        value = ops.slice_(build, site, value, axis, 0, None, max(1, old // new))
    return ops.upsample(build, site, value, [max(1, new // old) for new, old in zip(sizes, first(a).seen[1:])])


def nearest_exact(build, site, a):
    if any(new < old for new, old in zip(a["shape"][1:], first(a).seen[1:])):
        raise Refused("takes rows between those of nearest", "mode='nearest'")
    return nearest(build, site, a)


def _reshape(build, site, a):
    return ops.reshape(build, site, first(a), a["shape"])


def _transpose(build, site, a):
    value = first(a)
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
    return ops.concat(build, site, a["tensors"], axis_of(a, first))


def _stack(build, site, a):
    values = a["tensors"]
    axis = a["dim"] % (len(values[0].seen) + 2)
    if axis == 0 or any(ops.is_constant(value) for value in values):
        raise Refused(ACROSS, "axes after N")
    return ops.stack(build, site, values, axis - 1)


def _split(build, site, a):
    value = a["self"]
    axis = axis_of(a, value)
    sizes = a.get("split_sizes", a.get("split_size"))
    length = value.seen[axis]
    ends = np.cumsum(sizes) if isinstance(sizes, list | tuple) else np.minimum(
        np.arange(sizes, length + sizes, sizes), length)
    return [ops.slice_(build, site, value, axis, start, end) for start, end in zip([0, *ends[:-1]], ends)]


def _unbind(build, site, a):
    axis = axis_of(a, a["self"])
    return [ops.select(build, site, a["self"], axis, i) for i in range(a["self"].seen[axis])]


def _slice(build, site, a):
    value = a["self"]
    if a["dim"] % (len(value.seen) + 1) == 0:
        if a["start"] or a["step"] != 1 or isinstance(a["end"], int) and a["end"] < 2**31:
            raise Refused(ACROSS, "all images alike")
        return value
    return ops.slice_(build, site, value, axis_of(a, value), a["start"], a["end"], a["step"])


def _select(build, site, a):
    return ops.select(build, site, a["self"], axis_of(a, a["self"]), a["index"])


def _index_select(build, site, a):
    if not ops.is_constant(a["index"]):
        raise Refused("picks by value", "constant places")
    return ops.select(build, site, a["self"], axis_of(a, a["self"]), a["index"].astype(int))


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
        value = ops.slice_(build, site, value, axis_of({"dim": dim}, value), None, None, -1)
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


def _cast(build, site, a):
    dtype = a.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise Refused("rounds to integers", "floats throughout: adafire quantizes")
    return first(a)


def _same(build, site, a):
    return first(a)


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
