"""The door for NIR: a graph of convolutions, linear layers, pools and IF neurons becomes a `FloatNetwork`.

NIR states neurons in continuous time, where a membrane never passes its threshold: there, going back to
``v_reset`` = 0 and subtracting the threshold are the same, and a neuron may spike several times within one
timestep. Both are what a burst neuron does in steps. So ``v_reset`` must be 0 and is taken as the soft reset; one
timestep is one unit of time; ``r`` scales what reaches the neuron; the input is the normalised image. A spike
counts 1, so what reads a neuron sees its activation divided by its threshold. A graph that ends in neurons is read
out by counting their spikes, as the field does.
"""

from __future__ import annotations

from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from gen.errors import InputError
from gen.model import operations as ops
from gen.model.builder import Builder
from gen.model.network import FloatNetwork
from gen.model.nir_archive import read_tree
from gen.model.nir_nodes import OPERATIONS, passed
from gen.model.optional import need
from gen.model.values import View

__all__ = ["load_nir", "read_nir"]

nir = need("nir")

IMAGES = "Give its Input node the shape (channels, height, width)."
MAX_MAP = 2**26  # numbers


def read_nir(path: str | Path) -> Any:
    """Return the `nir.NIRGraph` in the file ``path``; InputError where there is none."""
    try:
        with np.errstate(all="ignore"):  # nir divides by strides before anybody has looked at them
            return nir.dict2NIRNode(read_tree(path) | {"type_check": False})  # as nir.read; its check refuses groups
    except InputError:
        raise
    except Exception as error:  # the constructors of nir's nodes let through whatever a strange value leads them into
        text = str(error).strip() or type(error).__name__
        raise InputError(
            f"{path} is not a NIR graph ({text.splitlines()[0]}): it is truncated, or of another kind. Copy it "
            "again, or write one with nir.write('model.nir', graph)."
        ) from error


def load_nir(graph: Any, shape: tuple[int, int, int] | None = None) -> FloatNetwork:
    """Return the `FloatNetwork` of a `nir.NIRGraph`; ``shape`` (C, H, W) where its input is a vector of pixels.

    It is one of frames where the metadata of the graph say so: ``frames`` is true.
    """
    network = _Walk(graph).network(shape)
    return replace(network, frames=True) if np.any(graph.metadata.get("frames", False)) else network


class _Walk:
    """One pass over a graph, each node after those that lead to it."""

    def __init__(self, graph):
        self.nodes, edges = _unnested(graph)
        self.sources = {name: [] for name in self.nodes}
        self.readers = {name: [] for name in self.nodes}
        for a, b in edges:
            missing = [name for name in (a, b) if name not in self.nodes]
            if missing:
                raise InputError(f"The NIR graph has edges of nodes that it does not have: {', '.join(missing)}.")
            if a in self.sources[b]:
                raise InputError(f"The NIR graph has the edge from {a} to {b} twice. Drop one, or scale by 2.")
            self.sources[b].append(a)
            self.readers[a].append(b)
        self.build = Builder()

    def network(self, shape):
        """Return the network; ``shape`` as in `load_nir`."""
        images, outputs = ([name for name, node in self.nodes.items() if isinstance(node, kind)]
                           for kind in (nir.Input, nir.Output))
        if len(images) != 1 or not outputs:
            raise InputError(
                f"The NIR graph has {len(images)} inputs and {len(outputs)} results (Input and Output nodes); it must "
                "have one input, and results."
            )
        values = {images[0]: self._image(self.nodes[images[0]], shape)}
        for name in self._order(images[0]):
            values[name] = self._value(name, [values[source] for source in self.sources[name]])
        return self.build.finish([values[name] for name in outputs], outputs)

    def _value(self, name, reads):
        """Return what the node ``name`` makes of ``reads``, which are summed where edges meet."""
        node, value = self.nodes[name], reads[0]
        op, shape, shared = type(node).__name__, _declared(node), len(self.readers[name]) > 1
        for other in reads[1:]:
            value = self.build.step(name, op, ops.add, value, other, reads=(value, other))
        operation = passed if isinstance(node, _Border) else OPERATIONS.get(op)
        if operation is None:
            return self.build.refuse(name, op, shape=shape)
        last = all(isinstance(self.nodes[reader], nir.Output) for reader in self.readers[name])
        return self.build.step(name, op, operation, value, node, last, reads=(value,), shape=shape, shared=shared)

    def _image(self, node, shape) -> View:
        sizes = _sizes(node.input_type["input"]) or ()
        if len(sizes) == 1 and shape is not None and prod(shape) == sizes[0]:
            return ops.reshape(self.build, "", self.build.image(("N", *shape), IMAGES), sizes)
        return self.build.image(("N", *sizes), IMAGES)

    def _order(self, image):
        """Return the names of all nodes after the input, each after its sources."""
        lost = [name for name in self.nodes if not self.sources[name] and name != image]
        if lost:
            names = ", ".join(lost)
            raise InputError(f"The NIR graph has nodes that nothing leads to: {names}. Connect or drop them.")
        try:
            return [name for name in TopologicalSorter(self.sources).static_order() if name != image]
        except CycleError as error:
            raise InputError(
                f"The NIR graph has a cycle through {', '.join(sorted(set(error.args[1])))}. Recurrent networks are "
                "outside the contract; cut the edge that leads back."
            ) from error


class _Border:
    """The border of a subgraph: what enters leaves."""


def _unnested(graph):
    """Return (nodes, edges) with subgraphs put in place of their nodes: ``block.conv``."""
    nodes, edges, ends = {}, [], {}
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            nodes[name] = node
            continue
        inner, links = _unnested(node)
        inputs = [inside for inside, what in inner.items() if isinstance(what, nir.Input)]
        outputs = [inside for inside, what in inner.items() if isinstance(what, nir.Output)]
        if len(inputs) != 1 or len(outputs) != 1:
            raise InputError(f"The NIR subgraph {name} must have one Input and one Output node.")
        for inside, what in inner.items():
            passes = isinstance(what, nir.Input | nir.Output)
            nodes[f"{name}.{inside}"] = _Border() if passes else what
        edges += [(f"{name}.{a}", f"{name}.{b}") for a, b in links]
        ends[name] = f"{name}.{inputs[0]}", f"{name}.{outputs[0]}"
    edges += [(ends.get(a, (a, a))[1], ends.get(b, (b, b))[0]) for a, b in graph.edges]
    return nodes, edges


def _declared(node):
    """Return the shape of what ``node`` puts out as it says itself, None where it does not."""
    return _sizes((getattr(node, "output_type", None) or {}).get("output"))


def _sizes(shape):
    """Return ``shape`` as a tuple of integers from 1 up, None where it is none or too large to look at."""
    shape = np.ravel(shape)
    whole = shape.dtype.kind in "iu" and (shape > 0).all() and prod(shape.tolist()) <= MAX_MAP
    return tuple(shape.tolist()) if whole else None
