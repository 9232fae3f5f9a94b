"""The door for NIR: a graph of convolutions, linear layers, pools and IF neurons becomes a `FloatNetwork`.

NIR states neurons in continuous time, where a membrane never passes its threshold: there, going back to
``v_reset`` = 0 and subtracting the threshold are the same, and a neuron may spike several times within one
timestep. Both are what a burst neuron does in steps. So ``v_reset`` must be 0 and is taken as the soft reset; one
timestep is one unit of time; ``r`` scales what reaches the neuron; the input is the normalised image. A spike
counts 1, so the weights behind a neuron are divided by its threshold, and the float network sees activations.
"""

from dataclasses import replace

import numpy as np

from gen.errors import InputError
from gen.model import operations as ops
from gen.model.builder import Builder
from gen.model.operations import Current, Refused
from gen.model.optional import need

__all__ = ["OPERATIONS", "load_nir", "read_nir"]

nir = need("nir")

IMAGES = "Give its Input node the shape (channels, height, width)."


def read_nir(path):
    """Return the `nir.NIRGraph` in the file ``path``; InputError where there is none."""
    try:
        return nir.read(path, type_check=False)  # nir's own refuses groups; the operations check shapes
    except (OSError, KeyError, ValueError, TypeError, AssertionError, AttributeError, RuntimeError) as error:
        text = str(error).strip() or type(error).__name__
        raise InputError(
            f"{path} is not a NIR graph ({text.splitlines()[0]}): it is truncated, or of another kind. Copy it "
            "again, or write one with nir.write('model.nir', graph)."
        ) from error


def load_nir(graph, shape=None):
    """Return the `FloatNetwork` of a `nir.NIRGraph`; ``shape`` (C, H, W) where its input is a vector of pixels."""
    return _Walk(graph).network(shape)


class _Walk:
    """One pass over a graph, each node after those that lead to it."""

    def __init__(self, graph):
        self.nodes, self.edges = _unnested(graph)
        self.sources = {name: [a for a, b in self.edges if b == name] for name in self.nodes}
        self.build, self.thresholds = Builder(), {}

    def network(self, shape):
        image, output = self._only(nir.Input, "inputs"), self._only(nir.Output, "results")
        values = {image: self._image(self.nodes[image], shape)}
        for name in self._order(image):
            node, reads = self.nodes[name], [values[source] for source in self.sources[name]]
            op, value = type(node).__name__, reads[0]
            shape = _declared(node)
            for other in reads[1:]:  # edges that meet are summed
                value = self.build.step(name, op, ops.add, value, other, reads=(value, other))
            if op in OPERATIONS:
                values[name] = self.build.step(name, op, OPERATIONS[op], node, value, self, reads=(value,), shape=shape)
            else:
                values[name] = self.build.refuse(name, op, shape=shape)
        result = values[output]
        return self.build.finish(self.in_activations(result) if isinstance(result, Current) else result, output)

    def _only(self, kind, what):
        names = [name for name, node in self.nodes.items() if isinstance(node, kind)]
        if len(names) != 1:
            raise InputError(f"The NIR graph has {len(names)} {what} ({kind.__name__} nodes); it must have one.")
        return names[0]

    def _image(self, node, shape):
        sizes = node.input_type["input"]
        sizes = () if sizes is None else tuple(int(n) for n in np.ravel(sizes))
        if len(sizes) == 1 and shape is not None and np.prod(shape) == sizes[0]:
            return replace(self.build.image(("N", *shape), IMAGES), seen=sizes)
        return self.build.image(("N", *sizes), IMAGES)

    def _order(self, image):
        """Return the names of all nodes after the input that something reaches, each after its sources."""
        missing = {name for edge in self.edges for name in edge} - set(self.nodes)
        if missing:
            names = ", ".join(sorted(missing))
            raise InputError(f"The NIR graph has edges of nodes that it does not have: {names}.")
        lost = [name for name in self.nodes if not self.sources[name] and name != image]
        if lost:
            names = ", ".join(lost)
            raise InputError(f"The NIR graph has nodes that nothing leads to: {names}. Connect or drop them.")
        done, order = {image}, []
        waiting = [name for name in self.nodes if name != image]
        while waiting:
            ready = [name for name in waiting if done.issuperset(self.sources[name])]
            if not ready:
                raise InputError(
                    f"The NIR graph has a cycle through {', '.join(waiting)}. Recurrent networks are outside the "
                    "contract; cut the edge that leads back."
                )
            order += ready
            done.update(ready)
            waiting = [name for name in waiting if name not in done]
        return order

    def in_activations(self, current):
        """Return ``current`` with weights that read activations where those of NIR read spikes."""
        synapses = tuple(
            replace(s, weight=s.input_scaled(1 / self.thresholds[s.source])) if s.source in self.thresholds else s
            for s in current.synapses
        )
        return replace(current, synapses=synapses)


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
            nodes[f"{name}.{inside}"] = _Passes() if passes else what
        edges += [(f"{name}.{a}", f"{name}.{b}") for a, b in links]
        ends[name] = f"{name}.{inputs[0]}", f"{name}.{outputs[0]}"
    edges += [(ends.get(a, (a, a))[1], ends.get(b, (b, b))[0]) for a, b in graph.edges]
    return nodes, edges


class _Passes:
    """The border of a subgraph: what enters leaves."""


def _declared(node):
    """Return the shape of what ``node`` puts out as it says itself, None where it does not."""
    shape = (getattr(node, "output_type", None) or {}).get("output")
    return None if shape is None else tuple(int(n) for n in shape)


def _float(array):
    return np.asarray(array, float)


def _numbers(value):
    """Return a stride, padding or the like as what `operations` takes: same, valid or integers."""
    return value if isinstance(value, str) else np.ravel(value).tolist()


def _conv(build, site, node, value, walk):
    padding, stride = _numbers(node.padding), _numbers(node.stride)
    if padding == "same" and any(n != 1 for n in stride):
        raise Refused("has 'same' padding and a stride", "explicit padding")
    bias = None if node.bias is None else _float(node.bias)
    return ops.conv(build, site, value, _float(node.weight), bias, stride, padding, _numbers(node.dilation),
                    int(node.groups))


def _linear(build, site, node, value, walk):
    bias = _float(node.bias) if hasattr(node, "bias") else None
    return ops.linear(build, site, value, _float(node.weight), bias)


def _if(build, site, node, value, walk):
    if np.any(node.v_reset):
        form = "v_reset = 0, which is taken as subtracting the threshold"
        raise Refused("resets to a v_reset that is not 0", form)
    threshold, r = (_per_channel(getattr(node, name), name, value) for name in ("v_threshold", "r"))
    if not (threshold > 0).all():
        raise Refused("has a threshold that is not positive", "v_threshold > 0")
    current = ops.scaled(build, site, walk.in_activations(ops.as_current(value)), r)
    result = ops.fire(build, site, replace(current, name=site), threshold)
    walk.thresholds[result.name] = threshold
    return result


def _scale(build, site, node, value, walk):
    return ops.scaled(build, site, value, _per_channel(node.scale, "scale", value))


def _per_channel(array, name, value):
    """Return a parameter of every neuron of ``value`` as one of every channel, float64 [C]."""
    array, channels = _float(array), value.shape[0]
    if array.size != 1 and array.shape != value.seen:
        raise Refused(f"has a {name} of shape {array.shape} for neurons of shape {value.seen}", "one shape")
    rows = np.broadcast_to(array, value.seen if array.size == 1 else array.shape).reshape(channels, -1)
    if not np.isfinite(rows).all() or (rows != rows[:, :1]).any():
        raise Refused(f"has a {name} that differs within a channel", f"one {name} for each channel")
    return rows[:, 0].copy()


def _pool(average):
    def pool(build, site, node, value, walk):
        kernel, stride, padding = map(_numbers, (node.kernel_size, node.stride, node.padding))
        result = ops.average(build, site, value, kernel, stride, padding, None if average else 1)
        if value.name in walk.thresholds:  # a pool counts the spikes of what it pools
            walk.thresholds[result.name] = walk.thresholds[value.name]
        return result

    return pool


def _flatten(build, site, node, value, walk):
    rank = len(value.seen)
    start, end = int(node.start_dim), int(node.end_dim)
    if not -rank <= start < rank or not -rank <= end < rank:
        raise Refused(f"flattens dimensions {start} to {end} of {list(value.seen)}", "start_dim=0, end_dim=-1")
    start, end = start % rank, end % rank + 1
    joined = int(np.prod(value.seen[start:end]))
    return ops.reshape(build, site, value, (*value.seen[:start], joined, *value.seen[end:]))


def _integrator(build, site, node, value, walk):
    if np.any(_float(node.r) != 1) or not isinstance(value, Current):
        raise Refused("is not the accumulator of a readout", "Affine or Linear, then I with r = 1, then Output")
    return value


def _same(build, site, node, value, walk):
    return value


OPERATIONS = {
    "Conv2d": _conv, "Affine": _linear, "Linear": _linear, "Scale": _scale, "IF": _if,
    "SumPool2d": _pool(False), "AvgPool2d": _pool(True), "Flatten": _flatten, "I": _integrator,
    "Output": _same, "_Passes": _same,
}
