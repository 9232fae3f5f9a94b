"""How a window over a view becomes synapses: one for each plane of a map that it reads, blank taps where it must."""

from __future__ import annotations

import numpy as np

from gen.model.network import FloatSynapse
from gen.model.planes import SEPARATE, Fit, Plane, fit, planes
from gen.model.refusal import Refused
from gen.model.sizes import bounded
from gen.model.values import View
from gen.window import Window

__all__ = ["dense", "fit_plane", "synapses_of", "through"]


def dense(synapse: FloatSynapse) -> np.ndarray:
    """Return the weight as one of a single group, zeros between its groups."""
    weight, groups = synapse.weight, synapse.groups
    outputs, inputs = weight.shape[:2]
    result = np.zeros(bounded((outputs, inputs * groups, *weight.shape[2:]), "weight"))
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        result[rows, group * inputs:(group + 1) * inputs] = weight[rows]
    return result


def synapses_of(value: View, weight, window: Window, spare: int | None = 0) -> tuple[FloatSynapse, ...] | None:
    """Return a synapse for each plane of ``value`` (C, H, W), of maps, that ``weight`` [out, C, height, width] reads.

    ``window`` is how it reads the view, ``spare`` how many blank taps a kernel may grow by on each axis, None for any
    number. None where some plane needs more; Refused where no window reads it at all.
    """
    found = planes(value.parts, value.flat)
    if found is None:
        raise Refused(f"mixes channels and positions of a map of shape {value.seen}", SEPARATE)
    result = []
    for plane in found:
        fits = fit_plane(value, plane, window, spare)
        if fits is None:
            if spare is None:
                raise Refused("reads rows or columns that no window picks", "even steps")
            return None
        result.append(_synapse(value.parts[plane.part], plane, weight, window.fill, *fits))
    return tuple(result)


def fit_plane(value: View, plane: Plane, window: Window, spare: int | None) -> tuple[Fit, Fit] | None:
    """Return how ``window`` over ``plane`` of ``value`` reads rows and columns of the part itself; None as of `fit`."""
    shape, result = value.parts[plane.part].shape, []
    for axis, places in enumerate((plane.rows, plane.columns)):
        length, before, after = shape[1 + axis], window.padding[axis], window.padding[2 + axis]
        geometry = window.kernel[axis], window.stride[axis], window.dilation[axis], before, after
        if window.upsample == (1, 1):
            result.append(fit(places, length, *geometry, length + len(places) if spare is None else spare))
        else:
            whole = np.array_equal(places, np.arange(length))
            kernel, stride, dilation = geometry[:3]
            result.append(Fit(kernel, 0, stride, before, after, dilation, window.upsample[axis]) if whole else None)
    rows, columns = result
    return None if rows is None or columns is None else (rows, columns)


def _synapse(source, plane, weight, fill, rows, columns):
    """Return the synapse of ``plane``; depthwise where each of its channels goes to the same one of the result."""
    kernel = np.zeros(bounded((len(weight), source.shape[0], *weight.shape[2:]), "weight"))
    np.add.at(kernel.swapaxes(0, 1), plane.sources, weight[:, plane.channels].swapaxes(0, 1))
    groups = 1
    if kernel.shape[0] == kernel.shape[1]:
        own = np.arange(len(kernel))
        diagonal = kernel[own, own][:, None]
        if np.count_nonzero(diagonal) == np.count_nonzero(kernel):
            kernel, groups = diagonal, len(kernel)
    return through(source.name, kernel, groups, fill, rows, columns)


def through(source: str, weight, groups: int, fill: str, rows: Fit, columns: Fit) -> FloatSynapse:
    """Return the synapse that reads the map ``source`` with ``weight`` at the taps of two fits that are not blank."""
    bounded((*weight.shape[:2], rows.kernel, columns.kernel), "weight")
    blank = [(axis.first, axis.kernel - axis.first - taps) for axis, taps in zip((rows, columns), weight.shape[2:])]
    return FloatSynapse(
        source, np.pad(weight, ((0, 0), (0, 0), *blank)), (rows.stride, columns.stride),
        (rows.before, columns.before, rows.after, columns.after), (rows.dilation, columns.dilation), groups,
        (rows.upsample, columns.upsample), fill,
    )
