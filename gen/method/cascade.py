"""Two networks one behind the other: the small one answers where it can be believed, the large one the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from numbers import Real

import numpy as np

from gen.errors import InputError
from gen.exit_rule import KINDS, ExitRule
from gen.intnet import Network, StagedNetwork
from gen.method.dynamics import fanouts
from gen.method.exit_fit import MOST_IMAGES, cheapest_limits, losses
from gen.method.exit_score import decisions, exit_steps, image_scores, stops, temperature
from gen.method.settings import check_images, check_labels
from gen.method.simulate import readout_sums

__all__ = ["cascade"]


def cascade(
    small: Network,
    large: Network,
    calibration: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    exit_loss: float = 0.2,
    exit: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> StagedNetwork:
    """Return the network whose first stage is ``small`` and whose second, where that is in doubt, is ``large``.

    Parameters
    ----------
    small, large : networks over the same input with outputs of the same shapes; those of ``large`` are renamed
    calibration : uint8 [N, C, H, W] or [N, H, W] ([N, T, C, H, W] of frames), images that neither was trained on if
        there are some; the first 10,000 are used
    labels : integers [N], or [N, H, W] for an output with positions; without them the large network's decision stands
        in
    exit_loss : accuracy points that the cascade may lose against the large network alone
    exit : entropy, confidence or margin; by default the small network's rule, or entropy where it has none
    progress : callable(step text, fraction done) or None

    Raises
    ------
    InputError : networks that do not go together, or that have stages already; options out of range.

    The limits of the first stage are fitted anew, at every timestep and at its last as well, as for an early exit: what
    follows the last timestep is the second stage, which costs what it costs. A loss is an image that the large network
    classifies correctly and the small one, believed, does not; where the small one alone is right nothing is counted.
    """
    tell = progress or (lambda step, fraction: None)
    small, large = small.stages[0], _fitting(small, large)
    if not isinstance(exit_loss, Real) or not 0 <= exit_loss <= 100:
        raise InputError(f"exit_loss is in accuracy points, 0 to 100, not {exit_loss!r}.")
    rule, x = _unfitted(small, exit), check_images(calibration)
    labels = check_labels(labels, len(x), small.shapes[small.readout.name])
    x, labels = x[:MOST_IMAGES], None if labels is None else labels[:MOST_IMAGES]
    tell("first stage", 0.0)
    z = readout_sums(small, x)
    tell("second stage", 0.3)
    final, timesteps = _answers(large, x)
    scores, lost = image_scores(z, rule), losses(decisions(z), final, labels)
    costs = [_cost(small)] * small.timesteps + [_cost(large) * timesteps]
    rule = replace(rule, limits=cheapest_limits(rule, scores, lost, exit_loss, costs))
    stop = stops(scores, rule)
    believed = stop < small.timesteps
    tell("done", 1.0)
    figures = {
        "images": len(x), "measured_against": "the large network" if labels is None else "labels",
        "exit_loss": exit_loss, "believed": float(believed.mean()),
        "exit_steps": np.bincount(np.minimum(stop, small.timesteps - 1), minlength=small.timesteps).tolist(),
        "lost_points": 100 * float(lost[believed, stop[believed]].sum() / len(x)),
    }
    stages = replace(small, exit_rule=rule), large.stages[0]
    return StagedNetwork(stages, {"cascade": figures, "stages": [small.provenance, large.provenance]})


def _answers(network, x):
    """Return what ``network`` says of the images, int64 [N, positions], and the timesteps that takes on average."""
    z = readout_sums(network, x)
    steps = exit_steps(z, network.exit_rule)
    found = decisions(z)[np.arange(len(x)), steps - 1]
    return found, network.timesteps if network.two_phase else steps.mean()


def _cost(network):
    """Return what a timestep costs where every neuron sends, in synaptic operations: as far as networks compare."""
    met = fanouts(network, network.shapes)
    return max(1.0, sum(float(weights.sum()) * network.shapes[name][0] for name, weights in met.items()))


def _fitting(small, large):
    """Return ``large`` with its outputs named as those of ``small``; InputError where the two do not go together."""
    for what, network in (("small", small), ("large", large)):
        if len(network.stages) > 1:
            raise InputError(f"The {what} network of a cascade must be of one stage, not of {len(network.stages)}.")
    if small.two_phase:
        raise InputError(
            "The small network has inverse-leaky neurons, which know no early exit: it cannot be the first stage of a "
            "cascade. Convert it with neuron adafire."
        )
    one, other = small.source, large.source
    if (one.shape, one.kind) != (other.shape, other.kind):
        raise InputError(
            f"The two networks look at different inputs, {_seen(one)} and {_seen(other)}: convert both for one kind "
            "of image."
        )
    if (one.offset != other.offset).any() or (one.low, one.high) != (other.low, other.high):
        raise InputError(
            f"The two networks were converted with different means: their inputs are pixels of {one.low}..{one.high} "
            f"less {one.offset.tolist()}, and of {other.low}..{other.high} less {other.offset.tolist()}. Convert "
            "both with the same --mean."
        )
    shapes = [[network.shapes[name] for name in _outputs(network)] for network in (small, large)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"The outputs of the small network have shapes {_shown(shapes[0])}, those of the large one "
            f"{_shown(shapes[1])} (channels x height x width): both must answer the same question."
        )
    return _renamed(large, dict(zip(_outputs(large), _outputs(small))))


def _outputs(network):
    """Return the names of the outputs, that which decides first."""
    first = network.readout.name
    return [first, *(name for name in network.outputs if name != first)]


def _renamed(network, names):
    """Return ``network`` with its outputs renamed, ``names`` old to new; a layer called so already makes way."""
    taken = {layer.name for layer in network.layers} | {*names.values()}
    for layer in network.layers:
        if layer.name in names.values() and layer.name not in names:
            names[layer.name] = next(name for i in count(2) if (name := f"{layer.name}.{i}") not in taken)
            taken.add(names[layer.name])

    def reading(layer):
        if layer.weighted:
            synapses = (replace(s, source=names.get(s.source, s.source)) for s in layer.synapses)
            return {"synapses": tuple(synapses)}
        return {"source": names.get(layer.source, layer.source)}

    layers = [replace(layer, name=names.get(layer.name, layer.name), **reading(layer)) for layer in network.layers]
    rule = network.exit_rule
    rule = replace(rule, output=names.get(rule.output, rule.output))
    provenance = dict(network.provenance)
    if scales := provenance.get("output_scales"):
        provenance["output_scales"] = {names.get(name, name): scale for name, scale in scales.items()}
    task = network.stated_task and network.stated_task.renamed(names)
    return replace(network, layers=tuple(layers), exit_rule=rule, provenance=provenance, stated_task=task)


def _unfitted(network, kind):
    """Return the exit rule that measures the doubts of ``network``, its limits open."""
    rule = network.exit_rule
    kind = kind or (rule.kind if rule.kind != "off" else "entropy")
    looks = {"output": rule.output, "share": rule.share}
    if kind not in KINDS or kind == "off":
        raise InputError(f"The first stage of a cascade needs a rule: entropy, confidence or margin, not {kind!r}.")
    if kind == "margin":
        return ExitRule(kind, **looks)
    if rule.kind in ("entropy", "confidence"):
        return replace(rule, kind=kind)
    logit = network.provenance.get("logit_scale")
    if not isinstance(logit, int | float) or not logit > 0:
        raise InputError(
            "The small network's file does not say what a unit of its output is worth (logit_scale in its provenance), "
            "which entropy and confidence are measured by: convert it again, or set exit to margin."
        )
    return ExitRule(kind, *temperature(logit), **looks)


def _seen(source):
    return f"{_shown([source.shape])} {source.kind}"


def _shown(shapes):
    return ", ".join("x".join(map(str, shape)) for shape in shapes)
