"""What every door does while it walks the graph of its format: collect layers, and all problems at once.

Whatever has no meaning is noted, replaced by a stand-in and walked past, so that one `UnsupportedModel` lists it
all.
"""

from dataclasses import replace

from gen.errors import InputError, UnsupportedModel
from gen.layers import INPUT
from gen.model.canonical import canonical
from gen.model.network import FloatLayer
from gen.model.operations import Current, Map, Refused, nearest

__all__ = ["Builder", "shown"]

SUPPORTED = "supported are Conv2d, Linear, BatchNorm, ReLU, pools, residual adds and Flatten"
STAND_IN = "?"


class Builder:
    """The network under construction: layers in the order of the graph, and problems."""

    def __init__(self):
        self.layers, self.problems, self.names, self.shape = [], [], {INPUT}, None

    def image(self, shape, advice):
        """Return the map of an input of ``shape``, N included; a number stands where a size is fixed."""
        if len(shape) != 4:
            raise InputError(
                f"The model takes an input of shape {shown(shape)}; it must take images [N, C, H, W]. {advice}"
            )
        if not all(isinstance(n, int) and n > 0 for n in shape[1:]):
            raise InputError(
                f"The model takes images of a size that is not fixed, {shown(shape)}; only N may be. "
                "Export it again without dynamic shapes for height and width."
            )
        self.shape = tuple(shape[1:])
        return Map(INPUT, self.shape)

    def append(self, layer):
        """Add ``layer``, renamed where there is one of its name (a module called twice); return the name."""
        name, copies = layer.name, 1
        while name in self.names:
            copies += 1
            name = f"{layer.name}.{copies}"
        self.names.add(name)
        self.layers.append(replace(layer, name=name))
        return name

    def step(self, site, op, operation, *arguments, reads=(), shape=None):
        """Return ``operation(self, site, *arguments)``, or a stand-in of ``shape`` and a problem.

        Where one of the values it ``reads`` is a stand-in of unknown shape, there is nothing more to say of it.
        """
        if any(isinstance(value, Map) and value.shape is None for value in reads):
            return self.unknown(site, shape)
        try:
            return operation(self, site, *arguments)
        except Refused as refused:
            return self.refuse(site, op, refused.reason, refused.form, shape)

    def refuse(self, site, op, reason="is outside the contract", form=None, shape=None):
        """Note a problem of the operation ``op`` called ``site``; return a stand-in of ``shape``."""
        form = form or (nearest(op) if reason == "is outside the contract" else None)
        advice = f"nearest supported form: {form}" if form else SUPPORTED
        self.problems.append(f"{site} ({op}): {reason}; {advice}")
        return self.unknown(site, shape)

    def unknown(self, site, shape):
        """Return a stand-in for a value of ``shape``, without N; None if that is not known."""
        if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
            return Map(STAND_IN + site, None)
        return Map(STAND_IN + site, (*shape, 1, 1)[: max(3, len(shape))], tuple(shape))

    def finish(self, value, site):
        """Return the `FloatNetwork` that ends in ``value``, the one result of the model."""
        unknown = isinstance(value, Map) and value.name.startswith(STAND_IN)
        if not unknown and len(value.seen) == 1:
            if not isinstance(value, Current):
                self.refuse(value.name, "output", "the last layer fires or pools", "Linear at the end")
            elif value.shape[1:] != (1, 1) or value.pools:
                self.refuse(value.name, "output", "a map of several positions", "Linear at the end")
        if self.problems:
            raise UnsupportedModel(self.problems)
        if len(value.seen) != 1:
            raise InputError(
                f"The model returns a tensor of shape {shown(('N', *value.seen))}; it must return one score per "
                "class, [N, classes]. Pool or flatten it and end with a linear layer."
            )
        self.append(FloatLayer(value.name or site, value.synapses, value.bias, fires=False))
        return canonical(self.shape, self.layers)


def shown(shape):
    """Return ``shape`` as a reader knows it: [N, 1, 28, 28]."""
    return "[" + ", ".join("N" if i == 0 else str(n) for i, n in enumerate(shape)) + "]"

