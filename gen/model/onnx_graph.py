"""What an ONNX model must be before its graph is walked: whole, bounded, in order.

A model file is data, and nobody vouches for it. Names, sizes, calls and edges are looked at here, in time proportional
to the file; what is wrong is named as what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import Any

from gen.errors import InputError
from gen.model.onnx_sequences import without_sequences
from gen.model.optional import need

__all__ = [
    "MAX_NODES", "MAX_NUMBERS", "PARTS_MISSING", "STANDARD", "Graph", "check_model", "first_line", "inlined",
    "is_whole", "node_name", "sizes",
]

onnx, inliner = need("onnx"), need("onnx.inliner")
Message = need("google.protobuf.message").Message

VENDOR = "com.microsoft"
VENDORS_COPIES = {"QuantizeLinear", "DequantizeLinear"}  # of what ONNX itself has, for types that it lacked at the time
PARTS_MISSING = "names no version, no opset or no graph"
MAX_NODES = 2**16  # functions counted as often as they are called
MAX_NUMBERS = 2**28  # of all weights together; as many may be computed from them
STANDARD = ("", "ai.onnx")  # the two names of ONNX's own domain


def check_model(model) -> None:
    """Raise InputError for what is no model, has broken names or too many numbers."""
    if not is_whole(model):
        raise InputError(f"The ONNX model {PARTS_MISSING}. Write one with torch.onnx.export.")
    numbers = 0
    for message in _messages(model):
        for field, value in message.ListFields():
            if field.type == field.TYPE_STRING:
                broken = [text for text in ([value] if isinstance(value, bytes) else value) if isinstance(text, bytes)]
                if broken:
                    raise InputError(f"The ONNX model is damaged: the name {broken[0]!r} is not UTF-8. Copy it again.")
        if isinstance(message, onnx.TensorProto):
            if any(size < 0 for size in message.dims):
                raise InputError(
                    f"The ONNX model is damaged: its tensor {message.name!r} has a negative size, "
                    f"{list(message.dims)}. Copy it again."
                )
            numbers += prod(message.dims)
    if numbers > MAX_NUMBERS:
        raise InputError(f"The tensors of the ONNX model hold {numbers} numbers; {MAX_NUMBERS} are read at most.")


def is_whole(model) -> bool:
    """Return whether a ModelProto says of what version it is, and has a graph."""
    return bool(model.ir_version) and model.HasField("graph") and len(model.opset_import) > 0


def _messages(message) -> Iterator[Any]:
    """Yield ``message`` and every message in it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in [value] if isinstance(value, Message) else value:
                yield from _messages(part)


def inlined(model):
    """Return ``model`` with every call of a function of its own replaced by the function's nodes."""
    _check_calls(model)
    return inliner.inline_local_functions(model, convert_version=True) if model.functions else model


def _check_calls(model) -> None:
    """Raise InputError for a function that calls itself, and for more nodes than MAX_NODES after inlining."""
    bodies = {(function.domain, function.name): _calls(function) for function in model.functions}
    calls = {name: set(called) & bodies.keys() for name, called in bodies.items()}
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        raise InputError(f"Functions of the ONNX model call each other in a circle: {error.args[1]}.") from error
    sizes: dict[tuple[str, str], int] = {}
    for name in order:
        sizes[name] = sum(count * sizes.get(called, 1) for called, count in bodies[name].items())
    total = sum(count * sizes.get(called, 1) for called, count in _calls(model.graph).items())
    if total > MAX_NODES:
        raise InputError(f"The ONNX model has {total} nodes; {MAX_NODES} are walked at most.")


def _calls(message) -> Counter:
    """Return (domain, operation) of all nodes in ``message``, subgraphs included, to how often it occurs."""
    nodes = (part for part in _messages(message) if isinstance(part, onnx.NodeProto))
    return Counter((node.domain, node.op_type) for node in nodes)


@dataclass(frozen=True)
class Graph:
    """What the outputs of a model depend on.

    inputs : ValueInfoProto of each input that is no weight
    outputs : names of the tensors that the model returns
    initializers : name to TensorProto
    nodes : NodeProto of what the outputs need, each after what it reads
    declared : name of a tensor to the sizes that the file states for it
    """

    inputs: tuple
    outputs: tuple[str, ...]
    initializers: dict
    nodes: tuple
    declared: dict[str, tuple]

    @classmethod
    def of(cls, graph) -> Graph:
        """Return what a GraphProto computes; InputError for an edge to nothing, a circle, a tensor made twice."""
        initializers = {tensor.name: tensor for tensor in graph.initializer}
        inputs = tuple(info for info in graph.input if info.name not in initializers)  # format 3 lists both
        outputs = tuple(info.name for info in graph.output)
        sparse = [tensor.values.name for tensor in graph.sparse_initializer]
        if sparse:
            raise InputError(f"The ONNX model keeps weights in a sparse form: {', '.join(sparse)}. Make them dense.")
        nodes = without_sequences((_of_onnx(node) for node in graph.node), initializers)
        made = _makers(nodes, {*initializers, *(info.name for info in inputs)})
        _check_edges(nodes, outputs, {*initializers, *made, *(info.name for info in inputs)})
        declared = {info.name: sizes(info) for info in [*graph.value_info, *graph.output]}
        return cls(inputs, outputs, initializers, _needed(outputs, made), declared)


def _of_onnx(node):
    """Return ``node``, or ONNX's own in place of a vendor's copy."""
    if node.domain != VENDOR or node.op_type not in VENDORS_COPIES:
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.domain = ""
    return copy


def _makers(nodes: Iterable, given: set[str]) -> dict:
    """Return name of every tensor to (place, node) that makes it."""
    made = {}
    for place, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in made or name in given:
                raise InputError(f"The ONNX model makes the tensor {name!r} twice, again in {node_name(node)}.")
            made[name] = place, node
    return made


def _check_edges(nodes: Iterable, outputs: Iterable[str], known: set[str]) -> None:
    lost = [f"{node_name(node)} ({node.op_type}) reads {name!r}" for node in nodes for name in node.input
            if name and name not in known]
    lost += [f"the model returns {name!r}" for name in outputs if name not in known]
    if lost:
        raise InputError(
            f"The ONNX model has edges to nothing: {'; '.join(lost)}, which no node makes and no weight is called. "
            "A tool that cuts or edits graphs left them; export the model again."
        )


def _needed(outputs: Iterable[str], made: dict) -> tuple:
    """Return the nodes that ``outputs`` depend on, in the order of the file where that is one of execution."""
    nodes, reads, waiting = {}, {}, [name for name in outputs if name in made]
    while waiting:
        place, node = made[waiting.pop()]
        if place not in nodes:
            nodes[place] = node
            sources = [name for name in node.input if name in made]
            reads[place] = {made[name][0] for name in sources}
            waiting += sources
    if any(source >= place for place, sources in reads.items() for source in sources):
        try:
            return tuple(nodes[place] for place in TopologicalSorter(reads).static_order())
        except CycleError as error:
            circle = " -> ".join(node_name(nodes[place]) for place in error.args[1])
            raise InputError(f"The ONNX model has a circle, {circle}: a network must be without.") from error
    return tuple(nodes[place] for place in sorted(nodes))


def sizes(info) -> tuple[int | str, ...]:
    """Return the sizes in a ValueInfoProto, N included: a number where fixed, else the name that is given to it."""
    return tuple(size.dim_value or size.dim_param or "?" for size in info.type.tensor_type.shape.dim)


def node_name(node) -> str:
    """Return what a node is called: its own name, else that of its first output."""
    return node.name or next(filter(None, node.output), node.op_type)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, without a full stop."""
    lines = (text.strip().rstrip(".:") for text in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
