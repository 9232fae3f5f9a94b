"""AdaFire neurons simulated in PyTorch, timestep by timestep, in floating point: the golden model is timed against it.

Written as one writes it: every layer is a module, every timestep runs all of them, each convolution is torch's own,
and spikes carry their amplitude, ``count * threshold``. Nothing is quantized; the output is the mean over timesteps.
"""

import torch
from torch import nn

from gen.layers import INPUT
from gen.method.torch_windows import convolve, pooled
from gen.model.network import FloatNetwork

__all__ = ["FloatSimulation"]


class AdaFire(nn.Module):
    """Burst neurons with soft reset: ``k = clamp(floor(u / threshold), 0, burst)``, ``v = u - k * threshold``.

    A count under ``least`` is none: it stays in the membrane.
    """

    def __init__(self, threshold, burst, least=1):
        super().__init__()
        threshold = torch.as_tensor(threshold, dtype=torch.float32)[:, None, None]
        self.register_buffer("threshold", torch.where(threshold > 0, threshold, torch.inf))
        self.burst, self.least, self.v = burst, least, None

    def reset(self):
        self.v = None

    def forward(self, current):
        if self.v is None:
            self.v = torch.where(self.threshold.isinf(), 0, self.threshold / 2).expand_as(current)
        u = self.v + current
        spikes = torch.clamp(torch.floor(u / self.threshold), 0, self.burst)
        if self.least > 1:
            spikes = spikes * (spikes >= self.least)
        spikes = torch.where(self.threshold.isinf(), 0, spikes * self.threshold)
        self.v = u - spikes
        return spikes


class Synapse(nn.Module):
    """A convolution of one map; a residual identity is the map itself."""

    def __init__(self, synapse):
        super().__init__()
        self.source, self.identity, self.part = synapse.source, _is_identity(synapse), synapse
        self.register_buffer("weight", torch.as_tensor(synapse.weight).float())

    def forward(self, x):
        return x if self.identity else convolve(self.part, x, self.weight)


class Layer(nn.Module):
    """The synapses of a layer, its bias and, but for the readout, its neurons."""

    def __init__(self, layer, *neurons):
        super().__init__()
        self.synapses = nn.ModuleList(map(Synapse, layer.synapses))
        self.register_buffer("bias", torch.as_tensor(layer.bias).float()[:, None, None])
        self.neurons = AdaFire(*neurons) if layer.fires else nn.Identity()

    def forward(self, maps):
        current = self.bias
        for synapse in self.synapses:
            current = current + synapse(maps[synapse.source])
        return self.neurons(current)


class Pool(nn.Module):
    """A pool of one timestep's spikes."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool

    def forward(self, maps):
        return pooled(self.pool, maps[self.pool.source]) / self.pool.divisor


class FloatSimulation(nn.Module):
    """A `FloatNetwork` of AdaFire neurons.

    Parameters
    ----------
    network : FloatNetwork
    neurons : layer name to (thresholds float [C], 0 for a channel that never fires; burst cap; least burst)
    timesteps : at least 1
    """

    def __init__(self, network: FloatNetwork, neurons, timesteps):
        super().__init__()
        self.timesteps = timesteps
        self.names = [layer.name for layer in network.layers]
        self.layers = nn.ModuleList(
            Pool(layer) if not layer.weighted else Layer(layer, *neurons.get(layer.name, ()))
            for layer in network.layers
        )

    @torch.no_grad()
    def run(self, x):
        """Return the mean output, float32 [N, classes], over the timesteps for normalised images [N, C, H, W]."""
        for module in self.modules():
            if isinstance(module, AdaFire):
                module.reset()
        total = 0
        for _ in range(self.timesteps):
            maps = {INPUT: x}
            for name, layer in zip(self.names, self.layers):
                maps[name] = layer(maps)
            total = total + maps[self.names[-1]].flatten(1)
        return total / self.timesteps


def _is_identity(synapse):
    outputs, inputs, *kernel = synapse.weight.shape
    return inputs == 1 and outputs == synapse.groups and kernel == [1, 1] and synapse.stride == (1, 1) and bool(
        (synapse.weight == 1).all()
    )
