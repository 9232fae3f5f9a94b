"""The TFLite operations that compute nothing: they pick, order and repeat numbers.

Every function takes builder, site and what the node is given (`gen.model.tflite_given`).
"""

from __future__ import annotations

from math import prod

import numpy as np

from gen.model import operations as ops
from gen.model.refusal import Refused
from gen.model.tflite_given import Bordered, check_size, planes, to_last
from gen.model.values import View, is_constant

__all__ = ["VIEWS", "picks"]


def _reshape(build, site, given):
    sizes = given.options.get("NewShape", ())
    if is_constant(given[1]):
        sizes = given.integers(1, "sizes")
    return _reshaped(build, site, given, sizes or given.results[0].shape)


def _reshaped(build, site, given, sizes):
    """Return the map in the shape ``sizes``, N included, of which one may be -1."""
    whole = (given.batch, *given.map().seen)
    rest = prod(n for n in sizes if n != -1)
    sizes = [prod(whole) // rest if n == -1 and rest else int(n) for n in sizes]
    if not sizes or sizes[0] != given.batch or prod(sizes) != prod(whole):
        raise Refused(f"makes {list(whole)} {list(sizes)}, across images", "Flatten")
    return ops.reshape(build, site, given.map(), tuple(sizes[1:]))


def _as_declared(build, site, given):
    return _reshaped(build, site, given, given.results[0].shape)


def _transpose(build, site, given):
    axes = given.integers(1, "axes")
    if sorted(axes) != list(range(len(given.map().seen) + 1)) or axes[0] != 0:
        raise Refused(f"orders the axes as {axes}, across images", "N as the first axis")
    return ops.transpose(build, site, given.map(), [axis - 1 for axis in axes[1:]])


def _pad(build, site, given):
    pads = given.constant(1, "pads", 2).astype(int).tolist()
    around = np.zeros(()) if given[2] is None else given.constant(2, "numbers")
    if len(pads) == 4 and not any(pads[0] + pads[3]) and (around <= given.results[0].lowest).all():
        (top, bottom), (left, right) = pads[1:3]
        return Bordered(given.map(), (top, left, bottom, right))
    if np.any(around) or any(pads[0]):
        raise Refused("pads other than with zeros in height, width and channels", "zero padding")
    check_size(*(n + before + after for n, (before, after) in zip(given.map().seen, pads[1:])))
    return ops.pad(build, site, given.map(), pads[1:])


def _concat(build, site, given):
    values = [given.operand(i) for i in range(len(given.values))]
    rank = next(len(value.seen) for value in values if isinstance(value, View))
    result = ops.concat(build, site, values, given.axis(given.option("Axis", 0), rank))
    return given.activated(build, site, result)


def _stack(build, site, given):
    values = [given.map(i) for i in range(len(given.values))]
    return ops.stack(build, site, values, given.axis(given.option("Axis", 0), len(values[0].seen) + 1))


def _unstack(build, site, given):
    source = ops.settle(build, site, given.map())
    axis = given.axis(given.option("Axis", 0), len(source.seen))
    return [ops.select(build, site, source, axis, i) for i in range(len(given.results))]


def _split(build, site, given):
    if given.op == "SPLIT_V":
        source, sizes, (axis,) = given.map(), given.integers(1, "sizes"), given.integers(2, "axes")
    else:
        source, sizes, (axis,) = given.map(1), [], given.integers(0, "axes")
    source = ops.settle(build, site, source)  # each part would sum the whole again
    axis, count = given.axis(axis, len(source.seen)), len(given.results)
    whole = source.seen[axis]
    sizes = sizes or [whole // count] * count
    sizes = [whole - sum(n for n in sizes if n >= 0) if n < 0 else n for n in sizes]
    if sum(sizes) != whole or min(sizes) < 1 or len(sizes) != count:
        raise Refused(f"splits {whole} into {sizes}", "parts that make the whole")
    ends = np.cumsum([0, *sizes])
    return [ops.slice_(build, site, source, axis, int(a), int(b)) for a, b in zip(ends, ends[1:])]


def picks(given) -> tuple:
    """Return what a strided slice picks of each axis, N included: slices, and integers for axes that go."""
    begin, end, step = (given.integers(i, what) for i, what in ((1, "begins"), (2, "ends"), (3, "strides")))
    if given.option("EllipsisMask", 0) or given.option("NewAxisMask", 0) or not len(begin) == len(end) == len(step):
        raise Refused("slices with an ellipsis or new axes", "a slice of each axis")
    masks = [given.option(f"{name}Mask", 0) for name in ("Begin", "End", "ShrinkAxis")]
    return tuple(
        begin[i] if masks[2] >> i & 1 else
        slice(None if masks[0] >> i & 1 else begin[i], None if masks[1] >> i & 1 else end[i], step[i])
        for i in range(len(begin))
    )


def _strided_slice(build, site, given):
    return _sliced(build, site, given, picks(given))


def _slice(build, site, given):
    begin, size = given.integers(1, "begins"), given.integers(2, "sizes")
    return _sliced(build, site, given, [slice(b, None if n < 0 else b + n) for b, n in zip(begin, size)])


def _sliced(build, site, given, chosen):
    value = given.map()
    if len(chosen) > len(value.seen) + 1 or any(isinstance(p, slice) and p.step == 0 for p in chosen):
        raise Refused(f"slices {len(chosen)} axes of a map of shape {value.seen}", "a slice of each axis")
    if chosen and (not isinstance(chosen[0], slice) or range(given.batch)[chosen[0]] != range(given.batch)):
        raise Refused("slices N, across images", "slices of the other axes")
    for axis, pick in reversed(list(enumerate(chosen[1:]))):
        if isinstance(pick, slice):
            value = ops.slice_(build, site, value, axis, pick.start, pick.stop, pick.step or 1)
        elif -value.seen[axis] <= pick < value.seen[axis]:
            value = ops.select(build, site, value, axis, pick)
        else:
            raise Refused(f"picks {pick} of {value.seen[axis]}", "what is there")
    return value


def _gather(build, site, given):
    value, chosen = given.map(), given.constant(1, "indices")
    axis = given.axis(given.option("Axis", 0), len(value.seen))
    if given.option("BatchDims", 0) or chosen.dtype.kind not in "iu" or chosen.ndim > 1:
        raise Refused("picks other than whole places of one axis", "constant indices of one axis")
    if chosen.size and not (-value.seen[axis] <= chosen.min() and chosen.max() < value.seen[axis]):
        raise Refused(f"picks {chosen.max()} of {value.seen[axis]}", "what is there")
    return ops.select(build, site, value, axis, chosen)


def _resize(build, site, given):
    value, sizes = planes(build, site, given.map()), given.integers(1, "sizes")
    rows, columns = value.seen[1:]
    if len(sizes) != 2 or min(sizes) < 1 or sizes[0] % rows or sizes[1] % columns:
        raise Refused(f"makes {rows}x{columns} positions {'x'.join(map(str, sizes))}", "a whole factor")
    if given.option("AlignCorners", False) and [rows, columns] != sizes and (rows, columns) != (1, 1):
        raise Refused("aligns corners", "align_corners=False")
    if given.op == "RESIZE_BILINEAR" and [rows, columns] != sizes and (rows, columns) != (1, 1):
        raise Refused("weighs neighbours by their distance", "RESIZE_NEAREST_NEIGHBOR by an integer")
    check_size(*sizes, value.seen[0])
    return to_last(build, site, ops.upsample(build, site, value, (sizes[0] // rows, sizes[1] // columns)))


def _blocks(build, site, given):
    """Move blocks of pixels to channels or back; both are an order of the same numbers."""
    value, block = given.map(), given.option("BlockSize")
    if len(value.seen) != 3 or block < 1:
        raise Refused(f"works on a map of shape {value.seen}", "maps of rows, columns and channels")
    rows, columns, channels = value.seen
    if given.op == "DEPTH_TO_SPACE":
        value = ops.reshape(build, site, value, (rows, columns, block, block, channels // block**2))
        value = ops.transpose(build, site, value, (0, 2, 1, 3, 4))
        return ops.reshape(build, site, value, (rows * block, columns * block, channels // block**2))
    value = ops.reshape(build, site, value, (rows // block, block, columns // block, block, channels))
    value = ops.transpose(build, site, value, (0, 2, 1, 3, 4))
    return ops.reshape(build, site, value, (rows // block, columns // block, block**2 * channels))


VIEWS = {
    "RESHAPE": _reshape, "SQUEEZE": _as_declared, "EXPAND_DIMS": _as_declared, "TRANSPOSE": _transpose, "PAD": _pad,
    "PADV2": _pad, "CONCATENATION": _concat, "PACK": _stack, "UNPACK": _unstack, "SPLIT": _split, "SPLIT_V": _split,
    "STRIDED_SLICE": _strided_slice, "SLICE": _slice, "GATHER": _gather, "RESIZE_NEAREST_NEIGHBOR": _resize,
    "RESIZE_BILINEAR": _resize, "DEPTH_TO_SPACE": _blocks, "SPACE_TO_DEPTH": _blocks,
}
