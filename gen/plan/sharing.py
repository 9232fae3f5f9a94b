"""Which readouts' inputs the groups share.

A readout adds up: the value of an output is the sum of what any parts of its input add to it. So each group may read a
share of the input's words, with weights of its own, and add to values of its own; whoever reads a value takes the sum
over the groups. The bias is that of group 0.

The words of a map of several positions are dealt out one by one, those of a map of one position in runs of equal
length: a core of dense layers alone knows no words that are off the map.
"""

from __future__ import annotations

from dataclasses import replace

from gen.layers import INPUT
from gen.plan.grouping import is_dense, reads_whole, share_words
from gen.plan.passes import Pass

__all__ = ["share_inputs"]


def share_inputs(stages: list[list[Pass]], networks, groups: int) -> list[list[Pass]]:
    """Return the passes of all stages, the inputs of all readouts shared among ``groups`` if those of all can be.

    Each reads whole maps of the network, at a single position, with a word at least for every group.
    """
    readouts = [(p, passes) for passes in stages for p in passes if not p.layer.emits]
    if groups == 1 or not all(_is_shared(p, passes, networks[p.stage], groups) for p, passes in readouts):
        return stages
    return [[p if p.layer.emits else _shared(p, groups) for p in passes] for passes in stages]


def _shared(p, groups):
    return replace(p, loops=replace(p.loops, positions=groups, last_positions=groups, shared=True))


def _is_shared(p, passes, network, groups):
    tiles, words = {other.stored: other.tile_channels for other in passes}, 0
    for synapse in p.synapses:
        if synapse.source == INPUT or not reads_whole(synapse, size := network.shapes[synapse.source][1:]):
            return False
        source_tile = tiles[synapse.source]
        if is_dense(synapse, source_tile, p.tile_channels):
            return False
        of_map = share_words(synapse, source_tile, 1)
        # A core without windows knows the last lanes of the last group alone.
        if tuple(size) == (1, 1) and (of_map % groups or p.channels % p.tile_channels):
            return False
        words += of_map
    return words >= groups
