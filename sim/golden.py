"""The fast golden model: batches of images through dense matrix products, bit for bit the integer network.

Why floating point is exact here. Every number is an integer, and every operation is a product, a sum, a comparison
or ``floor(u / theta)``. A float of p mantissa bits holds every integer up to 2**p, so products and sums are exact
while no partial sum passes 2**p; `IntegerNetwork.current_range` bounds every subset of the terms, since padding or
silence makes any term 0, and so every order in which BLAS may add them. If u / theta is no integer it is at least
1/theta from one, that is |u/theta| / |u|, more than the division's rounding error 2**-p |u/theta| while
|u| < 2**p: floor of the rounded quotient is the true floor. One bit is left spare: `_exact_dtype` takes float32
below 2**23, float64 below 2**52, and raises above.

Maps are [N, H, W, C] inside, so that a window's channels lie side by side; they are [C, H, W] outside.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gen.errors import AdafireError
from gen.exit_rule import DISTANCE_MAX, EXP, LOG, SCALE_FRACTION, X_MAX, ExitRule
from gen.inputs import input_values
from gen.intnet import INPUT, Pool, Spiking
from gen.result import Result
from sim.golden_plain import Trace

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
        self.layers = [
            (_Pooling if isinstance(layer, Pool) else _Neurons)(network, layer) for layer in network.layers
        ]
        self.fanout = _fanout(network)

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
        exit_steps, events, ops = np.zeros((3, len(values)), np.int64)
        logits = np.zeros((len(values), self.network.classes), np.int64)
        for rows, t, batch in self._timesteps(values, self.network.exit_rule, progress):
            exit_steps[rows], logits[rows], events[rows], ops[rows] = t, batch.z, batch.events, batch.ops
        return Result(logits.argmax(axis=1), exit_steps, logits, events, ops)

    def trace(self, image):
        """Run one image, uint8 [C, H, W] ([T, C, H, W] for frames), and return its `Trace`."""
        values = input_values(self.network, np.asarray(image)[None])
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

    def all_logits(self, x):
        """Return int64 [N, T, classes], the logits after every timestep as if the exit rule were ``off``."""
        values = input_values(self.network, x)
        logits = np.zeros((len(values), self.network.timesteps, self.network.classes), np.int64)
        for rows, t, batch in self._timesteps(values, ExitRule()):
            logits[rows, t - 1] = batch.z
        return logits

    def _timesteps(self, values, rule, progress=None):
        """Yield (rows of ``values`` under way, timestep, `_Batch`) after every timestep of every batch."""
        for start in range(0, len(values), _BATCH):
            batch = _Batch(self, values[start : start + _BATCH])
            for t in range(1, self.network.timesteps + 1):
                batch.step(t)
                yield start + batch.rows, t, batch
                batch.keep(~exits(rule, batch.z, t))
                if not len(batch.rows):
                    break
            if progress:
                progress(min(start + _BATCH, len(values)), len(values))


class _Batch:
    """Images under way; every array has one row for each image that has not stopped yet.

    rows : int [n], positions in the batch
    maps : name of every map to its values, float [n, H, W, C], after the latest timestep
    states : name of every layer of neurons to its membranes [n, H, W, C]
    events, ops : int64 [n], counted so far
    """

    def __init__(self, golden, values):
        self._golden, self._network = golden, golden.network
        self._values = np.moveaxis(values, -3, -1).astype(np.float32)
        self._direct = self._network.source.kind == "direct"
        self.rows = np.arange(len(values))
        self.events, self.ops = np.zeros((2, len(values)), np.int64)
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
            layer.step(self)
        for name, fanout in self._golden.fanout.items():
            if name == INPUT and self._direct and t > 1:
                continue
            active = np.count_nonzero(self.maps[name], axis=3).reshape(len(self.rows), -1)
            self.ops += active @ fanout
            if name != INPUT:
                self.events += active.sum(axis=1)

    def keep(self, stay):
        """Drop the images where ``stay``, bool [n], is false."""
        if stay.all():
            return
        self.rows, self.events, self.ops = self.rows[stay], self.events[stay], self.ops[stay]
        self._values = self._values[stay]
        for arrays in (self.states, self.constants):
            arrays.update({name: array[stay] for name, array in arrays.items()})


class _Neurons:
    """A spiking layer or the readout: the sum over its synapses, then burst and soft reset."""

    def __init__(self, network, layer):
        self.name, self._shape = layer.name, network.shapes[layer.name]
        self._fires = isinstance(layer, Spiking)
        bound = _magnitude(layer, network.membrane_range(layer))
        if self._fires:
            dtype = _exact_dtype(layer, max(bound, layer.theta.max()))
            self._initial, self._theta = layer.v_init.astype(dtype), layer.theta.astype(dtype)
            self._burst, self._limit = layer.burst, 2 ** (layer.state_bits - 1)
        else:
            dtype = _exact_dtype(layer, bound)
            self._initial = np.zeros(len(layer.bias), dtype)
        self._bias = layer.bias.astype(dtype)
        constant = INPUT if network.source.kind == "direct" else None
        currents = [_Current(network, layer, synapse) for synapse in layer.synapses]
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


class _Current:
    """One synapse as a matrix product: windows [groups, positions, taps] @ weights [groups, taps, outputs]."""

    def __init__(self, network, layer, synapse):
        self.source, self._synapse = synapse.source, synapse
        self._dtype = _exact_dtype(layer, _magnitude(layer, network.current_range(layer)))
        self._size = network.shapes[layer.name][1:]
        outputs, inputs, height, width = synapse.weight.shape
        weight = synapse.weight.reshape(synapse.groups, -1, inputs, height, width).transpose(0, 3, 4, 2, 1)
        self._weight = weight.reshape(synapse.groups, height * width * inputs, -1).astype(self._dtype)

    def __call__(self, values):
        """Return the current [n, H, W, C] of the source map [n, H, W, C], cut to the layer's map."""
        s, groups = self._synapse, self._synapse.groups
        windows = _windows(values, s.kernel, s.stride, s.padding, s.dilation, self._size)
        n, height, width, *kernel, channels = windows.shape
        windows = windows.reshape(n, height, width, *kernel, groups, channels // groups)
        windows = windows.transpose(5, 0, 1, 2, 3, 4, 6).reshape(groups, n * height * width, -1)
        result = windows.astype(self._dtype, copy=False) @ self._weight
        return result.transpose(1, 0, 2).reshape(n, height, width, -1)


class _Pooling:
    """A pool: one pass over the map for each element of the window."""

    def __init__(self, network, layer):
        self._layer, self._size = layer, network.shapes[layer.name][1:]
        self._reduce = np.add if layer.kind == "sum" else np.maximum
        self._dtype = _exact_dtype(layer, network.value_ranges[layer.name][1])

    def step(self, batch):
        """Add the pooled map to the batch's maps."""
        layer, values = self._layer, batch.maps[self._layer.source]
        windows = _windows(values, layer.kernel, layer.stride, layer.padding, (1, 1), self._size)
        first, *others = (windows[:, :, :, dy, dx] for dy, dx in np.ndindex(layer.kernel))
        result = first.astype(self._dtype)
        for other in others:
            self._reduce(result, other, out=result)
        batch.maps[layer.name] = result


def _windows(values, kernel, stride, padding, dilation, size):
    """Return [n, *size, *kernel, C], a view of the maps [n, H, W, C]: the window of every output position."""
    if any(padding):
        values = np.pad(values, ((0, 0), *((p, p) for p in padding), (0, 0)))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    windows = sliding_window_view(values, reach, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return windows[:, : size[0], : size[1]].transpose(0, 1, 2, 4, 5, 3)


def _fanout(network):
    """Return name of every map that a synapse reads to int64 [H * W], the weights that an event there meets."""
    fanout = {}
    for layer in network.layers:
        for synapse in getattr(layer, "synapses", ()):
            size = network.shapes[synapse.source][1:]
            rows, columns = (
                [_reads(synapse, axis, at, network.shapes[layer.name][axis + 1]) for at in range(size[axis])]
                for axis in (0, 1)
            )
            weights = np.outer(rows, columns).ravel() * (len(synapse.weight) // synapse.groups)
            fanout[synapse.source] = fanout.get(synapse.source, 0) + weights
    return fanout


def _reads(synapse, axis, position, outputs):
    """Return how many of ``outputs`` positions along an axis read the source's ``position``."""
    stride, padding, dilation = (pair[axis] for pair in (synapse.stride, synapse.padding, synapse.dilation))
    offsets = [position + padding - tap * dilation for tap in range(synapse.kernel[axis])]
    return sum(offset % stride == 0 and 0 <= offset // stride < outputs for offset in offsets)


def _magnitude(layer, low_high):
    """Return the largest magnitude on the way to a sum in that range, with or without the bias."""
    low, high = low_high
    return int(max(-low.min(), high.max()) + np.abs(layer.bias).max())


def _exact_dtype(layer, bound):
    """Return the narrowest float type that is exact for integers of magnitude up to ``bound``."""
    for dtype, bits in ((np.float32, 23), (np.float64, 52)):
        if bound < 2**bits:
            return dtype
    raise AdafireError(
        f"Layer {layer.name!r} holds integers up to {bound}, the golden model is exact below 2**52: "
        "quantize the layer to smaller thresholds, weights or states."
    )
