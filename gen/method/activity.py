"""How much of a converted network is not zero on images: what `gen.plan.activity` foretells clock cycles from."""

import numpy as np
import torch

from gen.layers import INPUT
from gen.method.simulate import integer_maps, pool_counts

__all__ = ["measure_activity"]

IMAGES = 256
DIGITS = 4


def measure_activity(network, images, exit_steps, batch=64):
    """Return the ``activity`` of a network of one stage, as `gen.plan.activity` describes it.

    images : uint8 [N, C, H, W] or [N, T, C, H, W], of which the maps of the first 256 are looked at
    exit_steps : int [N], when each of them stops
    """
    exit_steps, images, steps = np.asarray(exit_steps), images[:IMAGES], network.timesteps
    running = exit_steps[: len(images), None] > np.arange(steps)
    sums = {}
    for start in range(0, len(images), batch):
        weight = torch.as_tensor(running[start : start + batch].T.copy()).double()
        for name, nonzero in _nonzero(network, images[start : start + batch]).items():
            weights = weight[: len(nonzero), :, None, None]
            values = (nonzero.sum(2).double() * weights).sum(1).numpy()
            sums[name] = sums.get(name, 0) + values
    shares = np.maximum(running.sum(0), 1)
    stopped = np.bincount(exit_steps - 1, minlength=steps)
    return {
        "images": len(exit_steps), "exit_steps": stopped.tolist(),
        "maps": {name: _in_short(total, shares[: len(total)]) for name, total in sums.items()},
    }


def _in_short(total, images):
    """Return the entry of a map of which ``total``, [T, H, W], nonzero values were counted in [T] ``images``."""
    whole = total.sum() or 1.0
    profile = [total.sum(axis) / whole * n for axis, n in (((0, 2), total.shape[1]), ((0, 1), total.shape[2]))]
    mean = total.sum((1, 2)) / images
    return {
        "nonzero": [_rounded(value) for value in mean],
        "rows": [_rounded(value) for value in profile[0]], "columns": [_rounded(value) for value in profile[1]],
    }


def _rounded(value):
    return float(f"{value:.{DIGITS}g}")


def _nonzero(network, images):
    """Return name of every map that is sent, the input's too, to bool [T, N, C, H, W], what of it is not zero."""
    maps = integer_maps(network, torch.as_tensor(images))
    if network.two_phase:
        maps = {INPUT: maps[INPUT]} | _spikes(network, maps)
    return {name: counts != 0 for name, counts in maps.items()}


def _spikes(network, codes):
    """Return the counts [T, N, C, H, W] of a two-phase network whose maps hold ``codes``, its first spike the highest.

    Pools add up the spikes of a timestep.
    """
    maps = {}
    for layer in network.layers:
        if layer.fires:
            maps[layer.name] = torch.cat([codes[layer.name] >> bit & 1 for bit in reversed(range(network.timesteps))])
        elif not layer.weighted:
            maps[layer.name] = pool_counts(network, layer, maps[layer.source])
    return maps
