"""Weights and parameters outside the chip: which layers have theirs there, and how these are cut into passes.

A core keeps the weights that it has room for. The others lie in a memory outside, in blocks, one behind the other as
they are used (`gen.plan.blocks`). A block is fetched into one half of a buffer at the end of every group's weight
memory, while the passes before compute with what lies in the other half. A layer is cut into a pass for every turn of
its channel tiles, as far as its form allows: so a block has the weights of as many channels as there are lanes, and is
read once in a round.

Parameters do the same: those of a pass come in its block, into one half of a buffer of every neuron.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from gen.plan.grouping import weight_sizes
from gen.plan.passes import Pass

__all__ = ["Buffer", "cut_outside", "groups_of_parts", "place_buffers", "supply"]


class Buffer(NamedTuple):
    """Two halves of so many words at the end of a memory, behind what stays there: ``first`` words."""

    first: int
    half: int

    @property
    def end(self) -> int:
        """Words of the memory."""
        return self.first + 2 * self.half

    def place(self, turn: int) -> int:
        """Return the first word of what comes as number ``turn``: the halves take turns."""
        return self.first + turn % 2 * self.half


def cut_outside(stages: list[list[Pass]], room: int | None) -> list[list[Pass]]:
    """Return the passes of all stages, those whose weights lie outside cut into turns and ``streamed``.

    All weights stay inside where ``room`` words hold them, or where it is None. Else those stay that are used for the
    fewest tiles: the time of a pass hides the fetching of the next block, if it is long enough. What room is left makes
    the halves of the buffer larger, and the passes fewer.
    """
    sizes = [[sum(weight_sizes(p, passes)) for p in passes] for passes in stages]
    kept = int(any(not p.layer.weighted for passes in stages for p in passes))  # the word of ones
    if room is None or kept + sum(map(sum, sizes)) <= room:
        return stages
    blocks = {(i, n): sum(weight_sizes(next(_turns(p, 1)), passes))
              for i, passes in enumerate(stages) for n, p in enumerate(passes) if p.layer.weighted}
    for key in sorted(blocks, key=lambda key: (_tiles_a_turn(stages[key[0]][key[1]]), sizes[key[0]][key[1]])):
        others = [size for other, size in blocks.items() if other != key]
        if kept + sizes[key[0]][key[1]] + 2 * max(others, default=0) <= room:
            kept += sizes[key[0]][key[1]]
            del blocks[key]
    half = max([*blocks.values(), (room - kept) // 2])
    return [
        [turn for n, p in enumerate(passes) for turn in
         ([replace(turn, streamed=True) for turn in _turns(p, half // blocks[i, n])] if (i, n) in blocks else [p])]
        for i, passes in enumerate(stages)
    ]


def _tiles_a_turn(p):
    turns = p.loops.turns
    return turns["rows"] * turns["columns"] * turns["pool_rows"] * turns["pool_columns"]


def _turns(p, together):
    """Yield the passes that run the channel tiles of a pass, ``together`` turns of them each, or the whole pass.

    Tiles that share a window of channels stay together, and so do those of an output with several positions, whose
    values lie side by side. None of the passes has more weights than the first.
    """
    loops = p.loops
    single = p.layer.emits or p.rows * p.columns == 1
    if p.blocks > 1 or not single or together >= loops.turns["tiles"]:
        yield p
        return
    step = together * loops.parts * p.tile_channels
    for first in range(0, p.channels, step):
        channels = min(step, p.channels - first)
        tiles = -(-channels // p.tile_channels)
        turns = -(-tiles // loops.parts)
        own = replace(loops, turns={**loops.turns, "tiles": turns}, last_parts=tiles - (turns - 1) * loops.parts)
        yield replace(p, first_channel=first, channels=channels, loops=own)


def supply(stages: list[list[Pass]], room: int | None) -> list[list[Pass]]:
    """Return the passes of all stages, cut as they are, those ``supplied`` whose parameters lie outside.

    All parameters stay inside where ``room`` words of a neuron hold them, or where it is None. Else the largest stay as
    far as that makes the memory smaller: the buffer has room for two of the others. What room is left keeps those of
    passes that wait for no weights, then again the largest.
    """
    sizes = {(i, n): p.parameter_words for i, passes in enumerate(stages) for n, p in enumerate(passes)
             if p.layer.weighted}
    if room is None or sum(sizes.values()) <= room:
        return stages
    largest = sorted(sizes, key=lambda key: -sizes[key])
    kept = [sum(sizes[key] for key in largest[:number]) for number in range(len(largest))]
    least = min(range(len(largest)), key=lambda number: kept[number] + 2 * sizes[largest[number]])
    inside, out = kept[least], largest[least:]
    for key in sorted(out, key=lambda key: stages[key[0]][key[1]].streamed):
        others = max((sizes[other] for other in out if other != key), default=0)
        if inside + sizes[key] + 2 * others <= room:
            inside += sizes[key]
            out.remove(key)
    return [
        [replace(p, supplied=True) if (i, n) in out else p for n, p in enumerate(passes)]
        for i, passes in enumerate(stages)
    ]


def place_buffers(passes: list[Pass], weights: Buffer, parameters: Buffer) -> list[Pass]:
    """Return the passes of a stage in their final order with the addresses in the buffers of what is fetched.

    ``weights`` of a streamed pass are counted from the first word of a block until then.
    """
    placed, streamed, supplied = [], 0, 0
    for p in passes:
        if p.streamed and not p.synapses:  # it fires what passes before have added up
            p = replace(p, streamed=False)
        elif p.streamed:
            p = replace(p, weights=tuple(weights.place(streamed) + weight for weight in p.weights))
            streamed += 1
        if p.supplied:
            p = replace(p, parameter=parameters.place(supplied))
            supplied += 1
        placed.append(p)
    return placed


def groups_of_parts(p: Pass, groups: int) -> list[int]:
    """Return for every part that has channels the groups that run it, as bits: they have the same weights.

    Groups that share an input have weights of their own.
    """
    loops = p.loops
    if loops.shared:
        return [1 << group for group in range(loops.positions)]
    parts = loops.last_parts if loops.channel_turns == 1 else loops.parts
    working = loops.parts * loops.positions
    return [sum(1 << g for g in range(min(groups, working)) if g % loops.parts == part) for part in range(parts)]
