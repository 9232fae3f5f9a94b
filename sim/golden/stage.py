"""A network of one stage on batches of images: every core that the process may use works on a batch of its own."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np

from gen.exit_rule import ExitRule
from gen.inputs import input_values
from gen.result import Result
from sim.golden.plain import Trace
from sim.golden.stepwise import Stepwise
from sim.golden.two_phase import TwoPhase

__all__ = ["Stage"]

_BATCH, _BATCH_VALUES = 32, 2**24


class Stage:
    """A network of one stage, made ready; all methods take images as `sim.golden.Golden` does."""

    def __init__(self, network):
        self.network = network
        self._model = (TwoPhase if network.two_phase else Stepwise)(network)

    def run(self, x, answered=None) -> tuple[Result, np.ndarray]:
        """Return the `Result` of images, and bool [N], for which of them the exit rule held.

        ``answered`` is called with bool [n], whether it held, whenever n images have stopped.
        """
        network, values = self.network, input_values(self.network, x)
        exit_steps, events, ops, spike_ops = np.zeros((4, len(values)), np.int64)
        passed, lock = np.zeros(len(values), bool), Lock()
        outputs = {name: np.zeros((len(values), *network.shapes[name]), np.int64) for name in network.outputs}

        def store(batch, stop, held):
            if not stop.any():
                return
            rows = batch.rows[stop]
            exit_steps[rows], passed[rows] = batch.t[stop], held[stop]
            events[rows], ops[rows], spike_ops[rows] = batch.counters[stop].T
            for name, z in batch.outputs.items():
                outputs[name][rows] = z[stop]
            if answered:
                with lock:
                    answered(held[stop])

        self._every_image(values, network.exit_rule, store)
        logits = self._deciding(outputs)
        classes = logits.argmax(axis=1)
        return Result(classes, exit_steps, logits, events, ops, spike_ops=spike_ops, outputs=outputs), passed

    def trace(self, image) -> Trace:
        """Run one image and return its `Trace`."""
        values = input_values(self.network, np.asarray(image)[None])
        (counts, states, outputs), (events, ops, _), passed = self._model.record(values, self.network.exit_rule)
        logits = self._deciding(outputs)
        class_ = logits[-1].argmax(axis=0)
        steps = self.network.timesteps if self.network.two_phase else len(logits)
        return Trace(
            counts, states, outputs, logits, class_ if self.network.dense else int(class_), steps, int(events),
            int(ops), passed,
        )

    def all_logits(self, x) -> np.ndarray:
        """Return int64 [N, T, C] or [N, T, C, H, W], the logits after every timestep without an exit rule."""
        network, values = self.network, input_values(self.network, x)
        shape = network.shapes[network.readout.name]
        logits = np.zeros((len(values), network.timesteps, *shape), np.int64)

        def store(batch, *_):
            for z, t in batch.history(network.readout.name):
                logits[batch.rows, t - 1] = z

        self._every_image(values, ExitRule(), store)
        return logits if network.dense else logits[..., 0, 0]

    def _deciding(self, outputs):
        """Return the logits of the output that decides: without rows and columns where it is one position."""
        logits = outputs[self.network.readout.name]
        return logits if self.network.dense else logits[..., 0, 0]

    def _every_image(self, values, rule, store):
        """Run ``values`` on all cores and give ``store`` what the model's ``timesteps`` yields."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        waiting = iter(range(len(values)))
        held = max(sum(int(np.prod(shape)) for shape in self.network.shapes.values()), 1)
        size = max(1, min(_BATCH, -(-len(values) // cores), _BATCH_VALUES // held))

        def work():
            for step in self._model.timesteps(values, waiting, rule, size):
                store(*step)

        with ThreadPoolExecutor(cores) as pool:
            try:
                for worker in [pool.submit(work) for _ in range(cores)]:
                    worker.result()
            finally:
                deque(waiting, maxlen=0)  # after a fault or an interrupt nothing new begins
