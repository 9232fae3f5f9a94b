"""What is measured on the integer network: bias correction, state widths, exit limits.

Bias correction goes layer by layer, upstream layers already corrected: the mean activation of each channel
over the calibration images is made that of the float network. That absorbs the rounding of weights as well as
the error of the dynamics.
"""

from dataclasses import replace

import numpy as np

from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, SCALE_MAX, SHIFT_MAX, X_MAX, ExitRule
from gen.intnet import INPUT, Pool, Readout, signed_bits
from gen.method.quantize import STATE_MAX, proved_state_bits, settle
from gen.method.simulate import drive, fire, integer_input, pool_counts

__all__ = ["correct", "exit_steps", "fit_exit", "least_limits"]

NEVER = 2**31 - 1
LEAST_SLOPE = 0.1  # of a mean count over the bias in thresholds; keeps a quiet channel's step finite


def correct(quantized, pixels, means, sweeps=6, progress=None):
    """Return the `IntegerNetwork` with corrected biases and chosen state widths.

    ``pixels`` uint8 [N, C, H, W]; ``means``: layer name to float [C], the float network's mean activation
    over the positions the integer network keeps (for the readout: its mean output).
    """
    net, layers = quantized.network, []
    maps = {INPUT: integer_input(net, pixels)}
    for index, layer in enumerate(net.layers):
        if isinstance(layer, Pool):
            maps[layer.name] = pool_counts(layer, maps[layer.source])
        elif isinstance(layer, Readout):
            reached = drive(net, layer, maps).double().mean((0, 1, 3, 4)).numpy()
            missing = np.rint(means[layer.name] * quantized.logit - reached).astype(np.int64)
            layer = replace(layer, bias=layer.bias + missing)
        else:
            layer, maps[layer.name] = _corrected(net, layer, maps, quantized, means[layer.name], sweeps)
        layers.append(layer)
        needed = {source for later in net.layers[index + 1:] for source in _sources(later)}
        maps = {name: value for name, value in maps.items() if name in needed}
        if progress:
            progress((index + 1) / len(net.layers))
    return replace(net, layers=tuple(layers))


def _sources(layer):
    return (layer.source,) if isinstance(layer, Pool) else tuple(s.source for s in layer.synapses)


def _corrected(net, layer, maps, quantized, mean, sweeps):
    """Return ``layer`` with its bias and state width, and its counts.

    Newton's method on the mean count, whose slope is the share of neurons neither silent nor at their cap; a step
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
        slope = np.maximum(_mean((counts > 0) & (counts < layer.burst)), LEAST_SLOPE) / layer.theta
        better = np.abs(excess) < error
        best, error = np.where(better, bias, best), np.where(better, np.abs(excess), error)
        step = np.where(better, excess / slope, step / 2)
        bias = best - step * (amplitude > 0)
    layer, counts, reached = _settled(layer, currents, best, net.timesteps)
    measured = max(8, signed_bits(*(int(v) for v in reached)) + 1)
    return replace(layer, state_bits=min(measured, proved_state_bits(net, layer))), counts


def _mean(counts):
    """Return the mean per channel, float64 [C], of [T, N, C, H, W]."""
    return counts.float().mean((0, 1, 3, 4), dtype=float).numpy()


def _settled(layer, currents, bias, steps):
    """Return ``layer`` with the real ``bias``, its counts and the range of its state."""
    rounded, start = settle(bias, layer.theta, steps)
    layer = replace(layer, bias=rounded, v_init=start)
    return layer, *fire(currents + currents.new_tensor(rounded)[:, None, None], layer, steps)


def least_limits(z, rule):
    """Return the least limit with which ``rule`` exits at ``z`` [..., C]: int64 without the last axis.

    For the margin, where a smaller limit exits more, it is the negated greatest limit.
    """
    z = np.asarray(z, np.int64)
    d = z.max(axis=-1, keepdims=True) - z
    if rule.kind == "margin":
        second = np.sort(d, axis=-1)[..., 1] if z.shape[-1] > 1 else np.zeros(z.shape[:-1], np.int64)
        return 1 - second
    x = np.minimum((np.minimum(d >> rule.shift, DISTANCE_MAX) * rule.scale) >> SCALE_FRACTION, X_MAX)
    e = np.asarray(EXP)[x & 255] >> (x >> 8)
    total = e.sum(axis=-1)
    if rule.kind == "confidence":
        return total + 1
    bits = np.frexp(total.astype(float))[1] - 1
    log = 256 * (bits - 16) + np.asarray(LOG)[(total >> (bits - 8)) & 255]
    return log + (e * x).sum(axis=-1) // total + 1


def fit_exit(z, logit, kind, exit_loss, labels=None):
    """Return the `ExitRule` that stops earliest and loses at most ``exit_loss`` points on ``z`` [N, T, C].

    A loss is an image that the full run classifies correctly (without labels: at all) and an early exit does
    otherwise. Gains by chance do not offset it and one image is kept in hand: so the promise holds on other
    images too. Every timestep gets the greatest limit under which its own exits lose at most r images, with
    one r for all timesteps.
    """
    shift, scale = _temperature(logit)
    if kind == "off":
        return ExitRule()
    unfitted = ExitRule(kind, shift, scale)
    scores, found = least_limits(z, unfitted), z.argmax(axis=2)
    final = found[:, -1:]
    lost = found != final if labels is None else (found != final) & (final == np.asarray(labels)[:, None])
    images = np.arange(len(z))
    allowed = max(0, int(exit_loss * len(z) / 100 + 1e-9) - 1)
    best, least = np.full(z.shape[1], -NEVER), z.shape[1]
    for r in range(allowed + 1):
        limits = np.array([_limit(scores[:, t], lost[:, t], r) for t in range(z.shape[1])])
        steps = exit_steps(scores, limits)
        if lost[images, steps - 1].sum() <= allowed and steps.mean() < least:
            best, least = limits, steps.mean()
    best[-1] = -NEVER
    return replace(unfitted, limits=tuple(-best if kind == "margin" else np.maximum(best, 0)))


def _limit(scores, lost, most):
    """Return the greatest score with at most ``most`` losses among all images that score no more."""
    worst = np.sort(scores[lost])
    bound = worst[most] if len(worst) > most else NEVER
    return max(scores[scores < bound], default=-NEVER)


def exit_steps(scores, limits):
    """Return the timestep 1..T at which each image stops; ``scores`` [N, T] from `least_limits`."""
    stop = scores <= np.asarray(limits)
    stop[:, -1] = True
    return stop.argmax(axis=1) + 1


def _temperature(logit):
    """Return (shift, scale) that make ``logit`` units of z, one of the float network's output, one nat."""
    octaves, shift = 1 / (logit * np.log(2)), 0
    while shift < SHIFT_MAX and octaves * 2 ** (16 + shift) < 64:
        shift += 1
    return shift, int(np.clip(np.rint(octaves * 2 ** (16 + shift)), 1, SCALE_MAX))
