"""The fast golden model: batches of images in compiled loops and products of matrices, the integer network bit for bit.

A network of AdaFire neurons is executed timestep by timestep, and images that exit leave the batch; one of
inverse-leaky neurons layer by layer. Every core that the process may use works on a batch of its own.
"""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from threading import Lock

import numpy as np

from gen.exit_rule import ExitRule
from gen.inputs import input_values
from gen.layers import INPUT
from gen.result import Result
from sim.golden.batch import Batch, Layers
from sim.golden.exits import exits
from sim.golden.plain import Trace
from sim.golden.two_phase import TwoPhase, TwoPhaseBatch
from sim.golden.tally import fanout

__all__ = ["Golden"]

_BATCH = 32


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
        self._layers = (TwoPhase if network.two_phase else Layers)(network)

    @cached_property
    def fanout(self):
        """Name of every map that a synapse reads to int64 [H * W], the weights that an event there meets."""
        return fanout(self.network)

    def run(self, x, progress=None):
        """Classify images; those that exit leave the batch, so an early exit saves time.

        Parameters
        ----------
        x : uint8 [N, C, H, W], or [N, H, W] for one channel; [N, T, C, H, W] for a network of frames.
        progress : called with (images done, images in all) now and then.

        Returns
        -------
        gen.result.Result, without cycles.
        """
        values = input_values(self.network, x)
        exit_steps, events, ops, spike_ops = np.zeros((4, len(values)), np.int64)
        logits = np.zeros((len(values), self.network.classes), np.int64)

        def store(batch, stop):
            rows = batch.rows[stop]
            exit_steps[rows], logits[rows] = batch.t[stop], batch.z[stop]
            events[rows], ops[rows], spike_ops[rows] = batch.counters[stop].T

        self._every_image(values, self.network.exit_rule, store, progress)
        return Result(logits.argmax(axis=1), exit_steps, logits, events, ops, spike_ops=spike_ops)

    def trace(self, image):
        """Run one image, uint8 [C, H, W] ([T, C, H, W] for frames), and return its `Trace`."""
        values = input_values(self.network, np.asarray(image)[None])
        if self.network.two_phase:
            return self._two_phase_trace(values)
        counts = {layer.name: [] for layer in self.network.layers[:-1]}
        states = {layer.name: [] for layer in self.network.layers if layer.fires}
        logits = []
        for batch, _ in self._timesteps(values, iter([0]), self.network.exit_rule):
            for stored, maps in ((counts, batch.maps), (states, batch.states)):
                for name in stored:
                    stored[name].append(maps[name][0].transpose(2, 0, 1).astype(np.int64))
            logits.append(batch.z[0].copy())
            events, ops, _ = map(int, batch.counters[0])
        counts, states = ({name: np.stack(steps) for name, steps in kind.items()} for kind in (counts, states))
        return Trace(counts, states, np.stack(logits), int(logits[-1].argmax()), len(logits), events, ops)

    def _two_phase_trace(self, values):
        batch = TwoPhaseBatch(self._layers, values, np.zeros(1, np.int64), record=True)
        del batch.maps[INPUT]
        counts, states = (
            {name: np.stack(steps)[:, 0].transpose(0, 3, 1, 2).astype(np.int64) for name, steps in kind.items()}
            for kind in (batch.maps, batch.states)
        )
        logits, (events, ops, _) = batch.logits[:, 0], map(int, batch.counters[0])
        return Trace(counts, states, logits, int(logits[-1].argmax()), self.network.timesteps, events, ops)

    def all_logits(self, x):
        """Return int64 [N, T, classes], the logits after every timestep as if the exit rule were ``off``.

        Of a two-phase network these are z(1) .. z(T), of which only the last has the bias.
        """
        values = input_values(self.network, x)
        logits = np.zeros((len(values), self.network.timesteps, self.network.classes), np.int64)

        def store(batch, _):
            if self.network.two_phase:
                logits[batch.rows, -len(batch.logits) :] = batch.logits.transpose(1, 0, 2)
            else:
                logits[batch.rows, batch.t - 1] = batch.z

        self._every_image(values, ExitRule(), store)
        return logits

    def _every_image(self, values, rule, store, progress=None):
        """Classify ``values`` on all cores and give ``store`` what `_timesteps` yields."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        waiting, done, lock = iter(range(len(values))), 0, Lock()
        size = max(1, min(_BATCH, -(-len(values) // cores)))

        def work():
            nonlocal done
            for batch, stop in self._timesteps(values, waiting, rule, size):
                store(batch, stop)
                if progress and stop.any():
                    with lock:
                        done += int(stop.sum())
                        progress(done, len(values))

        with ThreadPoolExecutor(cores) as pool:
            try:
                for worker in [pool.submit(work) for _ in range(cores)]:
                    worker.result()
            finally:
                deque(waiting, maxlen=0)  # after a fault or an interrupt nothing new begins

    def _timesteps(self, values, waiting, rule, size=1):
        """Yield after every timestep a batch and bool [n], which of its images stop there.

        The batch has ``size`` images while ``waiting``, an iterator of positions in ``values``, has more.
        """
        if self.network.two_phase:
            while rows := list(islice(waiting, size)):
                yield TwoPhaseBatch(self._layers, values, np.array(rows)), np.ones(len(rows), bool)
            return
        batch = Batch(self._layers, values, size)
        while batch.admit(waiting):
            batch.step()
            stop = exits(rule, batch.z, batch.t) | (batch.t == self.network.timesteps)
            yield batch, stop
            batch.keep(~stop)
