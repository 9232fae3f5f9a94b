"""AdaFire neurons in floating point, all timesteps of a layer at once: what the searches measure with.

Thresholds, burst caps and weights of one layer can be changed without touching another: a spike has its amplitude,
the threshold, here. The integer network that results is judged by `gen.method.simulate`.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from gen.layers import INPUT
from gen.method.simulate import activations
from gen.method.torch_windows import convolve, pooled

__all__ = ["Dynamics", "Neurons", "fanouts", "mean_answers", "symmetric_divergence"]

NEVER, MOST = 1e30, 1e36  # a threshold that nothing reaches; the largest one
POSITIONS = 1024  # of an output, evenly spread, that are compared


@dataclass(frozen=True, eq=False)
class Neurons:
    """One layer as the search sees it: threshold float [C], burst cap, least burst; weights, if not the network's."""

    threshold: np.ndarray
    burst: int
    min_burst: int = 1
    weights: tuple | None = None


class Dynamics:
    """A float network that fires, on a fixed set of images.

    Parameters
    ----------
    network : FloatNetwork
    x : normalised images, float32 [N, C, H, W]; or frames [N, T, C, H, W], as many as ``timesteps``
    timesteps : how many are simulated
    lanes : count costs in cycles of so many lanes; None: in synaptic operations
    """

    def __init__(self, network, x, timesteps, lanes=None):
        self.network, self.timesteps = network, timesteps
        maps = activations(network, x if x.dim() == 4 else x.mean(1))
        self.probabilities = {
            name: mean_answers(_sums(maps[name][None], 1, network.decode.get(name))) for name in network.outputs
        }
        self.means = {name: value.mean((0, 2, 3), dtype=torch.float64).float() for name, value in maps.items()}
        self.lanes, self.signed = lanes, {layer.name: layer.fires and layer.signed for layer in network.layers}
        self.sizes = {name: math.prod(shape) for name, shape in network.shapes.items()}
        self._fanout = {name: torch.as_tensor(value).float()
                        for name, value in fanouts(network, network.shapes, lanes).items()}
        self.images = x[None] if x.dim() == 4 else x.transpose(0, 1)

    def run(self, neurons):
        """Return map name to float32 [T, N, C, H, W] (an output: its currents) for `Neurons` by layer name."""
        return self.replay({INPUT: self.images}, neurons, None)

    def replay(self, maps, neurons, changed):
        """Return ``maps`` as they become when the layer ``changed`` has other ``neurons``: it and what follows."""
        maps, stale = dict(maps), set()
        for layer in self.network.layers:
            if changed is not None and layer.name != changed and not stale & set(layer.sources):
                continue
            stale.add(layer.name)
            if not layer.weighted:
                x = maps[layer.source]
                maps[layer.name] = (pooled(layer, x.flatten(0, 1)) / layer.divisor).unflatten(0, x.shape[:2])
            elif layer.fires:
                maps[layer.name] = self._fired(layer, maps, neurons[layer.name])
            else:
                maps[layer.name] = self._current(layer, maps)
        return maps

    def logits(self, maps):
        """Return name of every output to its sums so far, float64 [N, T, C], or [N, T, C, positions] of a map."""
        decode = self.network.decode
        return {name: _sums(maps[name], self.timesteps, decode.get(name)) for name in self.network.outputs}

    def answers(self, maps):
        """Return name of every output to `mean_answers` of its sums."""
        return {name: mean_answers(z) for name, z in self.logits(maps).items()}

    def divergence(self, maps, answers):
        """Return `symmetric_divergence` from ``answers``, by output, float64 [N, T]: the mean over the outputs."""
        logits = self.logits(maps)
        return sum(symmetric_divergence(z, answers[name]) for name, z in logits.items()) / len(logits)

    def cost(self, maps, name):
        """Return what the events that ``name`` emits cost per image, float64 [T]: a pool's are its source's."""
        total = np.zeros(self.timesteps)
        for layer in self.network.layers:
            if layer.name == name or (not layer.weighted and layer.source == name):
                if layer.name in self._fanout:
                    nonzero = (maps[layer.name] != 0).sum((1, 2)) * self._fanout[layer.name]
                    total += nonzero.sum((1, 2)).double().numpy() / self.images.shape[1]
                if layer.name != name:
                    total += self.cost(maps, layer.name)
        return total

    def _current(self, layer, maps, weights=None):
        total = torch.as_tensor(layer.bias).float()[:, None, None]
        for synapse, weight in zip(layer.synapses, weights or [s.weight for s in layer.synapses]):
            x = maps[synapse.source]
            current = convolve(synapse, x.flatten(0, 1), torch.as_tensor(weight).float())
            total = total + current.unflatten(0, x.shape[:2])
        return total

    def _fired(self, layer, maps, neurons):
        """Return the amplitudes that the layer emits, its bias corrected once: `gen.method.calibrate` does more."""
        current = self._current(layer, maps, neurons.weights)
        theta = torch.as_tensor(np.where(neurons.threshold > 0, neurons.threshold, NEVER)).float()[:, None, None]
        wanted = self.means[layer.name][:, None, None]
        counts = self._counts(layer, current, theta, neurons)
        missing = wanted - counts.mean((0, 1, 3, 4))[:, None, None] * theta
        current += torch.where(theta < NEVER, missing, 0)
        return self._counts(layer, current, theta, neurons).mul_(torch.where(theta < NEVER, theta, 0))

    def _counts(self, layer, current, theta, neurons):
        below = theta
        if layer.signed:
            slope = torch.as_tensor(layer.slope).float()[:, None, None]
            below = torch.where(slope > 0, theta / slope, NEVER).clamp_(max=MOST)
        start = torch.zeros_like(theta) if layer.signed else theta / 2
        v = start.expand(current.shape[1:]).clone()
        counts = current.new_empty((self.timesteps, *v.shape))
        for t, count in enumerate(counts):
            v += current[min(t, len(current) - 1)]
            if layer.signed:
                torch.div(v + theta / 2, theta, out=count).floor_().clamp_(0, neurons.burst)
                count -= ((below / 2 - v) / below).floor_().clamp_(0, neurons.burst)
            else:
                torch.div(v, theta, out=count).floor_().clamp_(0, neurons.burst)
            if neurons.min_burst > 1:
                count.mul_(count.abs() >= neurons.min_burst)
            v.addcmul_(count, torch.where(count < 0, below, theta) if layer.signed else theta, value=-1)
        return counts


def symmetric_divergence(logits, probabilities):
    """Return half the sum of both Kullback-Leibler divergences in nats, float64 [N, T]; of a map its positions' mean.

    ``logits`` [N, T, C] or [N, T, C, positions] are sums over timesteps, of which the mean is taken; ``probabilities``
    are as `mean_answers` gives them, with T or 1 timesteps.
    """
    p, q = mean_answers(logits).log(), probabilities.clamp(min=1e-12).log()
    each = ((p.exp() - q.exp()) * (p - q)).sum(2) / 2
    return each if each.dim() == 2 else each.mean(2)


def mean_answers(logits):
    """Return the softmax of the means so far, float64 like ``logits`` [N, T, C] or [N, T, C, positions].

    A single channel is one answer against its opposite, [N, T, 2]: the sigmoid.
    """
    if logits.shape[2] == 1:
        logits = torch.cat([logits, torch.zeros_like(logits)], 2)
    steps = torch.arange(1, logits.shape[1] + 1)
    return (logits / steps.view(-1, *[1] * (logits.dim() - 2))).softmax(2).clamp(min=1e-12)


def _sums(currents, timesteps, decode):
    """Return the sums so far of an output's currents [T or 1, N, C, H, W], at up to `POSITIONS` positions.

    What the model puts through a sigmoid is no choice among channels: each number is a position of its own.
    """
    flat = currents.flatten(2)[:, :, None] if decode == "sigmoid" else currents.flatten(3)
    flat = flat[..., :: -(-flat.shape[3] // POSITIONS)].double()
    z = flat.expand(timesteps, -1, -1, -1).cumsum(0).transpose(0, 1)
    return z[..., 0] if z.shape[3] == 1 else z


def fanouts(network, shapes, lanes=None):
    """Return name of every map that a synapse reads to float [H, W]: what one event there costs.

    In synaptic operations, weights applied; or, with ``lanes``, in cycles: a tile of up to so many channels
    takes an event in one.
    """
    costs = {}
    for layer in network.layers:
        for synapse in layer.synapses:
            if synapse.source == INPUT:
                continue
            outputs = len(synapse.weight) // synapse.groups
            each = outputs if lanes is None else -(-outputs // lanes)
            reads = synapse.window.reads(shapes[synapse.source][1:], shapes[layer.name][1:])
            costs[synapse.source] = costs.get(synapse.source, 0) + each * reads
    return costs
