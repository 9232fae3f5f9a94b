"""The integer step: a float network and its thresholds become an `IntegerNetwork`, widths proved.

A count of map ``m`` in channel c stands for ``amplitude[m][c]``; amplitudes go into the reading weights, so
that a layer works in units of its own threshold::

    Wn[o, c] = W[o, c] * amplitude_in[c] / threshold[o]         w = rint(Wn * S[o])        theta[o] = rint(S[o])

S is the real scale that makes the best use of the weight bits over every synapse of the channel. Rounding theta
moves the threshold a little: the amplitude handed on is the one that results, ``threshold * theta / S``, so no
error is left behind. The image counts as pixel - rint(255*mean); what is left of the mean goes into the bias.
"""

from dataclasses import dataclass, replace

import numpy as np

from gen.errors import InputError
from gen.intnet import (
    INPUT, MAX_BURST, MAX_TIMESTEPS, WEIGHT_BITS, IntegerNetwork, Pool, Readout, Source, Spiking, Synapse,
    signed_bits,
)
from gen.network import FloatNetwork, FloatPool, Layer

__all__ = ["Quantized", "proved_state_bits", "quantize", "quantize_with_scales", "settle"]

THETA_MAX = 2**17
BIAS_MAX = 2**24
STATE_MAX = 30


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer network and what its units mean.

    ``amplitudes``: map name to float [C], the activation that one count stands for.
    ``biases``: layer name to float [C], the exact bias in membrane units, before rounding.
    ``logit``: units of z that make one unit of the float network's output, at one timestep.
    """

    network: IntegerNetwork
    amplitudes: dict
    biases: dict
    logit: float


def quantize(network: FloatNetwork, thresholds, **options):
    """Return the `IntegerNetwork` of ``network``; see `quantize_with_scales` for the options."""
    return quantize_with_scales(network, thresholds, **options).network


def quantize_with_scales(network, thresholds, *, timesteps=4, max_burst=7, weight_bits=8, mean=0.0, std=1.0):
    """Quantize ``network`` with ``thresholds``: layer name to float [C], 0 for a channel that never fires.

    ``weight_bits`` is 2..8, or a dict of layer name to that (8 where a layer is missing). ``mean`` and ``std``
    are floats or one per channel, of images scaled to 0..1. Raises InputError for values out of range.
    """
    check_settings(timesteps, max_burst)
    bits = layer_bits(network, weight_bits)
    mean, std = normalisation(mean, std, network.shape[0])
    offset = np.rint(255 * mean)
    amplitudes, biases, layers, logit = {INPUT: 1 / (255 * std)}, {}, [], 1.0
    shift = (offset - 255 * mean) / (255 * std)
    for layer in network.layers:
        if isinstance(layer, FloatPool):
            amplitudes[layer.name] = amplitudes[layer.source] / layer.divisor
            layers.append(Pool(layer.name, layer.source, layer.kind, layer.kernel, layer.stride, layer.padding))
            continue
        threshold = np.asarray(thresholds[layer.name], float) if layer.fires else np.ones(len(layer.bias))
        live = threshold > 0
        inverse = np.divide(1.0, threshold, out=np.zeros_like(threshold), where=live)
        scaled = [s.input_scaled(amplitudes[s.source]) * inverse[:, None, None, None] for s in layer.synapses]
        bias = (layer.bias + sum(s.input_scaled(shift).sum((1, 2, 3)) for s in layer.synapses if s.source == INPUT))
        bias = bias * inverse
        scale = _scales(scaled, bias, bits[layer.name], common=not layer.fires)
        theta = np.maximum(np.rint(scale), 1).astype(np.int64)
        weights = [np.rint(w * scale[:, None, None, None]).astype(np.int64) for w in scaled]
        synapses = tuple(
            Synapse(s.source, w, s.stride, s.padding, s.dilation, s.groups) for s, w in zip(layer.synapses, weights)
        )
        width = np.full(len(theta), bits[layer.name], np.int64)
        biases[layer.name] = bias * scale
        if layer.fires:
            theta = np.where(live, theta, 1)
            amplitudes[layer.name] = np.where(live, threshold * theta / scale, 0.0)
            rounded, start = settle(biases[layer.name], theta, timesteps)
            layers.append(Spiking(layer.name, synapses, rounded, theta, start, max_burst, STATE_MAX, width))
        else:
            logit = float(scale[0])
            layers.append(Readout(layer.name, synapses, np.rint(biases[layer.name]).astype(np.int64), width))
    result = IntegerNetwork(Source(network.shape, offset=offset.astype(np.int64)), layers, timesteps)
    spiking = [replace(la, state_bits=proved_state_bits(result, la)) if isinstance(la, Spiking) else la
               for la in layers]
    return Quantized(replace(result, layers=tuple(spiking)), amplitudes, biases, logit)


def settle(bias, theta, timesteps):
    """Return integer bias and v(0) for the real ``bias`` per timestep: theta/2 to round, and the bias's fraction.

    What rounding takes from the bias, v(0) gives back for half of the timesteps: exact on average over exits.
    """
    rounded = np.rint(np.clip(bias, -BIAS_MAX, BIAS_MAX))
    start = theta // 2 + np.rint((bias - rounded) * timesteps / 2)
    return rounded.astype(np.int64), np.where(theta > 1, start, 0).astype(np.int64)


def _scales(weights, bias, bits, common):
    """Return the real scale per channel that fills ``bits``; for few bits the one of least squared error."""
    channels = len(bias)
    flat = np.concatenate([w.reshape(channels, -1) for w in weights], axis=1)
    limit = 2 ** (bits - 1) - 1
    if common:
        flat = np.broadcast_to(flat.reshape(1, -1), (1, flat.size))
    worst = np.abs(flat).max(axis=1)
    scale = np.divide(limit, worst, out=np.full(len(flat), 256.0), where=worst > 0)
    scale = np.minimum(scale, THETA_MAX)
    return np.broadcast_to(scale, (channels,)).copy()


def proved_state_bits(network, layer):
    """Return the least width, 8 or more, that no image can saturate at any timestep; at most `STATE_MAX`, which leaves room for a current."""
    low, high = network.current_range(layer)
    steps = network.timesteps
    least = min(0, int((layer.v_init + steps * np.minimum(low, 0)).min()))
    drift = np.maximum(high - layer.burst * layer.theta, 0)
    most = int(np.maximum(np.maximum(layer.theta - 1, layer.v_init), layer.v_init + steps * drift).max())
    return min(STATE_MAX, max(8, signed_bits(least, most)))


def check_settings(timesteps, max_burst):
    """Raise InputError unless both are integers in the range of the contract."""
    for name, value, most in (("timesteps", timesteps, MAX_TIMESTEPS), ("max_burst", max_burst, MAX_BURST)):
        if not _whole(value) or not 1 <= value <= most:
            raise InputError(f"{name} must be an integer from 1 to {most}, not {value!r}.")


def layer_bits(network, weight_bits):
    """Return layer name to weight bits from an integer or a dict; InputError for a bad width or unknown layer."""
    names = [layer.name for layer in network.layers if isinstance(layer, Layer)]
    chosen = weight_bits if isinstance(weight_bits, dict) else dict.fromkeys(names, weight_bits)
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        raise InputError(
            f"weight_bits names layers that the network does not have: {', '.join(unknown)}. "
            f"Its layers with weights are {', '.join(names)}."
        )
    for name, bits in chosen.items():
        if not _whole(bits) or bits not in WEIGHT_BITS:
            raise InputError(f"weight_bits must be an integer from 2 to 8, not {bits!r} (layer {name}).")
    return {name: int(chosen.get(name, 8)) for name in names}


def normalisation(mean, std, channels):
    """Return ``mean`` and ``std`` as float [C]; InputError for a wrong length, a mean outside 0..1 or a std <= 0."""
    values = []
    for name, value in (("mean", mean), ("std", std)):
        value = np.atleast_1d(np.asarray(value, float))
        if value.shape not in ((1,), (channels,)):
            raise InputError(f"{name} must be one number or one per channel ({channels}), not {value.size} numbers.")
        values.append(np.broadcast_to(value, (channels,)).astype(float))
    mean, std = values
    if not ((mean >= 0) & (mean <= 1)).all():
        raise InputError(f"mean must lie in 0..1, since images are scaled to 0..1; it is {mean.tolist()}.")
    if not ((std > 0) & np.isfinite(std)).all():
        raise InputError(f"std must be positive and finite; it is {std.tolist()}.")
    return mean, std


def _whole(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
