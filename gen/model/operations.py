"""The operations that a network may consist of, each once, whatever format it is written in.

A value is a `Map` (something that fires, or the image), a `Current` (convolutions of maps, waiting for their
ReLU) or a constant, float64 array. A door (`gen.model.exported`, `onnx_file`, `nir_file`) translates a node of its
format into one call here: the `gen.model.builder.Builder`, the site (the name a user knows), the values, the
attributes. What has no counterpart raises `Refused` with the reason and the nearest supported form.
"""

import math
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from gen.layers import INPUT
from gen.model.network import FloatPool, FloatSynapse, FloatLayer

__all__ = [
    "EVAL", "Current", "Map", "Refused", "adaptive", "add", "as_current", "average", "batch_norm", "conv", "fire",
    "is_constant", "linear", "maximum", "mean", "nearest", "pad", "reshape", "scaled", "softmax",
]

EVAL = "model.eval() before the export"
RELU = "a ReLU between the two"
FORMS = {
    **dict.fromkeys(("relu6", "hardtanh", "clamp", "clip", "leakyrelu", "prelu", "elu", "gelu", "celu"), "ReLU"),
    **dict.fromkeys(("selu", "silu", "mish", "tanh", "softplus", "hardswish", "hardsigmoid"), "ReLU"),
    "sigmoid": "ReLU (drop it where it is the last operation)",
    "mul": "batch norm, which folds into the convolution",
    "sub": "--mean and --std for the image, a bias elsewhere",
    "div": "--mean and --std for the image",
    **dict.fromkeys(("cat", "concat"), "a residual add"),
    **dict.fromkeys(("layernorm", "layernormalization", "nativelayernorm", "groupnorm", "groupnormalization",
                     "nativegroupnorm", "instancenormalization"), "BatchNorm2d"),
    **dict.fromkeys(("convtranspose2d", "convtranspose", "conv3d"), "Conv2d"),
    "conv1d": "Conv2d with a height of 1",
    "transpose": "images and maps as [N, C, H, W] throughout",
    **dict.fromkeys(("nativebatchnormlegitfunctional", "nativedropout", "bernoulli"), EVAL),
    **dict.fromkeys(("quantizelinear", "dequantizelinear", "qlinearconv"), "the float model"),
    **dict.fromkeys(("lif", "cubalif", "threshold"), "IF"),
    **dict.fromkeys(("li", "cubali"), "Affine or Linear before the Output"),
}


class Refused(Exception):
    """An operation without counterpart: why, and the nearest supported form if there is one."""

    def __init__(self, reason, form=None):
        super().__init__(reason)
        self.reason, self.form = reason, form


@dataclass(frozen=True)
class Map:
    """What a layer emits; ``seen`` is the shape the model gives it, ``margin`` zeros (height, width) around it."""

    name: str
    shape: tuple
    seen: tuple = None
    margin: tuple = (0, 0)

    def __post_init__(self):
        object.__setattr__(self, "seen", self.shape if self.seen is None else self.seen)


@dataclass(frozen=True)
class Current:
    """A sum of synapses before its ReLU; ``pools`` are max pools between the two (they commute).

    ``biases`` are summed at the end, rounded once: the order of additions leaves no trace.
    """

    name: str
    shape: tuple
    synapses: tuple
    biases: tuple
    pools: tuple = field(default=())
    seen: tuple = None

    def __post_init__(self):
        object.__setattr__(self, "seen", self.shape if self.seen is None else self.seen)

    @property
    def bias(self):
        """The bias, float64 [C]."""
        return np.array([math.fsum(parts) for parts in zip(*self.biases)])


def is_constant(value):
    """Return whether ``value`` is a weight or another constant array."""
    return isinstance(value, np.ndarray)


def nearest(op):
    """Return the nearest supported form of the operation ``op``, as any format spells it, or None."""
    return FORMS.get(op.replace("_", "").lower())


def conv(build, site, source, weight, bias, stride, padding, dilation, groups):
    """Convolve: ``padding`` is a pair, (top, left, bottom, right), or same, same_lower or valid."""
    if not is_constant(weight) or weight.ndim != 4 or not (bias is None or is_constant(bias)):
        raise Refused("the weight must be a constant [out, in, height, width]", "Conv2d")
    if not isinstance(source, Map):
        raise Refused("reads a sum that no ReLU follows", RELU)
    if source.seen != source.shape:
        raise Refused("reads a map that was reshaped", "Conv2d before Flatten")
    if source.shape[0] != weight.shape[1] * groups or len(weight) % groups:
        channels = weight.shape[1] * groups
        raise Refused(f"takes {channels} channels in {groups} groups, the map has {source.shape[0]}")
    stride, dilation = _pair(stride), _pair(dilation)
    padding = _around(source, _padding(source, padding, weight.shape[2:], stride, dilation))
    synapse = FloatSynapse(source.name, weight, stride, padding, dilation, int(groups))
    shape = synapse.output_shape(source.shape)
    if min(shape) < 1:
        raise Refused(f"has a kernel larger than the map of {source.shape[1:]}")
    return Current(site, shape, (synapse,), (_bias(bias, shape[0]),))


def linear(build, site, source, weight, bias):
    """Multiply a flattened map with ``weight`` [out, in]."""
    if isinstance(source, Current):
        raise Refused("reads a sum that no ReLU follows", RELU)
    if not is_constant(weight) or weight.ndim != 2 or not (bias is None or is_constant(bias)):
        raise Refused("the weight must be a constant", "Linear")
    if len(source.seen) != 1:
        raise Refused("acts on the last axis of a map", "Flatten before it")
    if weight.shape[1] != prod(source.shape):
        raise Refused(f"takes {weight.shape[1]} inputs, the map of shape {source.shape} has {prod(source.shape)}")
    kernel = weight.reshape(len(weight), *source.shape)
    shape = (len(kernel), 1, 1)
    return Current(site, shape, (FloatSynapse(source.name, kernel),), (_bias(bias, shape[0]),), seen=shape[:1])


def batch_norm(build, site, value, scale, shift, mean, variance, eps):
    """Fold into the convolution before it; ``eps`` counts in single precision, as every format can hold it."""
    if isinstance(value, Current) and value.pools:
        raise Refused("stands between a max pool and its ReLU", "convolution, batch norm, ReLU, pool")
    value = as_current(value)
    one = np.ones(value.shape[0])
    scale, shift = one if scale is None else scale, 0 * one if shift is None else shift
    if any(not is_constant(v) or v.shape != one.shape for v in (scale, shift, mean, variance)):
        raise Refused(f"its parameters must be constants, one for each of {len(one)} channels", "BatchNorm2d")
    factor = scale / np.sqrt(variance + float(np.float32(eps)))
    bias = (value.bias - mean) * factor + shift
    return replace(scaled(build, site, value, factor), biases=(bias,))


def fire(build, site, value, threshold=None):
    """End a current by its ReLU; with ``threshold`` [C] the neurons exist already and keep it."""
    if isinstance(value, Map) and value.name != INPUT and threshold is None:
        return value
    current = as_current(value)
    name = build.append(FloatLayer(current.name or site, current.synapses, current.bias, threshold=threshold))
    result = Map(name, current.shape)
    for pool in current.pools:
        result = _pooled(build, result, pool)
    return replace(result, seen=current.seen)


def add(build, site, one, other, alpha=1.0):
    """Add two maps or currents, or a current and a constant for each channel, which is a bias."""
    if is_constant(one):
        one, other = other, one
    if is_constant(other):
        return _add_bias(one, alpha * other)
    one, other = as_current(one), as_current(other)
    if one.pools or other.pools:
        raise Refused("adds what a max pool made before its ReLU", "the ReLU before the pool")
    if (one.shape, one.seen) != (other.shape, other.seen):
        raise Refused(f"adds maps of shapes {one.seen} and {other.seen}", "maps of one shape")
    added = tuple(replace(s, weight=s.weight * alpha) for s in other.synapses)
    biases = one.biases + tuple(alpha * bias for bias in other.biases)
    return replace(one, name=one.name or other.name, synapses=one.synapses + added, biases=biases)


def _add_bias(value, constant):
    if not isinstance(value, Current) or value.pools:
        raise Refused("adds a constant", "the bias of the convolution")
    channels, rank = value.shape[0], len(value.seen)
    shape = constant.shape[1:] if constant.ndim == rank + 1 and len(constant) == 1 else constant.shape
    if constant.size != 1 and shape != (channels,) + (1,) * (rank - 1):
        raise Refused("adds a constant that is not one for each channel", "the bias of the convolution")
    return replace(value, biases=(*value.biases, np.broadcast_to(constant.ravel(), (channels,))))


def scaled(build, site, value, factor):
    """Multiply with ``factor`` [C], one for each channel."""
    if isinstance(value, Current) and value.pools:
        raise Refused("stands between a max pool and its ReLU", "convolution, scale, ReLU, pool")
    value = as_current(value)
    synapses = tuple(replace(s, weight=s.weight * factor[:, None, None, None]) for s in value.synapses)
    return replace(value, name=value.name or site, synapses=synapses, biases=(value.bias * factor,))


def pad(build, site, source, padding):
    """Surround a map by zeros, (top, left, bottom, right), which the next convolution takes over."""
    if not isinstance(source, Map) or source.seen != source.shape:
        raise Refused("pads a sum or a vector", "the padding of the convolution itself")
    top, left, bottom, right = padding
    if (top, left) != (bottom, right) or min(padding) < 0:
        raise Refused("pads the two sides of a map differently", "the same padding on both sides")
    return replace(source, margin=(source.margin[0] + top, source.margin[1] + left))


def average(build, site, source, kernel, stride, padding, divisor=None, include_pad=True, ceil=False):
    """Average over windows: a sum of counts, the divisor goes into the next weights."""
    kernel, stride = _pair(kernel), _pair(stride)
    padding = _padding(source, padding, kernel, stride)
    if any(padding) and not include_pad:
        raise Refused("divides by another number at the border", "count_include_pad=True, or no padding")
    return _pool(build, site, source, "sum", kernel, stride, padding, ceil, divisor or prod(kernel))


def maximum(build, site, source, kernel, stride, padding, dilation=(1, 1), ceil=False):
    """Take the largest of every window."""
    if _pair(dilation) != (1, 1):
        raise Refused("has a dilated window", "dilation 1")
    kernel, stride = _pair(kernel), _pair(stride)
    return _pool(build, site, source, "max", kernel, stride, _padding(source, padding, kernel, stride), ceil)


def adaptive(build, site, source, output, kind="sum"):
    """Pool to a map of ``output`` (height, width), None where it stays as it is."""
    size = _seen_map(source)[1:]
    if _margin(source) != (0, 0):
        raise Refused("pools a padded map to a size", "the padding of an average pool")
    output = tuple(n if o is None else int(o) for n, o in zip(size, output))
    if any(n % o for n, o in zip(size, output)):
        raise Refused(f"an output of {output} does not divide the map of {size}", "an output size that divides")
    kernel = tuple(n // o for n, o in zip(size, output))
    return _pool(build, site, source, kind, kernel, kernel, (0, 0), False, prod(kernel) if kind == "sum" else 1)


def mean(build, site, source, axes, keepdims, kind="sum"):
    """Average (or take the maximum) over the ``axes`` of [N, C, H, W], which must be height and width."""
    if axes is None or sorted(axis % 4 for axis in axes) != [2, 3] or len(source.seen) != 3:
        raise Refused(f"reduces the axes {axes and list(axes)}", "the mean over height and width, (2, 3)")
    result = adaptive(build, site, source, (1, 1), kind)
    return result if keepdims else replace(result, seen=result.seen[:1])


def reshape(build, site, value, shape):
    """See ``value`` in another ``shape``, without N; what reads it must see a map or a vector again."""
    if prod(shape) != prod(value.seen) or _margin(value) != (0, 0):
        raise Refused(f"makes the map of shape {value.seen} one of {tuple(shape)}", "Flatten")
    return replace(value, seen=tuple(int(n) for n in shape))


def softmax(build, site, value, axis, last):
    """Allow it as the end only: classes, margins of the argmax and probabilities stay what they are."""
    if not last or axis % (len(value.seen) + 1) != 1:
        raise Refused("is not the last operation", "ReLU")
    return value


def _pool(build, site, source, kind, kernel, stride, padding, ceil, divisor=1):
    if kind == "sum" and isinstance(source, Current):
        raise Refused("averages a sum that no ReLU follows", "the ReLU before the pool")
    if getattr(source, "name", None) == INPUT:
        raise Refused("pools the image itself", "a convolution and ReLU first, or smaller images")
    shape, padding = _seen_map(source), _around(source, padding)
    if any(2 * p > k for p, k in zip(padding, kernel)):
        raise Refused(f"has a padding of {padding} for a kernel of {kernel}", "at most half the kernel")
    pool = FloatPool(site, source.name, kind, kernel, stride, padding, float(divisor))
    size = pool.output_shape(shape)
    if min(size) < 1:
        raise Refused(f"has a window larger than the map of {shape[1:]}")
    if ceil and any((n + 2 * p - k) % s for n, p, k, s in zip(shape[1:], padding, kernel, pool.stride)):
        raise Refused("ceil_mode adds a partial window", "ceil_mode=False")
    if isinstance(source, Current):
        return replace(source, pools=(*source.pools, pool), seen=size)
    return _pooled(build, source, pool)


def _pooled(build, source, pool):
    if pool.kernel == pool.stride == (1, 1) and not any(pool.padding) and pool.divisor == 1:
        return source
    return Map(build.append(replace(pool, source=source.name)), pool.output_shape(source.shape))


def _seen_map(value):
    """Return the shape of ``value``, a map; a current's max pools are behind it."""
    shape = value.shape
    for pool in getattr(value, "pools", ()):
        shape = pool.output_shape(shape)
    if value.seen != shape:
        raise Refused("pools a flattened map", "the pool before Flatten")
    return shape


def as_current(value):
    """Return ``value`` as a current: a map is the depthwise 1x1 convolution with ones, of no name."""
    if isinstance(value, Current):
        return value
    if _margin(value) != (0, 0):
        raise Refused("reads a padded map", "a convolution after the padding")
    channels = value.shape[0]
    ones = FloatSynapse(value.name, np.ones((channels, 1, 1, 1)), groups=channels)
    return Current("", value.shape, (ones,), (np.zeros(channels),), seen=value.seen)


def _padding(source, padding, kernel, stride, dilation=(1, 1)):
    """Return the padding (height, width) that the operation itself asks for, the same on both sides."""
    if padding in ("same", "same_lower"):
        sizes = zip(_around(source, source.shape[1:], sides=2), kernel, stride, dilation)
        total = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n) for n, k, s, d in sizes]
        if any(n % 2 for n in total):
            raise Refused("'same' padding is not symmetric here", "an odd kernel or explicit padding")
        padding = [n // 2 for n in total]
    padding = (0, 0) if padding == "valid" else tuple(int(p) for p in padding)
    if len(padding) == 4:
        if padding[:2] != padding[2:]:
            raise Refused("pads the two sides of a map differently", "the same padding on both sides")
        padding = padding[:2]
    return _pair(padding)


def _margin(value):
    return value.margin if isinstance(value, Map) else (0, 0)


def _around(value, sizes, sides=1):
    return tuple(n + sides * m for n, m in zip(sizes, _margin(value)))


def _bias(bias, channels):
    if bias is not None and bias.shape != (channels,):
        raise Refused(f"its bias of shape {bias.shape} is not one for each of {channels} channels")
    return np.zeros(channels) if bias is None else bias


def _pair(value):
    value = [int(v) for v in np.ravel(value)]
    return tuple(value * 2 if len(value) == 1 else value)
