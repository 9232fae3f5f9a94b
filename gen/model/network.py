"""The float network: a trained model, batch norm folded and dropout gone, before it becomes integers.

Its layers follow the protocol of `gen.layers`: a name, a ``role``, ``inputs`` that read maps through windows. A
layer's current x is the sum of its synapses plus the bias. A layer that fires applies its activation to it; a readout,
an output of the network, does not. A pool is ``sum / divisor`` or the maximum; taps outside the map take no part. Maps
are named by the layer that makes them, `gen.layers.INPUT` is the normalised image. ``origin`` is the name that a layer
has in the model, for messages and tables; it is no part of the digest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gen.errors import InputError
from gen.layers import INPUT, POOL, READOUT, SPIKING
from gen.window import NEAREST, Windowed

__all__ = ["FloatLayer", "FloatNetwork", "FloatPool", "FloatSynapse", "Output", "activation", "content", "pool_content"]


@dataclass(frozen=True, eq=False)
class FloatSynapse(Windowed):
    """A convolution of the map ``source``; ``weight`` is float64 [out, in/groups, height, width]."""

    source: str
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, ...] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    upsample: tuple[int, int] = (1, 1)
    fill: str = NEAREST

    def __post_init__(self):
        self.settle_window()

    @property
    def kernel(self):
        """Kernel size (height, width)."""
        return self.weight.shape[2:]

    def output_shape(self, shape):
        """Return (channels, height, width) of the result for a map of ``shape``."""
        return (len(self.weight), *self.result_size(shape))

    def input_scaled(self, scale):
        """Return the weight with input channel c multiplied by ``scale[c]``."""
        outputs, inputs = self.weight.shape[:2]
        scale = np.asarray(scale, float).reshape(self.groups, inputs)
        return self.weight * np.repeat(scale, outputs // self.groups, axis=0)[:, :, None, None]


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """Synapses and a bias, float64 [out]; ``fires`` says that an activation follows, else it is an output.

    The activation of a current x is ``x`` above zero and ``slope * x`` below, then at most ``ceiling``: slope None or
    0 is ReLU, 1 a linear layer, anything between LeakyReLU or PReLU; a ceiling of 6 is ReLU6.

    slope : float64 [out], 0 or more, or None
    ceiling : positive number, or None
    threshold : float64 [out] of a layer that already spikes and keeps it; None where it is to be chosen
    """

    name: str
    synapses: tuple[FloatSynapse, ...]
    bias: np.ndarray
    fires: bool = True
    threshold: np.ndarray | None = None
    slope: np.ndarray | None = None
    ceiling: float | None = None
    origin: str = ""

    if TYPE_CHECKING:  # as of `gen.layers.Layer`
        def __getattr__(self, name: str) -> Any: ...

    @property
    def role(self):
        """As in `gen.layers.ROLES`."""
        return SPIKING if self.fires else READOUT

    @property
    def inputs(self):
        """What it reads its maps through."""
        return self.synapses

    @property
    def sources(self):
        """Names of the maps it reads."""
        return tuple(synapse.source for synapse in self.synapses)

    @property
    def signed(self):
        """Whether its activation may be below zero."""
        return self.slope is not None and bool((self.slope > 0).any())

    weighted = True


@dataclass(frozen=True, eq=False)
class FloatPool(Windowed):
    """``kind`` is sum (then divided by ``divisor``) or max; the fields after it are those of a window."""

    name: str
    source: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, ...] = (0, 0, 0, 0)
    divisor: float = 1.0
    origin: str = ""
    dilation: tuple[int, int] = (1, 1)
    upsample: tuple[int, int] = (1, 1)
    fill: str = NEAREST

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any: ...

    role = POOL
    weighted = fires = False
    weight = None
    synapses = ()

    def __post_init__(self):
        self.settle_window()

    @property
    def inputs(self):
        """The pool itself."""
        return (self,)

    def output_shape(self, shape):
        """Return (channels, height, width) of the pooled map for a map of ``shape``."""
        return (shape[0], *self.result_size(shape))

    @property
    def sources(self):
        """Names of the maps it reads."""
        return (self.source,)


@dataclass(frozen=True, eq=False)
class Output:
    """One result of the model: numbers of one or several readouts, in the shape and order that the model gives them.

    readouts : names of the layers, their maps flattened one after another
    shape : of the result, without N
    index : integers of that shape into those numbers, -1 for zero; None for all of one readout in its own order
    decode : what the model applies last and the host is to apply: sigmoid, softmax, log_softmax or nothing
    """

    name: str
    readouts: tuple[str, ...]
    shape: tuple[int, ...]
    index: np.ndarray | None = None
    decode: str = ""

    def assemble(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """Return [N, *shape] from name of every readout to its values [N, C, H, W]."""
        flat = np.concatenate([values[name].reshape(len(values[name]), -1) for name in self.readouts], axis=1)
        if self.index is None:
            return flat.reshape(-1, *self.shape)
        return np.where(self.index < 0, 0, flat[:, self.index])


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Layers in order of execution for images of ``shape`` (channels, height, width); some are readouts.

    outputs : names of the readouts in the order in which the model returns them
    mean, std : float64 [channels] of a normalisation written into the model itself, or None: of the input that the
        model takes, images scaled to 0..1 as a rule, the layers read (input - mean) / std
    returns : the results of the model, made of the readouts; by default each readout is one
    channels_last : whether the model takes [N, height, width, channels], or [N, length, channels] where height is 1
    """

    shape: tuple[int, int, int]
    layers: tuple[FloatLayer | FloatPool, ...]
    outputs: tuple[str, ...] = ()
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    frames: bool = field(default=False)
    returns: tuple[Output, ...] = ()
    channels_last: bool = False

    def __post_init__(self):
        if not self.outputs:
            object.__setattr__(self, "outputs", tuple(layer.name for layer in self.layers if layer.role == READOUT))
        if not self.returns:
            returns = tuple(Output(name, (name,), self.shapes[name]) for name in self.outputs)
            object.__setattr__(self, "returns", returns)
        broken = [
            layer.origin or layer.name for layer in self.layers
            if layer.weighted and not all(map(_finite, (layer.bias, *(s.weight for s in layer.synapses))))
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
            part = layer.inputs[0]
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
        return sum(s.weight.size for layer in self.layers for s in layer.synapses)

    def layer(self, name):
        """Return the layer called ``name``."""
        return next(layer for layer in self.layers if layer.name == name)

    @cached_property
    def decode(self) -> dict[str, str]:
        """Name of a readout to what the host applies to it, where the model ends in it."""
        return {name: output.decode for output in self.returns for name in output.readouts if output.decode}

    @cached_property
    def digest(self):
        """SHA-256, in hexadecimal, of the structure, the normalisation, every weight, bias, threshold, activation."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for value in (self.mean, self.std):
            digest.update(b"" if value is None else value.astype("<f8").tobytes())
        for layer in self.layers:
            if not layer.weighted:
                digest.update(pool_content(layer, layer.name, layer.source))
                continue
            digest.update(repr((layer.name, layer.fires)).encode() + layer.bias.astype("<f8").tobytes())
            digest.update(activation(layer))
            for synapse in layer.synapses:
                digest.update(content(synapse, synapse.source))
        return digest.hexdigest()


def _finite(array):
    return np.isfinite(array).all()


def activation(layer):
    """Return the bytes that tell a layer's threshold and activation from others; none for a ReLU."""
    text = b""
    for name in ("threshold", "slope"):
        value = getattr(layer, name)
        if value is not None:
            text += name.encode() + value.astype("<f8").tobytes()
    return text + (b"" if layer.ceiling is None else repr(("ceiling", layer.ceiling)).encode())


def content(synapse, source):
    """Return the bytes that tell a synapse from others, its source being called ``source``."""
    window = synapse.window
    tail = () if window.upsample == (1, 1) else (window.upsample, window.fill)
    padding = window.padding[:2] if window.symmetric else window.padding
    geometry = (source, synapse.weight.shape, window.stride, padding, window.dilation, synapse.groups, *tail)
    return repr(geometry).encode() + np.ascontiguousarray(synapse.weight, "<f8").tobytes()


def pool_content(pool, name, source):
    """Return the bytes that tell a pool called ``name`` from others, its source being called ``source``."""
    window = pool.window
    fields = {
        "name": name, "source": source, "kind": pool.kind, "kernel": tuple(pool.kernel), "stride": window.stride,
        "padding": window.padding[:2] if window.symmetric else window.padding, "divisor": pool.divisor, "origin": "",
    }
    if window.dilation != (1, 1) or window.upsample != (1, 1):
        fields |= {"dilation": window.dilation, "upsample": window.upsample, "fill": window.fill}
    return f"FloatPool({', '.join(f'{key}={value!r}' for key, value in fields.items())})".encode()
