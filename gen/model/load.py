"""A trained PyTorch model becomes a `FloatNetwork`: module, exported program or `.pt2` file alike.

The model is exported with `torch.export`, made functional with `run_decompositions({})`, and its ATen graph
walked once with the operations of `gen.model.operations`. Whatever has no meaning there is noted, replaced by a
stand-in and walked past, so that one `UnsupportedModel` lists every problem.
"""

import copy
import logging
import operator
import warnings
import zipfile
from math import prod
from pathlib import Path

import torch
from torch.fx.node import map_arg

from gen.errors import InputError, UnsupportedModel
from gen.intnet import INPUT
from gen.model.network import FloatNetwork, Layer
from gen.model.operations import FORMS, OPERATIONS, Current, Map, is_constant

__all__ = ["load"]

SUPPORTED = "supported are Conv2d, Linear, BatchNorm, ReLU, pools, residual adds and Flatten"


def load(module, shape=None):
    """Return the `FloatNetwork` of ``module``: an ExportedProgram, the path of a .pt2 file or an nn.Module.

    ``shape`` is the (C, H, W) of an image; only a module needs it, which is traced and otherwise left alone.

    Raises InputError for a file that is none, a model that cannot be traced, NaN weights; UnsupportedModel
    with every problem for a model outside the contract.
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its own containers
        program = module.run_decompositions({})
    return _Walk(program).network()


def _read(path):
    if not path.is_file():
        raise InputError(f"There is no model file {path}.")
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # torch logs a traceback, and asks to look at it
    try:
        return torch.export.load(path)
    except (RuntimeError, ValueError, KeyError, OSError, AssertionError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not an exported PyTorch program ({_line(error).partition(' Please')[0]}). Write one with "
            "torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')."
        ) from error
    finally:
        logging.disable(disabled)


def _trace(module, shape):
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


class _Walk:
    """One pass over the graph of an exported program."""

    def __init__(self, program):
        self.program, self.layers, self.problems, self.values = program, [], [], {}
        self.fired, self.names = {}, {INPUT}

    def network(self):
        signature = self.program.graph_signature
        names = signature.inputs_to_parameters | signature.inputs_to_buffers
        names |= signature.inputs_to_lifted_tensor_constants
        stored = self.program.state_dict | self.program.constants
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                known = node.name in names
                self.values[node] = stored[names[node.name]] if known else self._image(node, signature)
            elif node.op == "call_function":
                self.values[node] = self._value(node)
            elif node.op == "output":
                self._finish(node.args[0], signature)
        if self.problems:
            raise UnsupportedModel(self.problems)
        return FloatNetwork(self.shape, tuple(self._used()))

    def _image(self, node, signature):
        if len(signature.user_inputs) != 1:
            count = len(signature.user_inputs)
            raise InputError(f"The model takes {count} inputs; it must take one, the images.")
        shape = tuple(node.meta["val"].shape)
        if len(shape) != 4:
            raise InputError(
                f"The model takes an input of shape {_shown(shape)}; it must take images [N, C, H, W]. "
                "Put nn.Flatten() before a first linear layer and export with a 4-D example."
            )
        if not all(isinstance(n, int) for n in shape[1:]):
            raise InputError(
                f"The model takes images of a size that is not fixed, {_shown(shape)}; only N may be. "
                "Export it again without dynamic_shapes for height and width."
            )
        self.shape = shape[1:]
        return Map(INPUT, self.shape)

    def _finish(self, results, signature):
        names = set(signature.user_outputs)
        results = [r for r in results if getattr(r, "name", None) in names]
        if len(signature.user_outputs) != 1 or len(results) != 1:
            count = len(signature.user_outputs)
            raise InputError(f"The model returns {count} results; it must return one tensor, [N, classes].")
        value, shape = self.values[results[0]], tuple(results[0].meta["val"].shape)
        if len(shape) != 2:
            raise InputError(
                f"The model returns a tensor of shape {_shown(shape)}; it must return one score per class, "
                "[N, classes]. Pool or flatten it and end with nn.Linear."
            )
        if isinstance(value, Current):
            if prod(value.shape[1:]) != 1:
                self._refuse(value.name, "output", "a map of several positions", "nn.Linear at the end")
            name = self.fresh_name(value.name or self.site(results[0]))
            self.layers.append(Layer(name, value.synapses, value.bias, fires=False))
        elif not _is_stand_in(value):
            self._refuse(value.name, "output", "the last layer fires or pools", "nn.Linear at the end")

    def _used(self):
        """Keep what the readout depends on, in order."""
        wanted = {self.layers[-1].name}
        for layer in reversed(self.layers):
            if layer.name in wanted:
                wanted.update(layer.sources)
        return [layer for layer in self.layers if layer.name in wanted]

    def _value(self, node):
        """Return what ``node`` computes: a constant, a map, a current, or a stand-in after a problem."""
        known = [self.values[n] for n in node.all_input_nodes]
        if all(map(is_constant, known)):
            return node.target(*map_arg(node.args, self.values.get), **map_arg(node.kwargs, self.values.get))
        if node.target is operator.getitem:
            return self._unknown(node) if _is_stand_in(known[0]) else known[0]
        if not hasattr(node.target, "_schema") or node.target._schema.name == "aten::sym_size":
            return None  # arithmetic on sizes: the shapes are known without it
        op, a = node.target._schema.name.removeprefix("aten::").rstrip("_"), {}
        for i, argument in enumerate(node.target._schema.arguments):
            given = node.kwargs.get(argument.name, argument.default_value)
            given = node.args[i] if i < len(node.args) else given
            a[argument.name] = self.values[given] if isinstance(given, torch.fx.Node) else given
        if op not in OPERATIONS:
            self._refuse(self.site(node), op, "is outside the contract", FORMS.get(op))
            return self._unknown(node)
        result = OPERATIONS[op](self, node, a)
        if not isinstance(result, str | tuple):
            return result
        self._refuse(self.site(node), op, *((result,) if isinstance(result, str) else result))
        return self._unknown(node)

    def _refuse(self, name, op, reason, form=None):
        advice = f"nearest supported form: {form}" if form else SUPPORTED
        self.problems.append(f"{name} ({op}): {reason}; {advice}")

    def _unknown(self, node):
        """Return a stand-in, so that the walk finds the other problems too."""
        value = node.meta.get("val")
        shape = tuple(value.shape)[1:] if is_constant(value) else ()
        return Map("?" + node.name, (*shape, 1, 1, 1)[: max(3, len(shape))], flat=len(shape) == 1)

    def site(self, node):
        """Return the name a user knows: the path of the module, else the name of the operation."""
        stack = node.meta.get("nn_module_stack") or {"": ("", None)}
        return list(stack.values())[-1][0].removeprefix("L['self'].") or node.name

    def fresh_name(self, site):
        """Return ``site``, numbered where a layer has that name already (a module called twice)."""
        name, copies = site, 1
        while name in self.names:
            copies += 1
            name = f"{site}.{copies}"
        self.names.add(name)
        return name


def _is_stand_in(value):
    return isinstance(value, Map) and value.name.startswith("?")


def _shown(shape):
    return "[" + ", ".join("N" if i == 0 else str(n) for i, n in enumerate(shape)) + "]"
