"""The float network: a trained model, batch norm folded and dropout gone, before it becomes integers.

A layer's current is the sum of its synapses plus the bias; a layer that fires applies ReLU to it, the last
layer, the readout, does not. A pool is ``sum / divisor`` or the maximum. Maps are named by the layer that
makes them, `gen.intnet.INPUT` is the normalised image. ``origin`` is the name that a layer has in the model, for
messages and tables; it is no part of the digest.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gen.errors import InputError
from gen.layers import INPUT

__all__ = ["FloatNetwork", "FloatPool", "FloatSynapse", "Layer", "content"]


def _window(shape, part, kernel, dilation=(1, 1)):
    sizes = zip(shape[1:], part.padding, dilation, kernel, part.stride)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in sizes)


@dataclass(frozen=True, eq=False)
class FloatSynapse:
    """A convolution of the map ``source``; ``weight`` is float64 [out, in/groups, height, width]."""

    source: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_shape(self, shape):
        """Return (channels, height, width) of the result for a map of ``shape``."""
        return (len(self.weight), *_window(shape, self, self.weight.shape[2:], self.dilation))

    def input_scaled(self, scale):
        """Return the weight with input channel c multiplied by ``scale[c]``."""
        outputs, inputs = self.weight.shape[:2]
        scale = np.asarray(scale, float).reshape(self.groups, inputs)
        return self.weight * np.repeat(scale, outputs // self.groups, axis=0)[:, :, None, None]


@dataclass(frozen=True, eq=False)
class Layer:
    """Synapses and a bias, float64 [out]; ``fires`` says that a ReLU follows.

    ``threshold``: float64 [out] of a layer that already spikes and keeps it; None where it is to be chosen.
    """

    name: str
    synapses: tuple[FloatSynapse, ...]
    bias: np.ndarray
    fires: bool = True
    threshold: np.ndarray | None = None
    origin: str = ""

    @property
    def sources(self):
        """Names of the maps it reads."""
        return tuple(synapse.source for synapse in self.synapses)


@dataclass(frozen=True, eq=False)
class FloatPool:
    """``kind`` is sum (then divided by ``divisor``) or max; ``padding`` counts as zero."""

    name: str
    source: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    divisor: float = 1.0
    origin: str = ""

    def output_shape(self, shape):
        """Return (channels, height, width) of the pooled map for a map of ``shape``."""
        return (shape[0], *_window(shape, self, self.kernel))

    @property
    def sources(self):
        """Names of the maps it reads."""
        return (self.source,)


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Layers in order of execution for images of ``shape`` (channels, height, width), the readout last."""

    shape: tuple[int, int, int]
    layers: tuple[Layer | FloatPool, ...]

    def __post_init__(self):
        broken = [
            layer.origin or layer.name for layer in self.layers
            if isinstance(layer, Layer)
            and not all(np.isfinite(a).all() for a in (layer.bias, *(s.weight for s in layer.synapses)))
        ]
        if broken:
            raise InputError(
                f"The model holds NaN or infinite weights (batch norm included) in {', '.join(broken)}. "
                "Training probably diverged: train with a lower learning rate, or load another checkpoint."
            )

    @cached_property
    def shapes(self):
        """Name of every map to its (channels, height, width)."""
        shapes = {INPUT: self.shape}
        for layer in self.layers:
            part = layer if isinstance(layer, FloatPool) else layer.synapses[0]
            shapes[layer.name] = part.output_shape(shapes[part.source])
        return shapes

    @cached_property
    def channels(self):
        """Name of every map to its number of channels."""
        return {name: shape[0] for name, shape in self.shapes.items()}

    @cached_property
    def origins(self):
        """Name of every layer to the name it has in the model."""
        return {layer.name: layer.origin or layer.name for layer in self.layers}

    @cached_property
    def weights(self):
        """Number of weights, biases not counted."""
        return sum(s.weight.size for layer in self.layers if isinstance(layer, Layer) for s in layer.synapses)

    @cached_property
    def digest(self):
        """SHA-256, in hexadecimal, of the structure and every weight, bias and threshold kept."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for layer in self.layers:
            if isinstance(layer, FloatPool):
                digest.update(repr(replace(layer, origin="")).encode())
                continue
            digest.update(repr((layer.name, layer.fires)).encode() + layer.bias.astype("<f8").tobytes())
            if layer.threshold is not None:
                digest.update(b"threshold" + layer.threshold.astype("<f8").tobytes())
            for synapse in layer.synapses:
                digest.update(content(synapse, synapse.source))
        return digest.hexdigest()


def content(synapse, source):
    """Return the bytes that tell a synapse from others, its source being called ``source``."""
    geometry = (source, synapse.weight.shape, synapse.stride, synapse.padding, synapse.dilation, synapse.groups)
    return repr(geometry).encode() + np.ascontiguousarray(synapse.weight, "<f8").tobytes()
