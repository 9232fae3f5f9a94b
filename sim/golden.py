"""The fast golden model: batches of images through dense matrix products, bit for bit the integer network.

`sim.golden_layers` says why floating point is exact here. A network of AdaFire neurons is executed timestep by
timestep, and images that exit leave the batch; one of inverse-leaky neurons layer by layer (`sim.golden_separated`).
"""

import numpy as np

from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, X_MAX, ExitRule
from gen.inputs import input_values
from gen.intnet import INPUT, Pool, Spiking
from gen.result import Result
from sim.golden_layers import Current, Pooling, count_operations, exact_dtype, fanout, magnitude
from sim.golden_plain import Trace
from sim.golden_separated import Separated, SeparatedBatch

__all__ = ["Golden", "Trace", "exits", "scores"]

_BATCH = 64
_EXP, _LOG = np.array(EXP), np.array(LOG)


def scores(rule, z):
    """Return int64 [N], the score of the logits ``z`` [N, C] under an exit rule other than ``off``.

    entropy : L + A // S in 2**-8 octaves; confidence : S; margin : the distance of the second largest logit.
    """
    z = np.asarray(z, np.int64)
    distance = z.max(axis=1, keepdims=True) - z
    if rule.kind == "margin":
        return np.sort(distance, axis=1)[:, 1] if z.shape[1] > 1 else distance[:, 0]
    x = np.minimum((np.minimum(distance >> rule.shift, DISTANCE_MAX) * rule.scale) >> SCALE_FRACTION, X_MAX)
    e = _EXP[x & 255] >> (x >> 8)
    total = e.sum(axis=1)
    if rule.kind == "confidence":
        return total
    n = np.frexp(total.astype(np.float64))[1] - 1
    return 256 * (n - 16) + _LOG[(total >> (n - 8)) & 255] + (e * x).sum(axis=1) // total


def exits(rule, z, t):
    """Return bool [N]: which rows of the logits ``z`` [N, C] stop after timestep ``t`` (1..T).

    The contract's A < S * (limit - L) is ``score < limit``: A / S < m and A // S < m are one for an integer m.
    """
    if rule.kind == "off":
        return np.zeros(len(z), bool)
    score, limit = scores(rule, z), rule.limits[t - 1]
    return score > limit if rule.kind == "margin" else score < limit


class Golden:
    """The golden model as a device: `run` has the signature and the result of every other device.

    Parameters
    ----------
    network : gen.intnet.IntegerNetwork

    Raises
    ------
    AdafireError : a layer's integers are too large to be exact in float64.
    """

    def __init__(self, network):
        self.network = network
        self._separated = Separated(network) if network.separated else None
        self.layers = [] if network.separated else [
            (Pooling if isinstance(layer, Pool) else _Neurons)(network, layer) for layer in network.layers
        ]
        self.fanout = fanout(network)

    def run(self, x, progress=None):
        """Classify images; those that exit leave the batch, so an early exit saves time.

        Parameters
        ----------
        x : uint8 [N, C, H, W], or [N, H, W] for one channel; [N, T, C, H, W] for a network of frames.
        progress : called with (images done, images in all) after every batch.

        Returns
        -------
        gen.result.Result, without cycles.
        """
        values = input_values(self.network, x)
        exit_steps, *counted = np.zeros((4, len(values)), np.int64)
        logits = np.zeros((len(values), self.network.classes), np.int64)
        for rows, t, batch in self._timesteps(values, self.network.exit_rule, progress):
            exit_steps[rows], logits[rows] = t, batch.z
            for total, of_batch in zip(counted, (batch.events, batch.ops, batch.spike_ops)):
                total[rows] = of_batch
        events, ops, spike_ops = counted
        return Result(logits.argmax(axis=1), exit_steps, logits, events, ops, spike_ops=spike_ops)

    def trace(self, image):
        """Run one image, uint8 [C, H, W] ([T, C, H, W] for frames), and return its `Trace`."""
        values = input_values(self.network, np.asarray(image)[None])
        if self._separated:
            return self._separated_trace(values)
        counts = {layer.name: [] for layer in self.network.layers[:-1]}
        states = {layer.name: [] for layer in self.network.layers if isinstance(layer, Spiking)}
        logits = []
        for _, _, batch in self._timesteps(values, self.network.exit_rule):
            for stored, maps in ((counts, batch.maps), (states, batch.states)):
                for name in stored:
                    stored[name].append(maps[name][0].transpose(2, 0, 1).astype(np.int64))
            logits.append(batch.z[0])
            events, ops = int(batch.events[0]), int(batch.ops[0])
        counts, states = ({name: np.stack(steps) for name, steps in kind.items()} for kind in (counts, states))
        return Trace(counts, states, np.stack(logits), int(logits[-1].argmax()), len(logits), events, ops)

    def _separated_trace(self, values):
        batch = SeparatedBatch(self._separated, values, record=True)
        del batch.maps[INPUT]
        counts, states = (
            {name: np.stack(steps)[:, 0].transpose(0, 3, 1, 2).astype(np.int64) for name, steps in kind.items()}
            for kind in (batch.maps, batch.states)
        )
        logits = batch.logits[:, 0]
        return Trace(counts, states, logits, int(logits[-1].argmax()), self.network.timesteps,
                     int(batch.events[0]), int(batch.ops[0]))

    def all_logits(self, x):
        """Return int64 [N, T, classes], the logits after every timestep as if the exit rule were ``off``.

        Of a separated network these are z(1) .. z(T), of which only the last has the bias.
        """
        values = input_values(self.network, x)
        logits = np.zeros((len(values), self.network.timesteps, self.network.classes), np.int64)
        for rows, t, batch in self._timesteps(values, ExitRule()):
            if self._separated:
                logits[rows, -len(batch.logits) :] = batch.logits.transpose(1, 0, 2)
            else:
                logits[rows, t - 1] = batch.z
        return logits

    def _timesteps(self, values, rule, progress=None):
        """Yield (rows of ``values`` under way, timestep, `_Batch`) after every timestep of every batch."""
        for start in range(0, len(values), _BATCH):
            part = values[start : start + _BATCH]
            if self._separated:
                batch = SeparatedBatch(self._separated, part)
                yield start + batch.rows, self.network.timesteps, batch
            else:
                yield from self._stepwise(part, start, rule)
            if progress:
                progress(min(start + _BATCH, len(values)), len(values))

    def _stepwise(self, values, start, rule):
        batch = _Batch(self, values)
        for t in range(1, self.network.timesteps + 1):
            batch.step(t)
            yield start + batch.rows, t, batch
            batch.keep(~exits(rule, batch.z, t))
            if not len(batch.rows):
                break


class _Batch:
    """Images under way; every array has one row for each image that has not stopped yet.

    rows : int [n], positions in the batch
    maps : name of every map to its values, float [n, H, W, C], after the latest timestep
    states : name of every layer of neurons to its membranes [n, H, W, C]
    events, ops, spike_ops : int64 [n], counted so far
    """

    def __init__(self, golden, values):
        self._golden, self._network = golden, golden.network
        self._values = np.moveaxis(values, -3, -1).astype(np.float32)
        self._direct = self._network.source.kind == "direct"
        self.rows = np.arange(len(values))
        self.events, self.ops, self.spike_ops = np.zeros((3, len(values)), np.int64)
        neurons = [layer for layer in golden.layers if isinstance(layer, _Neurons)]
        self.states = {layer.name: layer.initial(len(values)) for layer in neurons}
        self.constants = {layer.name: layer.constant(self._values) for layer in neurons if layer.direct}

    @property
    def z(self):
        """The logits, int64 [n, classes]."""
        return self.states[self._network.readout.name][:, 0, 0].astype(np.int64)

    def step(self, t):
        """Execute timestep ``t``, 1..T."""
        self.maps = {INPUT: self._values if self._direct else self._values[:, t - 1]}
        for layer in self._golden.layers:
            if isinstance(layer, Pooling):
                self.maps[layer.name] = layer(self.maps[layer.source])
            else:
                layer.step(self)
        for name, met in self._golden.fanout.items():
            if name == INPUT and self._direct and t > 1:
                continue
            events, ops, spike_ops = count_operations(self.maps[name], met, name == INPUT and self._direct)
            self.ops += ops
            self.spike_ops += spike_ops
            if name != INPUT:
                self.events += events

    def keep(self, stay):
        """Drop the images where ``stay``, bool [n], is false."""
        if stay.all():
            return
        self.rows, self.events = self.rows[stay], self.events[stay]
        self.ops, self.spike_ops = self.ops[stay], self.spike_ops[stay]
        self._values = self._values[stay]
        for arrays in (self.states, self.constants):
            arrays.update({name: array[stay] for name, array in arrays.items()})


class _Neurons:
    """A spiking layer or the readout: the sum over its synapses, then burst and soft reset."""

    def __init__(self, network, layer):
        self.name, self._shape = layer.name, network.shapes[layer.name]
        self._fires = isinstance(layer, Spiking)
        bound = magnitude(layer, network.membrane_range(layer))
        if self._fires:
            dtype = exact_dtype(layer, max(bound, layer.theta.max()))
            self._initial, self._theta = layer.v_init.astype(dtype), layer.theta.astype(dtype)
            self._burst, self._limit = layer.burst, 2 ** (layer.state_bits - 1)
        else:
            dtype = exact_dtype(layer, bound)
            self._initial = np.zeros(len(layer.bias), dtype)
        self._bias = layer.bias.astype(dtype)
        constant = INPUT if network.source.kind == "direct" else None
        currents = [Current(network, layer, synapse) for synapse in layer.synapses]
        self.direct = [current for current in currents if current.source == constant]
        self._varying = [current for current in currents if current.source != constant]

    def initial(self, n):
        """Return the membranes of ``n`` images before the first timestep, [n, H, W, C]."""
        channels, height, width = self._shape
        return np.broadcast_to(self._initial, (n, height, width, channels)).copy()

    def constant(self, values):
        """Return the bias plus the current of a direct input, the same at every timestep."""
        return sum((current(values) for current in self.direct), start=self._bias)

    def step(self, batch):
        """Advance the layer's membranes and, where it fires, add its counts to the batch's maps."""
        u = batch.states[self.name]
        u += batch.constants.get(self.name, self._bias)
        for current in self._varying:
            u += current(batch.maps[current.source])
        if self._fires:
            k = u / self._theta
            np.clip(np.floor(k, out=k), 0, self._burst, out=k)
            u -= k * self._theta
            np.clip(u, -self._limit, self._limit - 1, out=u)
            batch.maps[self.name] = k.astype(np.float32, copy=False)
