"""The integer step: a float network and its thresholds become an `IntegerNetwork`, widths proved.

A count of map ``m`` in channel c stands for ``amplitude[m][c]``; amplitudes go into the reading weights, so
that a layer works in units of its own threshold::

    Wn[o, c] = W[o, c] * amplitude_in[c] / threshold[o]      w = rint(Wn * S[o])      theta[o] = rint(S[o])

S is the real scale that makes the best use of the weight bits over every synapse of the channel. Rounding
theta moves the threshold a little: the amplitude handed on is the one that results, threshold * theta / S, so
no error is left behind. The image counts as pixel - rint(255*mean); what is left of the mean goes into the
bias, exact but for the padding, where it would be less than half a pixel value.

Inverse-leaky neurons (SpikeConverter, AAAI 2022) send codes of T bits: there the threshold, and so the amplitude, is
what the last bit stands for, the bias arrives once, and half a theta in it makes the code round.
"""

from dataclasses import dataclass, replace

import numpy as np

from gen.errors import InputError
from gen.intnet import IntegerNetwork
from gen.layers import (
    ADAFIRE, INPUT, INVERSE_LEAKY, MAX_BURST, MAX_TIMESTEPS, NEURONS, WEIGHT_BITS, Pool, Readout, Source, Spiking,
    Synapse, signed_bits,
)
from gen.model.network import FloatNetwork

__all__ = ["Quantized", "proved_state_bits", "quantize", "quantize_with_scales", "rounded_weights", "settle"]

THETA_MAX = 2**17
BIAS_MAX = 2**24
EMPTY_SCALE = 256.0  # of a channel without weights, for the sake of its bias
LEAST_STATE = 8
STATE_MAX = 30  # leaves room for a current in an accumulator of 32 bits


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer network and what its units mean.

    ``amplitudes``: map name to float [C], the activation that one count stands for.
    ``biases``: layer name to float [C], the exact bias in membrane units, before rounding.
    ``logit``: units of z that make one unit of the float network's output, at one timestep (of a two-phase network:
    in all).
    """

    network: IntegerNetwork
    amplitudes: dict
    biases: dict
    logit: float


def quantize(network: FloatNetwork, thresholds, **options):
    """Return the `IntegerNetwork` of ``network``; see `quantize_with_scales` for the options."""
    return quantize_with_scales(network, thresholds, **options).network


def quantize_with_scales(network, thresholds, *, timesteps=4, max_burst=7, weight_bits=8, mean=0.0, std=1.0,
                         neuron=ADAFIRE, least=None):
    """Quantize ``network`` with ``thresholds``: layer name to float [C], 0 for a channel that never fires.

    ``max_burst`` is 1..15, or a dict of every firing layer's name to that; ``weight_bits`` is 2..8, or a dict of
    layer name to that (8 where a layer is missing). ``mean`` and ``std`` are numbers or one per channel, of images
    scaled to 0..1. With ``neuron`` inverse_leaky a threshold is what the last of ``timesteps`` bits stands for, and
    ``max_burst`` has no meaning. ``least``: the least burst by layer name, 1 where a layer is missing. Raises
    InputError for impossible values, and for a max pool before inverse-leaky neurons.
    """
    bursts = max_burst if isinstance(max_burst, dict) else dict.fromkeys(thresholds, max_burst)
    for burst in {*bursts.values()} or {1}:
        check_settings(timesteps, burst)
    check_neuron(network, neuron)
    bits = layer_bits(network, weight_bits)
    mean, std = normalisation(mean, std, network.shape[0])
    offset = np.rint(255 * mean)
    rest = (offset - 255 * mean) / (255 * std)
    amplitudes, biases, layers, logit = {INPUT: 1 / (255 * std)}, {}, [], 1.0
    for layer in network.layers:
        if not layer.weighted:
            amplitudes[layer.name] = amplitudes[layer.source] / layer.divisor
            pool = Pool(layer.name, layer.source, layer.kind, layer.kernel, layer.stride, layer.padding)
            layers.append(pool)
            continue
        threshold = np.asarray(thresholds[layer.name], float) if layer.fires else np.ones(len(layer.bias))
        live = threshold > 0
        inverse = np.divide(1.0, threshold, out=np.zeros_like(threshold), where=live)
        bias = layer.bias.copy()
        for synapse in layer.synapses:
            if synapse.source == INPUT:
                bias += synapse.input_scaled(rest).sum((1, 2, 3))
        scaled = [s.input_scaled(amplitudes[s.source]) * inverse[:, None, None, None] for s in layer.synapses]
        scale = _scales(scaled, bits[layer.name], common=not layer.fires)
        biases[layer.name] = bias * inverse * scale
        synapses = tuple(_integer(*pair, scale, bits[layer.name]) for pair in zip(layer.synapses, scaled))
        width = np.full(len(scale), bits[layer.name])
        if layer.fires:
            theta = np.where(live, np.maximum(np.rint(scale), 1), 1).astype(np.int64)
            amplitudes[layer.name] = threshold * theta / scale
            rounded, start = settle(biases[layer.name], theta, timesteps, neuron)
            burst = 1 if neuron == INVERSE_LEAKY else bursts[layer.name]
            layers.append(Spiking(layer.name, synapses, rounded, theta, start, burst, STATE_MAX, width, neuron,
                                  (least or {}).get(layer.name, 1)))
        else:
            logit = float(scale[0])
            rounded, _ = settle(biases[layer.name], np.ones_like(width), timesteps)
            layers.append(Readout(layer.name, synapses, rounded, width))
    net = IntegerNetwork(Source(network.shape, offset=offset.astype(np.int64)), layers, timesteps)
    for index, layer in enumerate(layers):
        if layer.fires:
            layers[index] = replace(layer, state_bits=proved_state_bits(net, layer))
    return Quantized(replace(net, layers=tuple(layers)), amplitudes, biases, logit)


def _integer(synapse, scaled, scale, bits):
    """Return ``synapse`` with the integer weights of ``scaled`` [out, in/groups, height, width]."""
    limit = 2 ** (bits - 1) - 1
    weight = np.rint(scaled * scale[:, None, None, None]).clip(-limit, limit).astype(np.int64)
    return Synapse(synapse.source, weight, synapse.stride, synapse.padding, synapse.dilation, synapse.groups)


def rounded_weights(network, layer, thresholds, bits):
    """Return the float weights of ``layer``, one array per synapse, as ``bits`` represent them."""
    amplitudes = {INPUT: np.ones(network.shape[0])}
    for other in network.layers:
        if not other.weighted:
            amplitudes[other.name] = amplitudes[other.source] / other.divisor
        elif other.fires:
            amplitudes[other.name] = np.asarray(thresholds[other.name], float)
    scaled = [s.input_scaled(amplitudes[s.source]) for s in layer.synapses]
    scale = _scales(scaled, bits, common=not layer.fires)
    rounded = [_integer(s, w, scale, bits).weight / scale[:, None, None, None] for s, w in zip(layer.synapses, scaled)]
    return tuple(s.weight * np.divide(r, w, out=np.zeros_like(w), where=w != 0)
                 for s, r, w in zip(layer.synapses, rounded, scaled))


def settle(bias, theta, timesteps, neuron=ADAFIRE):
    """Return integer bias and v(0) for the real ``bias`` per timestep.

    v(0) is theta/2, so that counts round, and what rounding takes from the bias in half of the timesteps: the
    best that one number can do for exits at any of them. An inverse-leaky neuron has the theta/2 in its bias.
    """
    bias = np.clip(bias, -BIAS_MAX, BIAS_MAX)
    if neuron == INVERSE_LEAKY:
        return np.rint(bias + theta / 2).astype(np.int64), np.zeros(len(theta), np.int64)
    rounded = np.rint(bias)
    start = theta // 2 + np.rint((bias - rounded) * timesteps / 2)
    return rounded.astype(np.int64), np.where(theta > 1, start, 0).astype(np.int64)


def _scales(weights, bits, common):
    """Return the real scale per channel, float [out], with which ``bits`` hold ``weights`` best.

    Best is the least squared error. The candidates run from the scale that fits the largest weight to four times
    that, where it is clipped; this pays for few bits. ``common``: one scale for all channels.
    """
    channels, limit = len(weights[0]), 2 ** (bits - 1) - 1
    flat = np.concatenate([w.reshape(channels, -1) for w in weights], axis=1)
    flat = flat.reshape(1, -1) if common else flat
    worst = np.abs(flat).max(axis=1)
    fitting = np.divide(limit, worst, out=np.full(len(flat), EMPTY_SCALE), where=worst > 0)
    best, least = fitting, np.full(len(flat), np.inf)
    for stretch in np.linspace(1, 4, 121):
        scale = (fitting * stretch)[:, None]
        error = ((np.rint(flat * scale).clip(-limit, limit) / scale - flat) ** 2).sum(axis=1)
        best, least = np.where(error < least, scale[:, 0], best), np.minimum(error, least)
    return np.broadcast_to(np.minimum(best, THETA_MAX), (channels,))


def proved_state_bits(network, layer):
    """Return the least width, `LEAST_STATE` to `STATE_MAX` bits, in which no image can saturate a state to any effect.

    AdaFire neurons do not saturate at all; inverse-leaky ones only where their code is 0 or all ones already.
    """
    if network.two_phase:
        return _two_phase_state_bits(network, layer)
    low, high = network.current_range(layer)
    steps = network.timesteps
    least = min(0, int((layer.v_init + steps * np.minimum(low, 0)).min()))
    drift = np.maximum(high - layer.burst * layer.theta, 0)
    most = int(np.maximum(np.maximum(layer.min_burst * layer.theta - 1, layer.v_init), layer.v_init + steps * drift).max())
    return min(STATE_MAX, max(LEAST_STATE, signed_bits(least, most)))


def _two_phase_state_bits(network, layer):
    """Return the width with which every train is the code ``clamp(floor(u / theta), 0, 2**T - 1)`` of the exact u(T).

    Let the counts add S- <= s <= S+ to u at each timestep, input and bias C- <= c <= C+ at t = T, and let states lie
    in -L .. M. Either bound of a channel is enough:

    1. L and M hold every v(t), t < T: ``(2**(T-1) - 1)`` times S- and S+. Nothing saturates before u(T).
    2. L >= S+ and L >= S+ + C+. A v(t) saturated at -L stays there, for 2 * -L + S+ <= -L, and u(T) <= -2 * L + S+ + C+
       < 0: code 0. The exact u(T) is smaller still: code 0 too. And M >= -S- and 2 * M + S- + C- >= 2 * top - theta. A
       v(t) saturated at M stays there, and u(T) is worth all ones; so is the exact u(T), which is larger still.

    While it fires, a negative state stays negative whatever its width; one below top stays below; and one of top or
    over fires at every timestep as long as M >= top, since 2 * top - top = top.
    """
    varying, constant = network.sums(layer)
    top = layer.theta << network.timesteps - 1
    depth = 2 ** (network.timesteps - 1) - 1
    exact = depth * varying[0], np.maximum(top, depth * varying[1])
    least = -varying[1] - np.maximum(constant[1], 1)
    all_ones = (2 * top - layer.theta - varying[0] - constant[0] + 1) // 2
    bounded = least, np.maximum.reduce([top, -varying[0], all_ones])
    bits = max(min(signed_bits(low[c], high[c]) for low, high in (exact, bounded)) for c in range(len(top)))
    if bits > STATE_MAX:
        raise InputError(
            f"Layer {layer.name} needs a state of {bits} bits for {network.timesteps} timesteps of inverse-leaky "
            f"neurons, the most is {STATE_MAX}: choose fewer timesteps or weight bits."
        )
    return max(LEAST_STATE, bits)


def check_neuron(network, neuron):
    """Raise InputError where ``neuron`` is none, or does not go with a pool of the float ``network``."""
    if neuron not in NEURONS:
        raise InputError(f"neuron must be one of {', '.join(NEURONS)}, not {neuron!r}.")
    pools = [layer.name for layer in network.layers if not layer.weighted and layer.kind == "max"]
    if neuron == INVERSE_LEAKY and pools:
        raise InputError(
            f"Inverse-leaky neurons send codes bit by bit, and the largest code is not made of the largest bits: the "
            f"max pools {', '.join(pools)} cannot be converted. Train the model with average pools "
            f"(torch.nn.AvgPool2d) or strides instead, or choose the neuron adafire, which takes both."
        )


def check_settings(timesteps, max_burst):
    """Raise InputError unless both are integers in the range of the contract."""
    for name, value, most in (("timesteps", timesteps, MAX_TIMESTEPS), ("max_burst", max_burst, MAX_BURST)):
        if not _whole(value) or not 1 <= value <= most:
            raise InputError(f"{name} must be an integer from 1 to {most}, not {value!r}.")


def check_weight_bits(weight_bits):
    """Raise InputError unless ``weight_bits``, a number or a dict of layer name to one, lies in the contract."""
    for name, bits in weight_bits.items() if isinstance(weight_bits, dict) else [("", weight_bits)]:
        if not _whole(bits) or bits not in WEIGHT_BITS:
            layer = f" (layer {name})" if name else ""
            raise InputError(f"weight_bits must be an integer from 2 to 8, not {bits!r}{layer}.")


def layer_bits(network, weight_bits):
    """Return layer name to weight bits, from an integer or a dict; InputError for a bad width or layer.

    A dict may name a layer as the model does, unless a layer of the network has that name.
    """
    names = [layer.name for layer in network.layers if layer.weighted]
    chosen = weight_bits if isinstance(weight_bits, dict) else dict.fromkeys(names, weight_bits)
    own = {origin: name for name, origin in network.origins.items()} | dict(zip(names, names))
    chosen = {own.get(name, name): bits for name, bits in chosen.items()}
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        origins = network.origins
        known = [name if origins[name] == name else f"{name} ({origins[name]})" for name in names]
        raise InputError(
            f"weight_bits names layers that the network does not have: {', '.join(unknown)}. "
            f"Its layers with weights are {', '.join(known)}."
        )
    check_weight_bits(weight_bits)
    return {name: int(chosen.get(name, 8)) for name in names}


def normalisation(mean, std, channels):
    """Return ``mean`` and ``std`` as float [C]; InputError for a wrong length or impossible values."""
    values = []
    for name, value in (("mean", mean), ("std", std)):
        value = np.atleast_1d(np.asarray(value, float))
        if value.shape not in ((1,), (channels,)):
            raise InputError(f"{name} must be one number or {channels}, one per channel, not {value.size}.")
        values.append(np.broadcast_to(value, (channels,)).astype(float))
    mean, std = values
    if not ((mean >= 0) & (mean <= 1)).all():
        raise InputError(f"mean must lie in 0..1, since images are scaled to 0..1; it is {mean.tolist()}.")
    if not ((std > 0) & np.isfinite(std)).all():
        raise InputError(f"std must be positive and finite; it is {std.tolist()}.")
    return mean, std


def _whole(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
