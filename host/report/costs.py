"""What an image costs by count: synaptic operations, words of memory, energy by the field's convention."""

import numpy as np

from gen.intnet import INPUT, Readout, Spiking
from gen.layout.schedule import is_row_segment

__all__ = ["AC_PJ", "MAC_PJ", "dense_operations", "energy", "is_identity", "operations", "traffic"]

MAC_PJ, AC_PJ = 4.6, 0.9
CONVENTION = "32-bit floating point in 45 nm: 3.7 pJ a multiplication, 0.9 pJ an addition (Horowitz, ISSCC 2014)"


def is_identity(synapse):
    """Return whether a synapse is a residual's identity: one weight per channel, nothing shared between them."""
    outputs, inputs, height, width = synapse.weight.shape
    return inputs == height == width == 1 and synapse.groups == outputs and synapse.source != INPUT


def operations(synapse, values, size):
    """Return how often a weight of ``synapse`` meets a value, each value weighing what it is.

    Parameters
    ----------
    synapse : gen.intnet.Synapse
    values : int [C, H, W], a map: 1 for every event gives synaptic operations, counts give those of every spike
    size : (height, width) of the layer's map
    """
    plane = np.pad(values.sum(axis=0), [(pad, pad) for pad in synapse.padding])
    met = 0
    for tap in np.ndindex(synapse.kernel):
        rows, columns = (
            slice(k * d, k * d + (n - 1) * s + 1, s)
            for k, d, n, s in zip(tap, synapse.dilation, size, synapse.stride)
        )
        met += int(plane[rows, columns].sum())
    return met * (len(synapse.weight) // synapse.groups)


def dense_operations(network):
    """Return (multiplications, additions alone) of the same network without spikes: identities only add."""
    macs = adds = 0
    for layer in network.layers:
        for synapse in getattr(layer, "synapses", ()):
            count = int(np.prod(network.shapes[layer.name])) * synapse.weight[0].size
            macs, adds = (macs, adds + count) if is_identity(synapse) else (macs + count, adds)
    return macs, adds


def energy(network, counted=None):
    """Return the energy of an image by the convention, in microjoules; ``counted`` as `measure` gives it, or None.

    counted : {"input": operations on input values, "events": on events, "spikes": on every spike of a burst}
    """
    macs, adds = dense_operations(network)
    figures = {
        "convention": CONVENTION, "mac_pj": MAC_PJ, "ac_pj": AC_PJ,
        "dense_macs": macs, "dense_adds": adds, "dense_uj": (macs * MAC_PJ + adds * AC_PJ) / 1e6,
    }
    if counted is None:
        return figures
    direct = network.source.kind == "direct"
    first = counted["input"] * (MAC_PJ if direct else AC_PJ)
    return figures | {
        "input_operations": counted["input"], "input_pj": MAC_PJ if direct else AC_PJ,
        "event_operations": counted["events"], "spike_operations": counted["spikes"],
        "spiking_uj": (first + counted["events"] * AC_PJ) / 1e6,
        "every_spike_uj": (first + counted["spikes"] * AC_PJ) / 1e6,
    }


def traffic(schedule, reached, stored, inputs, busy):
    """Return {memory: [words read, words written]} of a mean image, of the memories whose words can be counted.

    Parameters
    ----------
    schedule : gen.layout.schedule.Schedule
    reached : float [T], share of the images that run each timestep
    stored : float, events stored by all passes in an image
    inputs : float, nonzero input values stored in an image
    busy : float, cycles in which the lanes take an event, or None: events and weights read are unknown then
    """
    network, passes, steps = schedule.network, schedule.passes, float(sum(reached))
    maps = 1.0 if network.source.kind == "direct" else steps
    candidates = sum(
        p.runs * (maps if p.keep else steps)
        * sum(s.kernel[0] * (1 if is_row_segment(s) else s.kernel[1]) for s in p.synapses) for p in passes
    )
    pointers = maps * _pointers(schedule, INPUT)
    pointers += steps * sum(_pointers(schedule, p.stored) for p in passes if p.stored)
    beats = schedule.params.beats
    spiking, readout = (beats * sum(p.runs for p in passes if isinstance(p.layer, k)) for k in (Spiking, Readout))
    kept = beats * sum(p.runs for p in passes if p.keep)
    return {
        "weights": [busy, 0], "events": [busy, inputs + stored],
        "first_pointers": [candidates, pointers], "end_pointers": [candidates, pointers],
        "theta": [spiking * steps, 0], "bias": [(spiking + readout) * steps - kept * (steps - 1), 0],
        "v_init": [spiking, 0],
        "states": [spiking * (steps - 1), spiking * steps],
        "currents": [kept * (steps - 1), kept],
        "logits": [readout * (steps - 1), readout * steps],
        "limits": [steps, 0],
    }


def _pointers(schedule, name):
    """Return the pointers that storing a map writes: one per position and tile, and the end."""
    _, height, width = schedule.network.shapes[name]
    return height * width * schedule.regions[name].tiles + 1
