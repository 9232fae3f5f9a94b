"""What the golden model counts: events and operations of each pass, image by image, as the core is to count them."""

import numpy as np

from gen.inputs import input_values
from gen.layers import INPUT
from sim.energy import operations
from sim.golden import Golden

__all__ = ["Counted", "is_read"]


class Counted:
    """Counts of the golden model in the shapes of `sim.profile.Profile`: events and operations.

    Parameters
    ----------
    plan : gen.plan.plan.Plan
    x : images that its network takes
    progress : callable(images done, images in all)

    Attributes
    ----------
    events, operations : int64 [N, rounds, passes]
    ran : list of bool [N, timesteps], one of each stage of the network
    """

    def __init__(self, plan, x, progress):
        golden, rounds = Golden(plan.network), max(stage.rounds for stage in plan.stages)
        self.ran = [np.zeros((len(x), stage.timesteps), bool) for stage in plan.network.stages]
        self.events, self.operations = np.zeros((2, len(x), rounds, len(plan.passes)), np.int64)
        values = input_values(plan.network, x)
        for n, image in enumerate(x):
            traces = golden.traces(image)
            for ran, trace in zip(self.ran, traces):
                ran[n, : trace.exit_step] = True
            for stage in plan.stages:
                if stage.number == len(traces):  # the one before has answered
                    break
                trace = traces[stage.number]
                passes = [p for p in stage.passes if p.image == n % plan.layout.images]
                for turn in range(min(stage.rounds, trace.exit_step)):
                    self._count(stage.network, passes, n, turn, {INPUT: values[n], **trace.counts})
            progress(n + 1, len(x))

    def _count(self, network, passes, n, turn, counts):
        """Count what the passes of one round of a stage do for an image."""
        maps = _Maps(network, counts, turn)
        for p in passes:
            if is_read(network, p):
                own = slice(p.first_channel, p.first_channel + p.channels)
                self.events[n, turn, p.index] = np.count_nonzero(maps.of(p, p.writes)[:, own])
            if p.layer.weighted:
                channels, *size = network.shapes[p.layer.name]
                of_layer = sum(
                    operations(synapse, maps.of(p, key) != 0, size).sum()
                    for synapse, key in zip(p.synapses, p.reads)
                )
                self.operations[n, turn, p.index] = of_layer * p.channels // channels


class _Maps:
    """What the passes of one round read and store of an image: {name: counts [timesteps, C, H, W]}."""

    def __init__(self, network, counts, turn):
        self._network, self._counts, self._turn = network, counts, turn

    def of(self, p, key):
        """Return [timesteps, C, H, W] of what pass ``p`` reads or stores as ``key``, (name, timestep or image)."""
        (name, timestep), maps = key, self._counts[key[0]]
        timestep = 0 if name in p.per_image else timestep
        if name == INPUT and self._network.source.kind == "direct":
            return maps[None] if self._turn == 0 else maps[None][:0]  # its current is kept
        return maps if p.steps > 1 else maps[[(timestep or self._turn + 1) - 1]]


def is_read(network, p):
    """Return whether the map that a pass stores is read by synapses, so that its counts are events."""
    return p.stored is not None and any(reader.weighted for reader in network.readers[p.stored])
