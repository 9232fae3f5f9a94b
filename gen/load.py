"""A trained PyTorch model becomes a `FloatNetwork`: module, exported program or `.pt2` file alike.

The model is exported with `torch.export`, made functional with `run_decompositions({})`, and its ATen graph is
walked once. A node's value is a `Map` (something that fires, or the image) or a `Current` (convolutions of maps,
waiting for their ReLU). Batch norm scales a current, a residual add joins two. Whatever has no such meaning is
noted, replaced by a stand-in and walked past, so that one `UnsupportedModel` lists every problem.
"""

import copy
import operator
import zipfile
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import torch

from gen.errors import InputError, UnsupportedModel
from gen.intnet import INPUT
from gen.network import FloatNetwork, FloatPool, FloatSynapse, Layer

__all__ = ["load"]

SAME = ("clone", "alias", "detach", "contiguous", "lift_fresh_copy", "_to_copy", "to", "identity")
RESHAPES = ("view", "reshape", "flatten", "_unsafe_view", "squeeze", "unsqueeze", "unflatten")
FORMS = {
    "relu6": "ReLU", "hardtanh": "ReLU", "clamp": "ReLU", "gelu": "ReLU", "silu": "ReLU", "leaky_relu": "ReLU",
    "sigmoid": "ReLU (drop it where it is the last operation)", "tanh": "ReLU", "elu": "ReLU", "hardswish": "ReLU",
    "prelu": "ReLU", "softplus": "ReLU", "mul": "batch norm, which folds into the convolution",
    "sub": "--mean and --std for the image, a bias elsewhere", "div": "--mean and --std for the image",
    "cat": "a residual add", "layer_norm": "BatchNorm2d", "native_layer_norm": "BatchNorm2d",
    "group_norm": "BatchNorm2d", "native_group_norm": "BatchNorm2d", "conv_transpose2d": "Conv2d",
    "constant_pad_nd": "the padding of the convolution itself", "pad": "zero padding of the convolution itself",
    "conv1d": "Conv2d with a height of 1", "_native_batch_norm_legit_functional": "model.eval() before the export",
    "dropout": "model.eval() before the export", "native_dropout": "model.eval() before the export",
    "bernoulli": "model.eval() before the export",
}


@dataclass(frozen=True)
class Map:
    """What a layer emits; ``flat`` when the model sees it as [N, C*H*W]."""

    name: str
    shape: tuple
    flat: bool = False


@dataclass(frozen=True)
class Current:
    """A sum of synapses before its ReLU; ``pools`` are max pools that ran ahead of the ReLU (they commute)."""

    name: str
    shape: tuple
    synapses: tuple
    bias: np.ndarray
    flat: bool = False
    pools: tuple = ()


def load(module, shape=None):
    """Return the `FloatNetwork` of ``module``: nn.Module (``shape`` is then (C, H, W)), ExportedProgram or .pt2 path.

    Raises InputError for a file that is none, a model that cannot be traced, NaN weights; UnsupportedModel with
    every problem for a model outside the contract.
    """
    if isinstance(module, str | Path):
        module = _read(Path(module))
    if isinstance(module, torch.nn.Module):
        module = _trace(module, shape)
    if not isinstance(module, torch.export.ExportedProgram):
        raise InputError(
            f"A model is a torch.nn.Module, a torch.export.ExportedProgram or the path of a .pt2 file, "
            f"not {type(module).__name__}."
        )
    return _Walk(module.run_decompositions({})).network()


def _read(path):
    if not path.is_file():
        raise InputError(f"There is no model file {path}.")
    try:
        return torch.export.load(path)
    except (RuntimeError, ValueError, KeyError, OSError, AssertionError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not an exported PyTorch program ({_line(error)}). Write one with "
            "torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')."
        ) from error


def _trace(module, shape):
    images = torch.zeros(2, *shape)
    like = next((p for p in module.parameters() if p.is_floating_point()), None)
    module = copy.deepcopy(module).cpu().eval()
    try:
        return torch.export.export(module, (images if like is None else images.to(like.dtype),))
    except Exception as error:  # torch.export lets through whatever the model's own forward raises
        raise InputError(
            f"The model cannot be traced by torch.export with images of shape {tuple(images.shape)}: "
            f"{type(error).__name__}: {_line(error)}. Its forward must take one [N, C, H, W] tensor, return one "
            "[N, classes] tensor and not branch on values; a network of linear layers starts with nn.Flatten()."
        ) from error


def _line(error):
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _pair(value):
    value = [value] if isinstance(value, int) else list(value)
    return tuple(int(v) for v in (value * 2 if len(value) == 1 else value))


def _array(tensor):
    return tensor.detach().double().numpy()


def _stand_in(value):
    return isinstance(value, Map) and value.name.startswith("?")


class _Walk:
    """One pass over the graph of an exported program."""

    def __init__(self, program):
        self.program, self.layers, self.problems, self.values = program, [], [], {}
        self.fired, self.names = {}, {INPUT}

    def network(self):
        signature = self.program.graph_signature
        constants = {**signature.inputs_to_parameters, **signature.inputs_to_buffers,
                     **signature.inputs_to_lifted_tensor_constants}
        stored = {**dict(self.program.state_dict), **self.program.constants}
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                known = node.name in constants
                self.values[node] = stored[constants[node.name]] if known else self._image(node, signature)
            elif node.op == "call_function":
                self.values[node] = self._value(node)
            elif node.op == "output":
                self._finish(node.args[0], signature)
        if self.problems:
            raise UnsupportedModel(self.problems)
        return FloatNetwork(self.shape, tuple(self._used()))

    def _image(self, node, signature):
        if len(signature.user_inputs) != 1:
            raise InputError(f"The model takes {len(signature.user_inputs)} inputs; it must take one, the images.")
        shape = tuple(node.meta["val"].shape)
        if len(shape) != 4:
            raise InputError(
                f"The model takes an input of shape {_shown(shape)}; it must take images [N, C, H, W]. "
                "Put nn.Flatten() before a first linear layer and export with a 4-D example."
            )
        if not all(isinstance(n, int) for n in shape[1:]):
            raise InputError(f"The model's image size is not fixed ({_shown(shape)}): only N may be dynamic.")
        self.shape = shape[1:]
        return Map(INPUT, self.shape)

    def _finish(self, results, signature):
        names = set(signature.user_outputs)
        results = [r for r in results if getattr(r, "name", None) in names]
        if len(signature.user_outputs) != 1 or len(results) != 1:
            raise InputError(f"The model returns {len(signature.user_outputs)} results; it must return one, [N, classes].")
        value, shape = self.values[results[0]], tuple(results[0].meta["val"].shape)
        if len(shape) != 2:
            raise InputError(
                f"The model returns a tensor of shape {_shown(shape)}; it must return one score per class, "
                "[N, classes]. Pool or flatten it and end with nn.Linear."
            )
        if isinstance(value, Current):
            if prod(value.shape[1:]) != 1:
                self._refuse(value.name, "output", "flattens a map of several positions", "nn.Flatten(), nn.Linear")
            self.layers.append(Layer(self._name(value.name), value.synapses, value.bias, fires=False))
        elif not _stand_in(value):
            self._refuse(value.name, "output", "the network must end before its ReLU or pool", "nn.Linear as the end")

    def _used(self):
        """Keep what the readout depends on, in order."""
        wanted = {self.layers[-1].name}
        for layer in reversed(self.layers):
            if layer.name in wanted:
                wanted |= {layer.source} if isinstance(layer, FloatPool) else {s.source for s in layer.synapses}
        return [layer for layer in self.layers if layer.name in wanted]

    def _value(self, node):
        known = [self.values[n] for n in node.all_input_nodes]
        if all(isinstance(value, torch.Tensor) for value in known):
            return node.target(*torch.fx.node.map_arg(node.args, self.values.get),
                               **torch.fx.node.map_arg(node.kwargs, self.values.get))
        if node.target is operator.getitem:
            value = self.values[node.args[0]]
            return self._unknown(node) if _stand_in(value) else value
        op = node.target._schema.name.removeprefix("aten::").rstrip("_") if hasattr(node.target, "_schema") else node.name
        if op == "sym_size":
            return None
        a = {}
        for i, argument in enumerate(node.target._schema.arguments):
            given = node.args[i] if i < len(node.args) else node.kwargs.get(argument.name, argument.default_value)
            a[argument.name] = self.values[given] if isinstance(given, torch.fx.Node) else given
        handler = OPERATIONS.get(op)
        if handler is None:
            self._refuse(self._site(node), op, "is outside the contract", FORMS.get(op))
            return self._unknown(node)
        reason = handler(self, node, a)
        if isinstance(reason, str | tuple):
            self._refuse(self._site(node), op, *((reason, None) if isinstance(reason, str) else reason))
            return self._unknown(node)
        return reason

    def _refuse(self, name, op, reason, form=None):
        self.problems.append(f"{name} ({op}): {reason}; " + (f"nearest supported form: {form}" if form else
                             "supported are Conv2d, Linear, BatchNorm, ReLU, pools, residual adds and Flatten"))

    def _unknown(self, node):
        """Return a stand-in, so that the walk finds the other problems too."""
        value = node.meta.get("val")
        shape = tuple(value.shape)[1:] if isinstance(value, torch.Tensor) else ()
        return Map("?" + node.name, (*shape, 1, 1, 1)[:3] if len(shape) < 3 else shape, flat=len(shape) == 1)

    def _site(self, node):
        """Return the name a user knows: the path of the module, else the name of the operation."""
        stack = node.meta.get("nn_module_stack") or {"": ("", None)}
        return list(stack.values())[-1][0].removeprefix("L['self'].") or node.name

    def _name(self, site):
        name, copies = site, 1
        while name in self.names:
            copies += 1
            name = f"{site}.{copies}"
        self.names.add(name)
        return name

    def _current(self, value):
        """Return ``value`` as a current: a map is the depthwise 1x1 convolution with ones."""
        if isinstance(value, Current):
            return value
        channels = value.shape[0]
        ones = FloatSynapse(value.name, np.ones((channels, 1, 1, 1)), groups=channels)
        return Current(value.name, value.shape, (ones,), np.zeros(channels), value.flat)

    # Operations: each returns a value, a reason, or (reason, nearest supported form).

    def conv(self, node, a):
        source, weight = a["input"], a["weight"]
        if a.get("transposed"):
            return "a transposed convolution has no counterpart", "Conv2d"
        if not isinstance(weight, torch.Tensor) or weight.ndim != 4:
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
        return Current(self._site(node), tuple(node.meta["val"].shape)[1:], (synapse,), bias)

    def linear(self, node, a):
        source, weight = a["input"], a["weight"]
        return self._linear(node, source, weight, a["bias"])

    def addmm(self, node, a):
        return self._linear(node, a["mat1"], a["mat2"].T, a["self"])

    def _linear(self, node, source, weight, bias):
        if isinstance(source, Current):
            return "reads a sum that no ReLU follows", "a ReLU between the two"
        if not isinstance(weight, torch.Tensor) or not isinstance(source, Map):
            return "the weight must be a constant", "nn.Linear"
        if not source.flat and not _stand_in(source):
            return "acts on the last axis of a map", "nn.Flatten() before it"
        shape = (weight.shape[1], 1, 1) if _stand_in(source) else source.shape
        kernel = _array(weight).reshape(len(weight), *shape)
        bias = np.zeros(len(kernel)) if bias is None else _array(bias)
        return Current(self._site(node), (len(kernel), 1, 1), (FloatSynapse(source.name, kernel),), bias, flat=True)

    def batch_norm(self, node, a):
        if a.get("training"):
            return "is in training mode", "model.eval() before the export"
        value = a["input"]
        if isinstance(value, Current) and value.pools:
            return "stands between a max pool and its ReLU", "convolution, batch norm, ReLU, pool"
        value = self._current(value)
        mean, variance = _array(a["running_mean"]), _array(a["running_var"])
        one = np.ones_like(mean)
        scale = (one if a["weight"] is None else _array(a["weight"])) / np.sqrt(variance + a["eps"])
        bias = (value.bias - mean) * scale + (0 if a["bias"] is None else _array(a["bias"]))
        synapses = tuple(replace(s, weight=s.weight * scale[:, None, None, None]) for s in value.synapses)
        return replace(value, synapses=synapses, bias=bias)

    def relu(self, node, a):
        value = a["self"]
        if isinstance(value, Map) and value.name != INPUT:
            return value
        value = self._current(value)
        if id(value) not in self.fired:
            site = self._site(node) if value.name == INPUT else value.name
            layer = Layer(self._name(site), value.synapses, value.bias)
            self.layers.append(layer)
            result = Map(layer.name, tuple(value.shape), value.flat)
            for pool in value.pools:
                result = self._pooled(result, pool)
            self.fired[id(value)] = replace(result, flat=value.flat), value
        return self.fired[id(value)][0]

    def add(self, node, a):
        one, other = a["self"], a["other"]
        if not all(isinstance(value, Map | Current) for value in (one, other)):
            return "adds a constant", "the bias of the convolution"
        one, other = self._current(one), self._current(other)
        if one.pools or other.pools:
            return "adds what a max pool made before its ReLU", "the ReLU before the pool"
        if one.shape != other.shape:
            return f"adds maps of shapes {one.shape} and {other.shape}", "maps of one shape"
        alpha = float(a.get("alpha", 1))
        added = tuple(replace(s, weight=s.weight * alpha) for s in other.synapses)
        name = next((v.name for v in (one, other) if v.name not in self.names), self._site(node))
        return Current(name, one.shape, one.synapses + added, one.bias + alpha * other.bias, one.flat)

    def average(self, node, a):
        kernel, stride = _pair(a["kernel_size"]), _pair(a["stride"] or a["kernel_size"])
        padding = _pair(a["padding"])
        if any(padding) and not a["count_include_pad"]:
            return "divides by another number at the border", "count_include_pad=True, or no padding"
        divisor = a["divisor_override"] or prod(kernel)
        return self._pool(node, a, "sum", kernel, stride, padding, float(divisor))

    def maximum(self, node, a):
        if _pair(a["dilation"]) != (1, 1):
            return "has a dilated window", "dilation 1"
        stride = _pair(a["stride"] or a["kernel_size"])
        return self._pool(node, a, "max", _pair(a["kernel_size"]), stride, _pair(a["padding"]), 1.0)

    def adaptive(self, node, a, kind="sum"):
        size = getattr(a["self"], "shape", (0, 1, 1))[1:]
        output = tuple(n if o is None else o for n, o in zip(size, _pair(a["output_size"])))
        if any(n % o for n, o in zip(size, output)):
            return f"an output of {output} does not divide the map of {size}", "an output size that divides"
        kernel = tuple(n // o for n, o in zip(size, output))
        return self._pool(node, a, kind, kernel, kernel, (0, 0), float(prod(kernel)) if kind == "sum" else 1.0)

    def adaptive_max(self, node, a):
        return self.adaptive(node, a, "max")

    def mean(self, node, a):
        axes = sorted(d % 4 for d in a["dim"] or (0,))
        if axes != [2, 3] or getattr(a["self"], "flat", True):
            return f"a mean over axes {a['dim']}", "the mean over height and width, (2, 3)"
        result = self.adaptive(node, {**a, "output_size": (1, 1)})
        return result if a["keepdim"] or not isinstance(result, Map) else replace(result, flat=True)

    def _pool(self, node, a, kind, kernel, stride, padding, divisor):
        source = a["self"]
        if kind == "sum" and isinstance(source, Current):
            return "averages a sum that no ReLU follows", "the ReLU before the pool"
        if getattr(source, "name", None) == INPUT:
            return "pools the image itself", "a convolution and ReLU first, or smaller images"
        if source.flat:
            return "pools a flattened map", "the pool before nn.Flatten()"
        pool = FloatPool(self._site(node), "", kind, kernel, stride, padding, divisor)
        floor = _pooled_shape(source.shape, pool)
        if a.get("ceil_mode") and tuple(node.meta["val"].shape if isinstance(node.meta["val"], torch.Tensor)
                                        else node.meta["val"][0].shape)[2:] != floor[1:]:
            return "ceil_mode adds a partial window", "ceil_mode=False"
        if isinstance(source, Current):
            return replace(source, pools=(*source.pools, pool))
        return self._pooled(source, pool)

    def _pooled(self, source, pool):
        if pool.kernel == pool.stride == (1, 1) and not any(pool.padding) and pool.divisor == 1:
            return source
        pool = replace(pool, name=self._name(pool.name), source=source.name)
        self.layers.append(pool)
        return Map(pool.name, _pooled_shape(source.shape, pool))

    def same(self, node, a):
        return next(iter(a.values()))

    def dropout(self, node, a):
        return ("is in training mode", "model.eval() before the export") if a["train"] else a["input"]

    def softmax(self, node, a):
        """Allow it as the end only: classes, margins of the argmax and probabilities stay what they are."""
        if any(user.op != "output" for user in node.users) or a["dim"] % 2 != 1:
            return "is not the last operation", "ReLU"
        return next(iter(a.values()))

    def reshape(self, node, a):
        value, shape = next(iter(a.values())), tuple(node.meta["val"].shape)[1:]
        after_pools = value.shape
        for pool in getattr(value, "pools", ()):
            after_pools = _pooled_shape(after_pools, pool)
        if shape == (prod(after_pools),):
            return replace(value, flat=True)
        if shape == tuple(after_pools):
            return replace(value, flat=False)
        return f"makes the map of shape {after_pools} one of {shape}", "nn.Flatten()"


def _pooled_shape(shape, pool):
    return (shape[0], *((n + 2 * p - k) // s + 1
                        for n, p, k, s in zip(shape[1:], pool.padding, pool.kernel, pool.stride)))


def _shown(shape):
    return "[" + ", ".join("N" if i == 0 else str(n) for i, n in enumerate(shape)) + "]"


OPERATIONS = {
    "conv2d": _Walk.conv, "convolution": _Walk.conv, "linear": _Walk.linear, "addmm": _Walk.addmm,
    "batch_norm": _Walk.batch_norm, "_native_batch_norm_legit_no_training": _Walk.batch_norm,
    "relu": _Walk.relu, "add": _Walk.add, "avg_pool2d": _Walk.average, "max_pool2d": _Walk.maximum,
    "max_pool2d_with_indices": _Walk.maximum, "adaptive_avg_pool2d": _Walk.adaptive,
    "_adaptive_avg_pool2d": _Walk.adaptive, "adaptive_max_pool2d": _Walk.adaptive_max, "mean": _Walk.mean,
    "dropout": _Walk.dropout, "softmax": _Walk.softmax, "_softmax": _Walk.softmax,
    "log_softmax": _Walk.softmax, "_log_softmax": _Walk.softmax,
    **dict.fromkeys(SAME, _Walk.same), **dict.fromkeys(RESHAPES, _Walk.reshape),
}
