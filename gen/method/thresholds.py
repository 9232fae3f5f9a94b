"""The threshold of every channel: the one that loses least of its activation (MMSE)."""

import torch


__all__ = ["layer_threshold", "mmse_threshold", "thresholds"]

CANDIDATES = 95
SAMPLES = 2**12  # positive activations of a channel that are looked at


def thresholds(network, maps, timesteps, max_burst):
    """Return name of every firing layer to threshold, float [C]; ``maps`` as from `gen.method.simulate.activations`.

    ``max_burst`` is one number, or a dict of layer name to that. A layer that already spikes keeps its threshold.
    """
    caps = max_burst if isinstance(max_burst, dict) else {}
    return {
        layer.name: layer_threshold(layer, maps, timesteps, caps.get(layer.name, max_burst))
        for layer in network.layers[:-1] if layer.weighted
    }


def layer_threshold(layer, maps, timesteps, burst):
    """Return the threshold per channel, float64 [C], of one layer, its own if it has one."""
    return mmse_threshold(maps[layer.name], timesteps, burst) if layer.threshold is None else layer.threshold


def mmse_threshold(activation, timesteps, max_burst):
    """Return the threshold per channel, float64 [C], that loses least of ``activation``, tensor [N, C, H, W].

    A neuron that starts at half its threshold turns a constant activation a into the average over T steps
    ``theta/T * clip(floor(T*a/theta + 1/2), 0, burst*T)``. Of 95 candidates, 1.00 to 0.06 of the largest
    activation, the one of least squared error wins; a channel that is never active gets 0.
    """
    most = activation.amax((0, 2, 3))
    a = _positive(activation)
    best, least = torch.zeros_like(most), torch.full_like(most, float("inf"))
    for i in range(CANDIDATES):
        step = ((1 - 0.01 * i) * most / timesteps).clamp(min=1e-30)[:, None]
        error = (a / step).round_().clamp_(max=max_burst * timesteps).mul_(step).sub_(a)
        loss = error.square_().sum(1)
        best, least = torch.where(loss < least, step[:, 0] * timesteps, best), torch.minimum(loss, least)
    return torch.where(most > 0, best, 0).double().numpy()


def _positive(activation):
    """Return up to `SAMPLES` positive activations of every channel, [C, samples], 0 where there are fewer."""
    rows = [row[row > 0] for row in activation.transpose(0, 1).flatten(1)]
    rows = [row[:: -(-len(row) // SAMPLES)] if len(row) else row for row in rows]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
