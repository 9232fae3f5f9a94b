"""Operations with weights: convolutions, transposed ones, linear layers, over any view that windows can read."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from gen.model.currents import bare, each_channel, gathered, ready
from gen.model.network import FloatSynapse
from gen.model.planes import planes
from gen.model.refusal import Refused
from gen.model.sizes import Numbers, bounded, pair, sides
from gen.model.synapses import dense, fit_plane, synapses_of, through
from gen.model.values import Current, View, is_constant
from gen.model.views import concat, reshape, select, transpose
from gen.window import NEAREST, ZEROS, Window

__all__ = ["conv", "conv_transpose", "linear"]

SPARE = 2  # blank taps on each axis of a kernel, before a layer that copies is the better way
LEAST = 1 / 4  # of the channels of a map, so that a convolution in groups of them is one of all, the others unseen


def conv(build, site: str, source: View, weight, bias, stride: Numbers = 1, padding: Numbers = 0,
         dilation: Numbers = 1, groups: int = 1) -> View:
    """Convolve (C, H, W), or (C, L) with a ``weight`` of three axes, [out, in/groups, length].

    padding : a number, one for each axis, (top, left, bottom, right), or same, same_lower or valid
    """
    source, weight, axes = _spatial(source, weight, bias, "Conv")
    groups = int(groups)
    _check_channels(source, weight.shape[1] * groups, len(weight), groups)
    stride, dilation = pair(stride, axes), pair(dilation, axes)
    padding = sides(source.seen[1:], padding, weight.shape[2:], stride, dilation, axes)
    window = Window(weight.shape[2:], stride, padding, dilation)
    return _convolved(build, site, source, weight, _bias(bias, len(weight)), window, groups, axes)


def conv_transpose(build, site: str, source: View, weight, bias, stride: Numbers = 1, padding: Numbers = 0,
                   output_padding: Numbers = 0, dilation: Numbers = 1, groups: int = 1) -> View:
    """Convolve transposed: ``weight`` is [in, out/groups, height, width], or without height for (C, L)."""
    source, weight, axes = _spatial(source, weight, bias, "ConvTranspose")
    groups, stride, dilation = int(groups), pair(stride, axes), pair(dilation, axes)
    if len(weight) % groups:
        raise Refused(f"has {groups} groups for {len(weight)} channels", "groups that divide them")
    inputs, outputs, *kernel = weight.shape
    weight = weight.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    weight = np.ascontiguousarray(weight.reshape(groups * outputs, inputs // groups, *kernel)[:, :, ::-1, ::-1])
    _check_channels(source, inputs, len(weight), groups)
    around, more = sides(source.seen[1:], padding, kernel, stride, dilation, axes), pair(output_padding, axes, 0)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel)] * 2
    padding = tuple(r - p + o for r, p, o in zip(reach, around, (0, 0, *more)))
    if min(padding) < 0:
        raise Refused(f"cuts off more than its kernel reaches, padding {around}", "padding below the kernel's size")
    window = Window(pair(kernel), (1, 1), padding, dilation, stride, ZEROS if stride != (1, 1) else NEAREST)
    return _convolved(build, site, source, weight, _bias(bias, len(weight)), window, groups, axes)


def _spatial(source, weight, bias, what):
    """Return source and weight with rows and columns, and how many axes the kernel has: 1 or 2."""
    if not is_constant(weight) or weight.ndim not in (3, 4) or not (bias is None or is_constant(bias)):
        raise Refused("the weight must be a constant [out, in, height, width]", f"{what}2d with constant weights")
    rank = weight.ndim - 1
    if len(source.seen) != rank:
        raise Refused(f"reads a map of shape {source.seen}, not {rank} axes after N", f"{what}2d of (N, C, H, W)")
    if rank == 2:
        channels, length = source.seen
        return reshape(None, "", source, (channels, 1, length)), weight[:, :, None, :], 1
    return source, weight, 2


def _check_channels(source, inputs, outputs, groups):
    if source.seen[0] != inputs or groups < 1 or outputs % groups:
        raise Refused(f"takes {inputs} channels in {groups} groups, the map has {source.seen[0]}", "as many channels")


def _bias(bias, channels):
    if bias is not None and bias.shape != (channels,):
        raise Refused(f"its bias of shape {bias.shape} is not one for each of {channels} channels", "[channels]")
    return np.zeros(channels) if bias is None else bias


def _convolved(build, site, source, weight, bias, window, groups, axes):
    """Return the convolution of ``source`` (C, H, W): (C, H, W), or (C, W) for a kernel of one of the ``axes``."""
    size = window.size(source.seen[1:])
    if min(size) < 1:
        raise Refused(f"has a kernel larger than the map of {source.seen[1:]}", "a larger map, or more padding")
    source = _foldable(build, site, ready(build, site, source), window)
    shape = bounded((len(weight), *size))
    part = source.parts[0]
    if source.index is None and source.seen == part.shape:
        weight, bias = _fold(source, weight, bias, groups)
        synapse = FloatSynapse(part.name, weight, window.stride, window.padding, window.dilation, groups,
                               window.upsample, window.fill)
        result = View.whole(Current(site, shape, (synapse,), (bias,)))
    elif groups > 1:
        result = _grouped(build, site, source, weight, bias, window, groups)
    else:
        weight, bias = _fold(source, weight, bias, groups)
        source = replace(source, factor=None, shift=None)
        synapses = synapses_of(source, weight, window, max(SPARE, *window.kernel))
        if synapses is None:
            return _convolved(build, site, gathered(build, site, source), weight, bias, window, groups, axes)
        result = View.whole(Current(site, shape, synapses, (bias,)))
    return result if axes == 2 else reshape(build, site, result, (shape[0], shape[2]))


def _foldable(build, site, source, window):
    """Return ``source`` with a factor and shift that go into weights and bias, else with a layer of them."""
    if source.factor is None and source.shift is None:
        return source
    try:
        each_channel(source.factor, source.seen)
        folds = each_channel(source.shift, source.seen) is None or not any(window.padding)
    except Refused:
        folds = False
    return source if folds else bare(build, site, source)


def _fold(source, weight, bias, groups):
    """Return weight and bias that also do what ``source`` has as factor and shift for each channel."""
    factor, shift = (each_channel(numbers, source.seen) for numbers in (source.factor, source.shift))

    def whole(numbers):
        return np.repeat(numbers.reshape(groups, -1), len(weight) // groups, axis=0)[:, :, None, None]

    bias = bias if shift is None else bias + (weight * whole(shift)).sum((1, 2, 3))
    return (weight if factor is None else weight * whole(factor)), bias


def _grouped(build, site, source, weight, bias, window, groups):
    """Return a convolution in groups of a view: for each plane its groups, in the order of the map that it reads.

    Where a plane leaves out groups of its map, they are there with weights of zero, and nothing sees them.
    """
    inputs, outputs = weight.shape[1], len(weight) // groups
    weight, bias = _fold(source, weight, bias, groups)
    source = replace(source, factor=None, shift=None)
    found = planes(source.parts, source.flat)
    orders = [_groups_of(plane, source, inputs) for plane in found or ()]
    known = [order for order in orders if order is not None]
    if len(known) < len(orders) or sum((order < groups).sum() for order in known) < groups:
        bounded((len(weight), source.seen[0], *window.kernel), "weight")
        weight = dense(FloatSynapse("", weight, groups=groups))
        return _convolved(build, site, source, weight, bias, window, 1, 2)
    weight = np.append(weight, np.zeros((outputs, *weight.shape[1:])), 0)
    bias = np.append(bias, np.zeros(outputs))
    results, places, end = [], np.full(groups, -1), 0
    for plane, order in zip(found or (), known):
        rows = (order[:, None] * outputs + np.arange(outputs)).ravel()
        fits = fit_plane(source, plane, window, max(SPARE, *window.kernel))
        if fits is None:
            return _convolved(build, site, gathered(build, site, source), weight[:-outputs], bias[:-outputs], window,
                              groups, 2)
        synapse = through(source.parts[plane.part].name, weight[rows], len(order), window.fill, *fits)
        shape = (len(rows), *window.size(source.seen[1:]))
        results.append(View.whole(Current(site, shape, (synapse,), (bias[rows],))))
        kept = np.flatnonzero(order < groups)
        places[order[kept]] = end + kept
        end += len(order)
    joined = results[0] if len(results) == 1 else concat(build, site, results, 0)
    return select(build, site, joined, 0, (places[:, None] * outputs + np.arange(outputs)).ravel())


def _groups_of(plane, source, inputs):
    """Return for each group of ``inputs`` channels of a map which group of a view it is, by ``plane``.

    Groups that the view leaves out are called after the last. None where groups of the view are no whole groups of
    the map in its order, or hardly any of them is there.
    """
    groups, channels = source.seen[0] // inputs, source.parts[plane.part].shape[0]
    seen = np.full(channels, source.seen[0])
    seen[plane.sources] = plane.channels
    if channels % inputs or len(np.unique(plane.sources)) < max(len(plane.sources), LEAST * channels):
        return None
    seen = seen.reshape(-1, inputs)
    whole = (seen % inputs == np.arange(inputs)) & (seen // inputs == seen[:, :1] // inputs)
    left_out = (seen == source.seen[0]).all(1)
    return np.where(left_out, groups, seen[:, 0] // inputs) if (whole.all(1) | left_out).all() else None


def linear(build, site: str, source: View, weight, bias) -> View:
    """Multiply a vector, or the last axis of a map, with ``weight`` [out, in]."""
    if not is_constant(weight) or weight.ndim != 2 or not (bias is None or is_constant(bias)):
        raise Refused("the weight must be a constant", "Linear")
    if source.seen[-1] != weight.shape[1]:
        reason = f"takes {weight.shape[1]} inputs, the map of shape {source.seen} has {source.seen[-1]}"
        raise Refused(reason, "Flatten before it")
    bias = _bias(bias, len(weight))
    if len(source.seen) > 1:
        return _positionwise(build, site, source, weight, bias)
    source = ready(build, site, source)
    if source.shift is not None:
        bias = bias + weight @ np.broadcast_to(source.shift, source.seen)
    if source.factor is not None:
        weight = weight * source.factor
    if source.index is None:
        part = source.parts[0]
        synapses = (FloatSynapse(part.name, weight.reshape(len(weight), *part.shape)),)
    else:
        synapses = tuple(_scattered(source, weight))
    return View.whole(Current(site, (len(weight), 1, 1), synapses, (bias,)), (len(weight),))


def _scattered(source, weight):
    """Yield the synapse over each whole map of which the vector ``source`` holds numbers."""
    for part, start in zip(source.parts, source.starts):
        inside = np.flatnonzero((source.index >= start) & (source.index < start + prod(part.shape)))
        kernel = np.zeros(bounded((len(weight), prod(part.shape)), "weight"))
        np.add.at(kernel.T, source.index[inside] - start, weight[:, inside].T)
        yield FloatSynapse(part.name, kernel.reshape(len(weight), *part.shape))


def _positionwise(build, site, source, weight, bias):
    """Return the linear layer on the last axis of ``source``: a 1x1 convolution with that axis as channels."""
    *positions, channels = source.seen
    first = (len(positions), *range(len(positions)))
    view = transpose(build, site, source, first)
    numbers = np.arange(prod(positions)).reshape(positions)
    for sizes in _sizes(source, positions):
        laid = reshape(build, site, view, (channels, *sizes))
        try:
            result = conv(build, site, laid, weight[:, :, None, None], bias)
        except Refused:
            continue
        result = reshape(build, site, result, (len(weight), *numbers.shape))
        return transpose(build, site, result, (*range(1, len(positions) + 1), 0))
    raise Refused("acts on the last axis of a map, which is not that of its channels",
                  "the channels as the last axis, or Flatten before it")


def _sizes(source, positions):
    """Yield how ``positions`` may lie in rows and columns."""
    if len(positions) == 2:
        yield tuple(positions)
    for size in dict.fromkeys(part.shape[1:] for part in source.parts):
        if prod(size) == prod(positions):
            yield size
    yield 1, prod(positions)
