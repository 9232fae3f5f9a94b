"""The words that every memory of a core reads and writes in an image, from the schedule and the core's counters.

A word is read when the machine takes it, one access of the memory's width; what a clocked block RAM puts out in other
cycles is not counted. So a port that were enabled only when it is needed would read just these words. They follow
from the schedule and the timesteps that ran but for two numbers, the events that the lanes took and the events that
were stored; the core counts the first, and the second where no map is read by pools only (docs/energy.md).
Queues between components and the tables of the exit rules are no memories here.
"""

import numpy as np

from gen.inputs import input_values
from gen.layers import INPUT
from gen.layout.estimate import estimate_memories
from gen.layout.image import synapse_block
from gen.layout.program import header_fields, layer_fields, synapse_fields, words_of
from sim.golden import Golden

__all__ = ["memory_traffic"]


def memory_traffic(schedule, result, x):
    """Return {memory: (words read, words written, bits of a word)} of every image.

    Parameters
    ----------
    schedule : gen.layout.schedule.Schedule
    result : gen.result.Result of its network on ``x``, N images; of a device that counts cycles, else the words of
        weights and events that were read are unknown and None
    x : uint8 images, as every device takes them

    Returns
    -------
    dict, memories named as in `gen.layout.estimate.estimate_memories`; words as int64 [N]
    """
    network, params, steps = schedule.network, schedule.params, schedule.rounds_run(result.exit_steps)
    later, busy = steps - 1, result.busy_cycles
    words = {name: np.zeros((2, len(steps)), np.int64) for name in estimate_memories(params)}
    for p in schedule.passes:
        tiles, gathering = p.runs * params.beats, np.ones_like(steps) if p.keep else steps
        resumed = steps if p.resumes else later
        looked_up = sum(_on_map(p, synapse_block(p, i, schedule)) for i in range(len(p.synapses)))
        stored = (_pointers(schedule, p.writes) if p.stored else 0) * steps
        for name in ("first_pointers", "end_pointers"):
            words[name] += [looked_up * gathering, stored]
        words["bias"][0] += tiles * gathering * p.biased
        if p.keep:
            words["currents"] += [tiles * later, np.full_like(steps, tiles)]
        if p.layer.fires:
            words["theta"][0] += tiles * steps
            words["v_init"][0] += tiles * (steps - resumed)
            words["states"] += [tiles * resumed, tiles * steps]
        if not p.layer.emits:
            words["logits"] += [tiles * resumed, tiles * steps]
    maps = np.ones_like(steps) if network.source.kind == "direct" else steps
    for name in ("first_pointers", "end_pointers"):
        words[name][1] += _pointers(schedule, (INPUT, 0)) * maps
    words["events"][1] = _inputs(network, x, maps) + result.events + _uncounted(schedule, x)
    rule, scan = network.exit_rule.kind, network.classes if params.shared else schedule.passes[-1].tiles
    words["logits"][0] += scan * (steps * (1 + (rule in ("entropy", "confidence"))) + 1)
    words["limits"][0] = steps * (rule != "off")
    record = words_of(layer_fields(params)) + params.synapses * words_of(synapse_fields(params))
    words["program"][0] = words_of(header_fields(params)) + record * (1 + len(schedule.passes) * steps)
    reads = {name: moved[0] for name, moved in words.items()} | {"weights": busy, "events": busy}
    return {name: (reads[name], words[name][1], bits) for name, (bits, _) in estimate_memories(params).items()}


def _on_map(p, block):
    """Return the segments of a synapse that lie on its map at least in part, over all tiles of one timestep."""
    tiles = np.arange(p.tiles) // (block["tile_period"] + 1)
    rows = _places(block["row_start"], {
        "row_output": p.rows, "row_pool": p.window[0], "row_kernel": block["kernel_rows"] + 1,
    }, block)
    columns = _places(block["column_start"], {
        "column_output": p.columns, "column_pool": p.window[1], "column_kernel": block["kernel_columns"] + 1,
    }, block)
    first = np.add.outer(columns, tiles * block["column_tile"])
    ends = np.minimum(first + block["column_width"], block["column_limit"])
    inside = ((rows >= 0) & (rows < block["row_limit"])).sum()
    return int(inside * (np.maximum(first, 0) < ends).sum())


def _places(start, loops, block):
    """Return every place that an address takes: ``start`` and a step of ``block`` for each turn of each loop."""
    places = np.array([start])
    for step, turns in loops.items():
        places = np.add.outer(places, block[step] * np.arange(turns))
    return places.ravel()


def _pointers(schedule, key):
    """Return the pointers that storing a map writes: one per position and tile, and the end."""
    _, height, width = schedule.network.shapes[key[0]]
    return height * width * schedule.regions[key].tiles + 1


def _inputs(network, x, maps):
    """Return int64 [N], the input values stored: those that are not zero, of as many ``maps`` as an image ran."""
    nonzero = np.count_nonzero(input_values(network, x), axis=(-3, -2, -1))
    if network.source.kind == "direct":
        return nonzero
    return (nonzero * (np.arange(1, nonzero.shape[1] + 1) <= maps[:, None])).sum(axis=1)


def _uncounted(schedule, x):
    """Return int64 [N], the events stored of maps that no synapse reads: no counter has them, the golden model does."""
    network = schedule.network
    names = [
        p.stored for p in schedule.layers if p.stored and all(not r.weighted for r in network.readers[p.stored])
    ]
    if not names:
        return 0
    traces = map(Golden(network).trace, x)
    return np.array([sum(np.count_nonzero(trace.counts[name]) for name in names) for trace in traces], np.int64)
