"""What an image costs in energy, by count: the field's convention, and an estimate from the machine's own counters.

Nothing here is measured: operations and memory words are counted exactly, then each is taken to cost what published
figures for a 45 nm process say (docs/energy.md). The two answers have names of their own and are never mixed.

The convention (as in papers on converted networks) charges arithmetic in 32-bit floating point and no memory: a
multiplication with addition (MAC) for every weight that meets a value of a direct input, an addition (AC) for every
weight that meets a spike. It has two readings of a burst: one AC for the graded spike, or one for each spike in it.

The estimate charges what the machine does: words moved by every memory, multiplications and additions of the widths
that the core has.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from gen.inputs import input_values
from gen.layers import INPUT
from sim.hardware_energy import ESTIMATE, estimated

__all__ = [
    "AC_PJ", "CONVENTION", "ESTIMATE", "MAC_PJ", "EnergyMeter", "ann_uJ", "convention", "estimated", "is_identity",
    "macs", "operations",
]

MAC_PJ, AC_PJ = 4.6, 0.9
CONVENTION = "32-bit floating point in 45 nm: 3.7 pJ a multiplication, 0.9 pJ an addition (Horowitz, ISSCC 2014)"

FIGURES = {
    "convention_uJ", "convention_spikes_uJ", "memory_estimated_uJ", "arithmetic_estimated_uJ", "hardware_estimated_uJ",
}


def is_identity(synapse):
    """Return whether a synapse is a residual's identity: one weight per channel, nothing shared between them."""
    outputs, inputs, height, width = synapse.weight.shape
    return inputs == height == width == 1 and synapse.groups == outputs and synapse.source != INPUT


def operations(synapse, values, size):
    """Return how often a weight of ``synapse`` meets a value, each value weighing what it is.

    Parameters
    ----------
    synapse : gen.intnet.Synapse
    values : int [..., C, H, W], maps: 1 for every event gives synaptic operations, counts give those of every spike
    size : (height, width) of the layer's map

    Returns
    -------
    int64 [...]
    """
    plane = values.sum(axis=-3, dtype=np.int64) * synapse.window.reads(values.shape[-2:], size)
    return plane.sum(axis=(-2, -1)) * (len(synapse.weight) // synapse.groups)


def macs(network):
    """Return (MACs, additions alone) of one image in the same network without spikes; identities only add.

    Of a network of stages these are those of the last, which can answer alone.
    """
    network = network.stages[-1]
    multiplied = added = 0
    for layer, synapse in _synapses(network):
        count = int(np.prod(network.shapes[layer.name])) * synapse.weight[0].size
        multiplied, added = (multiplied, added + count) if is_identity(synapse) else (multiplied + count, added)
    return multiplied, added


def ann_uJ(network):
    """Return the energy of one image in the same network without spikes by the convention, in microjoules."""
    multiplied, added = macs(network)
    return (multiplied * MAC_PJ + added * AC_PJ) / 1e6


def convention(network, result, x, every_timestep=False):
    """Return operations and energy of every image by the field's convention.

    Parameters
    ----------
    network : gen.intnet.IntegerNetwork or StagedNetwork
    result : gen.result.Result of any device on ``x``, N images
    x : uint8 images
    every_timestep : whether the layers that read a direct input are charged at every timestep, as published code
        does; by default once, since their current is the same at each and the machine keeps it

    Returns
    -------
    dict
        first_layer_macs : int64 [N], all weights of a direct input, zero pixels included; 0 for frames
        acs : int64 [N], all other synaptic operations, one for a burst
        spike_acs : int64 [N], one for each spike; None where the device does not count spikes (`Result.spike_ops`)
        convention_uJ, convention_spikes_uJ : float [N] by these two readings, the second None with ``spike_acs``
        convention_ann_uJ : float, `ann_uJ`
    """
    first_macs, on_pixels = np.zeros((2, len(result.exit_steps)), np.int64)
    lit = input_values(network.stages[0], x) != 0
    for stage, steps in zip(network.stages, _steps_of_stages(network, result)):
        charged = steps if every_timestep else steps > 0
        for layer, synapse in _synapses(stage) if stage.source.kind == "direct" else ():
            if synapse.source == INPUT:
                first_macs += int(np.prod(stage.shapes[layer.name])) * synapse.weight[0].size * charged
                on_pixels += operations(synapse, lit, stage.shapes[layer.name][1:]) * (steps > 0)
    acs = result.synaptic_ops - on_pixels
    spike_acs = None if result.spike_ops is None else result.spike_ops - on_pixels
    return {
        "first_layer_macs": first_macs, "acs": acs, "spike_acs": spike_acs,
        "convention_uJ": (first_macs * MAC_PJ + acs * AC_PJ) / 1e6,
        "convention_spikes_uJ": None if spike_acs is None else (first_macs * MAC_PJ + spike_acs * AC_PJ) / 1e6,
        "convention_ann_uJ": ann_uJ(network),
    }


class EnergyMeter:
    """Watches `sim.metrics.evaluate` and adds up what its images cost.

    Parameters
    ----------
    device : the device evaluated; one with a ``plan`` counts cycles and gets the estimate as well
    network : gen.intnet.IntegerNetwork
    """

    def __init__(self, device, network):
        self._network, self._plan = network, getattr(device, "plan", None)
        self._images, self._words = 0, {}
        self._energy = defaultdict[str, float](float)

    def __call__(self, x, labels, result):
        """Add a batch: images, labels (not looked at), `gen.result.Result`."""
        self._images += len(x)
        self._add(convention(self._network, result, x))
        if self._plan and result.busy_cycles is not None:
            counted = estimated(self._plan, result)
            self._add(counted)
            for memory, (read, written, _) in counted["memory_words"].items():
                self._words[memory] = self._words.get(memory, 0) + np.array([read.sum(), written.sum()])

    def _add(self, figures):
        for name in FIGURES & figures.keys():
            if figures[name] is not None:
                self._energy[name] += float(np.sum(figures[name]))

    def as_dict(self):
        """Return what a mean image costs, as JSON can hold it.

        convention_ann_uJ, convention_uJ, convention_spikes_uJ : float, as `convention` has them; the last of a device
            that counts spikes
        memory_estimated_uJ, arithmetic_estimated_uJ, hardware_estimated_uJ : float, as `estimated` has them, and
        memory_words : {memory: [words read, words written]}; of a device that counts cycles
        """
        figures: dict[str, Any] = {name: total / self._images for name, total in self._energy.items()}
        figures["convention_ann_uJ"] = ann_uJ(self._network)
        if self._words:
            figures["memory_words"] = {name: (words / self._images).tolist() for name, words in self._words.items()}
        return figures


def _steps_of_stages(network, result):
    """Return int64 [stages, N], the timesteps that each stage ran; one that did not answer ran all of its own."""
    before = np.cumsum([0, *(stage.timesteps for stage in network.stages)])
    if result.stages is None:
        return [result.exit_steps]
    return [
        np.where(result.stages < number, 0, np.minimum(result.exit_steps - before[number], stage.timesteps))
        for number, stage in enumerate(network.stages)
    ]


def _synapses(network):
    return [(layer, synapse) for layer in network.layers for synapse in layer.synapses]
