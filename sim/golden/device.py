"""The fast golden model: batches of images in compiled loops and products of matrices, the integer network bit for bit.

A network of AdaFire neurons is executed timestep by timestep, and images that exit leave the batch; one of
inverse-leaky neurons layer by layer. In a network of stages, those that a stage does not pass go to the next.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from gen.device import Progress
from gen.errors import InputError
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.result import Result
from sim.golden.plain import Trace
from sim.golden.stage import Stage
from sim.golden.tally import fanout

__all__ = ["Golden"]

_ADDED = ("exit_steps", "events", "synaptic_ops", "spike_ops")


class Golden:
    """The golden model as a device: `run` has the signature and the result of every other device.

    Parameters
    ----------
    network : gen.intnet.IntegerNetwork or StagedNetwork
    """

    def __init__(self, network: IntegerNetwork | StagedNetwork):
        self.network = network
        self._stages = [Stage(stage) for stage in network.stages]

    @cached_property
    def fanout(self) -> dict[str, np.ndarray]:
        """Name of every map that a synapse reads to int64 [H * W], the weights that an event there meets.

        Of a network of one stage; `InputError` for another.
        """
        return fanout(self._only.network)

    def run(self, x: np.ndarray, progress: Progress | None = None) -> Result:
        """Classify images; those that exit leave the batch, so an early exit saves time.

        Parameters
        ----------
        x : uint8 [N, C, H, W], or [N, H, W] for one channel; [N, T, C, H, W] for a network of frames.
        progress : called with (images done, images in all) now and then.

        Returns
        -------
        gen.result.Result, without cycles.
        """
        x, done = np.asarray(x), 0

        def answered(held):
            nonlocal done
            now = len(held) if last else int(held.sum())
            done += now
            if progress and now:
                progress(done, len(x))

        last = len(self._stages) == 1
        total, passed = self._stages[0].run(x, answered)
        if last:
            return total
        numbers = np.zeros(len(x), np.int64)
        total = replace(total, stages=numbers)
        rows = np.arange(len(x))
        for number, stage in enumerate(self._stages[1:], 1):
            rows, last = rows[~passed], number == len(self._stages) - 1
            result, passed = stage.run(x[rows], answered)
            for name in _ADDED:
                getattr(total, name)[rows] += getattr(result, name)
            numbers[rows], total.classes[rows], total.logits[rows] = number, result.classes, result.logits
            for name, z in result.outputs.items():
                total.outputs[name][rows] = z
        return total

    def traces(self, image: np.ndarray) -> list[Trace]:
        """Run one image, uint8 [C, H, W] ([T, C, H, W] for frames); return the `Trace` of every stage that runs."""
        traces = []
        for stage in self._stages:
            traces.append(stage.trace(image))
            if traces[-1].passed:
                break
        return traces

    def traces_of(self, images: np.ndarray) -> list[Trace]:
        """Return `traces` of all images that a core runs together, one behind the other."""
        return [trace for image in images for trace in self.traces(image)]

    def trace(self, image: np.ndarray) -> Trace:
        """Run one image and return the `Trace` of the stage whose answer stands: the only one, or the last that ran."""
        return self.traces(image)[-1]

    def all_logits(self, x: np.ndarray) -> np.ndarray:
        """Return int64 [N, T, classes], the logits after every timestep as if the exit rule were ``off``.

        They are [N, T, classes, H, W] where the output that decides is a map. Of a two-phase network these are z(1) ..
        z(T), of which only the last has the bias. Raises `InputError` for a network of stages.
        """
        return self._only.all_logits(x)

    @property
    def _only(self):
        if len(self._stages) > 1:
            raise InputError(
                f"The network has {len(self._stages)} stages, each with fan-outs and logits of its own: make a golden "
                "model of one of network.stages."
            )
        return self._stages[0]
