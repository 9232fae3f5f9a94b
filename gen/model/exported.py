"""The door for PyTorch: a module, an exported program or a ``.pt2`` file becomes a `FloatNetwork`.

The model is exported with `torch.export`, made functional with `run_decompositions({})`, and its ATen graph
walked once.
"""

import copy
import logging
import operator
import warnings

import numpy as np
import torch
from torch.fx.node import map_arg

from gen.errors import InputError
from gen.model import operations as ops
from gen.model.builder import Builder
from gen.model.operations import EVAL, Refused
from gen.model.pt2_archive import plain_archive

__all__ = ["OPERATIONS", "load_program", "read_program", "trace"]

IMAGES = "Put nn.Flatten() before a first linear layer and export with a 4-D example."


def read_program(path):
    """Return the exported program in the file ``path``; InputError where there is none."""
    archive = plain_archive(path)
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # torch logs a traceback, and asks to look at it
    try:
        return torch.export.load(archive)
    except Exception as error:  # torch.export.load lets through whatever a damaged graph leads it into
        raise InputError(
            f"{path} is not an exported PyTorch program ({_line(error).partition(' Please')[0]}). Write one with "
            "torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')."
        ) from error
    finally:
        logging.disable(disabled)


def trace(module, shape):
    """Return the exported program of an nn.Module for images of ``shape`` (C, H, W); the module stays as it is."""
    if shape is None:
        raise InputError("To trace a torch.nn.Module, give the shape of an image, (channels, height, width).")
    images = torch.zeros(2, *shape)
    try:
        module = copy.deepcopy(module).cpu().eval().float()
        return torch.export.export(module, (images,))
    except Exception as error:  # torch.export lets through whatever the model's own forward raises
        raise InputError(
            f"The model cannot be traced by torch.export with images of shape {tuple(images.shape)}: "
            f"{type(error).__name__}: {_line(error)}. Its forward must take one [N, C, H, W] tensor, return "
            "one [N, classes] tensor and not branch on values; a network of linear layers starts with "
            "nn.Flatten()."
        ) from error


def _line(error):
    lines = [line.strip().rstrip(".") for line in str(error).splitlines()]
    return next(filter(None, lines), type(error).__name__)


def load_program(program):
    """Return the `FloatNetwork` of an ExportedProgram."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its own containers
        program = program.run_decompositions({})
    signature = program.graph_signature
    if len(signature.user_inputs) != 1:
        raise InputError(f"The model takes {len(signature.user_inputs)} inputs; it must take one, the images.")
    if len(signature.user_outputs) != 1:
        count = len(signature.user_outputs)
        raise InputError(f"The model returns {count} results; it must return one tensor, [N, classes].")
    names = signature.inputs_to_parameters | signature.inputs_to_buffers
    names |= signature.inputs_to_lifted_tensor_constants
    stored = program.state_dict | program.constants
    build, values = Builder(), {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            known = node.name in names
            shape = None if known else tuple(node.meta["val"].shape)
            values[node] = stored[names[node.name]] if known else build.image(shape, IMAGES)
        elif node.op == "call_function":
            values[node] = _value(build, node, values)
    last = next(node for node in values if node.name == signature.user_outputs[0])
    return build.finish(values[last], _site(last))


def _value(build, node, values):
    """Return what ``node`` computes: a constant, a map, a current, or a stand-in after a problem."""
    known = [values[n] for n in node.all_input_nodes]
    if all(isinstance(value, torch.Tensor) for value in known):
        return node.target(*map_arg(node.args, values.get), **map_arg(node.kwargs, values.get))
    if node.target is operator.getitem:
        return known[0]
    if not hasattr(node.target, "_schema") or node.target._schema.name == "aten::sym_size":
        return None  # arithmetic on sizes: the shapes are known without it
    op, a = node.target._schema.name.removeprefix("aten::").rstrip("_"), {}
    for i, argument in enumerate(node.target._schema.arguments):
        given = node.kwargs.get(argument.name, argument.default_value)
        given = node.args[i] if i < len(node.args) else given
        given = values[given] if isinstance(given, torch.fx.Node) else given
        a[argument.name] = _array(given) if isinstance(given, torch.Tensor) else given
    value = node.meta.get("val")
    a["shape"] = shape = tuple(value.shape)[1:] if isinstance(value, torch.Tensor) else None
    a["last"] = all(user.op == "output" for user in node.users)
    if op not in OPERATIONS:
        return build.refuse(_site(node), op, shape=shape)
    return build.step(_site(node), op, OPERATIONS[op], a, reads=known, shape=shape)


def _array(tensor):
    return tensor.detach().cpu().double().numpy()


def _site(node):
    """Return the name a user knows: the path of the module, else the name of the operation."""
    stack = node.meta.get("nn_module_stack") or {"": ("", None)}
    return list(stack.values())[-1][0].removeprefix("L['self'].") or node.name


def _conv(build, site, a):
    if a.get("transposed"):
        raise Refused("a transposed convolution has no counterpart", "Conv2d")
    geometry = (a[name] for name in ("stride", "padding", "dilation", "groups"))
    return ops.conv(build, site, a["input"], a["weight"], a["bias"], *geometry)


def _linear(build, site, a):
    return ops.linear(build, site, a["input"], a["weight"], a["bias"])


def _addmm(build, site, a):
    weight = a["mat2"].T if ops.is_constant(a["mat2"]) else None
    return ops.linear(build, site, a["mat1"], weight, a["self"])


def _batch_norm(build, site, a):
    if a.get("training"):
        raise Refused("is in training mode", EVAL)
    parameters = (a[name] for name in ("weight", "bias", "running_mean", "running_var", "eps"))
    return ops.batch_norm(build, site, a["input"], *parameters)


def _add(build, site, a):
    if not all(isinstance(a[name], ops.Map | ops.Current | np.ndarray) for name in ("self", "other")):
        raise Refused("adds a constant", "the bias of the convolution")
    return ops.add(build, site, a["self"], a["other"], float(a.get("alpha", 1)))


def _average(build, site, a):
    return ops.average(build, site, a["self"], a["kernel_size"], a["stride"] or a["kernel_size"], a["padding"],
                       a["divisor_override"], a["count_include_pad"], a["ceil_mode"])


def _maximum(build, site, a):
    return ops.maximum(build, site, a["self"], a["kernel_size"], a["stride"] or a["kernel_size"], a["padding"],
                       a["dilation"], a["ceil_mode"])


def _adaptive(build, site, a):
    return ops.adaptive(build, site, a["self"], a["output_size"])


def _adaptive_max(build, site, a):
    return ops.adaptive(build, site, a["self"], a["output_size"], "max")


def _mean(build, site, a):
    return ops.mean(build, site, a["self"], a["dim"], a["keepdim"])


def _pad(build, site, a):
    left, right, top, bottom = (*a["pad"], 0, 0, 0, 0)[:4]
    if any(a["pad"][4:]) or a.get("mode", "constant") != "constant" or a["value"]:
        raise Refused("pads other than with zeros in height and width", "zero padding")
    return ops.pad(build, site, a["self"], (top, left, bottom, right))


def _dropout(build, site, a):
    if a["train"]:
        raise Refused("is in training mode", EVAL)
    return a["input"]


def _softmax(build, site, a):
    return ops.softmax(build, site, next(iter(a.values())), a["dim"], a["last"])


def _reshape(build, site, a):
    return ops.reshape(build, site, next(iter(a.values())), a["shape"])


def _same(build, site, a):
    return next(iter(a.values()))


OPERATIONS = {
    "conv2d": _conv, "convolution": _conv, "linear": _linear, "addmm": _addmm,
    "batch_norm": _batch_norm, "_native_batch_norm_legit_no_training": _batch_norm,
    "relu": lambda build, site, a: ops.fire(build, site, a["self"]), "add": _add,
    "avg_pool2d": _average, "max_pool2d": _maximum, "max_pool2d_with_indices": _maximum,
    "adaptive_avg_pool2d": _adaptive, "_adaptive_avg_pool2d": _adaptive, "adaptive_max_pool2d": _adaptive_max,
    "mean": _mean, "constant_pad_nd": _pad, "pad": _pad, "dropout": _dropout,
    **dict.fromkeys(("softmax", "_softmax", "log_softmax", "_log_softmax"), _softmax),
    **dict.fromkeys(("clone", "alias", "detach", "contiguous", "lift_fresh_copy", "_to_copy", "to"), _same),
    **dict.fromkeys(
        ("view", "reshape", "flatten", "_unsafe_view", "squeeze", "unsqueeze", "unflatten"), _reshape
    ),
}
