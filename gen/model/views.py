"""Operations that compute nothing: they say which numbers are seen, in which shape and order.

Axes are counted without N: 0 is the first axis after it. A constant goes through the same functions where a door
needs it. What no window can read is refused later, by the operation that reads it.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from gen.model.currents import bare
from gen.model.refusal import Refused
from gen.model.sizes import bounded
from gen.model.values import View

__all__ = ["concat", "pad", "repeat", "reshape", "select", "slice_", "stack", "transpose", "upsample"]


def reshape(build, site: str, value: View, shape) -> View:
    """See ``value`` in another ``shape``, of which one size may be -1."""
    known = prod(n for n in shape if n != -1)
    shape = tuple(prod(value.seen) // known if n == -1 and known else int(n) for n in shape)
    if prod(shape) != prod(value.seen):
        raise Refused(f"makes the map of shape {value.seen} one of {shape}, across images", "Flatten")
    if value.index is None and value.factor is None and value.shift is None:
        return replace(value, seen=shape)
    return value.moved(lambda array, empty: array.reshape(shape))


def transpose(build, site: str, value: View, axes) -> View:
    """Order the axes anew, as numpy.transpose."""
    axes = _axes(axes, value)
    if axes == list(range(len(axes))):
        return value
    return value.moved(lambda array, empty: array.transpose(axes))


def slice_(build, site: str, value: View, axis: int, start: int | None, stop: int | None, step: int = 1) -> View:
    """Take start:stop:step of one axis, by Python's rules."""
    (axis,) = _axes([axis], value)
    picks = slice(start, stop, step)
    if range(value.seen[axis])[picks] == range(value.seen[axis]):
        return value
    return value.moved(lambda array, empty: array[(slice(None),) * axis + (picks,)])


def select(build, site: str, value: View, axis: int, picks) -> View:
    """Take the places ``picks`` of one axis: integers in any order, or one integer, with which the axis goes."""
    (axis,) = _axes([axis], value)
    return value.moved(lambda array, empty: array.take(picks, axis))


def concat(build, site: str, values, axis: int) -> View:
    """Join ``values`` along one axis; a constant among them must be zeros, with or without N."""
    first = next(value for value in values if isinstance(value, View))
    (axis,) = _axes([axis], first)
    values = [value if isinstance(value, View) else _zeros(value, first) for value in values]
    others = {tuple(np.delete(value.seen, axis)) if len(value.seen) > axis else None for value in values}
    if len(others) > 1:
        shapes = ", ".join(str(value.seen) for value in values)
        raise Refused(f"joins maps of shapes {shapes}", "maps of one shape but for that axis")
    return _joined(values, lambda arrays: np.concatenate(arrays, axis))


def _zeros(constant, like):
    """Return ``constant``, zeros, as a view that picks nothing of the first part of ``like``."""
    if np.any(constant):
        raise Refused("joins a constant that is not zero", "zeros, or maps alone")
    shape = constant.shape[1:] if constant.ndim > len(like.seen) else constant.shape
    return View(like.parts[:1], shape, np.full(shape, -1, np.int32))


def stack(build, site: str, values, axis: int) -> View:
    """Join ``values`` along a new axis."""
    return _joined(values, lambda arrays: np.stack(arrays, axis))


def _joined(values, join) -> View:
    bounded([sum(prod(value.seen) for value in values)])
    decodes = {value.decode for value in values}
    if len(decodes) > 1:
        raise Refused("joins results that the host is to treat differently", "one output for each")
    parts, arrays, known = (), [], {}
    for value in values:
        offset = sum(prod(part.shape) for part in parts)
        arrays.append(np.where(value.flat < 0, -1, value.flat + offset).astype(np.int32))
        parts += value.parts
    for name, empty in (("factor", 1.0), ("shift", 0.0)):
        given = [getattr(value, name) for value in values]
        if any(array is not None for array in given):
            known[name] = join([np.broadcast_to(empty if array is None else array, value.seen)
                                for array, value in zip(given, values)])
    return View.picked(parts, join(arrays), **known, decode=decodes.pop(), origin=values[0].origin)


def pad(build, site: str, value: View, pads) -> View:
    """Surround with zeros: ``pads`` holds (before, after) for each axis; what is below zero cuts off."""
    pads = [tuple(int(n) for n in pair) for pair in pads]
    if len(pads) != len(value.seen):
        raise Refused(f"pads {len(pads)} axes of a map of shape {value.seen}", "a pair for each axis")
    cuts = tuple(slice(max(0, -before), n - max(0, -after)) for n, (before, after) in zip(value.seen, pads))
    widths = [(max(0, before), max(0, after)) for before, after in pads]
    if any(map(any, widths)) and value.shift is not None:
        value = bare(build, site, value)
    if not any(map(any, pads)):
        return value
    bounded([n + max(0, before) + max(0, after) for n, (before, after) in zip(value.seen, pads)])
    return value.moved(lambda array, empty: np.pad(array[cuts], widths, constant_values=empty))


def upsample(build, site: str, value: View, factors) -> View:
    """Repeat every number along the last axes, ``factors`` times each: nearest upsampling."""
    factors = [int(factor) for factor in factors]
    if min(factors) < 1 or len(factors) >= len(value.seen):
        raise Refused(f"enlarges a map of shape {value.seen} by {tuple(factors)}", "whole factors of rows and columns")

    bounded((*value.seen, *factors))

    def enlarged(array, empty):
        for axis, factor in enumerate(factors, array.ndim - len(factors)):
            array = np.repeat(array, factor, axis)
        return array

    return value if max(factors) == 1 else value.moved(enlarged)


def repeat(build, site: str, value: View, shape) -> View:
    """Broadcast to ``shape`` by NumPy's rules."""
    bounded(shape)
    try:
        return value.moved(lambda array, empty: np.broadcast_to(array, shape))
    except ValueError as error:
        raise Refused(f"stretches a map of shape {value.seen} to {tuple(shape)}", "maps of one shape") from error


def _axes(axes, value):
    rank = len(value.seen)
    if not all(-rank <= axis < rank for axis in axes):
        raise Refused(f"names the axes {tuple(axes)} of a map of shape {value.seen}", "axes after N")
    return [int(axis) % rank for axis in axes]
