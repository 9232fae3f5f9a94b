"""Evaluate a network in torch for calibration: the float network, and the integer network exactly.

Used to choose thresholds, biases and exit limits only; `sim.golden` is the independent judge of the integer
network. A sum of integers is exact in floating point while no partial sum can leave the mantissa: float32
below 2**24, float64 below 2**53; `IntegerNetwork` proves every current under 2**31.

A two-phase network takes one pass over codes of T bits instead of T over spikes. Convolution and sum are linear, and a
train weighs its spikes by 2**(T-t): if nothing saturates, accumulating gives ``u(T) = sum_j w[j] * code_j + bias``.
Firing is long division by theta: while 0 <= u' < 2 * top, taking ``s = (u' >= top)`` and doubling the rest gives the
next binary digit of u(T) / theta, so the spikes are the digits of floor(u(T) / theta); below 0 they are all zero, from
2 * top all ones. `gen.method.quantize.proved_state_bits` is a width with which saturation changes no code; a network
with a narrower state is refused.
"""

import numpy as np
import torch
from torch.nn import functional as F

from gen.errors import InputError
from gen.inputs import input_values
from gen.layers import INPUT, INVERSE_LEAKY
from gen.method.quantize import proved_state_bits

__all__ = ["activations", "drive", "fire", "integer_input", "pool_counts", "pooled", "readout_sums"]


def _convolve(synapse, x, dtype):
    weight = torch.as_tensor(synapse.weight.copy()).to(dtype)
    x = x.to(dtype)
    if tuple(weight.shape[2:]) == tuple(x.shape[2:]) and synapse.groups == 1 and synapse.padding == (0, 0):
        return F.linear(x.flatten(1), weight.flatten(1))[:, :, None, None]
    return F.conv2d(x, weight, None, synapse.stride, synapse.padding, synapse.dilation, synapse.groups)


def pooled(pool, x):
    """Return the pool of ``x`` [N, C, H, W]: the undivided sum, or the maximum (of values from 0 up)."""
    if pool.kind == "max":
        return F.max_pool2d(x.float(), pool.kernel, pool.stride, pool.padding).to(x.dtype)
    x = x if x.is_floating_point() else x.float()
    return F.avg_pool2d(x, pool.kernel, pool.stride, pool.padding, divisor_override=1)


def activations(network, x):
    """Return name of every map to its value, float32 [N, C, H, W], for normalised images ``x``."""
    maps = {INPUT: x}
    for layer in network.layers:
        if not layer.weighted:
            maps[layer.name] = pooled(layer, maps[layer.source]) / layer.divisor
            continue
        current = sum(_convolve(s, maps[s.source], torch.float32) for s in layer.synapses)
        current = current + torch.as_tensor(layer.bias).float()[:, None, None]
        maps[layer.name] = current.relu() if layer.fires else current
    return maps


def integer_input(net, pixels):
    """Return pixels uint8 [N, C, H, W] less the offset, as [1, N, C, H, W]: the same at every timestep."""
    return torch.as_tensor(input_values(net, pixels))[None]


def drive(net, layer, maps):
    """Return the exact currents of ``layer``, [T, N, C, H, W]; ``maps`` holds counts [T, N, C, H, W].

    The first axis is 1 for the constant input and what reads nothing else, and throughout a two-phase network, whose
    maps are codes and whose currents are u(T). Maps are cut as `IntegerNetwork.shapes` says. The type is float32 if
    neither a current nor a membrane can leave 24 bits.
    """
    code = 2**net.timesteps - 1 if net.two_phase else 1
    bound = np.abs(layer.bias) + sum(
        np.abs(s.weight).reshape(len(layer.bias), -1).sum(1)
        * max(map(abs, net.value_ranges[s.source])) * (1 if s.source == INPUT else code)
        for s in layer.synapses
    )
    if layer.emits and not net.two_phase:
        bound = bound * (net.timesteps + 1) + np.abs(layer.v_init) + layer.theta * (layer.burst + 1)
    dtype = torch.float32 if bound.max() < 2**24 else torch.float64
    height, width = net.shapes[layer.name][1:]
    total = torch.as_tensor(layer.bias.copy()).to(dtype)[:, None, None]
    for synapse in layer.synapses:
        x = maps[synapse.source]
        current = _convolve(synapse, x.flatten(0, 1), dtype).unflatten(0, x.shape[:2])
        total = total + current[..., :height, :width]
    return total


def fire(currents, layer, steps):
    """Return counts int16 [T, N, C, H, W] of ``layer`` for what `drive` gives, and the range of its state.

    Of inverse-leaky neurons: codes int32 [1, N, C, H, W], and the range of u(T).
    The quotient of two exact integers floors exactly: it stays below a whole number it does not reach by at
    least 1/theta, more than half a unit in the last place.
    """
    theta, state = (currents.new_tensor(a.copy())[:, None, None] for a in (layer.theta, layer.v_init))
    if layer.neuron == INVERSE_LEAKY:
        codes = (currents / theta).floor_().clamp_(0, 2**steps - 1)
        return codes.to(torch.int32), (float(currents.min()), float(currents.max()))
    limit = 2.0 ** (layer.state_bits - 1)
    v, counts = state.expand(currents.shape[1:]).clone(), []
    low, high = float(state.min()), float(state.max())
    for t in range(steps):
        v += currents[min(t, len(currents) - 1)]
        k = (v / theta).floor_().clamp_(0, layer.burst)
        if layer.min_burst > 1:
            k.mul_(k >= layer.min_burst)
        v.addcmul_(k, theta, value=-1).clamp_(-limit, limit - 1)
        low, high = min(low, float(v.min())), max(high, float(v.max()))
        counts.append(k.to(torch.int16))
    return torch.stack(counts), (low, high)


def readout_sums(net, pixels, batch=250):
    """Return z after every timestep, int64 [N, T, C], for pixels uint8 [N, C, H, W]; no early exit.

    Of a two-phase network only the last: [N, 1, C].
    """
    for layer in net.layers if net.two_phase else ():
        if layer.fires and layer.state_bits < proved_state_bits(net, layer):
            raise InputError(
                f"Layer {layer.name} may saturate in {layer.state_bits} bits: evaluate it with sim.golden."
            )
    steps = 1 if net.two_phase else net.timesteps
    parts = []
    for part in torch.as_tensor(pixels).split(batch):
        maps = {INPUT: integer_input(net, part)}
        for layer in net.layers:
            if not layer.weighted:
                maps[layer.name] = pool_counts(layer, maps[layer.source])
            elif not layer.emits:
                currents = drive(net, layer, maps).double().expand(steps, -1, -1, -1, -1)
                parts.append(currents.cumsum(0).flatten(2).transpose(0, 1).long())
            else:
                maps[layer.name], _ = fire(drive(net, layer, maps), layer, net.timesteps)
    return torch.cat(parts).numpy()


def pool_counts(pool, counts):
    """Return the pool of counts or codes [T, N, C, H, W], in their type."""
    return pooled(pool, counts.flatten(0, 1)).to(counts.dtype).unflatten(0, counts.shape[:2])
