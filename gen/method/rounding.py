"""Weight calibration: the integer weights of each layer chosen on images, without training.

The current of a layer should be that of the float network, although what it reads are the counts of the integer
network and its weights have few bits. Layer by layer, upstream layers already final, both are one problem of least
squares (`gen.method.least_squares`): the samples are the mean counts over the timesteps at the taps of some
thousand neurons, the target is the float network's current at the same places of the same images. Its solution in
real numbers makes up for what upstream layers do wrong; rounded to integers with feedback at several scales, the
best one per channel, it makes up for the rounding.

Where the float network is silent, any negative current will do. So the regression is repeated with the target
there being the current it has found, if that is negative. A layer with two thresholds is never silent.
"""

from dataclasses import dataclass, replace

import numpy as np

from gen.method.calibrate import sweep
from gen.method.least_squares import LeastSquares
from gen.method.quantize import EMPTY_SCALE, THETA_MAX, integer_synapse, theta_below
from gen.model.network import FloatNetwork

__all__ = ["Rounding", "calibrate_weights", "columns"]

SAMPLES = 8192
SILENT_ROUNDS = 3
STRETCHES = np.geomspace(0.9, 3.6, 13)


def calibrate_weights(quantized, network, maps, pixels, means, sweeps=6, progress=None):
    """Return ``quantized`` with calibrated weights, scales, biases and state widths.

    ``network`` is the float network and ``maps`` its activations for ``pixels``, as
    `gen.method.simulate.activations` gives them; ``pixels``, ``means``, ``sweeps`` and ``progress`` are those of
    `gen.method.calibrate.correct`.
    """
    return sweep(quantized, pixels, means, sweeps, progress, Rounding(network, maps))


@dataclass(frozen=True, eq=False)
class Rounding:
    """Calibrates one layer at a time: ``network`` is the float network, ``maps`` its activations."""

    network: FloatNetwork
    maps: dict

    def __call__(self, quantized, layer, counts):
        """Return ``quantized`` with ``layer`` calibrated to read ``counts``, map name to [T, N, C, H, W]."""
        real = self.network.layer(layer.name)
        amplitudes = dict(quantized.amplitudes)
        if not layer.weighted:
            amplitudes[layer.name] = amplitudes[layer.source] / real.divisor
            return replace(quantized, amplitudes=amplitudes)
        fires, logits = layer.fires, dict(quantized.logits)
        unit = amplitudes[layer.name] / layer.theta if fires else np.full(len(layer.bias), 1 / logits[layer.name])
        live = unit > 0
        threshold = np.where(live, unit * layer.theta, 1.0) if fires else np.ones(len(unit))

        seen, y = self._samples(quantized.network, real, counts)
        weights = [s.input_scaled(amplitudes[s.source]) / threshold[:, None, None, None] for s in real.synapses]
        blocks = _blocks(real.synapses)
        start = [np.concatenate([weights[i].reshape(len(unit), 1, -1) for i in b], axis=2) for b in blocks]
        problem = LeastSquares([np.concatenate([seen[i] for i in b], axis=2) for b in blocks], start)
        limit = 2 ** (layer.weight_bits - 1) - 1
        given = threshold / np.where(live, unit, 1.0)
        rounds = SILENT_ROUNDS if fires and not layer.signed else 0
        found, scale = choose(problem, y / threshold, limit, given, not fires, rounds)

        synapses = _split(found, blocks, real.synapses, live)
        reached = sum(_mean_current(s, x) for s, x in zip(synapses, seen))
        biases = quantized.biases | {layer.name: (y.mean(0) / threshold * scale - reached) * live}
        layer = replace(layer, synapses=synapses)
        if fires:
            theta = np.where(live, np.maximum(np.rint(scale), 1), 1).astype(np.int64)
            amplitudes[layer.name] = threshold * live * theta / scale
            layer = replace(layer, theta=theta, theta_low=theta_below(real, theta))
        else:
            logits[layer.name] = float(scale[0])
        layers = tuple(layer if other.name == layer.name else other for other in quantized.network.layers)
        return replace(quantized, network=replace(quantized.network, layers=layers), amplitudes=amplitudes,
                       biases=biases, logits=logits)

    def _samples(self, net, real, counts):
        """Return what each synapse sees of the mean counts, [groups, rows, n], and the float current [rows, out]."""
        shape = (len(self.maps[real.name]), *net.shapes[real.name][1:])
        total = int(np.prod(shape))
        rows = np.sort(np.random.default_rng(0).permutation(total)[:SAMPLES])
        places = np.unravel_index(rows, shape)
        seen, current = [], real.bias
        for s in real.synapses:
            x = columns(s, self.maps[s.source].numpy(), places)
            product = x @ s.weight.reshape(s.groups, -1, x.shape[2]).transpose(0, 2, 1)
            current = current + product.transpose(1, 0, 2).reshape(len(rows), -1)
            seen.append(columns(s, counts[s.source].float().mean(0).numpy(), places))
        return seen, current


def choose(problem, y, limit, given, common=False, rounds=0):
    """Return integer weights, per block [out, 1, n], and their real scale [out], for targets ``y`` [rows, out].

    ``limit`` [out] is the largest weight, ``given`` [out] a scale to try beside others; ``common``: one scale for
    all outputs; ``rounds``: how often the target of silent samples is adjusted. By the loss of ``problem`` around
    the regression, no output (with a common scale: not their sum) does worse than plainly rounded at the given
    scale.
    """
    target, goal = y, problem.regress(y)
    for _ in range(rounds):
        current = problem.predict(goal)
        target = np.where(y > 0, y, np.minimum(current - current.mean(0) + target.mean(0), 0))
        goal = problem.regress(target)
    scales = np.concatenate([_candidates(goal, limit, common), given[:, None]], axis=1)
    scaled = [v * scales[..., None] for v in goal]
    most = limit[:, None, None]
    plain = [np.rint(v * scales[..., None]).clip(-most, most) for v in problem.start]
    rounded = problem.round(scaled, limit)
    losses = [problem.loss(w, scaled) / scales**2 for w in (rounded, plain)]
    better = losses[0] <= losses[1]
    loss = np.minimum(*losses)
    best = (loss.sum(0, keepdims=True).repeat(len(loss), 0) if common else loss).argmin(1)[:, None]
    chosen = [np.take_along_axis(np.where(better[..., None], a, b), best[..., None], 1)
              for a, b in zip(rounded, plain)]
    scale = np.take_along_axis(scales, best, 1)
    return problem.descend(chosen, [v * scale[..., None] for v in goal], limit), scale[:, 0]


def columns(synapse, x, places):
    """Return what the taps of ``synapse`` see of the map ``x`` [N, C, H, W], float64 [groups, rows, n].

    ``places``: image, row and column, [rows] each, of the neurons. n runs over inputs, then the kernel.
    """
    image, row, column = places
    down, right = (
        synapse.window.places(axis, x.shape[2 + axis], place.max() + 1)[place]
        for axis, place in enumerate((row, column))
    )
    y, z = down[:, :, None], right[:, None, :]
    inside = (y >= 0) & (z >= 0)
    seen = x[image[:, None, None], :, y.clip(0), z.clip(0)] * inside[..., None]
    seen = seen.reshape(len(row), -1, synapse.groups, synapse.weight.shape[1])
    return seen.transpose(2, 0, 3, 1).reshape(synapse.groups, len(row), -1).astype(float)


def _candidates(goal, limit, common):
    """Return the scales to try, [out, candidates], from one that clips nothing to one that clips most."""
    worst = np.max([np.abs(v).max((1, 2)) for v in goal], axis=0)
    worst = np.full(len(worst), worst.max()) if common else worst
    fitting = np.divide(limit, worst, out=np.full(len(worst), EMPTY_SCALE), where=worst > 0)
    return np.minimum(fitting[:, None] * STRETCHES, THETA_MAX)


def _blocks(synapses):
    """Return lists of the indices of synapses with as many groups, that of the fewest weights per output first."""
    every = sorted({s.groups for s in synapses})
    blocks = [[i for i, s in enumerate(synapses) if s.groups == groups] for groups in every]
    return sorted(blocks, key=lambda b: sum(synapses[i].weight[0].size for i in b))


def _split(found, blocks, synapses, live):
    """Return the integer synapses of the weights ``found``; a channel not ``live`` has none."""
    result = list(synapses)
    for weights, block in zip(found, blocks):
        ends = np.cumsum([synapses[i].weight[0].size for i in block])[:-1]
        for i, part in zip(block, np.split(weights[:, 0] * live[:, None], ends, axis=1)):
            s = synapses[i]
            weight = part.reshape(s.weight.shape).astype(np.int64)
            result[i] = integer_synapse(s, weight)
    return tuple(result)


def _mean_current(synapse, x):
    """Return the mean current [out] of ``synapse`` for the samples ``x`` [groups, rows, n]."""
    weight = synapse.weight.reshape(synapse.groups, -1, x.shape[2])
    return (weight @ x.mean(1)[..., None]).ravel()
