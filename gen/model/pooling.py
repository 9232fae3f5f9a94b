"""Pools: sums and maxima over windows of one map, and the means that are such.

An average is a sum of counts whose divisor goes into the next weights. The image holds no counts: its average is a
depthwise convolution. Both go through concatenations and other views: each map that is seen is pooled by itself.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from gen.layers import INPUT
from gen.model.currents import bare, each_channel, gathered, settle
from gen.model.network import FloatPool, FloatSynapse
from gen.model.planes import layout, planes
from gen.model.refusal import Refused
from gen.model.sizes import Numbers, bounded, pair, sides
from gen.model.synapses import fit_plane
from gen.model.values import Current, Map, View
from gen.model.views import reshape, upsample
from gen.window import Window

__all__ = ["adaptive", "average", "maximum", "mean"]

SUM, MAX = "sum", "max"


def average(build, site: str, source: View, kernel, stride, padding: Numbers = 0, divisor=None,
            include_pad: bool = True, ceil: bool = False) -> View:
    """Average over windows of (C, H, W), or of (C, L); padding as in `gen.model.sizes.sides`.

    divisor : of every window, by default its size. Refused where windows at the border have another.
    """
    source, axes = _spatial(source)
    kernel, stride = pair(kernel, axes), pair(stride, axes)
    padding = sides(source.seen[1:], padding, kernel, stride, axes=axes)
    if any(padding) and not include_pad and divisor is None:
        raise Refused("divides by another number at the border", "count_include_pad=True, or no padding")
    if ceil and _to_the_end(source.seen[1:], kernel, stride, padding) != padding[2:]:
        raise Refused("ceil_mode adds a partial window, which is divided by another number", "ceil_mode=False")
    return _flat(build, site, _pool(build, site, source, SUM, Window(kernel, stride, padding), divisor or prod(kernel)),
                 axes)


def maximum(build, site: str, source: View, kernel, stride, padding: Numbers = 0,
            dilation: Numbers = 1, ceil: bool = False) -> View:
    """Take the largest of every window of (C, H, W), or of (C, L); what lies outside takes no part."""
    source, axes = _spatial(source)
    kernel, stride, dilation = pair(kernel, axes), pair(stride, axes), pair(dilation, axes)
    padding = sides(source.seen[1:], padding, kernel, stride, dilation, axes)
    if ceil:
        padding = (*padding[:2], *_to_the_end(source.seen[1:], kernel, stride, padding, dilation))
    window = Window(kernel, stride, padding, dilation)
    sizes = zip(source.seen[1:], window.size(source.seen[1:]))
    if any((window.places(axis, *size) < 0).all(axis=1).any() for axis, size in enumerate(sizes)):
        raise Refused(f"has windows beside the map, padding {padding} of kernel {kernel}", "at most half the kernel")
    return _flat(build, site, _pool(build, site, source, MAX, window, 1), axes)


def _spatial(source):
    """Return ``source`` with rows and columns, and how many axes it has of them: 1 or 2."""
    if len(source.seen) == 2:
        channels, length = source.seen
        return reshape(None, "", source, (channels, 1, length)), 1
    if len(source.seen) != 3:
        raise Refused(f"pools a map of shape {source.seen}", "the pool before Flatten")
    return source, 2


def _flat(build, site, value, axes):
    return value if axes == 2 else reshape(build, site, value, (value.seen[0], value.seen[2]))


def _to_the_end(size, kernel, stride, padding, dilation=(1, 1)):
    """Return (bottom, right) with which the last window that begins inside takes part, the padding where it does."""
    result = []
    for n, k, s, before, after, d in zip(size, kernel, stride, padding[:2], padding[2:], dilation):
        reach = d * (k - 1) + 1
        last = -(-(n + before + after - reach) // s)
        if last * s >= n + before:
            last -= 1
        result.append(max(after, last * s + reach - n - before))
    return tuple(result)


def adaptive(build, site: str, source: View, output, kind: str = SUM) -> View:
    """Pool to a map of ``output`` (height, width), or (length,); None where the size stays as it is."""
    source, axes = _spatial(source)
    output = [output] * axes if isinstance(output, int) else list(output)
    size = source.seen[1:]
    output = tuple(n if o is None else int(o) for n, o in zip(size, [1] * (2 - axes) + output))
    if all(o % n == 0 for n, o in zip(size, output)):
        return _flat(build, site, upsample(build, site, source, [o // n for n, o in zip(size, output)]), axes)
    if any(n % o for n, o in zip(size, output)):
        raise Refused(f"an output of {output} does not divide the map of {size}", "an output size that divides")
    kernel = tuple(n // o for n, o in zip(size, output))
    result = _pool(build, site, source, kind, Window(pair(kernel), pair(kernel)), prod(kernel) if kind == SUM else 1)
    return _flat(build, site, result, axes)


def mean(build, site: str, source: View, axes, keepdims: bool, kind: str = SUM) -> View:
    """Average (or take the maximum) over ``axes``, N counted as 0: rows, columns or both, in whatever layout."""
    rank = len(source.seen)
    if axes is None or not len(axes):
        raise Refused("reduces all axes, N among them", "the mean over height and width, (2, 3)")
    axes = sorted({int(axis) % (rank + 1) for axis in axes})
    if axes[0] == 0:
        raise Refused("reduces N, across images", "the mean over height and width, (2, 3)")
    axes = [axis - 1 for axis in axes]
    place = layout(source)
    channels, height, width = place.shape
    where = place.lift(Map("", place.shape), source.seen).flat
    left = [axis for axis in range(rank) if axis not in axes]
    groups = np.sort(where.transpose(*left, *axes).reshape(prod(source.seen[axis] for axis in left), -1))
    rows, columns = np.arange(height)[:, None] * width, np.arange(width)
    kernels = {(height, width): rows + columns, (height, 1): rows, (1, width): columns}
    kernel = next((k for k, taps in kernels.items() if np.array_equal(groups, groups[:, :1] + taps.ravel())), None)
    if kernel is None:
        raise Refused(f"reduces the axes {tuple(axis + 1 for axis in axes)}, not rows or columns of a map",
                      "the mean over height and width, (2, 3)")
    window = Window(kernel, kernel)
    pooled = _pool(build, site, place.lay(source), kind, window, prod(kernel) if kind == SUM else 1)
    channel, (row, column) = groups[:, 0] // (height * width), divmod(groups[:, 0] % (height * width), width)
    _, height, width = pooled.seen
    order = (channel * height + (row if kernel[0] == 1 else 0)) * width + (column if kernel[1] == 1 else 0)
    result = pooled if np.array_equal(order, np.arange(len(order))) else pooled.moved(
        lambda array, empty: array.ravel()[order])
    seen = [1 if axis in axes else n for axis, n in enumerate(source.seen) if keepdims or axis not in axes]
    return reshape(build, site, result, seen)


def _pool(build, site, source, kind, window, divisor):
    """Return ``source`` (C, H, W) pooled, each map that it sees by itself."""
    size = window.size(source.seen[1:])
    bounded((source.seen[0], *size))
    if min(size) < 1:
        raise Refused(f"has a window larger than the map of {source.seen[1:]}", "a larger map")
    if window.kernel == window.stride == (1, 1) and not any(window.padding) and divisor == 1:
        return source
    source = _commuting(build, site, source, kind, window)
    found = planes(source.parts, source.flat)
    if found is None:
        raise Refused(f"pools a map of shape {source.seen} that was reshaped", "the pool before Flatten")
    fits = [fits for plane in found if (fits := fit_plane(source, plane, window, 0))]
    if len(fits) < len(found) or kind == MAX and _needs_zeros(source, found, fits, size):
        return _pool(build, site, gathered(build, site, source), kind, window, divisor)
    shape, parts, pooled = (source.seen[0], *size), [], {}
    index = np.full(shape, -1, np.int64)
    for plane, (rows, columns) in zip(found, fits):
        key = plane.part, rows, columns
        if key not in pooled:
            part = _part(build, site, source.parts[plane.part], kind, _window(rows, columns), divisor)
            pooled[key] = sum(prod(part.shape) for part in parts)
            parts.append(part)
        area = prod(size)
        index[plane.channels] = pooled[key] + plane.sources[:, None, None] * area + np.arange(area).reshape(size)
    known = {name: None if array is None else np.broadcast_to(array, source.seen)[:, :1, :1]
             for name, array in (("factor", source.factor), ("shift", source.shift))}
    return View.picked(tuple(parts), index, **known, origin=source.origin)


def _commuting(build, site, source, kind, window):
    """Return ``source`` with no factor or shift but such as may as well follow the pool."""
    if source.decode:
        raise Refused(f"reads the result of a {source.decode}, which is not the last operation", "ReLU")
    if source.factor is None and source.shift is None:
        return source
    try:
        factor, shift = (each_channel(array, source.seen) for array in (source.factor, source.shift))
    except Refused:
        return bare(build, site, source)
    falls = kind == MAX and factor is not None and not (factor > 0).all()
    if falls or shift is not None and any(window.padding) or any(part.name == INPUT for part in source.parts):
        return bare(build, site, source)
    return source


def _window(rows, columns):
    """Return the window over a part of two fits without blank taps."""
    return Window((rows.kernel, columns.kernel), (rows.stride, columns.stride),
                  (rows.before, columns.before, rows.after, columns.after), (rows.dilation, columns.dilation),
                  (rows.upsample, columns.upsample))


def _needs_zeros(source, found, fits, size):
    """Whether a maximum is that of zeros which the view has around a part, and which take no part in a pool of it."""
    for plane, axes in zip(found, fits):
        part, window = source.parts[plane.part], _window(*axes)
        if (plane.rows < 0).any() or (plane.columns < 0).any():
            places = (window.places(axis, part.shape[1 + axis], size[axis]) for axis in (0, 1))
            if getattr(part, "signed", True) or any((taps < 0).all(1).any() for taps in places):
                return True
    return False


def _part(build, site, part, kind, window, divisor):
    """Return ``part`` pooled: a map, or a current that the pool goes through."""
    fields = {"padding": window.padding, "dilation": window.dilation, "upsample": window.upsample}
    if isinstance(part, Current):
        if kind == MAX:
            pool = FloatPool(site, part.name, kind, window.kernel, window.stride, **fields)
            return replace(part, pools=(*part.pools, pool))
        if _pointwise(build, part, window):
            sources = {s.source: _part(build, site, build.maps[s.source], kind, window, divisor) for s in part.synapses}
            synapses = tuple(replace(s, source=sources[s.source].name) for s in part.synapses)
            return replace(part, summed=(part.summed[0], *window.size(part.summed[1:])), synapses=synapses)
        (part,) = settle(build, site, View.whole(part)).parts
    if build.is_image(part.name):
        if kind == MAX:
            raise Refused("pools the image itself", "a convolution and ReLU first, or smaller images")
        channels = part.shape[0]
        weight = np.full((channels, 1, *window.kernel), 1 / divisor)
        synapse = FloatSynapse(part.name, weight, window.stride, groups=channels, **fields)
        return Current(site, synapse.output_shape(part.shape), (synapse,), (np.zeros(channels),))
    fields["divisor"] = float(divisor)
    return build.append(FloatPool(site, part.name, kind, window.kernel, window.stride, **fields))


def _pointwise(build, current, window):
    """Whether ``current`` may be summed after its sources are averaged: each position by itself, no zeros around."""
    return not any(window.padding) and not current.pools and all(
        s.window.kernel == s.window.stride == s.window.upsample == (1, 1) and not any(s.padding)
        and not build.is_image(s.source) for s in current.synapses
    )
