"""The integer step: a float network and its thresholds become an `IntegerNetwork`, widths proved.

A count of map ``m`` in channel c stands for ``amplitude[m][c]``; amplitudes go into the reading weights, so
that a layer works in units of its own threshold::

    Wn[o, c] = W[o, c] * amplitude_in[c] / threshold[o]      w = rint(Wn * S[o])      theta[o] = rint(S[o])

S is the real scale that makes the best use of the weight bits over every synapse of the channel. Rounding
theta moves the threshold a little: the amplitude handed on is the one that results, threshold * theta / S, so
no error is left behind. The image counts as pixel - rint(255*mean); what is left of the mean goes into the
bias, exact but for the padding, where it would be less than half a pixel value.

A signed layer (linear, LeakyReLU, PReLU) has the same amplitude on both sides: where its activation has the slope a,
the threshold below zero is ``theta / a``. Its membrane starts without the half threshold, which its neurons add
themselves.

A frame is integers that stand for themselves.

Inverse-leaky neurons (SpikeConverter, AAAI 2022) send codes of T bits: there the threshold, and so the amplitude, is
what the last bit stands for, the bias arrives once, and half a theta in it makes the code round.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gen.intnet import IntegerNetwork
from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from gen.method.checks import check_neuron, check_settings, input_scale, layer_bits
from gen.method.state_bits import STATE_MAX, proved_state_bits
from gen.model.network import FloatLayer, FloatNetwork, FloatPool, FloatSynapse

__all__ = [
    "Quantized", "integer_synapse", "quantize", "quantize_with_scales", "rounded_weights", "settle", "theta_below",
]

THETA_MAX = 2**17
THETA_LOW_MAX = 2**28  # as good as never: the threshold below zero where the slope is 0 or next to it
FIRING_BIAS_MAX = 2**24
EMPTY_SCALE = 256.0  # of a channel without weights, for the sake of its bias


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer network and what its units mean.

    ``amplitudes``: map name to float [C], the activation that one count stands for.
    ``biases``: layer name to float [C], the exact bias in membrane units, before rounding.
    ``logits``: output name to the units of its z that make one unit of the float network's output, at one timestep (of
    a two-phase network: in all).
    """

    network: IntegerNetwork
    amplitudes: dict
    biases: dict
    logits: dict

    @property
    def logit(self):
        """The units of the output that decides."""
        return self.logits[self.network.readout.name]


def quantize(network: FloatNetwork, thresholds: dict, **options: Any) -> IntegerNetwork:
    """Return the `IntegerNetwork` of ``network``; see `quantize_with_scales` for the options."""
    return quantize_with_scales(network, thresholds, **options).network


def quantize_with_scales(
    network: FloatNetwork, thresholds: dict, *, timesteps: int = 4, max_burst: int | dict = 7,
    weight_bits: int | dict = 8, mean=0.0, std=1.0, neuron: str = ADAFIRE, min_burst: dict | None = None,
    frames: bool = False,
) -> Quantized:
    """Quantize ``network`` with ``thresholds``: layer name to float [C], 0 for a channel that never fires.

    Parameters
    ----------
    timesteps : 1..512
    max_burst : 1..255, or a dict of every firing layer's name to that; of a signed layer on both sides
    weight_bits : 2..8, or a dict of layer name to that (8 where a layer is missing)
    mean, std : numbers or one per channel, of images scaled to 0..1; the network's own come on top
    neuron : with inverse_leaky a threshold is what the last of ``timesteps`` bits stands for, and ``max_burst`` has no
        meaning
    min_burst : the least burst by layer name, 1 where a layer is missing
    frames : the input is another map of counts at each timestep, each count standing for itself

    Raises
    ------
    InputError : impossible values; a max pool or a signed layer with inverse-leaky neurons.
    """
    bursts = max_burst if isinstance(max_burst, dict) else dict.fromkeys(thresholds, max_burst)
    for burst in {*bursts.values()} or {1}:
        check_settings(timesteps, burst)
    check_neuron(network, neuron)
    bits = layer_bits(network, weight_bits)
    mean, std = input_scale(network, mean, std, frames)
    offset = np.rint(255 * mean)
    rest = (offset - 255 * mean) / (255 * std)
    amplitudes, biases, layers, logits = {INPUT: 1 / (255 * std)}, {}, [], {}
    for layer in network.layers:
        if not layer.weighted:
            amplitudes[layer.name] = amplitudes[layer.source] / layer.divisor
            layers.append(_integer_pool(layer))
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
        synapses = tuple(_rounded(*pair, scale, bits[layer.name]) for pair in zip(layer.synapses, scaled))
        width = np.full(len(scale), bits[layer.name])
        if layer.fires:
            theta = np.where(live, np.maximum(np.rint(scale), 1), 1).astype(np.int64)
            amplitudes[layer.name] = threshold * theta / scale
            rounded, start = settle(biases[layer.name], theta, timesteps, neuron, layer.signed)
            burst = 1 if neuron == INVERSE_LEAKY else bursts[layer.name]
            layers.append(Spiking(
                layer.name, synapses, rounded, theta, start, burst, STATE_MAX, width, neuron,
                (min_burst or {}).get(layer.name, 1), theta_below(layer, theta), burst * layer.signed,
            ))
        else:
            logits[layer.name] = float(scale[0])
            rounded, _ = settle(biases[layer.name], np.ones_like(width), timesteps)
            layers.append(Readout(layer.name, synapses, rounded, width))
    source = Source(network.shape, "frames" if frames else "direct", offset=offset.astype(np.int64))
    net = IntegerNetwork(source, tuple(layers), timesteps)
    for index, layer in enumerate(layers):
        if layer.fires:
            layers[index] = replace(layer, state_bits=proved_state_bits(net, layer))
    return Quantized(replace(net, layers=tuple(layers)), amplitudes, biases, logits)


def theta_below(real, theta):
    """Return the threshold below zero, int64 [C], that goes with ``theta`` in the float layer ``real``; or None."""
    if not real.signed:
        return None
    steep = real.slope * THETA_LOW_MAX > theta
    below = np.divide(theta, real.slope, out=np.full(len(theta), float(THETA_LOW_MAX)), where=steep)
    return np.clip(np.rint(below), 1, THETA_LOW_MAX).astype(np.int64)


def integer_synapse(real: FloatSynapse, weight) -> Synapse:
    """Return the synapse ``real`` with the integer ``weight``."""
    return Synapse(real.source, weight, real.stride, real.padding, real.dilation, real.groups, real.upsample, real.fill)


def _integer_pool(real: FloatLayer | FloatPool):
    return Pool(real.name, real.source, real.kind, real.kernel, real.stride, real.padding, real.dilation,
                real.upsample, real.fill)


def _rounded(synapse, scaled, scale, bits):
    """Return ``synapse`` with the integer weights of ``scaled`` [out, in/groups, height, width]."""
    limit = 2 ** (bits - 1) - 1
    return integer_synapse(synapse, np.rint(scaled * scale[:, None, None, None]).clip(-limit, limit).astype(np.int64))


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
    rounded = [_rounded(s, w, scale, bits).weight / scale[:, None, None, None] for s, w in zip(layer.synapses, scaled)]
    return tuple(s.weight * np.divide(r, w, out=np.zeros_like(w), where=w != 0)
                 for s, r, w in zip(layer.synapses, rounded, scaled))


def settle(bias, theta, timesteps, neuron=ADAFIRE, signed=False):
    """Return integer bias and v(0) for the real ``bias`` per timestep.

    v(0) is theta/2, so that counts round, and what rounding takes from the bias in half of the timesteps: the
    best that one number can do for exits at any of them. An inverse-leaky neuron has the theta/2 in its bias, one with
    two thresholds adds it where it fires.
    """
    bias = np.clip(bias, -FIRING_BIAS_MAX, FIRING_BIAS_MAX)
    if neuron == INVERSE_LEAKY:
        return np.rint(bias + theta / 2).astype(np.int64), np.zeros(len(theta), np.int64)
    rounded = np.rint(bias)
    start = (0 if signed else theta // 2) + np.rint((bias - rounded) * timesteps / 2)
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
