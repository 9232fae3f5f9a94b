"""The door for PyTorch: a module, an exported program or a ``.pt2`` file becomes a `FloatNetwork`.

The model is exported with `torch.export`, made functional with `run_decompositions({})`, and its ATen graph
walked once.
"""

import copy
import logging
import operator
import warnings
from contextlib import contextmanager
from typing import Any

import torch
from torch.fx.node import map_arg
from torch.utils._pytree import tree_unflatten

from gen.errors import InputError
from gen.model import operations as ops
from gen.model.aten import OPERATIONS, PASSING
from gen.model.builder import Builder
from gen.model.network import FloatNetwork
from gen.model.pt2_archive import plain_archive
from gen.model.values import View

__all__ = ["load_program", "read_program", "trace"]

IMAGES = "Export with such an example."
POINTWISE = {"add", "sub", "rsub", "mul", "div", "clone", "_to_copy"}
LARGEST = 2**27  # numbers in a constant that the graph makes


def read_program(path):
    """Return the exported program in the file ``path``; InputError where there is none."""
    archive = plain_archive(path)
    try:
        with _quiet():
            return torch.export.load(archive)
    except Exception as error:  # torch.export.load lets through whatever a damaged graph leads it into
        raise InputError(
            f"{path} is not an exported PyTorch program ({_line(error).partition(' Please')[0]}). Write one with "
            "torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')."
        ) from error


@contextmanager
def _quiet():
    """Keep torch from logging a traceback, and from asking to look at it."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(disabled)


def trace(module: torch.nn.Module, shape: tuple[int, ...] | None) -> torch.export.ExportedProgram:
    """Return the exported program of an nn.Module for images of ``shape``; the module stays as it is.

    ``shape`` is (C, H, W), which a module may take with channels last, or as (C, W) or (W, C) where H is 1.
    """
    if shape is None:
        raise InputError("To trace a torch.nn.Module, give the shape of an image, (channels, height, width).")
    images = torch.zeros(2, *shape)
    try:
        module = copy.deepcopy(module).cpu().eval().float()
        images = _accepted(module, images)
        return torch.export.export(module, (images,))
    except Exception as error:  # torch.export lets through whatever the model's own forward raises
        raise InputError(
            f"The model cannot be traced by torch.export with images of shape {tuple(images.shape)}: "
            f"{type(error).__name__}: {_line(error)}. Its forward must take one tensor, [N, C, H, W] for images, and "
            "not branch on values; a network of linear layers for images starts with nn.Flatten()."
        ) from error


def _accepted(module, images):
    """Return ``images`` in the first form that ``module`` takes, as they are if it takes none."""
    forms = [images]
    if images.ndim == 4:
        forms.append(images.permute(0, 2, 3, 1))
    if images.ndim == 4 and images.shape[2] == 1:
        forms += [images[:, :, 0], images[:, :, 0].mT]
    for form in forms:
        try:
            with torch.no_grad():
                module(form.contiguous())
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError):
            continue
        return form.contiguous()
    return images


def _line(error):
    lines = [line.strip().rstrip(".") for line in str(error).splitlines()]
    return next(filter(None, lines), type(error).__name__)


def load_program(program: torch.export.ExportedProgram) -> FloatNetwork:
    """Return the `FloatNetwork` of an exported program."""
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its own containers
            program = program.run_decompositions({})
    except Exception as error:  # torch runs the graph on shapes: a damaged one may lead it anywhere
        raise InputError(
            f"The exported program cannot be run ({_line(error)}): it is damaged, or made by another PyTorch. Export "
            "it again."
        ) from error
    count = len(program.graph_signature.user_inputs)
    if count != 1:
        raise InputError(f"The model takes {count} inputs; it must take one, the images.")
    return _Walk(program).network()


class _Walk:
    """One pass over the nodes of a program that its outputs depend on."""

    def __init__(self, program):
        self.build, self.values = Builder(), {}
        signature = program.graph_signature
        names = signature.inputs_to_parameters | signature.inputs_to_buffers
        names |= signature.inputs_to_lifted_tensor_constants
        stored = program.state_dict | program.constants
        self.stored = {node: stored[name] for node, name in names.items()}
        self.nodes, self.last = _alive(program.graph)
        self.results = {node.name: node for node in self.nodes}
        self.results = [self.results.get(name) for name in signature.user_outputs]
        self.names = _names(program.call_spec.out_spec)

    def network(self):
        for node in self.nodes:
            if node.op == "placeholder" and node.name in self.stored:
                self.values[node] = self.stored[node.name]
            elif node.op == "placeholder":
                shape = tuple(node.meta["val"].shape)
                self.values[node] = self.build.image(shape, IMAGES, channels_last=_channels_last(node))
            elif node.op == "call_function":
                self.values[node] = self._value(node)
        return self.build.finish([self.values.get(node) for node in self.results], self.names)

    def _value(self, node):
        """Return what ``node`` computes: a constant, a view, a list of views, or a stand-in after a problem."""
        known = [self.values[n] for n in node.all_input_nodes]
        given = node.meta.get("val")
        shape = tuple(given.shape)[1:] if isinstance(given, torch.Tensor) else None
        if node.target is operator.getitem:
            return self._item(node, known[0], shape)
        schema = getattr(node.target, "_schema", None)
        if schema is None or schema.name == "aten::sym_size":
            return None if given is None or isinstance(given, torch.SymInt | int) else self._refuse(node, shape)
        if all(isinstance(value, torch.Tensor) for value in known):
            return self._constant(node, given, shape)
        op, a = schema.name.removeprefix("aten::").rstrip("_"), {}
        for i, argument in enumerate(schema.arguments):
            value = node.args[i] if i < len(node.args) else node.kwargs.get(argument.name, argument.default_value)
            a[argument.name] = map_arg(value, lambda n: _plain(self.values[n]))
        a["shape"], a["last"] = shape, self.last[node]
        reads = [value for value in known if isinstance(value, View)]
        if op not in OPERATIONS or not reads:
            return self._refuse(node, shape)
        site, shared = _site(node), len(self._readers(node)) > 1 and not self.last[node]
        return self.build.step(site, op, OPERATIONS[op], a, reads=reads, shape=shape, shared=shared)

    def _readers(self, node):
        return [user for user in node.users if user in self.last or user.op == "output"]

    def _refuse(self, node, shape):
        schema = getattr(node.target, "_schema", None)
        op = str(node.target) if schema is None else schema.name.removeprefix("aten::").rstrip("_")
        return self.build.refuse(_site(node), op, shape=shape)

    def _item(self, node, values, shape):
        """Return one of several results; a stand-in where there is none."""
        place, (source,) = node.args[1], node.all_input_nodes
        if not isinstance(values, list):
            return self.build.unknown(_site(node), shape)
        if place >= len(values):
            return self.build.refuse(_site(source), _op(source), "is asked where the largest lies", "its values alone",
                                     shape=shape)
        if len(self._readers(node)) > 1 and not self.last[node]:
            return self.build.step(_site(source), _op(source), ops.settle, values[place], shape=shape)
        return values[place]

    def _constant(self, node, given, shape):
        """Return what ``node`` makes of constants alone."""
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            return self.build.refuse(_site(node), _op(node), "draws random numbers", "constants", shape=shape)
        if isinstance(given, torch.Tensor) and given.numel() > LARGEST:
            reason = f"makes a constant of {given.numel()} numbers"
            return self.build.refuse(_site(node), _op(node), reason, f"at most {LARGEST}", shape=shape)
        return node.target(*map_arg(node.args, self.values.get), **map_arg(node.kwargs, self.values.get))


def _alive(graph):
    """Return the nodes that the output depends on, and of each whether it leads to outputs alone, seen or decoded."""
    output = next(node for node in graph.nodes if node.op == "output")
    alive, waiting = set(), [output]
    while waiting:
        node = waiting.pop()
        if node not in alive:
            alive.add(node)
            waiting += node.all_input_nodes
    nodes = [node for node in graph.nodes if node in alive and node is not output]
    last = {}
    for node in reversed(nodes):
        users = [user for user in node.users if user in alive]
        last[node] = all(user is output or last[user] and _op(user) in PASSING | {"getitem"} for user in users)
    return nodes, last


def _op(node):
    schema = getattr(node.target, "_schema", None)
    return getattr(node.target, "__name__", str(node.target)) if schema is None else (
        schema.name.removeprefix("aten::").rstrip("_"))


def _channels_last(node):
    """Whether whatever reads the input ``node``, scaled or shifted or not, takes its last axis for the channels."""
    rank = node.meta["val"].ndim
    fronted = [0, rank - 1, *range(1, rank - 1)]

    def takes(user):
        op = _op(user)
        if op in POINTWISE:
            return bool(user.users) and all(map(takes, user.users))
        if op == "permute":
            return [axis % rank for axis in user.args[1]] == fronted
        if op == "transpose":
            return rank == 3 and {axis % rank for axis in user.args[1:3]} == {1, 2}
        return op in ("linear", "matmul")

    return rank > 2 and bool(node.users) and all(map(takes, node.users))


def _names(spec):
    """Return the names of a dictionary's outputs, in order; None where the model returns no dictionary."""
    results = tree_unflatten(range(spec.num_leaves), spec)
    if not isinstance(results, dict):
        return None

    def walk(value, path):
        if isinstance(value, dict | list | tuple):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            return [name for key, item in items for name in walk(item, [*path, str(key)])]
        return [(value, ".".join(path))]

    return [name for _, name in sorted(walk(results, []))]


def _plain(value) -> Any:
    """Return constants as float64 arrays; integers stay exact in them."""
    return value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else value


def _site(node):
    """Return the name a user knows: the path of the module, else the name of the operation."""
    stack = node.meta.get("nn_module_stack") or {"": ("", None)}
    return list(stack.values())[-1][0].removeprefix("L['self'].") or node.name
