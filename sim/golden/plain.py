"""The plain golden model: the equations of `gen.intnet` and `gen.exit_rule` as loops over Python integers.

Slow on purpose: one neuron, one weight, one addition at a time, in the order of the contract, so that a
reader can check it by hand. `sim.golden` computes the same, fast, and is tested to be equal on random networks.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, X_MAX
from gen.inputs import input_values
from gen.layers import INPUT, Pool, Spiking

__all__ = ["Trace", "exits", "plain_trace"]


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything one image does in a network, timestep by timestep, up to the exit.

    counts : name of every spiking and pool layer to int64 [steps, C, H, W], its map after each timestep
    states : name of every spiking layer to int64 [steps, C, H, W], v after the write-back of each timestep
    logits : int64 [steps, classes], z after each timestep
    class_, exit_step, events, synaptic_ops : int, as in `gen.result.Result`

    In a separated network a layer's states are in the order of its updates: ``[2T - 1, C, H, W]``, v(1) .. v(T-1)
    and v'(1) .. v'(T). A layer that reads the direct input alone has nothing to accumulate before t = T: its states
    are v'(1) .. v'(T), and a readout of that kind has the logits of t = T alone. The exit step is T.
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
    return (_separated if network.separated else _stepwise)(network, values)


def _stepwise(network, values):
    """Return the trace of a network of AdaFire neurons: all layers at timestep 1, all layers at timestep 2, ..."""
    frames = network.source.kind == "frames"
    counts = {layer.name: [] for layer in network.layers[:-1]}
    states = {layer.name: [] for layer in network.layers if isinstance(layer, Spiking)}
    logits, events, synaptic_ops = [], 0, 0
    v = {layer.name: _initial(network, layer) for layer in network.layers if not isinstance(layer, Pool)}

    for t in range(1, network.timesteps + 1):
        maps = {INPUT: values[t - 1] if frames else values}
        for layer in network.layers:
            name = layer.name
            if isinstance(layer, Pool):
                maps[name] = _pooled(network, layer, maps[layer.source])
                continue
            maps[name] = _zeros(network.shapes[name])
            for c, y, x in _positions(network.shapes[name]):
                u = v[name][c][y][x] + int(layer.bias[c])
                for synapse in layer.synapses:
                    for weight, value in _terms(synapse, maps[synapse.source], c, y, x):
                        u += weight * value
                        seen = synapse.source == INPUT and not frames and t > 1
                        synaptic_ops += value != 0 and not seen
                if isinstance(layer, Spiking):
                    theta = int(layer.theta[c])
                    k = min(max(u // theta, 0), layer.burst)
                    k = k if k >= layer.least else 0
                    u = _saturate(u - k * theta, layer)
                    maps[name][c][y][x] = k
                v[name][c][y][x] = u
        for name, stored in counts.items():
            stored.append(maps[name])
        for name, stored in states.items():
            stored.append(_copy(v[name]))
        events += sum(_nonzero(maps[name]) for name in _read(network))
        z = [plane[0][0] for plane in v[network.readout.name]]
        logits.append(z)
        if exits(network.exit_rule, z, t):
            break
    return Trace(_arrays(counts), _arrays(states), np.array(logits), z.index(max(z)), t, events, synaptic_ops)


def _separated(network, values):
    """Return the trace of a network of inverse-leaky neurons: all timesteps of layer 1, all of layer 2, ..."""
    last = network.timesteps
    maps = {INPUT: [_zeros(network.source.shape)] * (last - 1) + [values]}
    states, synaptic_ops = {}, 0
    for layer in network.layers:
        name, shape = layer.name, network.shapes[layer.name]
        if isinstance(layer, Pool):
            maps[name] = [_pooled(network, layer, spikes) for spikes in maps[layer.source]]
            continue
        v, accumulated = _zeros(shape), []
        for t in range(1, last + 1):
            for c, y, x in _positions(shape):
                u = 2 * v[c][y][x] + (int(layer.bias[c]) if t == last else 0)
                for synapse in layer.synapses:
                    for weight, value in _terms(synapse, maps[synapse.source][t - 1], c, y, x):
                        u += weight * value
                        synaptic_ops += value != 0
                v[c][y][x] = _saturate(u, layer) if isinstance(layer, Spiking) and t < last else u
            accumulated.append(_copy(v))
        if all(synapse.source == INPUT for synapse in layer.synapses):
            accumulated = accumulated[-1:]
        if not isinstance(layer, Spiking):
            logits = [[plane[0][0] for plane in z] for z in accumulated]
            continue
        states[name], maps[name] = accumulated[:-1], []
        for t in range(1, last + 1):
            spikes = _zeros(shape)
            for c, y, x in _positions(shape):
                u = v[c][y][x] if t == 1 else 2 * v[c][y][x]
                top = int(layer.theta[c]) * 2 ** (last - 1)
                s = 1 if u >= top else 0
                spikes[c][y][x], v[c][y][x] = s, _saturate(u - s * top, layer)
            maps[name].append(spikes)
            states[name].append(_copy(v))
    events = sum(_nonzero(spikes) for name in _read(network) for spikes in maps[name])
    del maps[INPUT]
    class_ = logits[-1].index(max(logits[-1]))
    return Trace(_arrays(maps), _arrays(states), np.array(logits), class_, last, events, synaptic_ops)


def _saturate(v, layer):
    limit = 2 ** (layer.state_bits - 1)
    return min(max(v, -limit), limit - 1)


def _read(network):
    """Return the names of the maps, the input left out, that a synapse reads."""
    return {s.source for layer in network.layers for s in getattr(layer, "synapses", ())} - {INPUT}


def _terms(synapse, source, c, y, x):
    """Yield (weight, value) for every kernel tap of output neuron (c, y, x) that lies on the source map."""
    outputs, inputs, height, width = synapse.weight.shape
    first = c // (outputs // synapse.groups) * inputs
    for i, dy, dx in product(range(inputs), range(height), range(width)):
        row = y * synapse.stride[0] + dy * synapse.dilation[0] - synapse.padding[0]
        column = x * synapse.stride[1] + dx * synapse.dilation[1] - synapse.padding[1]
        if 0 <= row < len(source[0]) and 0 <= column < len(source[0][0]):
            yield int(synapse.weight[c, i, dy, dx]), source[first + i][row][column]


def _pooled(network, pool, source):
    """Return the map of ``pool`` for the counts ``source`` of one timestep."""
    result = _zeros(network.shapes[pool.name])
    for c, y, x in _positions(network.shapes[pool.name]):
        window = list(_window(pool, source, c, y, x))
        result[c][y][x] = max(window, default=0) if pool.kind == "max" else sum(window)
    return result


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


def _copy(planes):
    return [[list(row) for row in plane] for plane in planes]


def _nonzero(planes):
    return sum(value != 0 for plane in planes for row in plane for value in row)


def _positions(shape):
    return product(*map(range, shape))


def _arrays(steps):
    return {name: np.array(stored, np.int64) for name, stored in steps.items()}
