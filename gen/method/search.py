"""Burst caps, spike compression and weight widths, chosen layer by layer from Pareto fronts.

Every candidate of a layer is tried with all other layers as they are, on images kept out of calibration: what it
costs, and what it does to the network's answer, in symmetric Kullback-Leibler divergence (Adaptive Calibration,
AAAI 2025). For burst caps, which may make the network better, that is how much further it is from the float network's
answer; for what can only make it worse, how far it is from the network's own before: so small effects of many layers
are not drowned by chance. Cost and loss count a timestep by the share of images that get that far, or stop there.
"""

import copy
from dataclasses import replace

import numpy as np
from scipy.optimize import isotonic_regression

from gen.errors import InputError
from gen.layers import MIN_BURSTS, MAX_BURST
from gen.method.dynamics import Neurons
from gen.method.front import front_of
from gen.method.quantize import rounded_weights
from gen.method.thresholds import layer_threshold

__all__ = ["Sensitivity", "cheapest", "search_bursts", "search_compression", "search_weight_bits"]

BURSTS = (1, 2, 3, 4, 5, 7, 10, 15, 31, 63, 127, MAX_BURST)
NARROW, BYTE = 4, 8  # bits: of a count whose word costs nothing extra; of a weight
RATIOS = (1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0)
MOST_MIN_BURST, FEW_RATIOS = 4, (1.0, 1.2, 1.5, 2.0)
WIDTHS = (8, 7, 6, 5, 4, 3, 2)
HOPELESS = 0.25  # nats: a candidate that moves the answer so far, and all beyond it, are not looked at
SAVINGS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of the cost: points that are built
FAR, ROUNDING = 1.0, 1e-9  # points over what is allowed: the search ends; the same number
RARE = 0.01  # of the images: a timestep that fewer reach is not simulated


class Sensitivity:
    """The measuring bench: every layer's `Neurons` as they are, and what a change of one of them does.

    Parameters
    ----------
    dynamics : `gen.method.dynamics.Dynamics` of the images kept out
    neurons : layer name to `Neurons`
    exits : the output that decides, where images stop early: taken to be when its decision changes no more, each
        position of a map by itself; or None
    """

    def __init__(self, dynamics, neurons, exits=None):
        self.timesteps, self.neurons = dynamics.timesteps, neurons
        maps = dynamics.run(neurons)
        simulated = self.timesteps
        self._stopping = np.eye(simulated)[-1]
        if exits:
            found = np.moveaxis(dynamics.logits(maps)[exits].argmax(2).numpy(), 1, -1).reshape(-1, simulated)
            undecided = (found != found[:, -1:])[:, ::-1]
            steps = np.where(undecided.any(1), simulated - undecided.argmax(1), 0)
            self._stopping = np.bincount(steps, minlength=simulated) / len(steps)
            simulated = max(1, int((self._stopping[::-1].cumsum()[::-1] > RARE).sum()))
        self._stopping[simulated - 1] += self._stopping[simulated:].sum()
        self._stopping = self._stopping[:simulated]
        self._running = self._stopping[::-1].cumsum()[::-1]
        self._dynamics = copy.copy(dynamics)
        self._dynamics.timesteps = simulated
        self._maps = maps if simulated == self.timesteps else self._dynamics.run(neurons)
        self._answers = self._dynamics.answers(self._maps)

    def _divergence(self, maps, answers):
        """Return the divergence of every image, float64 [N]."""
        return self._dynamics.divergence(maps, answers).numpy() @ self._stopping

    def cost(self, name, maps=None):
        """Return what the events of a layer cost per image."""
        return float(self._dynamics.cost(maps or self._maps, name) @ self._running)

    def width(self, name, burst):
        """Return what the counts of a layer cost per image, beyond its events, with the cap ``burst``.

        A count of over 4 bits makes a wider map. What that moves, once written and once read at each timestep, costs
        as much as an operation, which moves a weight, does for as many bits.
        """
        bits = burst.bit_length() + self._dynamics.signed[name]
        moved = 2 * self._dynamics.sizes[name] * max(0, bits - NARROW) / BYTE
        return float(moved / (self._dynamics.lanes or 1) * self._running.sum())

    def try_out(self, name, candidates, hopeless=HOPELESS, float_network=False):
        """Return (costs, divergences) of `Neurons` for one layer, up to the first hopeless ones.

        From the answer as it is now; or, if ``float_network``, the rise of that from the float network's, a standard
        error added: what helps by chance is not taken for help.
        """
        costs, losses = [], []
        answers = self._dynamics.probabilities if float_network else self._answers
        now = self._divergence(self._maps, answers)
        for neurons in candidates:
            maps = self._dynamics.replay(self._maps, {**self.neurons, name: neurons}, name)
            costs.append(self.cost(name, maps))
            rise = self._divergence(maps, answers) - now
            losses.append(float(rise.mean() + float_network * rise.std() / np.sqrt(len(rise))))
            if losses[-1] > hopeless and len(losses) > 1:
                break
        return costs, losses


def search_bursts(bench, network, maps, fraction, unit, progress=None):
    """Return the `Front` of burst caps, the best point of at most ``fraction`` of today's cost taken.

    Thresholds are chosen anew for every cap, from the float network's activations ``maps``.
    """
    options = {}
    for layer in _followed([layer for layer in network.layers if layer.name in bench.neurons], progress):
        caps = sorted({*BURSTS, bench.neurons[layer.name].burst}, reverse=True)
        candidates = (Neurons(layer_threshold(layer, maps, bench.timesteps, cap), cap) for cap in caps)
        costs, losses = bench.try_out(layer.name, candidates, float_network=True)
        caps = caps[: len(costs)]
        options[layer.name] = caps, [cost + bench.width(layer.name, cap) for cost, cap in zip(costs, caps)], losses
    uniform = sum(bench.cost(name) + bench.width(name, now.burst) for name, now in bench.neurons.items())
    front = front_of("burst caps", unit, options, uniform)
    chosen = front.within(fraction * uniform)
    if chosen is None:
        raise InputError(
            f"No choice of burst caps costs {fraction:g} of the uniform network's {uniform:,.0f} {unit}; the least "
            f"is {front.points[0].cost / uniform:.2f}. Allow at least that with search_burst, or compress as well."
        )
    return chosen


def search_compression(bench, unit, progress=None):
    """Return the `Front` of (threshold ratio, min_burst) without a point taken: Sensitivity Spike Compression.

    The paper raises thresholds; a least burst is our addition: it silences small activations and leaves large ones
    their resolution.
    """
    options = {}
    for name, now in _followed(bench.neurons.items(), progress):
        tried, costs, losses = [], [], []
        for min_burst in (n for n in MIN_BURSTS if n <= min(now.burst, MOST_MIN_BURST)):
            ratios = RATIOS if min_burst == 1 else FEW_RATIOS
            cost, loss = bench.try_out(name, (Neurons(r * now.threshold, now.burst, min_burst) for r in ratios))
            tried += [(ratio, min_burst) for ratio, _ in zip(ratios, cost)]
            costs, losses = costs + cost, losses + loss
        options[name] = tried, costs, losses
    return front_of("compression: threshold ratio, min_burst", unit, options, sum(map(bench.cost, bench.neurons)))


def search_weight_bits(bench, network, plan, stored_bits, budget, progress=None):
    """Return the `Front` of weight widths, the best point of at most ``budget`` bits of weight memory taken.

    ``stored_bits(bits, widest)`` is what the machine spends on a weight where the widest layer has ``widest``.
    """
    layers = [layer for layer in network.layers if layer.weighted]
    losses = {}
    for layer in _followed(layers, progress):
        now = bench.neurons.get(layer.name, Neurons(np.zeros(0), 0))
        _, losses[layer.name] = bench.try_out(layer.name, (
            Neurons(now.threshold, now.burst, weights=rounded_weights(network, layer, plan.thresholds, bits))
            for bits in WIDTHS
        ), hopeless=np.inf)
    sizes = {layer.name: sum(s.weight.size for s in layer.synapses) for layer in layers}
    fronts = []
    for first, widest in enumerate(WIDTHS):
        options = {
            name: (WIDTHS[first:], [size * stored_bits(bits, widest) for bits in WIDTHS[first:]], losses[name][first:])
            for name, size in sizes.items()
        }
        fronts.append(front_of("weight bits", "bits of weight memory", options, 8.0 * network.weights))
    fitting = [front for front in (front.within(budget) for front in fronts) if front]
    if not fitting:
        least = min(front.points[0].cost for front in fronts)
        raise InputError(
            f"The network's {network.weights:,} weights take at least {least:,.0f} bits, more than the {budget:,} of "
            "weight_memory: allow more, or train a smaller network."
        )
    return min(fitting, key=lambda front: front.points[front.taken].loss)


def cheapest(front, judge, points):
    """Return ``front`` with the point taken that costs least when it is built, losing at most ``points``.

    ``judge(choice)`` builds a choice and returns (accuracy points lost, mean timesteps until the exit). Cost times
    timesteps counts. What points further and further along the front lose rises but for chance: the rising sequence
    nearest to what is seen, in least squares, is compared with ``points``. None where even the first loses too much.
    """
    affordable = [sum(point.cost <= (1 - saving) * front.reference for point in front.points) for saving in SAVINGS]
    indexes, costs, losses = [], [], [0.0]
    for index in sorted({count - 1 for count in affordable if count}, reverse=True):
        lost, timesteps = judge(front.choice(index))
        indexes.append(index)
        costs.append(front.points[index].cost * timesteps)
        losses.append(lost)
        if lost > points + FAR:
            break
    rising = isotonic_regression(losses).x[1:]
    allowed = [(cost, index) for cost, index, lost in zip(costs, indexes, rising) if lost <= points + ROUNDING]
    return replace(front, taken=min(allowed)[1]) if allowed else None


def _followed(items, progress):
    items = list(items)
    for i, item in enumerate(items):
        yield item
        if progress:
            progress((i + 1) / len(items))
