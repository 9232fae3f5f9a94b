"""The words that every memory of a core reads and writes in an image, from the plan and the core's counters.

A word is read when the machine takes it, one access of the memory's width; what a clocked block RAM puts out in other
cycles is not counted. So a port that were enabled only when it is needed would read just these words. They follow from
the plan and the rounds that ran but for one number, the cycles in which lanes are given an event, each with a word of
weights: the core counts these. Groups have memories of their own; what is said is their sum. A frame that is dropped
because the network has stopped before it, a pass that is read ahead in vain, and what a neuron reads beside the last
lanes of a tile are not counted. Queues between components and the tables of the exit rules are no memories here.
A batch does some of it once for all its images: each image has an equal share of what a run of them moves.
"""

from collections import defaultdict
from math import prod

import numpy as np

from gen.layers import INPUT
from gen.plan.blocks import stage_blocks, words_moved
from gen.plan.outside import groups_of_parts
from gen.plan.parking import parked_moves
from gen.plan.program import cursor_fields, output_fields, pass_fields, stage_fields, synapse_fields, words_of
from gen.result import HEADER_WORDS, result_words

__all__ = ["memory_traffic", "neurons_fired", "rounds_of_stages"]


def rounds_of_stages(plan, result):
    """Return int64 [stages, N], how often each stage's passes were run; one that did not answer ran all its rounds.

    Of a batch float, each image's share of the run in which all stages are run once.
    """
    if plan.layout.images > 1:
        return np.full((len(plan.stages), len(result.exit_steps)), 1 / plan.layout.images)
    before = np.cumsum([0, *(stage.network.timesteps for stage in plan.stages)])
    steps = result.exit_steps - before[:-1, None]
    return np.stack([np.clip(own, 0, stage.rounds) for own, stage in zip(steps, plan.stages)])


def neurons_fired(plan, p):
    """Return how many neurons fire in one round of a pass, all groups together; in tile order at every timestep."""
    return sum(int(p.order(group)[3].sum()) for group in range(plan.params.groups))


def memory_traffic(plan, result):
    """Return {memory: (words read, words written, bits of a word)} of every image.

    Parameters
    ----------
    plan : gen.plan.plan.Plan
    result : gen.result.Result of its network, N images; of a device that counts cycles, else the words of weights that
        were read are unknown and None

    Returns
    -------
    dict, memories named as in `gen.plan.memories.memory_table` without their owner's number; words as int64
        [N], of a batch as float
    """
    bits = defaultdict[str, int](int)
    for spec in plan.memories.values():
        bits[spec.role] += 0 if spec.owner else spec.width
    runs = rounds_of_stages(plan, result)
    words = {name: np.zeros((2, len(result.exit_steps)), runs.dtype) for name in bits}
    for stage, rounds in zip(plan.stages, runs):
        for p in stage.passes:
            for name, (read, written) in _of_pass(plan, stage, p, rounds).items():
                words[name][0] += read
                words[name][1] += written
        if plan.layout.images == 1 or stage is plan.stages[-1]:
            for name, read in _of_decisions(plan, stage, rounds).items():
                words[name][0] += read
        for block in stage_blocks(stage.passes, plan.regions):
            words["outside"][0] += words_moved(block, plan.params) * rounds
            for copy in block.copies:
                words["image" if copy.of_input else "maps"][1] += copy.words * plan.params.groups * rounds
        if not plan.params.staged:
            words["program"][0] += np.minimum(rounds, 1) * words_of(stage_fields(plan.params))
    region = plan.regions[0, INPUT, 0]
    frames = plan.network.source.kind == "frames" and region.versions == 1  # one at a time
    maps = runs[0] if frames else max(1, region.versions)
    if region.outside is None:
        words["image"][1] += region.words * plan.params.groups * maps
    else:
        words["outside"][1] += region.words * plan.params.image_pieces * maps
    words["outputs"][0] += (result_words(plan.network) - HEADER_WORDS) * _output_words(plan)
    reads = {name: moved[0] for name, moved in words.items()} | {"weights": result.busy_cycles}
    return {name: (reads[name], moved[1], bits[name]) for name, moved in words.items()}


def _of_pass(plan, stage, p, rounds):
    """Return {memory: [words read, words written]} of a pass that is run in so many ``rounds``, each [N].

    ``fired`` counts neurons, and ``later`` those of them that had fired before: in earlier rounds or, in tile order,
    at earlier timesteps of the round.
    """
    each = neurons_fired(plan, p)
    begun = np.minimum(rounds, 1)
    fired, first = each * rounds, each // p.steps * begun
    later = fired if p.resumes else fired - first
    moved: dict = {"program": (_program_words(plan.params, p) * rounds, 0)}
    if p.layer.weighted:
        moved["parameters"] = fired, 0
    if p.keep:
        moved["currents"] = later, first
    if p.layer.fires and plan.params.states and p.parked is None:
        moved["states"] = later, fired
    if not p.layer.emits:
        moved["outputs"] = later, fired
    for memory, looked_up in _looked_up(plan, stage, p).items():
        moved[memory] = looked_up * (begun if p.keep else rounds * p.steps), 0
    taken = sum(groups.bit_count() for groups in groups_of_parts(p, plan.params.groups))
    if p.streamed and not p.again:
        moved["weights"] = 0, taken * sum(p.sizes) * rounds
    if p.supplied and not p.again:
        moved["parameters"] = fired, taken * plan.params.neurons * p.parameter_words * rounds
    if p.stored:
        written, (read, _) = p.rows * p.columns * p.tiles * p.steps * rounds, moved.get("maps", (0, 0))
        if plan.regions[p.stage, *p.writes].outside is None:
            moved["maps"] = read, written * plan.params.groups
        else:
            moved["outside"] = 0, written * plan.params.map_pieces
    if p.parked is not None:
        words, (read, written) = parked_moves(p, plan.params.groups), moved.get("outside", (0, 0))
        moved["outside"] = (
            read + words * np.maximum(rounds - 1, 0), written + words * np.minimum(rounds, stage.rounds - 1))
    return moved


def _looked_up(plan, stage, p):
    """Return {memory: words}: what all groups look up of the maps and of the input to gather each tile once."""
    looked_up = dict.fromkeys(("image", "maps"), 0)
    size = stage.network.shapes[p.layer.name][1:]
    for source, key in zip(p.walk.sources, p.reads):
        synapse, region = source.synapse, plan.regions[p.stage, *key]
        if p.loops.shared:
            of_tile = region.words
        else:
            taps = 1 if region.line else int(source.window.reads((region.rows, region.columns), size).sum())
            of_tile = taps * (source.fields["words"] + 1)
        looked_up["image" if synapse.source == INPUT else "maps"] += of_tile * p.tiles
    return looked_up


def _program_words(params, p):
    """Return the words of the program that the walker reads for a pass: its block, then starts and steps of cursors.

    Of several synapses the blocks are read for each tile. A quick core reads each step of a single one once.
    """
    tiles, synapses = prod(p.walk.turns.values()), max(1, len(p.synapses))
    blocks = synapses * tiles if synapses > 1 else 1
    if params.quick and synapses == 1:
        tiles = 1 + sum(turns > 1 for turns in p.walk.turns.values())
    cursors = tiles * (words_of(output_fields(params)) + synapses * words_of(cursor_fields(params)))
    return words_of(pass_fields(params)) + blocks * words_of(synapse_fields(params)) + cursors


def _output_words(plan):
    """Return the words that have the value of an output: one, or one of every group."""
    return plan.params.groups if plan.layout.shared else 1


def _of_decisions(plan, stage, rounds):
    """Return {memory: words read} by the exit rule after every round."""
    network, rule = stage.network, stage.network.exit_rule.kind
    values = int(np.prod(network.shapes[network.readout.name]))
    scans = 1 + (rule in ("entropy", "confidence"))
    return {"outputs": values * scans * rounds * _output_words(plan), "limits": rounds * (rule != "off")}
