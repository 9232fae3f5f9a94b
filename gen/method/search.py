"""Burst caps, spike compression and weight widths, layer by layer, from one Pareto front each.

Every candidate of a layer is tried with all other layers as they are, on images kept out of calibration: what it
costs, and how far the network's answer moves from the float network's, in symmetric Kullback-Leibler divergence
(Adaptive Calibration, AAAI 2025). Both count a timestep by the share of images that get that far, or stop there.
"""

from dataclasses import asdict, dataclass

import numpy as np

from gen.errors import InputError
from gen.method.calibrate import exit_steps, fit_exit, least_limits
from gen.method.dynamics import Neurons, symmetric_divergence
from gen.method.pareto import pareto_front
from gen.method.thresholds import mmse_threshold

__all__ = ["RATIOS", "Front", "Sensitivity", "burst_options", "choose_cheapest", "choose_within", "ratio_options"]

RATIOS = (1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0)
HOPELESS = 0.25  # nats: a candidate that moves the answer so far, and all beyond it, are not looked at
LOGIT = 2.0**-10  # resolution of the preliminary exit rule
LATEST = 0.005  # of the images: a timestep that fewer reach is not simulated


@dataclass(frozen=True)
class Front:
    """A search: what was tried, the whole front, and the point taken.

    layers : names of the layers
    values : for each layer, the values tried (burst caps, ratios or bits)
    unit : of the costs, per image or in all
    reference : the cost before the search
    points : `gen.method.pareto.Point`, by rising cost; loss is the rise of the divergence in nats
    taken : index of the point in force
    """

    kind: str
    layers: tuple
    values: tuple
    unit: str
    reference: float
    points: tuple
    taken: int

    @property
    def choice(self):
        """Layer name to the value taken."""
        chosen = self.points[self.taken].choice
        return {name: values[i] for name, values, i in zip(self.layers, self.values, chosen)}

    def as_dict(self):
        """Return what a JSON file holds; points are thinned to the 200 that say most."""
        keep = np.unique(np.r_[np.linspace(0, len(self.points) - 1, 200).astype(int), self.taken])
        points = [asdict(self.points[i]) for i in keep]
        return {
            "search": self.kind, "unit": self.unit, "reference_cost": self.reference, "layers": list(self.layers),
            "values": [list(v) for v in self.values], "points": points, "taken": int(np.searchsorted(keep, self.taken)),
        }


class Sensitivity:
    """The measuring bench: a `Dynamics` and the neurons of every layer as they are now.

    ``exit`` and ``exit_loss`` give the preliminary exit rule that says how many images see each timestep.
    """

    def __init__(self, dynamics, neurons, exit="off", exit_loss=0.0):
        self.dynamics, self.neurons = dynamics, dict(neurons)
        self.maps = dynamics.run(neurons)
        z = dynamics.logits(self.maps)
        steps = self._stops((z / LOGIT).round().long().numpy(), exit, exit_loss)
        self.stopping = np.bincount(steps - 1, minlength=dynamics.timesteps) / len(steps)
        self.running = self.stopping[::-1].cumsum()[::-1]
        self.loss = self._divergence(z)

    @staticmethod
    def _stops(z, exit, exit_loss):
        if exit == "off":
            return np.full(len(z), z.shape[1])
        rule = fit_exit(z, 1 / LOGIT, exit, exit_loss)
        limits = np.asarray(rule.limits)
        return exit_steps(least_limits(z, rule), -limits if exit == "margin" else limits)

    def _divergence(self, z):
        return float(symmetric_divergence(z, self.dynamics.probabilities).mean(0).numpy() @ self.stopping)

    def cost(self, name):
        """Return what the events of a layer cost per image, as it is now."""
        return float(self.dynamics.cost(self.maps, name) @ self.running)

    def measure(self, name, candidates, progress=None):
        """Return (costs, rises of the divergence) of `Neurons` for the layer ``name``, up to the first hopeless."""
        costs, losses = [], []
        for neurons in candidates:
            maps = self.dynamics.replay(self.maps, {**self.neurons, name: neurons}, name)
            costs.append(float(self.dynamics.cost(maps, name) @ self.running))
            losses.append(self._divergence(self.dynamics.logits(maps)) - self.loss)
            if losses[-1] > HOPELESS and len(losses) > 1:
                break
        return costs, losses


def burst_options(bench, maps, max_burst):
    """Return layer name to (caps, costs, losses): caps from the largest down, thresholds anew for each.

    ``maps``: the float network's activations on calibration images.
    """
    options = {}
    for name, now in bench.neurons.items():
        caps = sorted({1, 2, 3, 4, 5, 7, 10, 15, max_burst}, reverse=True)
        candidates = (
            Neurons(mmse_threshold(maps[name], bench.dynamics.timesteps, cap), cap, now.weights) for cap in caps
        )
        costs, losses = bench.measure(name, candidates)
        options[name] = (caps[: len(costs)], costs, losses)
    return options


def ratio_options(bench):
    """Return layer name to (ratios, costs, losses): the threshold times 1 to 10."""
    options = {}
    for name, now in bench.neurons.items():
        candidates = (Neurons(ratio * now.threshold, now.burst, now.weights) for ratio in RATIOS)
        costs, losses = bench.measure(name, candidates)
        options[name] = (RATIOS[: len(costs)], costs, losses)
    return options


def front(kind, options, unit, reference):
    """Return the `Front` of ``options`` without a point taken yet."""
    values, costs, losses = zip(*options.values())
    return Front(kind, tuple(options), tuple(map(tuple, values)), unit, reference,
                 tuple(pareto_front(costs, losses)), -1)
