"""The float network: a trained model, batch norm folded and dropout gone, before it becomes integers.

A layer's current is the sum of its synapses plus the bias; a layer that fires applies ReLU to it, the last
layer, the readout, does not. A pool is ``sum / divisor`` or the maximum. Maps are named by the layer that
makes them, `gen.intnet.INPUT` is the normalised image.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gen.errors import InputError
from gen.intnet import INPUT

__all__ = ["FloatNetwork", "FloatPool", "FloatSynapse", "Layer"]


@dataclass(frozen=True, eq=False)
class FloatSynapse:
    """A convolution of the map ``source``; ``weight`` is float64 [out, in/groups, height, width]."""

    source: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def input_scaled(self, scale):
        """Return the weight with input channel c multiplied by ``scale[c]``."""
        outputs, inputs = self.weight.shape[:2]
        scale = np.asarray(scale, float).reshape(self.groups, inputs)
        return self.weight * np.repeat(scale, outputs // self.groups, axis=0)[:, :, None, None]


@dataclass(frozen=True, eq=False)
class Layer:
    """Synapses and a bias, float64 [out]; ``fires`` says that a ReLU follows."""

    name: str
    synapses: tuple[FloatSynapse, ...]
    bias: np.ndarray
    fires: bool = True

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
            layer.name for layer in self.layers
            if isinstance(layer, Layer)
            and not all(np.isfinite(a).all() for a in (layer.bias, *(s.weight for s in layer.synapses)))
        ]
        if broken:
            raise InputError(
                f"The model holds NaN or infinite weights (batch norm included) in {', '.join(broken)}. "
                "Training probably diverged: train with a lower learning rate, or load another checkpoint."
            )

    @cached_property
    def channels(self):
        """Name of every map to its number of channels."""
        channels = {INPUT: self.shape[0]}
        for layer in self.layers:
            channels[layer.name] = channels[layer.source] if isinstance(layer, FloatPool) else len(layer.bias)
        return channels

    @cached_property
    def weights(self):
        """Number of weights, biases not counted."""
        return sum(s.weight.size for layer in self.layers if isinstance(layer, Layer) for s in layer.synapses)

    @cached_property
    def digest(self):
        """SHA-256, in hexadecimal, of the structure and every weight and bias."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for layer in self.layers:
            if isinstance(layer, FloatPool):
                digest.update(repr(layer).encode())
                continue
            digest.update(repr((layer.name, layer.fires)).encode() + layer.bias.astype("<f8").tobytes())
            for s in layer.synapses:
                geometry = (s.source, s.weight.shape, s.stride, s.padding, s.dilation, s.groups)
                digest.update(repr(geometry).encode() + np.ascontiguousarray(s.weight, "<f8").tobytes())
        return digest.hexdigest()
