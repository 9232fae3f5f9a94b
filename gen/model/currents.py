"""How views become sums of synapses and layers: what every operation that computes is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gen.layers import INPUT
from gen.model.network import FloatLayer, FloatSynapse
from gen.model.planes import layout
from gen.model.refusal import Refused
from gen.model.sizes import bounded
from gen.model.synapses import dense, synapses_of
from gen.model.values import Current, Map, View
from gen.window import POINT

__all__ = [
    "affine", "as_current", "bare", "by_channel", "each_channel", "emit", "gathered", "identity", "pushed", "ready",
    "settle", "trimmed",
]

EACH = "one number for each channel"


def ready(build, site: str, value: View) -> View:
    """Return ``value`` as synapses may read it: of maps alone, the image's normalisation told to the network."""
    if value.decode:
        raise Refused(f"reads the result of a {value.decode}, which is not the last operation", "ReLU")
    return _normalised(build, settle(build, site, value))


def _normalised(build, value):
    """Return ``value`` without factor and shift, if it sees the image alone and they are a normalisation of it."""
    known = value.factor is not None or value.shift is not None
    if not known or any(part.name != INPUT for part in value.parts):
        return value
    factor = by_channel(value, 1.0 if value.factor is None else value.factor, 1.0)
    shift = by_channel(value, 0.0 if value.shift is None else value.shift, 0.0)
    zeros = value.shift is not None and np.any(np.broadcast_to(value.shift, value.seen)[value.flat < 0])
    if factor is None or shift is None or zeros or not (factor[0] > 0).all():
        return value
    return replace(value, parts=(build.normalised(value.parts[0], factor[0], shift[0]),), factor=None, shift=None)


def settle(build, site: str, value: View) -> View:
    """Return ``value`` with each of its currents made a layer that keeps what it sums, below zero too."""
    value = trimmed(value)
    return value.with_parts(
        emit(build, part, site, slope=None if _positive(build, part) else np.ones(part.shape[0]))
        if isinstance(part, Current) else part for part in value.parts
    )


def _positive(build, current):
    """Return whether ``current`` is never below zero, so that a ReLU keeps it as it is."""
    weights = (s.weight for s in current.synapses)
    return (
        not any(build.maps[s.source].signed for s in current.synapses)
        and all((array >= 0).all() for array in (*weights, current.bias))
    )


def emit(build, current: Current, site: str, threshold=None, slope=None, ceiling: float | None = None) -> Map:
    """Add the layer that applies an activation to ``current``, and its pools; return its map."""
    known = {"threshold": threshold, "slope": slope, "ceiling": ceiling}
    result = build.append(FloatLayer(current.name or site, current.synapses, current.bias, **known))
    for pool in current.pools:
        result = build.append(replace(pool, source=result.name))
    return result


def trimmed(value: View) -> View:
    """Return ``value`` without the channels of its currents that it does not see: nobody computes them for it."""
    if value.index is None or not value.pending:
        return value
    parts, index = [], value.index.copy()
    end = 0
    for part, start in zip(value.parts, value.starts):
        channels, area = part.shape[0], part.shape[1] * part.shape[2]
        inside = (value.index >= start) & (value.index < start + channels * area)
        channel, place = np.divmod(value.index[inside] - start, area)
        seen = np.unique(channel)
        if isinstance(part, Current) and len(seen) < channels and all(s.groups == 1 for s in part.synapses):
            part, channel = _reordered(part, seen), np.searchsorted(seen, channel)
        index[inside] = end + channel * area + place
        end += part.shape[0] * area
        parts.append(part)
    known = {name: getattr(value, name) for name in ("factor", "shift", "decode", "origin")}
    return View.picked(tuple(parts), index, **known)


def by_channel(value: View, numbers, empty: float) -> list[np.ndarray] | None:
    """Return for each part, float64 [C], what ``numbers`` (broadcast to ``value.seen``) say of its channels.

    ``empty`` stands for channels that are not seen. None where two positions of a channel differ.
    """
    numbers = np.asarray(numbers, float)
    if value.index is None and value.seen == value.parts[0].shape and numbers.shape[1:] == (1, 1):
        return [np.broadcast_to(numbers.ravel(), value.seen[:1]).copy()]
    numbers, index, result = np.broadcast_to(numbers, value.seen).ravel(), value.flat.ravel(), []
    for part, start in zip(value.parts, value.starts):
        channels, *sizes = part.shape
        inside = (index >= start) & (index < start + channels * np.prod(sizes))
        channel = (index[inside] - start) // np.prod(sizes)
        found = np.full(channels, empty)
        found[channel] = numbers[inside]
        if not np.array_equal(found[channel], numbers[inside], equal_nan=True):
            return None
        result.append(found)
    return result


def identity(part: Map | Current, site: str = "") -> Current:
    """Return ``part`` as a current: a map is the depthwise 1x1 convolution with ones, of no name unless ``site``."""
    if isinstance(part, Current):
        return part
    channels = part.shape[0]
    ones = FloatSynapse(part.name, np.ones((channels, 1, 1, 1)), groups=channels)
    return Current(site, part.shape, (ones,), (np.zeros(channels),))


def affine(build, site: str, value: View, factor=None, mean=None, shift=None) -> View:
    """Return (value - mean) * factor + shift, each constant of the rank of ``value``, or None."""
    if value.decode:
        raise Refused(f"reads the result of a {value.decode}, which is not the last operation", "ReLU")
    if value.parts and all(isinstance(part, Current) for part in value.parts):
        result = _folded(value, site, factor, mean, shift)
        if result is not None:
            return result
    value = settle(build, site, value)
    ones, zeros = np.ones((1,) * len(value.seen)), np.zeros((1,) * len(value.seen))
    before = zeros if value.shift is None else value.shift
    after = (before - (zeros if mean is None else mean)) * (ones if factor is None else factor)
    after = after + (zeros if shift is None else shift)
    scale = (ones if value.factor is None else value.factor) * (ones if factor is None else factor)
    return replace(value, factor=None if (scale == 1).all() else scale, shift=after if after.any() else None,
                   origin=value.origin or site)


def _folded(value, site, factor, mean, shift):
    """Return ``value``, of currents alone, with the constants in their weights and biases; None if they do not go."""
    given = [(factor, 1.0), (mean, 0.0), (shift, 0.0)]
    constants = [(None if array is None else by_channel(value, array, empty)) for array, empty in given]
    if any(array is not None and found is None for (array, _), found in zip(given, constants)):
        return None
    moved = np.zeros(()) if shift is None and mean is None else np.broadcast_to(
        (0 if shift is None else shift) - (0 if mean is None else mean) * (1 if factor is None else factor), value.seen)
    if value.index is not None and np.any(moved) and np.any(np.broadcast_to(moved, value.seen)[value.index < 0]):
        return None
    parts = []
    for i, part in enumerate(value.parts):
        scale, center, offset = (None if found is None else found[i] for found in constants)
        if part.pools and scale is not None and not (scale > 0).all():
            return None
        if scale is None and center is None:
            parts.append(replace(part, biases=(*part.biases, offset)))
            continue
        scale = np.ones(part.shape[0]) if scale is None else scale
        bias = (part.bias - (0 if center is None else center)) * scale + (0 if offset is None else offset)
        synapses = tuple(replace(s, weight=s.weight * scale[:, None, None, None]) for s in part.synapses)
        parts.append(replace(part, name=part.name or site, synapses=synapses, biases=(bias,)))
    return value.with_parts(parts)


def pushed(build, site: str, value: View) -> View:
    """Return ``value`` with factor and shift inside its parts, which become currents, or in the image."""
    value = _normalised(build, value)
    if value.factor is None and value.shift is None:
        return value
    currents = replace(value, factor=None, shift=None).with_parts(identity(part) for part in value.parts)
    result = _folded(currents, value.origin or site, value.factor, None, value.shift)
    if result is None:
        place = layout(value)
        result = place.lift(_read(place.lay(settle(build, site, value))), value.seen)
    return result


def bare(build, site: str, value: View) -> View:
    """Return ``value`` without factor and shift: the image normalised, else a layer of them."""
    if value.factor is None and value.shift is None:
        return value
    return settle(build, site, pushed(build, site, value))


def each_channel(numbers, shape) -> np.ndarray | None:
    """Return float64 [C] of ``numbers`` that broadcast to ``shape`` (C, H, W), None for None; refuse what differs."""
    if numbers is None:
        return None
    rows = np.broadcast_to(numbers, shape).reshape(shape[0], -1)
    if not (rows == rows[:, :1]).all():
        raise Refused("has a constant that is not one for each channel", EACH)
    return rows[:, 0].copy()


def as_current(build, site: str, value: View) -> Current:
    """Return ``value``, a view of shape (C, H, W), as a current."""
    current = value.current
    if current is not None:
        order = _permuted(value)
        if order is not None:
            return current if value.index is None else _reordered(current, order)
    return _read(ready(build, site, value))


def _read(value):
    """Return ``value`` (C, H, W), of maps, as the current that reads each number once."""
    factor, shift = (each_channel(numbers, value.seen) for numbers in (value.factor, value.shift))
    if value.index is None and value.seen == value.parts[0].shape:
        result = identity(value.parts[0])
    else:
        channels = value.seen[0]
        bounded((channels, channels), "weight")
        synapses = synapses_of(value, np.eye(channels)[:, :, None, None], POINT, spare=None)
        assert synapses is not None  # any number of blank taps is allowed
        result = Current("", value.seen, synapses, (np.zeros(channels),))
    if factor is not None:
        synapses = tuple(replace(s, weight=s.weight * factor[:, None, None, None]) for s in result.synapses)
        result = replace(result, synapses=synapses)
    name = "" if factor is None and shift is None else value.origin
    return replace(result, name=name, biases=result.biases if shift is None else (shift,))


def _permuted(value):
    """Return the channel of the only part behind each channel of ``value``, positions as they are; else None."""
    shape = value.parts[0].shape
    if value.seen[1:] != shape[1:]:
        return None
    channels = value.flat[:, 0, 0] // (shape[1] * shape[2])
    same = channels[:, None, None] * (shape[1] * shape[2]) + np.arange(shape[1] * shape[2]).reshape(shape[1:])
    return channels if np.array_equal(value.flat, same) else None


def _reordered(current, channels):
    """Return ``channels`` of ``current`` in that order."""
    synapses = tuple(replace(s, weight=dense(s)[channels], groups=1) for s in current.synapses)
    biases = tuple(bias[channels] for bias in current.biases)
    return replace(current, summed=(len(channels), *current.summed[1:]), synapses=synapses, biases=biases)


def gathered(build, site: str, value: View) -> View:
    """Return ``value`` (C, H, W) as a map of its own: a layer that copies."""
    return settle(build, site, View.whole(as_current(build, site, value)))
