"""AdaFire neurons in floating point, all timesteps of a layer at once: what the searches measure with.

Thresholds, burst caps and weights of one layer can be changed without touching another: a spike has its amplitude,
the threshold, here. The integer network that results is judged by `gen.method.simulate`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from gen.layers import INPUT
from gen.method.simulate import activations, pooled

__all__ = ["Dynamics", "Neurons", "fanouts", "mean_answers", "symmetric_divergence"]

NEVER = 1e30


@dataclass(frozen=True, eq=False)
class Neurons:
    """One layer as the search sees it: threshold float [C], burst cap, least burst; weights, if not the network's."""

    threshold: np.ndarray
    burst: int
    least: int = 1
    weights: tuple | None = None


class Dynamics:
    """A float network that fires, on a fixed set of images.

    Parameters
    ----------
    network : FloatNetwork
    x : normalised images, float32 [N, C, H, W]
    timesteps : how many are simulated
    lanes : count costs in cycles of so many lanes; None: in synaptic operations
    """

    def __init__(self, network, x, timesteps, lanes=None):
        self.network, self.timesteps = network, timesteps
        maps = activations(network, x)
        self.probabilities = maps[network.layers[-1].name].flatten(1).double().softmax(1)[:, None]
        self.means = {name: value.mean((0, 2, 3), dtype=torch.float64).float() for name, value in maps.items()}
        self.positions = {name: tuple(value.shape[1:]) for name, value in maps.items()}
        self._fanout = {name: torch.as_tensor(value).float()
                        for name, value in fanouts(network, self.positions, lanes).items()}
        self.images = x[None]

    def run(self, neurons):
        """Return map name to float32 [T, N, C, H, W] (the readout: its currents) for `Neurons` by layer name."""
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
        """Return the sums of the readout, float64 [N, T, classes]."""
        current = maps[self.network.layers[-1].name].double().flatten(2)
        return current.expand(self.timesteps, -1, -1).cumsum(0).transpose(0, 1)

    def cost(self, maps, name):
        """Return what the events that ``name`` emits cost per image, float64 [T]: a pool's are its source's."""
        total = np.zeros(self.timesteps)
        for layer in self.network.layers:
            if layer.name == name or (not layer.weighted and layer.source == name):
                if layer.name in self._fanout:
                    nonzero = (maps[layer.name] > 0).sum((1, 2)) * self._fanout[layer.name]
                    total += nonzero.sum((1, 2)).double().numpy() / len(self.images[0])
                if layer.name != name:
                    total += self.cost(maps, layer.name)
        return total

    def _current(self, layer, maps, weights=None):
        total = torch.as_tensor(layer.bias).float()[:, None, None]
        for synapse, weight in zip(layer.synapses, weights or [s.weight for s in layer.synapses]):
            x, weight = maps[synapse.source], torch.as_tensor(weight).float()
            flat = x.flatten(0, 1)
            if weight.shape[2:] == flat.shape[2:] and synapse.groups == 1 and synapse.padding == (0, 0):
                current = F.linear(flat.flatten(1), weight.flatten(1))[:, :, None, None]
            else:
                current = F.conv2d(flat, weight, None, synapse.stride, synapse.padding, synapse.dilation,
                                   synapse.groups)
            total = total + current.unflatten(0, x.shape[:2])
        return total

    def _fired(self, layer, maps, neurons):
        """Return the amplitudes that the layer emits, its bias corrected once: `gen.method.calibrate` does more."""
        current = self._current(layer, maps, neurons.weights)
        theta = torch.as_tensor(np.where(neurons.threshold > 0, neurons.threshold, NEVER)).float()[:, None, None]
        wanted = self.means[layer.name][:, None, None]
        counts = self._counts(current, theta, neurons)
        missing = wanted - counts.mean((0, 1, 3, 4))[:, None, None] * theta
        current += torch.where(theta < NEVER, missing, 0)
        return self._counts(current, theta, neurons).mul_(torch.where(theta < NEVER, theta, 0))

    def _counts(self, current, theta, neurons):
        v = (theta / 2).expand(current.shape[1:]).clone()
        counts = current.new_empty((self.timesteps, *v.shape))
        for t, count in enumerate(counts):
            v += current[min(t, len(current) - 1)]
            torch.div(v, theta, out=count).floor_().clamp_(0, neurons.burst)
            if neurons.min_burst > 1:
                count.mul_(count >= neurons.min_burst)
            v.addcmul_(count, theta, value=-1)
        return counts


def symmetric_divergence(logits, probabilities):
    """Return half the sum of both Kullback-Leibler divergences in nats, float64 [N, T].

    ``logits`` [N, T, C] are sums over timesteps, of which the mean is taken; ``probabilities`` [N, 1 or T, C].
    """
    p, q = mean_answers(logits).log(), probabilities.clamp(min=1e-12).log()
    return ((p.exp() - q.exp()) * (p - q)).sum(2) / 2


def mean_answers(logits):
    """Return the softmax of the means so far, float64 [N, T, C], of sums over timesteps."""
    return (logits / torch.arange(1, logits.shape[1] + 1)[:, None]).softmax(2).clamp(min=1e-12)


def fanouts(network, shapes, lanes=None):
    """Return name of every map that a synapse reads to float [H, W]: what one event there costs.

    In synaptic operations, weights applied; or, with ``lanes``, in cycles: a tile of up to so many channels
    takes an event in one.
    """
    costs = {}
    for layer in network.layers:
        for synapse in () if not layer.weighted else layer.synapses:
            if synapse.source == INPUT:
                continue
            outputs = len(synapse.weight) // synapse.groups
            each = outputs if lanes is None else -(-outputs // lanes)
            rows, columns = (
                _reads(synapse, axis, shapes[synapse.source][axis + 1], shapes[layer.name][axis + 1])
                for axis in (0, 1)
            )
            costs[synapse.source] = costs.get(synapse.source, 0) + each * np.outer(rows, columns)
    return costs


def _reads(synapse, axis, length, outputs):
    """Return how often each of ``length`` positions along an axis is read by so many ``outputs``."""
    taps = np.arange(synapse.weight.shape[axis + 2]) * synapse.dilation[axis] - synapse.padding[axis]
    reads = (np.arange(outputs)[:, None] * synapse.stride[axis] + taps).ravel()
    return np.bincount(reads[(reads >= 0) & (reads < length)], minlength=length)
