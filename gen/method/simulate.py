"""Evaluate a network in torch for calibration: the float network, and the integer network exactly.

Used to choose thresholds, biases and exit limits only; `sim.golden` is the independent judge of the integer
network. A sum of integers is exact in floating point while no partial sum can leave the mantissa: float32
below 2**24, float64 below 2**53; `IntegerNetwork` proves every current under 2**31.

A two-phase network takes one pass over codes of T bits instead of T over spikes. Convolution and sum are linear, and a
train weighs its spikes by 2**(T-t): if nothing saturates, accumulating gives ``u(T) = sum_j w[j] * code_j + bias``.
Firing is long division by theta: while 0 <= u' < 2 * top, taking ``s = (u' >= top)`` and doubling the rest gives the
next binary digit of u(T) / theta, so the spikes are the digits of floor(u(T) / theta); below 0 they are all zero, from
2 * top all ones. `gen.method.state_bits.proved_state_bits` is a width with which saturation changes no code; a network
with a narrower state is refused.
"""

import numpy as np
import torch

from gen.errors import InputError
from gen.inputs import input_values
from gen.layers import INPUT, INVERSE_LEAKY
from gen.method.state_bits import proved_state_bits
from gen.method.torch_windows import convolve, pooled

__all__ = [
    "activated", "activations", "drive", "fire", "integer_input", "integer_maps", "output_sums", "pool_counts",
    "readout_sums",
]

FLOAT32, INT16 = 2**24, 2**15  # what they hold exactly lies under these


def activations(network, x):
    """Return name of every map, outputs too, to its value, float32 [N, C, H, W], for normalised images ``x``."""
    maps = {INPUT: x}
    for layer in network.layers:
        if not layer.weighted:
            maps[layer.name] = pooled(layer, maps[layer.source]) / layer.divisor
            continue
        current = sum(convolve(s, maps[s.source], torch.as_tensor(s.weight).float()) for s in layer.synapses)
        current = current + torch.as_tensor(layer.bias).float()[:, None, None]
        maps[layer.name] = activated(layer, current) if layer.fires else current
    return maps


def activated(layer, x):
    """Return the activation of the float ``layer`` for its current ``x`` [N, C, H, W]."""
    result = x.relu()
    if layer.signed:
        result -= torch.as_tensor(layer.slope).float()[:, None, None] * (-x).relu_()
    return result if layer.ceiling is None else result.clamp_(max=layer.ceiling)


def integer_input(net, pixels):
    """Return pixels uint8 [N, C, H, W] less the offset, as [1, N, C, H, W]: the same at every timestep.

    Of frames, uint8 [N, T, C, H, W]: as [T, N, C, H, W].
    """
    values = torch.as_tensor(input_values(net, pixels))
    return values[None] if net.source.kind == "direct" else values.transpose(0, 1)


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
    if layer.fires and not net.two_phase:
        bound = bound * (net.timesteps + 1) + np.abs(layer.v_init) + layer.theta * (layer.burst + 1)
        if layer.signed:
            bound = bound + layer.theta_low * (layer.burst_low + 1)
    dtype = torch.float32 if bound.max() < FLOAT32 else torch.float64
    height, width = net.shapes[layer.name][1:]
    total = torch.as_tensor(layer.bias.copy()).to(dtype)[:, None, None]
    for synapse in layer.synapses:
        x = maps[synapse.source]
        weight = torch.as_tensor(synapse.weight.copy()).to(dtype)
        result = convolve(synapse, x.flatten(0, 1).to(dtype), weight).unflatten(0, x.shape[:2])
        total = total + result[..., :height, :width]
    return total


def fire(currents, layer, steps):
    """Return counts int16 [T, N, C, H, W] of ``layer`` for what `drive` gives, and the range of its state.

    Of inverse-leaky neurons: codes int32 [1, N, C, H, W], and the range of u(T).
    The quotient of two exact integers floors exactly: it stays below a whole number it does not reach by at
    least 1/theta, more than half a unit in the last place.
    """
    theta, state = (_per_channel(currents, a) for a in (layer.theta, layer.v_init))
    if layer.neuron == INVERSE_LEAKY:
        codes = (currents / theta).floor_().clamp_(0, 2**steps - 1)
        return codes.to(torch.int32), (float(currents.min()), float(currents.max()))
    limit = 2.0 ** (layer.state_bits - 1)
    v, counts = state.expand(currents.shape[1:]).clone(), []
    low, high = float(state.min()), float(state.max())
    below = _per_channel(currents, layer.theta_low) if layer.signed else theta
    for t in range(steps):
        v += currents[min(t, len(currents) - 1)]
        if layer.signed:
            k = ((v + (theta / 2).floor_()) / theta).floor_().clamp_(0, layer.burst)
            k -= ((-v + (below / 2).floor_()) / below).floor_().clamp_(0, layer.burst_low)
        else:
            k = (v / theta).floor_().clamp_(0, layer.burst)
        if layer.min_burst > 1:
            k.mul_(k.abs() >= layer.min_burst)
        v.addcmul_(k, torch.where(k < 0, below, theta) if layer.signed else theta, value=-1).clamp_(-limit, limit - 1)
        low, high = min(low, float(v.min())), max(high, float(v.max()))
        counts.append(k.to(torch.int16))
    return torch.stack(counts), (low, high)


def _per_channel(like, values):
    return like.new_tensor(values.copy())[:, None, None]


def readout_sums(net, pixels, batch=250, output=None):
    """Return z after every timestep for pixels uint8 [N, C, H, W], or frames [N, T, C, H, W]; no early exit.

    ``output`` names the output, by default the one that decides. int64 [N, T, C]; [N, T, C, H, W] where it is a map.
    Of a two-phase network only the last: [N, 1, C].
    """
    for layer in net.layers if net.two_phase else ():
        if layer.fires and layer.state_bits < proved_state_bits(net, layer):
            raise InputError(
                f"Layer {layer.name} may saturate in {layer.state_bits} bits: evaluate it with sim.golden."
            )
    output, steps = output or net.readout.name, 1 if net.two_phase else net.timesteps
    parts, layers = [], {layer.name: layer for layer in net.layers}
    for part in torch.as_tensor(pixels).split(batch):
        maps = integer_maps(net, part, output)
        currents = drive(net, layers[output], maps).double()
        parts.append(currents.expand(steps, -1, -1, -1, -1).cumsum(0).transpose(0, 1).long())
    z = torch.cat(parts).numpy()
    return z[..., 0, 0] if net.shapes[output][1:] == (1, 1) else z


def output_sums(net, pixels):
    """Return name of every output to its z after the last timestep, float64 [N, C, H, W], for pixels uint8."""
    maps, steps = integer_maps(net, pixels), 1 if net.two_phase else net.timesteps
    return {
        layer.name: drive(net, layer, maps).double().expand(steps, -1, -1, -1, -1).sum(0)
        for layer in net.layers if layer.name in net.outputs
    }


def integer_maps(net, pixels, output=None):
    """Return name of every map, the input's too, to its counts or codes [T, N, C, H, W], for pixels uint8.

    With ``output`` the name of one: those of the layers before it.
    """
    maps = {INPUT: integer_input(net, pixels)}
    for layer in net.layers:
        if layer.name == output:
            break
        if not layer.weighted:
            maps[layer.name] = pool_counts(net, layer, maps[layer.source])
        elif layer.fires:
            maps[layer.name], _ = fire(drive(net, layer, maps), layer, net.timesteps)
    return maps


def pool_counts(net, pool, counts):
    """Return the pool of counts or codes [T, N, C, H, W], in their type, or the next wider that holds its sums."""
    most = max(map(abs, net.value_ranges[pool.name])) * (2**net.timesteps - 1 if net.two_phase else 1)
    result = pooled(pool, counts.flatten(0, 1).to(torch.float32 if most < FLOAT32 else torch.float64))
    dtype = torch.int16 if counts.dtype == torch.int16 and most < INT16 else torch.int32
    return result.to(dtype).unflatten(0, counts.shape[:2])
