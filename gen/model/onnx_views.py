"""The ONNX operations that compute nothing: they change the shape, the order or the choice of numbers alone."""

from __future__ import annotations

import numpy as np

from gen.model import operations as ops
from gen.model.refusal import Refused

__all__ = ["VIEWS"]


def _reshape(build, site, given):
    """Reshape and Flatten: the result's shape is known, and N stays first."""
    return ops.reshape(build, site, given.view(), given.result())


def _squeeze(build, site, given):
    axes = given.whole("axes", 1)
    if axes is not None:
        given.axes(axes)
    return _reshape(build, site, given)


def _unsqueeze(build, site, given):
    rank = len(given.view().seen) + 1
    axes = given.whole("axes", 1)
    if any(axis % (rank + len(axes)) == 0 for axis in axes):
        raise Refused("adds an axis before N", "axes after N")
    return _reshape(build, site, given)


def _expand(build, site, given):
    return ops.repeat(build, site, given.view(), given.result())


def _tile(build, site, given):
    value, (images, *repeats) = given.view(), given.whole("repeats", 1)
    if images != 1:
        raise Refused("repeats images", "the axes after N alone")
    for axis, count in enumerate(repeats):
        value = value if count == 1 else ops.concat(build, site, [value] * count, axis)
    return value


def _transpose(build, site, given):
    rank = len(given.view().seen) + 1
    order = given.get("perm", list(reversed(range(rank))))
    if order[0] != 0:
        raise Refused("moves N, across images", "N first throughout")
    return ops.transpose(build, site, given.view(), tuple(axis - 1 for axis in order[1:]))


def _concat(build, site, given):
    """Join maps; zeros among them pad."""
    first = next(i for i, value in enumerate(given.values) if not ops.is_constant(value))
    axis, zeros, pieces = given.axis(given.get("axis", 1), first), 0, []
    for value in given.values:
        if ops.is_constant(value):
            if np.any(value):
                raise Refused("joins a constant to a map", "maps alone, or zeros")
            zeros += value.shape[axis + 1]
        elif not pieces:
            pieces.append(_padded(build, site, value, axis, zeros, 0))
            zeros = 0
        else:
            pieces[-1] = _padded(build, site, pieces[-1], axis, 0, zeros)
            pieces.append(value)
            zeros = 0
    pieces[-1] = _padded(build, site, pieces[-1], axis, 0, zeros)
    return pieces[0] if len(pieces) == 1 else ops.concat(build, site, pieces, axis)


def _padded(build, site, value, axis, before, after):
    if not before and not after:
        return value
    pads = [(0, 0)] * len(value.seen)
    pads[axis] = before, after
    return ops.pad(build, site, value, pads)


def _split(build, site, given):
    axis, start, pieces = given.axis(given.get("axis", 0)), 0, []
    for i in range(len(given.results)):
        stop = start + given.result(i)[axis]
        pieces.append(ops.slice_(build, site, given.view(), axis, start, stop))
        start = stop
    return tuple(pieces)


def _slice(build, site, given):
    value = given.view()
    starts, ends = given.whole("starts", 1), given.whole("ends", 2)
    axes, steps = given.whole("axes", 3), given.whole("steps", 4)
    axes = range(len(starts)) if axes is None else axes
    for i, axis in enumerate(axes):
        step = 1 if steps is None else steps[i]
        if axis == 0 and range(given.batch)[slice(starts[i], ends[i], step)] == range(given.batch):
            continue
        axis = given.axis(axis)
        start, stop, step = slice(starts[i], ends[i], step).indices(value.seen[axis])
        value = ops.slice_(build, site, value, axis, start, None if stop < 0 else stop, step)
    return value


def _gather(build, site, given):
    """Take constant places of one axis."""
    axis, picks = given.axis(given.get("axis", 0)), given.constant(1, "indices")
    size = given.view().seen[axis]
    if picks.ndim > 1 or not all(-size <= pick < size for pick in np.ravel(picks)):
        raise Refused(f"takes places of shape {picks.shape} of an axis of {size}", "one list of places that exist")
    return ops.select(build, site, given.view(), axis, picks % size)


def _pad(build, site, given):
    value = given.view()
    rank = len(value.seen) + 1
    pads, mode = given.whole("pads", 1), given.get("mode", "constant")
    axes = given.whole("axes", 3)
    axes = list(range(rank)) if axes is None else [axis % rank for axis in axes]
    around = {axis: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    pads = [around.get(axis, (0, 0)) for axis in range(rank)]
    if any(pads[0]):
        raise Refused("pads along N, across images", "axes after N")
    grows = any(n > 0 for pair in pads for n in pair)
    if grows and (mode != "constant" or given.number("value", 2, 0.0) != 0):
        raise Refused(f"pads with {'other numbers than zero' if mode == 'constant' else mode}", "zero padding")
    return ops.pad(build, site, value, pads[1:])


def _depth_to_space(build, site, given):
    value, side = given.view(), given.get("blocksize")
    channels, height, width = value.seen
    kept = channels // side**2
    if given.get("mode", "DCR") == "DCR":
        shape, order = (side, side, kept, height, width), (2, 3, 0, 4, 1)
    else:
        shape, order = (kept, side, side, height, width), (0, 3, 1, 4, 2)
    value = ops.transpose(build, site, ops.reshape(build, site, value, shape), order)
    return ops.reshape(build, site, value, given.result())


def _space_to_depth(build, site, given):
    value, side = given.view(), given.get("blocksize")
    channels, height, width = value.seen
    order = (2, 4, 0, 1, 3) if given.get("mode", "DCR") == "DCR" else (0, 2, 4, 1, 3)
    value = ops.reshape(build, site, value, (channels, height // side, side, width // side, side))
    return ops.reshape(build, site, ops.transpose(build, site, value, order), given.result())


VIEWS = {
    "Reshape": _reshape, "Flatten": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Expand": _expand,
    "Tile": _tile, "Transpose": _transpose, "Concat": _concat, "Split": _split, "Slice": _slice, "Gather": _gather,
    "Pad": _pad, "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth,
}
