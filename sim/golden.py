"""The fast golden model: batches of images through compiled loops over events, bit for bit the integer network.

`sim.golden_layers` says why floating point is exact here. A network of AdaFire neurons is executed timestep by
timestep, and images that exit leave the batch; one of inverse-leaky neurons layer by layer (`sim.golden_separated`).
Every core that the process may use works on a batch of its own.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np

from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, X_MAX, ExitRule
from gen.inputs import input_values
from gen.intnet import INPUT, Pool, Spiking
from gen.result import Result
from sim.golden_kernels import fire, keep
from sim.golden_layers import Current, Pooling, exact_dtype, fanout, is_read, magnitude
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
            (_Pooling if isinstance(layer, Pool) else _Neurons)(network, layer) for layer in network.layers
        ]

    @cached_property
    def fanout(self):
        """Name of every map that a synapse reads to int64 [H * W], the weights that an event there meets."""
        return fanout(self.network)

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
        exit_steps, events, *ops = np.zeros((4, len(values)), np.int64)
        logits = np.zeros((len(values), self.network.classes), np.int64)

        def classify(start):
            for rows, t, batch in self._timesteps(values, start, self.network.exit_rule):
                exit_steps[rows], logits[rows], events[rows] = t, batch.z, batch.events
                ops[0][rows], ops[1][rows] = batch.ops

        _every_batch(classify, len(values), progress)
        return Result(logits.argmax(axis=1), exit_steps, logits, events, ops[0], spike_ops=ops[1])

    def trace(self, image):
        """Run one image, uint8 [C, H, W] ([T, C, H, W] for frames), and return its `Trace`."""
        values = input_values(self.network, np.asarray(image)[None])
        if self._separated:
            return self._separated_trace(values)
        counts = {layer.name: [] for layer in self.network.layers[:-1]}
        states = {layer.name: [] for layer in self.network.layers if isinstance(layer, Spiking)}
        logits = []
        for _, _, batch in self._timesteps(values, 0, self.network.exit_rule):
            for stored, maps in ((counts, batch.maps), (states, batch.states)):
                for name in stored:
                    stored[name].append(maps[name][0].transpose(2, 0, 1).astype(np.int64))
            logits.append(batch.z[0])
            events, ops = int(batch.events[0]), int(batch.ops[0, 0])
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
                     int(batch.events[0]), int(batch.ops[0, 0]))

    def all_logits(self, x):
        """Return int64 [N, T, classes], the logits after every timestep as if the exit rule were ``off``.

        Of a separated network these are z(1) .. z(T), of which only the last has the bias.
        """
        values = input_values(self.network, x)
        logits = np.zeros((len(values), self.network.timesteps, self.network.classes), np.int64)

        def classify(start):
            for rows, t, batch in self._timesteps(values, start, ExitRule()):
                if self._separated:
                    logits[rows, -len(batch.logits) :] = batch.logits.transpose(1, 0, 2)
                else:
                    logits[rows, t - 1] = batch.z

        _every_batch(classify, len(values))
        return logits

    def _timesteps(self, values, start, rule):
        """Yield (rows of ``values`` under way, timestep, batch) after every timestep of the batch at ``start``."""
        values = values[start : start + _BATCH]
        if self._separated:
            batch = SeparatedBatch(self._separated, values)
            yield start + batch.rows, self.network.timesteps, batch
            return
        batch = _Batch(self, values)
        for t in range(1, self.network.timesteps + 1):
            batch.step(t)
            yield start + batch.rows, t, batch
            batch.keep(~exits(rule, batch.z, t))
            if not len(batch.rows):
                return


def _every_batch(work, images, progress=None):
    """Call ``work(start)`` for every batch, on all cores, and ``progress`` after each in order."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        for number, _ in enumerate(pool.map(work, range(0, images, _BATCH)), 1):
            if progress:
                progress(min(number * _BATCH, images), images)


class _Batch:
    """Images under way; every array has one row for each image that has not stopped yet.

    rows : int [n], positions in the batch
    maps : name of every map to its values, float [n, H, W, C], after the latest timestep
    states : name of every layer of neurons to its membranes [n, H, W, C]
    events : int64 [n], counted so far; ops : int64 [2, n], the same with synaptic operations and `spike_ops`
    """

    def __init__(self, golden, values):
        self._golden, self._network = golden, golden.network
        self._values = np.ascontiguousarray(np.moveaxis(values, -3, -1), np.float32)
        self._direct = self._network.source.kind == "direct"
        self.rows = np.arange(len(values))
        self.events, self.ops = np.zeros(len(values), np.int64), np.zeros((2, len(values)), np.int64)
        self.states, self.constants, self._counts = {}, {}, {}
        for layer in golden.layers:
            if isinstance(layer, _Neurons):
                self.states[layer.name] = layer.initial(len(values))
                self.constants[layer.name] = layer.constant(self, self._values)

    @property
    def z(self):
        """The logits, int64 [n, classes]."""
        return self.states[self._network.readout.name][:, 0, 0].astype(np.int64)

    def step(self, t):
        """Execute timestep ``t``, 1..T."""
        self.maps = {} if self._direct else {INPUT: np.ascontiguousarray(self._values[:, t - 1])}
        for layer in self._golden.layers:
            layer.step(self)

    def counts(self, layer, shape):
        """Return the array for the counts of ``layer``, the same at every timestep: float32 ``shape``."""
        if layer not in self._counts:
            self._counts[layer] = np.empty(shape, np.float32)
        return self._counts[layer][: shape[0]]

    def keep(self, stay):
        """Drop the images where ``stay``, bool [n], is false."""
        if stay.all():
            return
        self.rows, self.events, self.ops = self.rows[stay], self.events[stay], self.ops[:, stay]
        self._values = self._values[stay]
        for arrays in (self.states, self.constants):
            for name, array in arrays.items():
                if len(array) == len(stay):
                    keep(array.reshape(len(array), -1), stay)
                    arrays[name] = array[: len(self.rows)]


class _Pooling(Pooling):
    """A pool, and the events of its map where a synapse reads it."""

    def __init__(self, network, layer):
        super().__init__(network, layer)
        self._read = is_read(network, layer)

    def step(self, batch):
        """Add the pooled map to the batch's maps."""
        batch.maps[self.name] = result = self(batch.maps[self.source])
        if self._read:
            batch.events += np.count_nonzero(result.reshape(len(result), -1), axis=1)


class _Neurons:
    """A spiking layer or the readout: the sum over its synapses, then burst and soft reset."""

    def __init__(self, network, layer):
        self.name, (channels, *self._size) = layer.name, network.shapes[layer.name]
        self._fires, self._read = isinstance(layer, Spiking), is_read(network, layer)
        bound = magnitude(layer, network.membrane_range(layer))
        if self._fires:
            dtype = exact_dtype(layer, max(bound, layer.theta.max()))
            self._theta = self._everywhere(layer.theta, dtype)
            self._initial = self._everywhere(layer.v_init, dtype)
            self._limits = dtype(layer.least), dtype(layer.burst), dtype(2 ** (layer.state_bits - 1))
        else:
            dtype = exact_dtype(layer, bound)
            self._initial = self._everywhere(np.zeros(channels), dtype)
        self._bias = self._everywhere(layer.bias, dtype)
        constant = INPUT if network.source.kind == "direct" else None
        currents = [Current(network, layer, synapse, dtype) for synapse in layer.synapses]
        self._direct = [current for current in currents if current.source == constant]
        self._varying = [current for current in currents if current.source != constant]

    def _everywhere(self, values, dtype):
        """Return ``values`` [C] at every position, [1, H, W, C]."""
        return np.tile(values.astype(dtype), (1, *self._size, 1))

    def initial(self, n):
        """Return the membranes of ``n`` images before the first timestep, [n, H, W, C]."""
        return np.repeat(self._initial, n, axis=0)

    def constant(self, batch, values):
        """Return the bias plus the current of a direct input, the same at every timestep: [n or 1, H, W, C]."""
        if not self._direct:
            return self._bias
        total = np.repeat(self._bias, len(values), axis=0)
        for current in self._direct:
            batch.ops += current(values, total)[0]  # a value of the direct input counts once
        return total

    def step(self, batch):
        """Advance the layer's membranes and, where it fires, add its counts to the batch's maps."""
        u, constant = batch.states[self.name], batch.constants[self.name]
        for current in self._varying:
            batch.ops += current(batch.maps[current.source], u)
        if not self._fires:
            u += constant
            return
        batch.maps[self.name] = counts = batch.counts(self.name, u.shape)
        flat = (array.reshape(len(array), -1) for array in (u, constant, self._theta, counts))
        fired = fire(*flat, *self._limits)
        if self._read:
            batch.events += fired
