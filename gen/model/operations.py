"""The operations that a network may consist of, each once, whatever format it is written in.

A door (`gen.model.exported`, `onnx_file`, `nir_file`, ...) translates a node of its format into one call here: the
`gen.model.builder.Builder`, the site (the name a user knows), the values (`gen.model.values`), the attributes. What
has no counterpart raises `Refused` with the reason and the nearest supported form. Operations that compute nothing are
in `gen.model.views`, those with weights in `gen.model.convolution`, pools in `gen.model.pooling`; a door finds all of
them here.

Layouts are channels first, as PyTorch's: (C, H, W), (C, L) or (C,) without N. A format with channels last calls
`transpose` around what asks for channels.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from gen.model.convolution import conv, conv_transpose, linear
from gen.model.currents import affine, as_current, by_channel, emit, identity, pushed, settle, trimmed
from gen.model.planes import layout
from gen.model.pooling import adaptive, average, maximum, mean
from gen.model.refusal import EVAL, OUTSIDE, Refused, refusal
from gen.model.values import Current, Map, View, is_constant
from gen.model.views import concat, pad, repeat, reshape, select, slice_, stack, transpose, upsample

__all__ = [
    "EVAL", "OUTSIDE", "Current", "Map", "Refused", "View", "adaptive", "add", "at_output", "average", "batch_norm",
    "concat", "conv", "conv_transpose", "fire", "is_constant", "linear", "maximum", "mean", "multiply", "pad",
    "refusal", "repeat", "reshape", "scaled", "select", "settle", "slice_", "stack", "transpose", "upsample",
]


def batch_norm(build, site: str, value: View, scale, shift, mean, variance, eps: float) -> View:
    """Normalize the first axis; ``eps`` counts in single precision, as every format can hold it."""
    one = np.ones(value.seen[0])
    scale, shift = one if scale is None else scale, 0 * one if shift is None else shift
    if any(not is_constant(v) or v.shape != one.shape for v in (scale, shift, mean, variance)):
        raise Refused(f"its parameters must be constants, one for each of {len(one)} channels", "BatchNorm2d")
    factor = scale / np.sqrt(variance + float(np.float32(eps)))
    return affine(build, site, value, *(_along(value, array) for array in (factor, mean, shift)))


def scaled(build, site: str, value: View, factor) -> View:
    """Multiply the first axis with ``factor`` [C], one for each channel."""
    return affine(build, site, value, _along(value, factor), np.zeros((1,) * len(value.seen)))


def multiply(build, site: str, value: View, constant) -> View:
    """Multiply with a constant that broadcasts to the value by NumPy's rules, N included where it has that rank."""
    if not is_constant(constant):
        raise Refused("multiplies two maps, and a synapse multiplies a map with a constant",
                      "constants, or a network without gates and squeeze-and-excitation")
    value, constant = _broadcast(build, site, value, constant)
    return affine(build, site, value, constant, np.zeros((1,) * len(value.seen)))


def add(build, site: str, one, other, alpha: float = 1.0) -> View:
    """Add two values, or a value and a constant that broadcasts to it; ``other`` counts ``alpha`` times."""
    if is_constant(one):
        if alpha != 1:
            other = multiply(build, site, other, np.array(alpha))
        one, other, alpha = other, one, 1.0
    if is_constant(other):
        one, other = _broadcast(build, site, one, other)
        return affine(build, site, one, shift=alpha * other)
    if one.seen != other.seen:
        try:
            seen = np.broadcast_shapes(one.seen, other.seen)
        except ValueError as error:
            raise Refused(f"adds maps of shapes {one.seen} and {other.seen}", "maps of one shape") from error
        one, other = (value if value.seen == seen else repeat(build, site, value, seen) for value in (one, other))
    one, other = (settle(build, site, value) if any(getattr(part, "pools", ()) for part in value.parts) else value
                  for value in (one, other))
    seen, place = one.seen, layout(other if one.current is None and other.current is not None else one)
    one, other = (as_current(build, site, place.lay(value)) for value in (one, other))
    added = tuple(replace(s, weight=s.weight * alpha) for s in other.synapses)
    biases = one.biases + tuple(alpha * bias for bias in other.biases)
    current = Current(one.name or other.name, one.summed, one.synapses + added, biases)
    return place.lift(current, seen)


def fire(build, site: str, value: View, threshold=None, slope=None, ceiling: float | None = None) -> View:
    """Apply an activation: x above zero, ``slope`` * x below, at most ``ceiling``; by default ReLU.

    slope : a number, [C] for the first axis, or what broadcasts to the value; 0 or more
    threshold : [C] of neurons that exist already and keep it
    """
    if value.decode:
        raise Refused(f"reads the result of a {value.decode}, which is not the last operation", "ReLU")
    slope = None if slope is None or not np.any(slope) else np.asarray(slope, float)
    if slope is not None and not (slope >= 0).all():
        raise Refused("has a slope below zero for what is below zero", "slopes from 0 up")
    if ceiling is not None and not ceiling > 0:
        raise Refused(f"cuts off at {ceiling}", "a ceiling above zero")
    value = trimmed(pushed(build, site, value))
    constants = [None if array is None else by_channel(value, _along(value, array), 1.0)
                 for array in (threshold, slope)]
    if any(array is not None and found is None for array, found in zip((threshold, slope), constants)):
        raise Refused("has a slope or threshold that is not one for each channel", "one number for each channel")
    parts = []
    for i, part in enumerate(value.parts):
        theta, below = (None if found is None else found[i] for found in constants)
        own = part.ceiling if isinstance(part, Map) else None
        capped = ceiling is None or own is not None and own <= ceiling
        if isinstance(part, Map) and not part.signed and threshold is None and capped:
            parts.append(part)
        else:
            parts.append(emit(build, identity(part), site, theta, below, ceiling))
    return value.with_parts(parts)


def at_output(build, site: str, value: View, name: str, axis: int | None = None, last: bool = True) -> View:
    """Allow sigmoid, softmax or log_softmax, called ``name``, as the last operation, which the host applies.

    axis : of a softmax, without N; it must be that of the channels. ``last``: whether only outputs read it.
    """
    if not last or value.decode:
        raise Refused("is not the last operation", "ReLU")
    if axis is not None:
        areas = np.array([prod(part.shape[1:]) for part in value.parts])
        part = np.searchsorted(value.starts, value.flat, "right") - 1
        position = (value.flat - value.starts[part]) % areas[part]
        if not (position == position.take([0], axis)).all():
            raise Refused("normalizes over positions", "softmax over the channels")
    return replace(value, decode=name)


def _along(value, array):
    """Return ``array`` [C] in a shape that broadcasts along the first axis of ``value``; others as they are."""
    array = np.asarray(array, float)
    return array.reshape(-1, *(1,) * (len(value.seen) - 1)) if array.ndim == 1 else array.reshape(
        (1,) * (len(value.seen) - array.ndim) + array.shape)


def _broadcast(build, site, value, constant):
    """Return both in one rank; ``value`` stretched where ``constant`` has more channels."""
    constant = np.asarray(constant, float)
    rank = len(value.seen)
    if constant.ndim == rank + 1 and len(constant) == 1:
        constant = constant[0]
    try:
        seen = np.broadcast_shapes(value.seen, constant.shape)
    except ValueError as error:
        raise Refused(f"joins a constant of shape {constant.shape} to a map of {value.seen}", "one shape") from error
    if len(seen) > rank:
        raise Refused(f"joins a constant of shape {constant.shape} to a map of {value.seen}", "one shape")
    if seen != value.seen:
        value = repeat(build, site, value, seen)
    return value, constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
