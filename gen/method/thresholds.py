"""The threshold of every channel: the one that loses least of its activation (MMSE)."""

import math

import torch

__all__ = ["layer_threshold", "mmse_threshold", "room", "thresholds"]

CANDIDATES = 95
SAMPLES = 2**12  # activations of a channel, those of 0 left out, that are looked at
DENSE = 15 / 16  # of a channel: hardly a zero in it
LONG_BURST = 15  # the largest cap whose candidates are fractions of the activation itself
FINE_BURST = 63  # the largest cap that needs all its counts for what calibration shows


def thresholds(network, maps, timesteps, max_burst):
    """Return name of every firing layer to threshold, float [C]; ``maps`` as from `gen.method.simulate.activations`.

    ``max_burst`` is one number, or a dict of layer name to that. A layer that already spikes keeps its threshold.
    """
    caps = max_burst if isinstance(max_burst, dict) else {}
    return {
        layer.name: layer_threshold(layer, maps, timesteps, caps.get(layer.name, max_burst))
        for layer in network.layers if layer.fires
    }


def layer_threshold(layer, maps, timesteps, burst):
    """Return the threshold per channel, float64 [C], of one layer, its own if it has one."""
    if layer.threshold is not None:
        return layer.threshold
    return mmse_threshold(maps[layer.name], timesteps, burst, layer.ceiling)


def mmse_threshold(activation, timesteps, max_burst, ceiling=None):
    """Return the threshold per channel, float64 [C], that loses least of ``activation``, tensor [N, C, H, W].

    A neuron that starts at half its threshold turns a constant activation a into the average over T steps
    ``theta/T * clip(floor(T*a/theta + 1/2), 0, burst*T)``, and one with two thresholds does the same below zero. Of 95
    candidates the one of least squared error wins; a channel that is never active gets 0. The candidates are 1.00 to
    0.06 of the largest magnitude of an activation. Caps over 15 reach further down than that: for them a full burst is
    as much.

    Pictures that calibration did not show reach further, and what exceeds a full burst is lost, while a coarse count
    only rounds. So of the bits that a cap has over 63 half go into room: the threshold is `room` times as high.

    No burst exceeds the ``ceiling`` of a clipped activation: a threshold is at most ``ceiling / burst``, with which a
    full burst is the ceiling itself, whatever the current.
    """
    most = activation.abs().amax((0, 2, 3))
    a = _active(activation)
    largest = most if max_burst <= LONG_BURST else most / max_burst
    highest = float("inf") if ceiling is None else ceiling / max_burst
    best, least = torch.zeros_like(most), torch.full_like(most, float("inf"))
    for i in range(CANDIDATES):
        step = (((1 - 0.01 * i) * largest).clamp(max=highest) / timesteps).clamp(min=1e-30)[:, None]
        count = (a / step).round_().clamp_(-max_burst * timesteps, max_burst * timesteps)
        loss = count.mul_(step).sub_(a).square_().sum(1)
        best, least = torch.where(loss < least, step[:, 0] * timesteps, best), torch.minimum(loss, least)
    return torch.where(most > 0, (best * room(max_burst)).clamp(max=highest), 0).double().numpy()


def room(max_burst: int) -> float:
    """Return how many times what calibration needs a full burst can say: 1 up to a cap of 63, 2 with one of 255."""
    return max(1.0, math.sqrt((max_burst + 1) / (FINE_BURST + 1)))


def _active(activation):
    """Return up to `SAMPLES` activations other than 0 of every channel, [C, samples], 0 where there are fewer."""
    rows = activation.transpose(0, 1).flatten(1)
    return torch.nn.utils.rnn.pad_sequence([_samples(row[row != 0], len(row)) for row in rows], batch_first=True)


def _samples(row, length):
    """Return samples of what is left of a row of ``length`` without its zeros.

    They are a whole stride apart where the zeros have mixed the columns. Where hardly one was left out, such a stride
    would meet the same columns of the map always, its border perhaps: there they are spread evenly.
    """
    if len(row) <= SAMPLES:
        return row
    if len(row) > DENSE * length:
        return row[torch.linspace(0, len(row) - 1, SAMPLES).long()]
    return row[:: -(-len(row) // SAMPLES)]
