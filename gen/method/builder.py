"""From a choice for every layer to the integer network: integers, then biases measured on it."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from gen.exit_rule import SHARE_ONE, ExitRule
from gen.method.calibrate import sweep
from gen.method.checks import input_scale
from gen.method.quantize import quantize_with_scales
from gen.method.rounding import calibrate_weights
from gen.method.simulate import activations
from gen.method.thresholds import thresholds

__all__ = ["Builder", "Plan", "normalised", "seen"]

ACTIVATION_BUDGET = 2**25
QUICK_IMAGES, QUICK_SWEEPS = 192, 2


@dataclass(frozen=True, eq=False)
class Plan:
    """What may differ from layer to layer, by name: thresholds float [C], burst caps, weight bits, least bursts."""

    thresholds: dict
    bursts: dict
    weight_bits: dict
    min_burst: dict = field(default_factory=dict)


class Builder:
    """A float network and its calibration images, ready to be made integer by any `Plan`.

    Parameters
    ----------
    network : FloatNetwork
    x : uint8 [N, C, H, W], or frames [N, T, C, H, W]; as many from the first on are used as the memory for their
        activations allows
    settings : `gen.method.settings.Settings`

    Attributes
    ----------
    images : how many are used
    scale : (mean, std), float [C] each, of `gen.method.checks.input_scale`
    maps : the float network's activations of these, of the mean of frames, name to float32 [N, C, H, W]
    """

    def __init__(self, network, x, settings):
        self.network, self.settings = network, settings
        self.frames = x.ndim == 5
        self.scale = input_scale(network, settings.mean, settings.std, self.frames)
        values = sum(math.prod(shape) for shape in network.shapes.values())
        self._pixels = x[: max(64, ACTIVATION_BUDGET // values)]
        self.images = len(self._pixels)
        self.maps = activations(network, seen(self._pixels, *self.scale))

    def uniform(self, bits):
        """Return the `Plan` of one burst cap for all layers; ``bits`` by layer name."""
        settings = self.settings
        if settings.two_phase:  # a code of all ones is what a train of single spikes can say, in steps of its last bit
            most = 2**settings.timesteps - 1
            chosen = {name: theta / most for name, theta in thresholds(self.network, self.maps, most, 1).items()}
        else:
            chosen = thresholds(self.network, self.maps, settings.timesteps, settings.max_burst)
        return Plan(chosen, dict.fromkeys(chosen, self.settings.max_burst), bits)

    def with_bursts(self, plan, bursts):
        """Return ``plan`` with other burst caps, and the thresholds that go with them."""
        chosen = thresholds(self.network, self.maps, self.settings.timesteps, bursts)
        return replace(plan, thresholds=chosen, bursts=bursts)

    def build(self, plan, progress=None, quick=False):
        """Return the `gen.method.quantize.Quantized` of ``plan`` with corrected biases.

        ``quick``: on few images, without weight calibration, to compare plans by.
        """
        settings = self.settings
        quantized = quantize_with_scales(
            self.network, plan.thresholds, timesteps=settings.timesteps, max_burst=plan.bursts,
            weight_bits=plan.weight_bits, mean=settings.mean, std=settings.std, neuron=settings.neuron,
            min_burst=plan.min_burst, frames=self.frames,
        )
        net = quantized.network
        output = None if settings.exit_output == net.outputs[0] else settings.exit_output
        rule = ExitRule(output=output, share=max(1, round(settings.exit_share * SHARE_ONE)))
        quantized = replace(quantized, network=replace(net, exit_rule=rule, order=settings.order))
        means = self._means(quantized.network.shapes)
        if quick:
            return sweep(quantized, self._pixels[:QUICK_IMAGES], means, QUICK_SWEEPS, progress)
        if settings.calibrate_weights:
            return calibrate_weights(quantized, self.network, self.maps, self._pixels, means, progress=progress)
        return sweep(quantized, self._pixels, means, progress=progress)

    def _means(self, shapes):
        """Return layer name to the float network's mean activation, float [C], where the integer one has neurons.

        Of a network that spikes over frames none: what its neurons do in time, the mean of the frames does not show.
        """
        if self.frames and any(layer.threshold is not None for layer in self.network.layers if layer.fires):
            return {}
        return {
            layer.name: self.maps[layer.name][..., : shapes[layer.name][1], : shapes[layer.name][2]]
            .mean((0, 2, 3), dtype=torch.float64).numpy()
            for layer in self.network.layers if layer.weighted
        }


def seen(x, mean, std):
    """Return what the float network sees of ``x``: `normalised` images; of frames [N, T, C, H, W] their mean."""
    return normalised(x if x.ndim == 4 else x.mean(axis=1, dtype=np.float32), mean, std)


def normalised(x, mean, std):
    """Return (x/255 - mean)/std of pixels uint8 [..., C, H, W], float32 of the same shape."""
    mean, std = (torch.as_tensor(np.asarray(v)).float()[:, None, None] for v in (mean, std))
    return (torch.as_tensor(np.ascontiguousarray(x)).float() / 255 - mean) / std
