"""Weights outside the chip: which layers have theirs there, and how these are cut into passes.

A core keeps the weights that it has room for. The others lie in a memory outside, in blocks, one behind the other as
they are used (`gen.plan.blocks`). A block is fetched into one half of a buffer at the end of every group's weight
memory, while the passes before compute with what lies in the other half. A layer is cut into a pass for every turn of
its channel tiles, as far as its form allows: so a block has the weights of as many channels as there are lanes, and is
read once in a round.
"""

from __future__ import annotations

from dataclasses import replace

from gen.plan.grouping import weight_sizes
from gen.plan.passes import Pass

__all__ = ["cut_outside", "groups_of_parts", "place_buffer"]


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
    blocks = {(i, n): max(sum(weight_sizes(turn, passes)) for turn in _turns(p, 1))
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
    """Return the passes that run the channel tiles of a pass, ``together`` turns of them each, or the whole pass.

    Tiles that share a window of channels stay together, and so do those of an output with several positions, whose
    values lie side by side.
    """
    loops = p.loops
    single = p.layer.emits or p.rows * p.columns == 1
    if p.blocks > 1 or not single or together >= loops.turns["tiles"]:
        return [p]
    found, step = [], together * loops.parts * p.tile_channels
    for first in range(0, p.channels, step):
        channels = min(step, p.channels - first)
        tiles = -(-channels // p.tile_channels)
        turns = -(-tiles // loops.parts)
        own = replace(loops, turns={**loops.turns, "tiles": turns}, last_parts=tiles - (turns - 1) * loops.parts)
        found.append(replace(p, first_channel=first, channels=channels, loops=own))
    return found


def place_buffer(passes: list[Pass], buffer: int, half: int) -> list[Pass]:
    """Return the passes of a stage in their final order with the addresses of streamed weights in the buffer.

    Their ``weights`` are counted from the first word of a block until then. The halves, of ``half`` words each, take
    turns from ``buffer`` on.
    """
    placed, turn = [], 0
    for p in passes:
        if p.streamed and not p.synapses:  # it fires what passes before have added up
            p = replace(p, streamed=False)
        elif p.streamed:
            base = buffer + turn % 2 * half
            turn += 1
            p = replace(p, weights=tuple(base + weight for weight in p.weights))
        placed.append(p)
    return placed


def groups_of_parts(p: Pass, groups: int) -> list[int]:
    """Return for every part that has channels the groups that run it, as bits: they have the same weights."""
    loops = p.loops
    parts = loops.last_parts if loops.channel_turns == 1 else loops.parts
    working = loops.parts * loops.positions
    return [sum(1 << g for g in range(min(groups, working)) if g % loops.parts == part) for part in range(parts)]
