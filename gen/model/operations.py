"""The ATen operations that a network may consist of, as functions of the values that reach them.

A value is a `Map` (something that fires, or the image), a `Current` (convolutions of maps, waiting for
their ReLU) or a constant tensor. Every operation takes the walk of `gen.model.load`, the node and its arguments
by name; it returns a value, or why there is none: a reason, or a reason and the nearest supported form.
"""

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch

from gen.intnet import INPUT
from gen.model.network import FloatPool, FloatSynapse, Layer

__all__ = ["FORMS", "OPERATIONS", "Current", "Map", "is_constant"]

EVAL = "model.eval() before the export"
SAME = ("clone", "alias", "detach", "contiguous", "lift_fresh_copy", "_to_copy", "to")
RESHAPES = ("view", "reshape", "flatten", "_unsafe_view", "squeeze", "unsqueeze", "unflatten")
FORMS = {
    **dict.fromkeys(("relu6", "hardtanh", "clamp", "leaky_relu", "prelu", "elu", "gelu"), "ReLU"),
    **dict.fromkeys(("silu", "mish", "tanh", "softplus", "hardswish", "hardsigmoid"), "ReLU"),
    "sigmoid": "ReLU (drop it where it is the last operation)",
    "mul": "batch norm, which folds into the convolution",
    "sub": "--mean and --std for the image, a bias elsewhere",
    "div": "--mean and --std for the image",
    "cat": "a residual add",
    **dict.fromkeys(("layer_norm", "native_layer_norm", "group_norm", "native_group_norm"), "BatchNorm2d"),
    "conv_transpose2d": "Conv2d",
    "conv1d": "Conv2d with a height of 1",
    **dict.fromkeys(("constant_pad_nd", "pad"), "the zero padding of the convolution itself"),
    **dict.fromkeys(("_native_batch_norm_legit_functional", "dropout", "native_dropout", "bernoulli"), EVAL),
}


@dataclass(frozen=True)
class Map:
    """What a layer emits; ``flat`` when the model sees it as [N, C*H*W]."""

    name: str
    shape: tuple
    flat: bool = False


@dataclass(frozen=True)
class Current:
    """A sum of synapses before its ReLU; ``pools`` are max pools between the two (they commute)."""

    name: str
    shape: tuple
    synapses: tuple
    bias: np.ndarray
    flat: bool = False
    pools: tuple = ()


def _pair(value):
    value = [value] if isinstance(value, int) else list(value)
    return tuple(int(v) for v in (value * 2 if len(value) == 1 else value))


def _array(tensor):
    return tensor.detach().cpu().double().numpy()


def is_constant(value):
    """Return whether ``value`` is a weight or another constant tensor."""
    return isinstance(value, torch.Tensor)


def _current(value):
    """Return ``value`` as a current: a map is the depthwise 1x1 convolution with ones, of no name."""
    if isinstance(value, Current):
        return value
    channels = value.shape[0]
    ones = FloatSynapse(value.name, np.ones((channels, 1, 1, 1)), groups=channels)
    return Current("", value.shape, (ones,), np.zeros(channels), value.flat)


def _conv(walk, node, a):
    source, weight = a["input"], a["weight"]
    if a.get("transposed"):
        return "a transposed convolution has no counterpart", "Conv2d"
    if not is_constant(weight) or weight.ndim != 4:
        return "the weight must be a constant [out, in, height, width]", "Conv2d"
    if not isinstance(source, Map):
        return "reads a sum that no ReLU follows", "a ReLU between the two"
    weight, dilation, padding = _array(weight), _pair(a["dilation"]), a["padding"]
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, weight.shape[2:])]
        if any(n % 2 for n in total):
            return "'same' padding of an even kernel is not symmetric", "an odd kernel or explicit padding"
        padding = [n // 2 for n in total]
    synapse = FloatSynapse(source.name, weight, _pair(a["stride"]), _pair(padding), dilation, a["groups"])
    bias = np.zeros(len(weight)) if a["bias"] is None else _array(a["bias"])
    return Current(walk.site(node), tuple(node.meta["val"].shape)[1:], (synapse,), bias)


def _linear(walk, node, a):
    return _product(walk, node, a["input"], a["weight"], a["bias"])


def _addmm(walk, node, a):
    return _product(walk, node, a["mat1"], a["mat2"].T if is_constant(a["mat2"]) else None, a["self"])


def _product(walk, node, source, weight, bias):
    if isinstance(source, Current):
        return "reads a sum that no ReLU follows", "a ReLU between the two"
    if not is_constant(weight) or not isinstance(source, Map):
        return "the weight must be a constant", "nn.Linear"
    if not source.flat:
        return "acts on the last axis of a map", "nn.Flatten() before it"
    kernel = _array(weight).reshape(len(weight), *source.shape)
    bias = np.zeros(len(kernel)) if bias is None else _array(bias)
    synapse = FloatSynapse(source.name, kernel)
    return Current(walk.site(node), (len(kernel), 1, 1), (synapse,), bias, flat=True)


def _batch_norm(walk, node, a):
    if a.get("training"):
        return "is in training mode", EVAL
    value = a["input"]
    if isinstance(value, Current) and value.pools:
        return "stands between a max pool and its ReLU", "convolution, batch norm, ReLU, pool"
    value = _current(value)
    mean, variance = _array(a["running_mean"]), _array(a["running_var"])
    one = np.ones_like(mean)
    scale = (one if a["weight"] is None else _array(a["weight"])) / np.sqrt(variance + a["eps"])
    bias = (value.bias - mean) * scale + (0 if a["bias"] is None else _array(a["bias"]))
    synapses = tuple(replace(s, weight=s.weight * scale[:, None, None, None]) for s in value.synapses)
    return replace(value, name=value.name or walk.site(node), synapses=synapses, bias=bias)


def _relu(walk, node, a):
    value = a["self"]
    if isinstance(value, Map) and value.name != INPUT:
        return value
    current = _current(value)
    layer = Layer(walk.fresh_name(current.name or walk.site(node)), current.synapses, current.bias)
    walk.layers.append(layer)
    result = Map(layer.name, current.shape)
    for pool in current.pools:
        result = _pooled(walk, result, pool)
    return replace(result, flat=current.flat)


def _add(walk, node, a):
    one, other = a["self"], a["other"]
    if is_constant(one) or not isinstance(other, Map | Current):
        return "adds a constant", "the bias of the convolution"
    one, other = _current(one), _current(other)
    if one.pools or other.pools:
        return "adds what a max pool made before its ReLU", "the ReLU before the pool"
    if one.shape != other.shape:
        return f"adds maps of shapes {one.shape} and {other.shape}", "maps of one shape"
    alpha = float(a.get("alpha", 1))
    added = tuple(replace(s, weight=s.weight * alpha) for s in other.synapses)
    return Current(one.name or other.name, one.shape, one.synapses + added, one.bias + alpha * other.bias, one.flat)


def _average(walk, node, a):
    kernel, stride = _pair(a["kernel_size"]), _pair(a["stride"] or a["kernel_size"])
    padding = _pair(a["padding"])
    if any(padding) and not a["count_include_pad"]:
        return "divides by another number at the border", "count_include_pad=True, or no padding"
    divisor = a["divisor_override"] or prod(kernel)
    return _pool(walk, node, a, "sum", kernel, stride, padding, float(divisor))


def _maximum(walk, node, a):
    if _pair(a["dilation"]) != (1, 1):
        return "has a dilated window", "dilation 1"
    stride = _pair(a["stride"] or a["kernel_size"])
    return _pool(walk, node, a, "max", _pair(a["kernel_size"]), stride, _pair(a["padding"]), 1.0)


def _adaptive(walk, node, a, kind="sum"):
    size = getattr(a["self"], "shape", (0, 1, 1))[1:]
    output = tuple(n if o is None else o for n, o in zip(size, _pair(a["output_size"])))
    if any(n % o for n, o in zip(size, output)):
        return f"an output of {output} does not divide the map of {size}", "an output size that divides"
    kernel = tuple(n // o for n, o in zip(size, output))
    return _pool(walk, node, a, kind, kernel, kernel, (0, 0), float(prod(kernel)) if kind == "sum" else 1.0)


def _adaptive_max(walk, node, a):
    return _adaptive(walk, node, a, "max")


def _mean(walk, node, a):
    axes = sorted(d % 4 for d in a["dim"] or (0,))
    if axes != [2, 3] or getattr(a["self"], "flat", True):
        return f"a mean over axes {a['dim']}", "the mean over height and width, (2, 3)"
    result = _adaptive(walk, node, {**a, "output_size": (1, 1)})
    return result if a["keepdim"] or not isinstance(result, Map) else replace(result, flat=True)


def _pool(walk, node, a, kind, kernel, stride, padding, divisor):
    source = a["self"]
    if kind == "sum" and isinstance(source, Current):
        return "averages a sum that no ReLU follows", "the ReLU before the pool"
    if getattr(source, "name", None) == INPUT:
        return "pools the image itself", "a convolution and ReLU first, or smaller images"
    if source.flat:
        return "pools a flattened map", "the pool before nn.Flatten()"
    pool = FloatPool(walk.site(node), "", kind, kernel, stride, padding, divisor)
    if a.get("ceil_mode") and _pooled_shape(source.shape, pool, up=True) != _pooled_shape(source.shape, pool):
        return "ceil_mode adds a partial window", "ceil_mode=False"
    if isinstance(source, Current):
        return replace(source, pools=(*source.pools, pool))
    return _pooled(walk, source, pool)


def _pooled(walk, source, pool):
    if pool.kernel == pool.stride == (1, 1) and not any(pool.padding) and pool.divisor == 1:
        return source
    pool = replace(pool, name=walk.fresh_name(pool.name), source=source.name)
    walk.layers.append(pool)
    return Map(pool.name, _pooled_shape(source.shape, pool))


def _first(walk, node, a):
    return next(iter(a.values()))


def _dropout(walk, node, a):
    return ("is in training mode", EVAL) if a["train"] else a["input"]


def _softmax(walk, node, a):
    """Allow it as the end only: classes, margins of the argmax and probabilities stay what they are."""
    if any(user.op != "output" for user in node.users) or a["dim"] % 2 != 1:
        return "is not the last operation", "ReLU"
    return next(iter(a.values()))


def _reshape(walk, node, a):
    value, shape = next(iter(a.values())), tuple(node.meta["val"].shape)[1:]
    size = value.shape
    for pool in getattr(value, "pools", ()):
        size = _pooled_shape(size, pool)
    if shape not in (size, (prod(size),)):
        return f"makes the map of shape {size} one of {shape}", "nn.Flatten()"
    return replace(value, flat=shape != size)


def _pooled_shape(shape, pool, up=False):
    sizes = zip(shape[1:], pool.padding, pool.kernel, pool.stride)
    return (shape[0], *((n + 2 * p - k + (s - 1) * up) // s + 1 for n, p, k, s in sizes))


OPERATIONS = {
    "conv2d": _conv, "convolution": _conv, "linear": _linear, "addmm": _addmm,
    "batch_norm": _batch_norm, "_native_batch_norm_legit_no_training": _batch_norm,
    "relu": _relu, "add": _add, "avg_pool2d": _average, "max_pool2d": _maximum,
    "max_pool2d_with_indices": _maximum, "adaptive_avg_pool2d": _adaptive,
    "_adaptive_avg_pool2d": _adaptive, "adaptive_max_pool2d": _adaptive_max, "mean": _mean,
    "dropout": _dropout, "softmax": _softmax, "_softmax": _softmax,
    "log_softmax": _softmax, "_log_softmax": _softmax,
    **dict.fromkeys(SAME, _first), **dict.fromkeys(RESHAPES, _reshape),
}
