"""The graph of a ``.pt2`` file as text, checked before PyTorch makes a program of it.

PyTorch evaluates some of this text: sizes are SymPy expressions, operations and enumerations are looked up by name in
any module, guards are Python. Here a size is made of numbers, names and a few functions; an operation is one of
PyTorch's own that computes; a nest of results is of tuples, lists and dictionaries.
"""

from __future__ import annotations

import ast
import json
import re

import torch

__all__ = ["PLAIN", "NotPlain", "check_graph", "on_cpu"]

TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
ON_SIZES = {
    *("eq", "ne", "le", "ge", "lt", "gt", "neg", "pos", "add", "sub", "mul", "floordiv", "mod", "truediv", "getitem"),
}
WRAPPERS = {f"torch.ops.higher_order.wrap_with_{what}" for what in ("set_grad_enabled", "autocast")}
EXPRESSIONS = {"Symbol", "Integer", "Add", "Mul", "Max", "Min", "Mod", "PythonMod", "FloorDiv", "CeilDiv", "CleanDiv"}
SYMBOL = re.compile(r"[a-z]{1,4}\d{1,4}")
PLAIN = "The weights and constants of the model must be plain tensors."


class NotPlain(Exception):
    """Why a file is not taken: the rest of a sentence that begins with its name."""


def check_graph(graph: dict) -> None:
    """Refuse a graph with anything that would be evaluated or called; take from it what is of no use."""
    graph["guards_code"], graph["graph_module"]["metadata"] = [], {}
    on_cpu(graph)
    for value in _objects(graph):
        if "target" in value and "inputs" in value:
            _check_operation(value)
            value["metadata"] = {k: v for k, v in value["metadata"].items() if k == "nn_module_stack"}
        for key in ("in_spec", "out_spec"):
            if value.get(key) is not None:
                _check_tree(value[key])
        if "expr_str" in value:
            _check_expression(value["expr_str"])
        for key in ("as_custom_obj", "custom_obj", "as_operator", "custom_obj_values"):
            if value.get(key):
                raise NotPlain(f"has an object in its graph ({key}) that is no tensor. {PLAIN}")
    for name in graph.get("range_constraints") or ():
        if not SYMBOL.fullmatch(name):
            raise NotPlain(f"has a free size with the strange name {name!r}. Write it anew.")


def on_cpu(table: dict) -> None:
    """Say of every tensor that it is on the CPU: a model exported on a GPU is read where there is none."""
    for value in _objects(table):
        for key in ("device", "as_device"):
            if isinstance(value.get(key), dict) and "type" in value[key]:
                value[key] = {"type": "cpu", "index": None}


def _objects(value):
    """Yield every JSON object inside ``value``, from the outside in."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_operation(node):
    """Refuse a call of anything but operations of PyTorch's own that compute tensors or sizes."""
    target = node["target"] if isinstance(node["target"], str) else repr(node["target"])
    kind, _, name = target.rpartition(".")
    if kind == "_operator" and name in ON_SIZES:
        if name != "mul" or any("as_int" in part for part in _objects(node["inputs"])):
            return
        raise NotPlain("multiplies two sizes that are not fixed; only N may be free. Export it with fixed sizes.")
    if target in WRAPPERS or re.fullmatch(r"torch\.sym_\w+|math\.trunc", target):
        return
    match = re.fullmatch(r"torch\.ops\.(aten|prims)\.(\w+)\.(\w+)", target)
    operation = getattr(getattr(getattr(torch.ops, match[1]), match[2], None), match[3], None) if match else None
    if not match or not isinstance(operation, torch._ops.OpOverload):
        raise NotPlain(
            f"calls {target}, which is no operation of PyTorch's own: its code is not part of the file. Write the "
            "model with operations of PyTorch, or run_decompositions() before saving."
        )
    schema, checks = operation._schema, match[2].startswith(("_assert_", "sym_constrain_range"))
    if not (schema.returns or checks) or any(argument.name == "filename" for argument in schema.arguments):
        raise NotPlain(f"calls {target}, which does something else than compute. Leave it out of the model.")


def _check_tree(text):
    """Refuse a description of nested inputs or outputs that names a class beyond tuples, lists and dictionaries."""
    try:
        _, tree = json.loads(text)
        waiting = [tree]
        for node in waiting:
            if node["type"] not in TREES:
                raise NotPlain(f"takes or returns {node['type']!r}. Return tensors, in tuples, lists or dictionaries.")
            context = json.loads(node["context"]) if node["context"] is not None else None
            if not (context is None or isinstance(context, list) and all(isinstance(key, str) for key in context)):
                raise NotPlain("takes or returns a dictionary whose keys are no text. Name results by text.")
            waiting += node["children_spec"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotPlain(f"does not say what it takes and returns ({error}). Write it anew.") from error


def _check_expression(text):
    """Refuse a size that is more than sums, products and quotients of whole numbers and names."""
    try:
        tree = ast.parse(text, mode="eval") if isinstance(text, str) and len(text) < 1000 else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None or not all(map(_is_plain, ast.walk(tree))):
        raise NotPlain(f"has a size that is no plain expression: {str(text)[:80]!r}. Export it with fixed sizes.")


def _is_plain(node):
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in EXPRESSIONS
    if isinstance(node, ast.Name):
        return node.id in EXPRESSIONS or SYMBOL.fullmatch(node.id) is not None
    if isinstance(node, ast.Constant):
        value = node.value
        return isinstance(value, int) and abs(value) < 2**40 or isinstance(value, str) and SYMBOL.fullmatch(value)
    return isinstance(node, ast.Expression | ast.Load | ast.keyword | ast.UnaryOp | ast.USub | ast.BinOp | ast.Add
                      | ast.Sub | ast.Mult)
