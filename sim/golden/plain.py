"""The plain golden model: the equations of `gen.intnet` and `gen.exit_rule` as loops over Python integers.

Slow on purpose: one neuron, one weight, one addition at a time, in the order of the contract, so that a
reader can check it by hand. `sim.golden` computes the same, fast, and is tested to be equal on random networks.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, SHARE_ONE, X_MAX
from gen.inputs import input_values
from gen.layers import INPUT
from gen.window import ZEROS

__all__ = ["Trace", "exits", "plain_trace", "plain_traces"]


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything one image does in a network, timestep by timestep, up to the exit.

    counts : name of every spiking and pool layer to int64 [steps, C, H, W], its map after each timestep
    states : name of every spiking layer to int64 [steps, C, H, W], v after the write-back of each timestep
    outputs : name of every readout to int64 [steps, C, H, W], z after each timestep
    logits : int64 [steps, C], those of the deciding output; [steps, C, H, W] where it is a map
    class_ : int, the argmax of its channels; int64 [H, W] where it is a map
    exit_step, events, synaptic_ops : int, as in `gen.result.Result`
    passed : whether the exit rule held at the exit step

    In a two-phase network a layer's states are in the order of its updates: ``[2T - 1, C, H, W]``, v(1) .. v(T-1)
    and v'(1) .. v'(T). A layer that reads the direct input alone has nothing to accumulate before t = T: its states
    are v'(1) .. v'(T), and a readout of that kind has the logits of t = T alone. The exit step is T.
    """

    counts: dict[str, np.ndarray]
    states: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    logits: np.ndarray
    class_: int | np.ndarray
    exit_step: int
    events: int
    synaptic_ops: int
    passed: bool = False


def exits(rule, z, t):
    """Return whether `rule` holds after timestep ``t`` (1..T), the logits of a position being the integers ``z``."""
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
    """Run one image through ``network``, a network of one stage, and return its `Trace`.

    ``image`` is uint8 [C, H, W], or [T, C, H, W] for a network of frames.
    """
    values = input_values(network, np.asarray(image)[None])[0].tolist()
    return (_two_phase if network.two_phase else _stepwise)(network, values)


def plain_traces(network, image):
    """Return the `Trace` of every stage of ``network`` that runs, in order; the last one's answer is the network's."""
    traces = []
    for stage in network.stages:
        traces.append(plain_trace(stage, image))
        if traces[-1].passed:
            break
    return traces


def _stepwise(network, values):
    """Return the trace of a network of AdaFire neurons: all layers at timestep 1, all layers at timestep 2, ..."""
    frames = network.source.kind == "frames"
    counts = {layer.name: [] for layer in network.layers if layer.emits}
    states = {layer.name: [] for layer in network.layers if layer.fires}
    outputs = {name: [] for name in network.outputs}
    events, synaptic_ops, passed = 0, 0, False
    v = {layer.name: _initial(network, layer) for layer in network.layers if layer.weighted}

    for t in range(1, network.timesteps + 1):
        maps = {INPUT: values[t - 1] if frames else values}
        for layer in network.layers:
            name = layer.name
            if not layer.weighted:
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
                if layer.fires:
                    k, spent = _burst(layer, c, u)
                    u = _saturate(u - spent, layer)
                    maps[name][c][y][x] = k
                v[name][c][y][x] = u
        for stored, now in ((counts, maps), (states, v), (outputs, v)):
            for name in stored:
                stored[name].append(_copy(now[name]))
        events += sum(_nonzero(maps[name]) for name in _read(network))
        passed = _passes(network.exit_rule, v[network.readout.name], t)
        if passed:
            break
    return _trace(network, counts, states, outputs, t, events, synaptic_ops, passed)


def _burst(layer, c, u):
    """Return the count that channel ``c`` sends at the membrane ``u``, and what it takes from it."""
    theta = int(layer.theta[c])
    if not layer.signed:
        k = min(max(u // theta, 0), layer.burst)
    elif u >= 0:
        k = min((u + theta // 2) // theta, layer.burst)
    else:
        theta = int(layer.theta_low[c])
        k = -min((-u + theta // 2) // theta, layer.burst_low)
    k = k if abs(k) >= layer.min_burst else 0
    return k, k * theta


def _passes(rule, z, t):
    """Return whether the rule holds for an output ``z``, [C][H][W]: at a share of its positions."""
    if rule.kind == "off":
        return False
    positions = [[plane[y][x] for plane in z] for y in range(len(z[0])) for x in range(len(z[0][0]))]
    return sum(exits(rule, at, t) for at in positions) * SHARE_ONE >= rule.share * len(positions)


def _trace(network, counts, states, outputs, steps, events, synaptic_ops, passed=False):
    counts, states, outputs = map(_arrays, (counts, states, outputs))
    logits = outputs[network.readout.name]
    class_ = logits[-1].argmax(axis=0)  # of equal ones the first
    if not network.dense:
        logits, class_ = logits[:, :, 0, 0], int(class_[0, 0])
    return Trace(counts, states, outputs, logits, class_, steps, events, synaptic_ops, passed)


def _two_phase(network, values):
    """Return the trace of a network of inverse-leaky neurons: all timesteps of layer 1, all of layer 2, ..."""
    last = network.timesteps
    maps = {INPUT: [_zeros(network.source.shape)] * (last - 1) + [values]}
    states, outputs, synaptic_ops = {}, {}, 0
    for layer in network.layers:
        name, shape = layer.name, network.shapes[layer.name]
        if not layer.weighted:
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
                v[c][y][x] = _saturate(u, layer) if layer.fires and t < last else u
            accumulated.append(_copy(v))
        if all(synapse.source == INPUT for synapse in layer.synapses):
            accumulated = accumulated[-1:]
        if not layer.fires:
            outputs[name] = accumulated
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
    return _trace(network, maps, states, outputs, last, events, synaptic_ops)


def _saturate(v, layer):
    limit = 2 ** (layer.state_bits - 1)
    return min(max(v, -limit), limit - 1)


def _read(network):
    """Return the names of the maps, the input left out, that a synapse reads."""
    return {s.source for layer in network.layers for s in layer.synapses} - {INPUT}


def _taps(window, size, y, x):
    """Yield (kernel row, kernel column, map row, map column) of every tap at (y, x) that lies on a map of ``size``."""
    for dy, dx in product(*map(range, window.kernel)):
        place = (
            y * window.stride[0] + dy * window.dilation[0] - window.padding[0],
            x * window.stride[1] + dx * window.dilation[1] - window.padding[1],
        )
        row, column = (p // f for p, f in zip(place, window.upsample))
        between = window.fill == ZEROS and any(p % f for p, f in zip(place, window.upsample))
        if 0 <= row < size[0] and 0 <= column < size[1] and not between:
            yield dy, dx, row, column


def _terms(synapse, source, c, y, x):
    """Yield (weight, value) for every kernel tap of output neuron (c, y, x) that lies on the source map."""
    outputs, inputs, *_ = synapse.weight.shape
    first = c // (outputs // synapse.groups) * inputs
    taps = list(_taps(synapse.window, (len(source[0]), len(source[0][0])), y, x))
    for i, (dy, dx, row, column) in product(range(inputs), taps):
        yield int(synapse.weight[c, i, dy, dx]), source[first + i][row][column]


def _pooled(network, pool, source):
    """Return the map of ``pool`` for the counts ``source`` of one timestep."""
    result = _zeros(network.shapes[pool.name])
    for c, y, x in _positions(network.shapes[pool.name]):
        taps = _taps(pool.window, (len(source[c]), len(source[c][0])), y, x)
        window = [source[c][row][column] for _, _, row, column in taps]
        result[c][y][x] = max(window, default=0) if pool.kind == "max" else sum(window)
    return result


def _initial(network, layer):
    state = _zeros(network.shapes[layer.name])
    if layer.fires:
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
