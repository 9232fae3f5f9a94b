"""A trained model becomes an integer network: load, choose for every layer, make integers, fit the exits.

::

    model --load--> float network --thresholds--> plan --search_burst, weight_memory--> plan
        --integers, biases--> integer network --compress--> sparser one --exit rule--> the network
"""

from dataclasses import asdict, replace
from importlib import metadata

import numpy as np
import torch

from gen.errors import InputError
from gen.layout.weights import stored_bits
from gen.method.builder import Builder, normalised
from gen.method.dynamics import Dynamics, Neurons
from gen.method.exit_fit import exit_images, exit_steps, fit_exit, paper_limits
from gen.method.quantize import layer_bits, normalisation
from gen.method.search import Sensitivity, cheapest, search_bursts, search_compression, search_weight_bits
from gen.method.settings import Settings, check_images, check_labels
from gen.method.simulate import activations, readout_sums
from gen.model.load import load

__all__ = ["convert"]

KEPT_OUT = 4  # every fourth image measures candidates, if there is a search
MOST_KEPT_OUT = 512
JUDGING_IMAGES = 2000


def convert(module, calibration, *, labels=None, progress=None, **options):
    """Return the `IntegerNetwork` of a trained model; nothing is trained.

    Parameters
    ----------
    module : torch.nn.Module, torch.export.ExportedProgram, onnx.ModelProto, nir.NIRGraph, or the path of a .pt2,
        .onnx or .nir file
    calibration : uint8 [N, C, H, W] or [N, H, W]; the model sees (x/255 - mean)/std
    labels : integers [N], the classes of ``calibration``; without them the float network's or the full run's
        decision stands in
    progress : callable(step text, fraction done) or None
    timesteps, max_burst : 1..64, by default 4, and 1..15, by default 7
    weight_bits : 2..8, by default 8, or a dict of layer name to that
    neuron : adafire, or inverse_leaky: layers two-phase, ``timesteps`` bits of an activation
    exit : entropy (default), confidence, margin or off
    exit_loss : accuracy points that early exits may lose, by default 0.2
    exit_fit : loss, limits for ``exit_loss``, or paper, `gen.method.exit_fit.paper_limits`
    search_burst : choose every layer's burst cap; the cost allowed, a fraction of that with ``max_burst`` for all
    compress : raise every layer's thresholds as far as this many accuracy points allow
    weight_memory : choose every layer's weight bits; the bits of weight memory allowed
    search_lanes : measure costs in cycles of so many lanes, instead of synaptic operations
    weight_calibration : fit the integer weights layer by layer
    mean, std : one number or one per channel, of images scaled to 0..1

    Raises
    ------
    InputError for bad input, UnsupportedModel with every operation outside the contract.
    """
    tell = progress or (lambda step, fraction: None)
    settings, x = Settings(**options), check_images(calibration)
    tell("load", 0.0)
    network = load(module, x.shape[1:])
    if network.shape != x.shape[1:]:
        raise InputError(
            f"The model takes images of shape {_shape(network.shape)}, the calibration images have shape "
            f"{_shape(x.shape[1:])} (channels x height x width)."
        )
    labels = check_labels(labels, len(x), len(network.layers[-1].bias))
    bits = layer_bits(network, settings.weight_bits)
    scale = normalisation(settings.mean, settings.std, x.shape[1])
    with torch.no_grad():
        return _Conversion(network, x, labels, settings, scale, tell).run(bits)


class _Conversion:
    """The steps of one conversion and what they share."""

    def __init__(self, network, x, labels, settings, scale, tell):
        self.network, self.settings, self.scale, self.tell = network, settings, scale, tell
        self.x, self.labels = x, labels
        kept_out = np.zeros(len(x), bool)
        if settings.searches and len(x) >= KEPT_OUT:
            kept_out[np.arange(KEPT_OUT - 1, len(x), KEPT_OUT)[:MOST_KEPT_OUT]] = True
        self.kept_out = x[kept_out] if kept_out.any() else x
        tell("thresholds", 0.05)
        self.builder = Builder(network, x[~kept_out], settings, scale)
        self.used = int(np.flatnonzero(~kept_out)[self.builder.images - 1]) + 1
        self.fronts = {}

    def run(self, bits):
        """Return the integer network, every step done."""
        settings, tell = self.settings, self.tell
        plan = self.builder.uniform(bits)
        if settings.search_burst is not None:
            plan = self._search_bursts(plan)
        if settings.weight_memory is not None:
            plan = self._search_weight_bits(plan)
        tell("integers", 0.4)
        quantized = self.builder.build(plan, lambda done: tell("biases", 0.4 + 0.2 * done))
        if settings.compress is not None:
            plan, quantized = self._compress(plan, quantized)
        tell("exit rule", 0.8)
        own = exit_images(len(self.x), self.used)
        if settings.exit_rule == "off":  # only for the figures
            own = slice(own.start, min(own.stop, own.start + JUDGING_IMAGES))
        images, known = self.x[own], None if self.labels is None else self.labels[own]
        z = readout_sums(quantized.network, images)
        fit = {"loss": lambda *how: fit_exit(*how[:3], settings.exit_loss, how[3]), "paper": paper_limits}
        rule = fit[settings.exit_fit](z, quantized.logit, settings.exit_rule, known)
        provenance = self._provenance(plan, quantized, self._figures(images, known, z, rule))
        tell("done", 1.0)
        return replace(quantized.network, exit_rule=rule, provenance=provenance)

    def _bench(self, plan):
        """Return the `Sensitivity` of ``plan`` on the images kept out."""
        settings = self.settings
        levels = (1, 2**settings.timesteps - 1) if settings.two_phase else (settings.timesteps, None)
        neurons = {name: Neurons(theta, levels[1] or plan.bursts[name]) for name, theta in plan.thresholds.items()}
        dynamics = Dynamics(self.network, normalised(self.kept_out, *self.scale), levels[0], settings.search_lanes)
        return Sensitivity(dynamics, neurons, settings.exit_rule != "off")

    @property
    def _unit(self):
        lanes = self.settings.search_lanes
        return f"cycles per image of {lanes} lanes" if lanes else "synaptic operations per image"

    def _search_bursts(self, plan):
        front = search_bursts(
            self._bench(plan), self.network, self.builder.maps, self.settings.search_burst, self._unit,
            lambda done: self.tell("burst caps", 0.1 + 0.2 * done),
        )
        self.fronts["search_burst"] = front
        return self.builder.with_bursts(plan, front.choice())

    def _search_weight_bits(self, plan):
        front = search_weight_bits(
            self._bench(plan), self.network, plan, stored_bits, self.settings.weight_memory,
            lambda done: self.tell("weight bits", 0.3 + 0.1 * done),
        )
        self.fronts["weight_memory"] = front
        return replace(plan, weight_bits=front.choice())

    def _compress(self, plan, quantized):
        """Return the plan and the network of the cheapest ratios and least bursts that lose no more than asked."""
        settings, tell = self.settings, self.tell
        front = search_compression(self._bench(plan), self._unit, lambda done: tell("compression", 0.6 + 0.1 * done))
        images = self.x[-JUDGING_IMAGES:]
        truth = self._decisions(images) if self.labels is None else self.labels[-JUDGING_IMAGES:]
        before = readout_sums(self.builder.build(plan, quick=True).network, images)[:, -1].argmax(1) == truth
        judged = []

        def stretched(choice):
            return replace(
                plan, thresholds={name: ratio * plan.thresholds[name] for name, (ratio, _) in choice.items()},
                least={name: least for name, (_, least) in choice.items()},
            )

        def judge(choice):
            made = self.builder.build(stretched(choice), quick=True)
            z = readout_sums(made.network, images)
            judged.append(choice)
            tell("compression", min(0.78, 0.7 + 0.01 * len(judged)))
            rule = fit_exit(z, made.logit, settings.exit_rule, settings.exit_loss, truth, confidence=0.5)
            lost = 100 * float(before.mean() - (z[:, -1].argmax(1) == truth).mean())
            return lost, float(exit_steps(z, rule).mean())

        front = cheapest(front, judge, settings.compress)
        if front is None:
            return plan, quantized
        self.fronts["compress"] = front
        plan = stretched(front.choice())
        return plan, self.builder.build(plan)

    def _decisions(self, images):
        """Return the float network's classes, int64 [N]."""
        last = self.network.layers[-1].name
        parts = [normalised(part, *self.scale) for part in torch.as_tensor(images).split(250)]
        return torch.cat([activations(self.network, part)[last].flatten(1).argmax(1) for part in parts]).numpy()

    def _figures(self, images, labels, z, rule):
        """Return what the conversion cost on calibration images; fractions are 0..1."""
        ann, found = self._decisions(images), z.argmax(axis=2)
        steps = exit_steps(z, rule)
        truth = ann if labels is None else labels
        return {
            "exit_images": len(images),
            "measured_against": "the float network" if labels is None else "labels",
            "float_accuracy": float((ann == truth).mean()),
            "integer_accuracy": float((found[:, -1] == truth).mean()),
            "exit_accuracy": float((found[np.arange(len(z)), steps - 1] == truth).mean()),
            "mean_timesteps": float(steps.mean() if self.settings.exit_rule != "off" else self.settings.timesteps),
        }

    def _provenance(self, plan, quantized, figures):
        settings, (mean, std) = self.settings, self.scale
        return {
            "tool": f"adafire {_version()}",
            "source_sha256": self.network.digest,
            "weights": self.network.weights,
            "layers": self.network.origins,
            "settings": {
                **asdict(settings), "exit": settings.exit_rule, "weight_bits": plan.weight_bits,
                "mean": mean.tolist(), "std": std.tolist(),
            },
            "calibration": {"images": len(self.x), "bias_images": self.builder.images, **figures},
            "logit_scale": quantized.logit,
            "thresholds": {name: [round(float(v), 6) for v in theta] for name, theta in plan.thresholds.items()},
            "silent_channels": {
                name: int((theta == 0).sum()) for name, theta in plan.thresholds.items() if (theta == 0).any()
            },
            **({"searches": {name: front.as_dict() for name, front in self.fronts.items()}} if self.fronts else {}),
        }


def _version():
    try:
        return metadata.version("adafire")
    except metadata.PackageNotFoundError:
        return "source"


def _shape(shape):
    return "x".join(map(str, shape))
