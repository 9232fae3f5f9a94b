"""What every door does while it walks the graph of its format: collect layers, and all problems at once.

Whatever has no meaning is noted, replaced by a stand-in and walked past, so that one `UnsupportedModel` lists it all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from gen.errors import InputError, NetworkError, UnsupportedModel
from gen.layers import INPUT
from gen.model.canonical import canonical
from gen.model.currents import settle
from gen.model.network import FloatLayer, FloatNetwork, FloatPool, FloatSynapse
from gen.model.outputs import Ending, ending
from gen.model.refusal import Refused, refusal
from gen.model.values import Map, View
from gen.network_checks import MAX_MAP

__all__ = ["Builder", "shown"]

SUPPORTED = "supported are convolutions, linear layers, BatchNorm, ReLU and its kin, pools, adds and whatever reshapes"
STAND_IN = "?"
LOG = logging.getLogger("adafire.gen")


class Builder:
    """The network under construction.

    layers, problems : in the order of the graph, each problem once
    maps : name of every map made so far to its `Map`
    """

    def __init__(self):
        self.layers: list[FloatLayer | FloatPool] = []
        self.problems: list[str] = []
        self.maps: dict[str, Map] = {}
        self.shape: tuple[int, int, int] | None = None
        self.channels_last = False
        self._images: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def image(self, shape: Sequence, advice: str, channels_last: bool = False) -> View:
        """Return the view of an input of ``shape``, N included; a number stands where a size is fixed.

        Images are [N, C, H, W], sequences [N, C, L], a map of height 1, and vectors [N, C], one of a single position;
        ``channels_last``: [N, H, W, C] or [N, L, C].
        """
        if not 2 <= len(shape) <= 4:
            raise InputError(
                f"The model takes an input of shape {shown(shape)}; it must take images [N, C, H, W], sequences "
                f"[N, C, L] or vectors [N, C]. {advice}"
            )
        if not all(isinstance(n, int) and n > 0 for n in shape[1:]):
            raise InputError(
                f"The model takes images of a size that is not fixed, {shown(shape)}; only N may be. "
                "Export it again without dynamic shapes for height and width."
            )
        seen = tuple(shape[1:])
        if prod(seen) > MAX_MAP:
            raise InputError(f"The model takes images of {prod(seen)} numbers; the most is {MAX_MAP}.")
        sizes = (seen[-1], *seen[:-1]) if channels_last else seen
        height, width = (1, 1, *sizes[1:])[-2:]
        self.shape = sizes[0], height, width
        self.maps[INPUT] = Map(INPUT, self.shape, signed=True)
        self.channels_last = channels_last
        value = View.whole(self.maps[INPUT], sizes)
        return value.moved(lambda array, empty: np.moveaxis(array, 0, -1)) if channels_last else value

    def normalised(self, image: Map, factor: np.ndarray, shift: np.ndarray) -> Map:
        """Return the map of the image times ``factor`` plus ``shift``, float64 [C]: `finish` sees to it."""
        for name, (known, offset) in self._images.items():
            if (known == factor).all() and (offset == shift).all():
                return self.maps[name]
        name = f"{INPUT}.{len(self._images) + 1}"
        self._images[name] = factor, shift
        self.maps[name] = replace(image, name=name)
        return self.maps[name]

    def is_image(self, name: str) -> bool:
        """Whether the map ``name`` is the image, normalised or not."""
        return name == INPUT or name in self._images

    def append(self, layer: FloatLayer | FloatPool) -> Map:
        """Add ``layer``, renamed where there is one of its name (a module called twice); return its map."""
        name, copies = layer.name, 1
        while name in self.maps:
            copies += 1
            name = f"{layer.name}.{copies}"
        self.layers.append(replace(layer, name=name))
        sources = [self.maps[source] for source in layer.sources]
        part = layer.inputs[0]
        signed = layer.signed if layer.weighted else sources[0].signed
        ceiling = layer.ceiling if layer.weighted else None
        self.maps[name] = Map(name, part.output_shape(sources[0].shape), signed, ceiling)
        return self.maps[name]

    def step(self, site: str, op: str, operation: Callable, *arguments, reads=(), shape=None, shared: bool = False):
        """Return ``operation(self, site, *arguments)``, or a stand-in of ``shape`` and a problem.

        Where one of the values it ``reads`` is a stand-in of unknown shape, there is nothing more to say of it.
        ``shared``: more than one operation reads the result; a sum that none of them may compute again is settled.
        """
        if any(isinstance(value, View) and value.seen is None for value in reads):
            return self.unknown(site, shape)
        try:
            result = operation(self, site, *arguments)
            if any(result is value for value in reads):
                LOG.info("%s (%s) is left out: it changes nothing", site, op)
            return settle(self, site, result) if shared and isinstance(result, View) and result.pending else result
        except Refused as refused:
            return self.refuse(site, op, refused.reason, refused.form, shape)
        except NetworkError as error:
            return self.refuse(site, op, str(error), "smaller numbers", shape)

    def refuse(self, site: str, op: str, reason: str | None = None, form: str | None = None, shape=None) -> View:
        """Note a problem of the operation ``op`` called ``site``, once; return a stand-in of ``shape``."""
        if reason is None:
            reason, form = refusal(op)
        advice = f"nearest supported form: {form}" if form else SUPPORTED
        problem = f"{site} ({op}): {reason}; {advice}"
        if problem not in self.problems:
            self.problems.append(problem)
        return self.unknown(site, shape)

    def unknown(self, site: str, shape) -> View:
        """Return a stand-in for a value of ``shape``, without N; of no known shape where that is None."""
        if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
            return View((), None)  # pyright: ignore[reportArgumentType] - `step` shows it to no operation
        name = STAND_IN + site
        channels, *rest = shape
        width = rest.pop() if rest else 1
        self.maps[name] = Map(name, (channels, int(np.prod(rest)), width), signed=True)
        return View.whole(self.maps[name], tuple(shape))

    def finish(self, values: Sequence, names: Sequence[str] | None = None) -> FloatNetwork:
        """Return the `FloatNetwork` whose outputs are ``values``, in this order, called ``names``.

        Without names, and for a single output, the readouts are named as every layer is.
        """
        endings: list[Ending] = []
        for i, value in enumerate(values):
            site = names[i] if names else f"output {i + 1}" if len(values) > 1 else "output"
            if not isinstance(value, View):
                self.refuse(site, "output", "is a constant: no path leads to it from the input", "what depends on it")
            elif value.seen is not None and not any(part.name.startswith(STAND_IN) for part in value.parts):
                found = self.step(site, "output", ending, value, endings, len(values) == 1)
                endings += [found] if isinstance(found, Ending) else []
        if not values:
            self.refuse("model", "output", "returns nothing", "a tensor")
        if self.problems:
            raise UnsupportedModel(self.problems)
        norm = self._normalise()
        outputs = [found.output for found in endings]
        for output in outputs:
            if output.decode:
                LOG.info("%s: the %s behind it is left to the host", output.name, output.decode)
        network = canonical(self.shape, self.layers, outputs, norm, named=bool(names) and len(values) > 1)
        return replace(network, channels_last=self.channels_last)

    def _normalise(self):
        """Make the image that all layers read the one image; return its (factor, shift), None if it stays as it is.

        Where layers read it in several ways, a layer makes each that is not the image itself.
        """
        used = [name for name in self._images if any(name in layer.sources for layer in self.layers)]
        if len(used) == 1 and not any(INPUT in layer.sources for layer in self.layers):
            self.layers = [_reading(layer, used[0]) for layer in self.layers]
            return self._images[used[0]]
        for name in used:
            factor, shift = self._images[name]
            synapse = FloatSynapse(INPUT, factor[:, None, None, None], groups=len(factor))
            self.layers.insert(0, FloatLayer(name, (synapse,), shift, slope=np.ones(len(factor))))
        return None


def _reading(layer, name):
    """Return ``layer`` reading the image where it reads the map ``name``."""
    if not layer.weighted:
        return replace(layer, source=INPUT if layer.source == name else layer.source)
    synapses = (replace(s, source=INPUT) if s.source == name else s for s in layer.synapses)
    return replace(layer, synapses=tuple(synapses))


def shown(shape: Sequence) -> str:
    """Return ``shape`` as a reader knows it: [N, 1, 28, 28]."""
    return "[" + ", ".join("N" if i == 0 else str(n) for i, n in enumerate(shape)) + "]"
