"""The plain golden model: the equations of `gen.intnet` and `gen.exit_rule` as loops over Python integers.

Slow on purpose: one neuron, one weight, one addition at a time, in the order of the contract, so that a
reader can check it by hand. `sim.golden` computes the same, fast, and is tested to be equal on random networks.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, X_MAX
from gen.inputs import input_values
from gen.intnet import INPUT, Pool, Spiking

__all__ = ["Trace", "exits", "plain_trace"]


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything one image does in a network, timestep by timestep, up to the exit.

    counts : name of every spiking and pool layer to int64 [steps, C, H, W], its map after each timestep
    states : name of every spiking layer to int64 [steps, C, H, W], v after the write-back of each timestep
    logits : int64 [steps, classes], z after each timestep
    class_, exit_step, events, synaptic_ops : int, as in `gen.result.Result`
    """

    counts: dict[str, np.ndarray]
    states: dict[str, np.ndarray]
    logits: np.ndarray
    class_: int
    exit_step: int
    events: int
    synaptic_ops: int


def exits(rule, z, t):
    """Return whether `rule` stops after timestep ``t`` (1..T), where the logits are the integers ``z``."""
    if rule.kind == "off":
        return False
    limit, top = rule.limits[t - 1], max(z)
    if rule.kind == "margin":
        second = sorted(z)[-2] if len(z) > 1 else top
        return top - second > limit
    near = [min((top - z_j) >> rule.shift, DISTANCE_MAX) for z_j in z]
    x = [min((d_j * rule.scale) >> SCALE_FRACTION, X_MAX) for d_j in near]
    e = [EXP[x_j & 255] >> (x_j >> 8) for x_j in x]
    total = sum(e)
    if rule.kind == "confidence":
        return total < limit
    n = total.bit_length() - 1
    log = 256 * (n - 16) + LOG[(total >> (n - 8)) & 255]
    return sum(e_j * x_j for e_j, x_j in zip(e, x)) < total * (limit - log)


def plain_trace(network, image):
    """Run one image through ``network`` and return its `Trace`.

    ``image`` is uint8 [C, H, W], or [T, C, H, W] for a network of frames.
    """
    values = input_values(network, np.asarray(image)[None])[0].tolist()
    frames = network.source.kind == "frames"
    counts = {layer.name: [] for layer in network.layers[:-1]}
    states = {layer.name: [] for layer in network.layers if isinstance(layer, Spiking)}
    logits, events, synaptic_ops = [], 0, 0
    read = {s.source for layer in network.layers for s in getattr(layer, "synapses", ())} - {INPUT}
    v = {layer.name: _initial(network, layer) for layer in network.layers if not isinstance(layer, Pool)}

    for t in range(1, network.timesteps + 1):
        maps = {INPUT: values[t - 1] if frames else values}
        for layer in network.layers:
            name = layer.name
            maps[name] = _zeros(network.shapes[name])
            for c, y, x in _positions(network.shapes[name]):
                if isinstance(layer, Pool):
                    window = list(_window(layer, maps[layer.source], c, y, x))
                    maps[name][c][y][x] = max(window, default=0) if layer.kind == "max" else sum(window)
                    continue
                u = v[name][c][y][x] + int(layer.bias[c])
                for synapse in layer.synapses:
                    for weight, value in _terms(synapse, maps[synapse.source], c, y, x):
                        u += weight * value
                        seen = synapse.source == INPUT and not frames and t > 1
                        synaptic_ops += value != 0 and not seen
                if isinstance(layer, Spiking):
                    theta, limit = int(layer.theta[c]), 2 ** (layer.state_bits - 1)
                    k = min(max(u // theta, 0), layer.burst)
                    u = min(max(u - k * theta, -limit), limit - 1)
                    maps[name][c][y][x] = k
                v[name][c][y][x] = u
        for name, stored in counts.items():
            stored.append(maps[name])
        for name, stored in states.items():
            stored.append([[list(row) for row in plane] for plane in v[name]])
        events += sum(maps[name][c][y][x] != 0
                      for name in read for c, y, x in _positions(network.shapes[name]))
        z = [plane[0][0] for plane in v[network.readout.name]]
        logits.append(z)
        if exits(network.exit_rule, z, t):
            break
    return Trace(_arrays(counts), _arrays(states), np.array(logits), z.index(max(z)), t, events, synaptic_ops)


def _terms(synapse, source, c, y, x):
    """Yield (weight, value) for every kernel tap of output neuron (c, y, x) that lies on the source map."""
    outputs, inputs, height, width = synapse.weight.shape
    first = c // (outputs // synapse.groups) * inputs
    for i, dy, dx in product(range(inputs), range(height), range(width)):
        row = y * synapse.stride[0] + dy * synapse.dilation[0] - synapse.padding[0]
        column = x * synapse.stride[1] + dx * synapse.dilation[1] - synapse.padding[1]
        if 0 <= row < len(source[0]) and 0 <= column < len(source[0][0]):
            yield int(synapse.weight[c, i, dy, dx]), source[first + i][row][column]


def _window(pool, source, c, y, x):
    """Yield the counts of channel c that lie in the pooling window (y, x); padding would add zeros."""
    for dy, dx in product(range(pool.kernel[0]), range(pool.kernel[1])):
        row, column = y * pool.stride[0] + dy - pool.padding[0], x * pool.stride[1] + dx - pool.padding[1]
        if 0 <= row < len(source[0]) and 0 <= column < len(source[0][0]):
            yield source[c][row][column]


def _initial(network, layer):
    state = _zeros(network.shapes[layer.name])
    if isinstance(layer, Spiking):
        for c, y, x in _positions(network.shapes[layer.name]):
            state[c][y][x] = int(layer.v_init[c])
    return state


def _zeros(shape):
    return np.zeros(shape, int).tolist()


def _positions(shape):
    return product(*map(range, shape))


def _arrays(steps):
    return {name: np.array(stored, np.int64) for name, stored in steps.items()}
