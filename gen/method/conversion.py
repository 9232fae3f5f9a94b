"""The steps of a conversion: choose for every layer, make integers, fit the exits, say where it all comes from.

::

    float network --thresholds--> plan --search_burst, weight_memory--> plan
        --integers, biases--> integer network --compress--> sparser one --exit rule--> the network
"""

from dataclasses import asdict, replace
from importlib import metadata

import numpy as np
import torch

from gen.plan.weights import stored_bits
from gen.method.activity import measure_activity
from gen.method.builder import Builder, normalised, seen
from gen.method.checks import normalisation
from gen.method.dynamics import Dynamics, Neurons
from gen.method.exit_fit import exit_images, exit_steps, fit_exit, paper_limits
from gen.method.search import Sensitivity, cheapest, search_bursts, search_compression, search_weight_bits
from gen.method.simulate import activations, output_sums, readout_sums

__all__ = ["Conversion"]

KEPT_OUT = 4  # every fourth image measures candidates, if there is a search
MOST_KEPT_OUT = 512
SEARCH_BUDGET = 2**30  # values of all maps, images and timesteps of a search
JUDGING_IMAGES = 2000
MAP_BUDGET = 2**26  # values of an output that is a map, all images and timesteps
ERROR_IMAGES, ERROR_BATCH = 64, 16  # that tell how far outputs are from the float network's


class Conversion:
    """The steps of one conversion and what they share."""

    def __init__(self, network, x, labels, settings, tell, classes=True):
        """``classes``: whether the channels of the output that decides are classes, of which one is right."""
        self.network, self.settings, self.tell, self.classes = network, settings, tell, classes
        self.x, self.labels = x, labels
        kept_out = np.zeros(len(x), bool)
        if settings.searches and len(x) >= KEPT_OUT:
            values = settings.timesteps * sum(map(np.prod, network.shapes.values()))
            most = min(MOST_KEPT_OUT, max(1, int(SEARCH_BUDGET // values)))
            kept_out[np.arange(KEPT_OUT - 1, len(x), KEPT_OUT)[:most]] = True
        self.kept_out = x[kept_out] if kept_out.any() else x
        tell("thresholds", 0.05)
        self.builder = Builder(network, x[~kept_out], settings)
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
        own = self._affordable(own)
        images, known = self.x[own], None if self.labels is None else self.labels[own]
        if self.classes or settings.exit_rule != "off":
            z = readout_sums(quantized.network, images)
            rule = self._fit_exit(quantized, z, known)
            steps = exit_steps(z, rule) if rule.kind != "off" else np.full(len(z), settings.timesteps)
            figures = self._figures(images, known, z, rule)
        else:
            images = images[:ERROR_IMAGES]
            rule, steps = quantized.network.exit_rule, np.full(len(images), settings.timesteps)
            figures = {"error_images": len(images), "output_errors": self._output_errors(images, quantized)}
        tell("activity", 0.95)
        provenance = self._provenance(plan, quantized, figures)
        provenance["activity"] = measure_activity(quantized.network, images, steps)
        tell("done", 1.0)
        return replace(quantized.network, exit_rule=rule, provenance=provenance)

    def _affordable(self, images):
        """Return the slice ``images``, cut to what memory holds of the output that decides, if that is a map."""
        shape = self.network.shapes[self.settings.exit_output]
        if shape[1:] == (1, 1):
            return images
        most = max(64, MAP_BUDGET // (self.settings.timesteps * int(np.prod(shape))))
        return slice(images.start, min(images.stop, images.start + most))

    def _fit_exit(self, quantized, z, labels, **how):
        """Return the exit rule for sums ``z``; ``how`` is for `fit_exit`."""
        settings, looks = self.settings, quantized.network.exit_rule
        looks = {"output": looks.output, "share": looks.share}
        if settings.exit_rule == "off":
            return quantized.network.exit_rule
        if settings.exit_fit == "paper" and not how:
            return paper_limits(z, quantized.logit, settings.exit_rule, labels, **looks)
        return fit_exit(z, quantized.logit, settings.exit_rule, settings.exit_loss, labels, **looks, **how)

    def _bench(self, plan):
        """Return the `Sensitivity` of ``plan`` on the images kept out."""
        settings = self.settings
        levels = (1, 2**settings.timesteps - 1) if settings.two_phase else (settings.timesteps, None)
        neurons = {name: Neurons(theta, levels[1] or plan.bursts[name]) for name, theta in plan.thresholds.items()}
        x = normalised(self.kept_out, *self.builder.scale)
        dynamics = Dynamics(self.network, x, levels[0], settings.search_lanes)
        return Sensitivity(dynamics, neurons, None if settings.exit_rule == "off" else settings.exit_output)

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
        judging = self._affordable(slice(max(0, len(self.x) - JUDGING_IMAGES), len(self.x)))
        images = self.x[judging]
        truth = self._decisions(images) if self.labels is None else self.labels[judging]
        before = readout_sums(self.builder.build(plan, quick=True).network, images)[:, -1].argmax(1) == truth
        judged = []

        def stretched(choice):
            return replace(
                plan, thresholds={name: ratio * plan.thresholds[name] for name, (ratio, _) in choice.items()},
                min_burst={name: min_burst for name, (_, min_burst) in choice.items()},
            )

        def judge(choice):
            made = self.builder.build(stretched(choice), quick=True)
            z = readout_sums(made.network, images)
            judged.append(choice)
            tell("compression", min(0.78, 0.7 + 0.01 * len(judged)))
            rule = self._fit_exit(made, z, truth, confidence=0.5)
            lost = 100 * float(before.mean() - (z[:, -1].argmax(1) == truth).mean())
            return lost, float(exit_steps(z, rule).mean())

        front = cheapest(front, judge, settings.compress)
        if front is None:
            return plan, quantized
        self.fronts["compress"] = front
        plan = stretched(front.choice())
        return plan, self.builder.build(plan)

    def _decisions(self, images):
        """Return the float network's classes, int64 [N], or [N, rows, columns] where the output is a map."""
        output, found = self.settings.exit_output, []
        for start in range(0, len(images), 250):
            x = seen(images[start : start + 250], *self.builder.scale)
            found.append(activations(self.network, x)[output].argmax(1))
        classes = torch.cat(found).numpy()
        return classes[:, 0, 0] if classes.shape[1:] == (1, 1) else classes

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
            "exit_accuracy": float((found[np.arange(len(z)), np.minimum(steps, z.shape[1]) - 1] == truth).mean()),
            "mean_timesteps": float(steps.mean() if rule.kind != "off" else self.settings.timesteps),
        }

    def _output_errors(self, images, quantized):
        """Return name of every output to how far it is from the float network's, root mean squares, over that."""
        net, squares = quantized.network, {name: np.zeros(2) for name in quantized.logits}
        for start in range(0, len(images), ERROR_BATCH):
            part = images[start : start + ERROR_BATCH]
            known = activations(self.network, seen(part, *self.builder.scale))
            for name, z in output_sums(net, part).items():
                wanted = known[name][..., : z.shape[2], : z.shape[3]].double()
                found = z / (quantized.logits[name] * (1 if net.two_phase else net.timesteps))
                squares[name] += float((found - wanted).square().sum()), float(wanted.square().sum())
        return {name: float(np.sqrt(off / whole)) if whole else 0.0 for name, (off, whole) in squares.items()}

    def _provenance(self, plan, quantized, figures):
        settings = self.settings
        mean, std = normalisation(settings.mean, settings.std, self.network.shape[0])
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
            "output_scales": quantized.logits,
            **({"decode": self.network.decode} if self.network.decode else {}),
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
