"""What is measured on the integer network: bias correction and state widths.

Bias correction goes layer by layer, upstream layers already corrected: the mean activation of each channel
over the calibration images is made that of the float network. That absorbs the rounding of weights as well as
the error of the dynamics.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from gen.errors import InputError
from gen.layers import BIAS_MAX, INPUT, signed_bits
from gen.method.quantize import settle
from gen.method.simulate import drive, fire, integer_input, pool_counts
from gen.method.state_bits import LEAST_STATE, STATE_MAX, proved_state_bits

__all__ = ["correct", "sweep"]

LEAST_SLOPE = 0.1  # of a mean count over the bias in thresholds; keeps a quiet channel's step finite


def correct(quantized, pixels, means, sweeps=6, progress=None):
    """Return the `IntegerNetwork` with corrected biases and chosen state widths.

    ``pixels`` uint8 [N, C, H, W], or frames [N, T, C, H, W]; ``means``: layer name to float [C], the float network's
    mean activation over the positions the integer network keeps (for an output: its mean value). A layer that they
    leave out spiked before it came here: it keeps its bias and starts from 0, as it did.
    """
    return sweep(quantized, pixels, means, sweeps, progress).network


def sweep(quantized, pixels, means, sweeps=6, progress=None, rounding=None):
    """Return ``quantized`` corrected as by `correct`, each layer after ``rounding`` has chosen its weights.

    ``rounding(quantized, layer, maps)`` returns a `Quantized` with another ``layer``; ``maps`` holds the counts of
    what it reads, [T, N, C, H, W] (the input [1, N, C, H, W]).
    """
    net, layers = quantized.network, []
    maps = {INPUT: integer_input(net, pixels)}
    for index, layer in enumerate(net.layers):
        if rounding:
            quantized = rounding(quantized, layer, maps)
            layer = quantized.network.layers[index]
        if not layer.weighted:
            maps[layer.name] = pool_counts(net, layer, maps[layer.source])
        elif layer.name not in means:
            if layer.fires:
                layer, maps[layer.name] = _kept(net, layer, maps)
        elif not layer.fires:
            reached = drive(net, layer, maps).double().mean((0, 1, 3, 4)).numpy()
            missing = np.rint(means[layer.name] * quantized.logits[layer.name] - reached)
            layer = replace(layer, bias=_whole(layer.name, layer.bias + missing))
        else:
            layer, counts = _corrected(net, layer, maps, quantized, means[layer.name], sweeps)
            maps[layer.name] = counts
        layers.append(layer)
        needed = {source for later in net.layers[index + 1:] for source in later.sources}
        maps = {name: value for name, value in maps.items() if name in needed}
        if progress:
            progress((index + 1) / len(net.layers))
    return replace(quantized, network=replace(net, layers=tuple(layers)))


def _whole(name, bias):
    """Return the ``bias`` of an output, float [C], as integers; InputError where the contract has none so large."""
    if not (abs(bias) <= BIAS_MAX).all():  # none is NaN either
        raise InputError(
            f"The output {name} lies so far from 0, beside what its weights add, that 32 bits do not hold it: leave a "
            "large constant out of the model, or scale its last layers down."
        )
    return bias.astype(np.int64)


def _corrected(net, layer, maps, quantized, mean, sweeps) -> tuple[Any, Any]:
    """Return ``layer`` with its bias and state width, and its counts.

    Newton's method on the mean count, whose slope is that of the neurons neither silent nor at their cap; a step
    that does not help is halved, and per channel the best sweep wins.
    """
    layer = replace(layer, state_bits=STATE_MAX)
    currents = drive(net, layer, maps)
    currents -= currents.new_tensor(layer.bias.copy())[:, None, None]
    amplitude = quantized.amplitudes[layer.name]
    wanted = np.divide(mean, amplitude, out=np.zeros_like(mean), where=amplitude > 0)
    bias = best = quantized.biases[layer.name]
    error, step = np.full(len(bias), np.inf), np.zeros(len(bias))
    for _ in range(sweeps + 1):
        _, counts, _ = _settled(layer, currents, bias, net.timesteps)
        excess = _mean(counts) - wanted
        slope = np.maximum(_answering(net, layer, counts), LEAST_SLOPE / layer.theta)
        better = np.abs(excess) < error
        best, error = np.where(better, bias, best), np.where(better, np.abs(excess), error)
        step = np.where(better, excess / slope, step / 2)
        bias = best - step * (amplitude > 0)
    layer, counts, reached = _settled(layer, currents, best, net.timesteps)
    return _narrowed(net, layer, reached), counts


def _kept(net, layer, maps) -> tuple[Any, Any]:
    """Return ``layer`` from rest, its bias as it is, with a state width; and its counts."""
    layer = replace(layer, v_init=np.zeros_like(layer.v_init), state_bits=STATE_MAX)
    counts, reached = fire(drive(net, layer, maps), layer, net.timesteps)
    return _narrowed(net, layer, reached), counts


def _narrowed(net, layer, reached):
    """Return ``layer`` with a state that holds what it ``reached``, (least, greatest), and as much again."""
    proved = proved_state_bits(net, layer)
    if net.two_phase:
        return replace(layer, state_bits=proved)
    measured = max(LEAST_STATE, signed_bits(*(int(v) for v in reached)) + 1)
    return replace(layer, state_bits=min(measured, proved))


def _answering(net, layer, counts):
    """Return the slope of the mean count over the bias, float64 [C]: 1/theta for each neuron that answers to it.

    A neuron with two thresholds answers when it is silent as well: only at its caps it does not.
    """
    most = 2**net.timesteps - 1 if net.two_phase else layer.burst
    if not layer.signed:
        return _mean((counts > 0) & (counts < most)) / layer.theta
    above, below = (counts >= 0) & (counts < most), (counts < 0) & (counts > -layer.burst_low)
    return _mean(above) / layer.theta + _mean(below) / layer.theta_low


def _mean(counts):
    """Return the mean per channel, float64 [C], of [T, N, C, H, W]."""
    return (counts.float().sum((3, 4)).double().mean((0, 1)) / counts.shape[3:].numel()).numpy()


def _settled(layer, currents, bias, steps):
    """Return ``layer`` with the real ``bias``, its counts and the range of its state."""
    rounded, start = settle(bias, layer.theta, steps, layer.neuron, layer.signed)
    layer = replace(layer, bias=rounded, v_init=start)
    return layer, *fire(currents + currents.new_tensor(rounded)[:, None, None], layer, steps)
