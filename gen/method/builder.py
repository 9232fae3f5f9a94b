"""From a choice for every layer to the integer network: integers, then biases measured on it."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from gen.method.calibrate import sweep
from gen.method.quantize import quantize_with_scales
from gen.method.rounding import calibrate_weights
from gen.method.simulate import activations
from gen.method.thresholds import thresholds

__all__ = ["Builder", "Plan", "normalised"]

ACTIVATION_BUDGET = 2**25
QUICK_IMAGES, QUICK_SWEEPS = 192, 2


@dataclass(frozen=True, eq=False)
class Plan:
    """What may differ from layer to layer, by name: thresholds float [C], burst caps, weight bits, least bursts."""

    thresholds: dict
    bursts: dict
    weight_bits: dict
    least: dict = field(default_factory=dict)


class Builder:
    """A float network and its calibration images, ready to be made integer by any `Plan`.

    Parameters
    ----------
    network : FloatNetwork
    x : uint8 [N, C, H, W]; as many from the first on are used as the memory for their activations allows
    settings : `gen.method.settings.Settings`
    scale : (mean, std), float [C] each

    Attributes
    ----------
    images : how many are used
    maps : the float network's activations of these, name to float32 [N, C, H, W]
    """

    def __init__(self, network, x, settings, scale):
        self.network, self.settings, self._scale = network, settings, scale
        values = sum(a.numel() for a in activations(network, torch.zeros(1, *x.shape[1:])).values())
        self._pixels = x[: max(64, ACTIVATION_BUDGET // values)]
        self.images = len(self._pixels)
        self.maps = activations(network, normalised(self._pixels, *scale))

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
        settings, (mean, std) = self.settings, self._scale
        quantized = quantize_with_scales(
            self.network, plan.thresholds, timesteps=settings.timesteps, max_burst=plan.bursts,
            weight_bits=plan.weight_bits, mean=mean, std=std, neuron=settings.neuron,
            least=plan.least,
        )
        means = self._means(quantized.network.shapes)
        if quick:
            return sweep(quantized, self._pixels[:QUICK_IMAGES], means, QUICK_SWEEPS, progress)
        if settings.weight_calibration:
            return calibrate_weights(quantized, self.network, self.maps, self._pixels, means, progress=progress)
        return sweep(quantized, self._pixels, means, progress=progress)

    def _means(self, shapes):
        """Return layer name to the float network's mean activation, float [C], where the integer one has neurons."""
        return {
            layer.name: self.maps[layer.name][..., : shapes[layer.name][1], : shapes[layer.name][2]]
            .mean((0, 2, 3), dtype=float).numpy()
            for layer in self.network.layers if layer.weighted
        }


def normalised(x, mean, std):
    """Return what the model sees of pixels uint8 [N, C, H, W]: float32 (x/255 - mean)/std."""
    mean, std = (torch.as_tensor(np.asarray(v)).float()[:, None, None] for v in (mean, std))
    return (torch.as_tensor(x).float() / 255 - mean) / std
