"""Weights outside the chip: which layers have theirs there, and in which blocks they are fetched.

A core keeps the weights that it has room for. The others lie in a memory outside, in *blocks*, one behind the other as
they are used. Each pass that has a block waits for it; meanwhile the block is fetched into one half of a buffer at the
end of every group's weight memory, while the passes before compute with what lies in the other half. A layer is cut
into a pass for every turn of its channel tiles, as far as its form allows: so a block has the weights of as many
channels as there are lanes, and is read once in a round::

    block: words behind this one | another block follows << 31, run, run ..., digest
    run:   groups << 24 | address, memory words, data ...

``groups`` has a bit for each group that takes the run, ``data`` are as in a load stream (`gen.plan.image`). The digest
begins as 0 and takes each word before it: it is rotated left by one bit, and the word is added.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gen.plan.grouping import weight_sizes
from gen.plan.params import WORD_BITS, CoreParams
from gen.plan.passes import Pass

__all__ = ["FOLLOWS", "block_digest", "cut_outside", "groups_of_parts", "number_blocks", "outside_words"]

FOLLOWS = 1 << 31
RUN_WORDS, BLOCK_WORDS = 2, 2  # of a run beside its data, of a block beside its runs


def cut_outside(stages: list[list[Pass]], room: int | None) -> list[list[Pass]]:
    """Return the passes of all stages, those whose weights lie outside cut into turns, their ``fetched`` not 0.

    All weights stay inside where ``room`` words hold them, or where it is None. Else those stay that are used for the
    fewest tiles: the time of a pass hides the fetching of the next block, if it is long enough.
    """
    sizes = [[sum(weight_sizes(p, passes)) for p in passes] for passes in stages]
    kept = int(any(not p.layer.weighted for passes in stages for p in passes))  # the word of ones
    if room is None or kept + sum(map(sum, sizes)) <= room:
        return stages
    cut = {(i, n): _turns(p, passes) for i, passes in enumerate(stages) for n, p in enumerate(passes)
           if p.layer.weighted}
    blocks = {key: max(size for _, size in turns) for key, turns in cut.items()}
    by_tiles = sorted(cut, key=lambda key: (_tiles_a_turn(stages[key[0]][key[1]]), sizes[key[0]][key[1]]))
    for key in by_tiles:
        others = [size for other, size in blocks.items() if other != key]
        if kept + sizes[key[0]][key[1]] + 2 * max(others, default=0) <= room:
            kept += sizes[key[0]][key[1]]
            del blocks[key]
    return [
        [turn for n, p in enumerate(passes) for turn in
         ([replace(turn, fetched=1) for turn, _ in cut[i, n]] if (i, n) in blocks else [p])]
        for i, passes in enumerate(stages)
    ]


def _tiles_a_turn(p):
    turns = p.loops.turns
    return turns["rows"] * turns["columns"] * turns["pool_rows"] * turns["pool_columns"]


def _turns(p, passes):
    """Return [(pass, its words of weights)] of a pass for each turn of its channel tiles, or of the whole pass.

    Tiles of grouped channels stay together, and so do those of an output with several positions, whose values lie side
    by side.
    """
    loops, step = p.loops, p.loops.parts * p.tile_channels
    single = p.layer.emits or p.rows * p.columns == 1
    if any(s.groups > 1 for s in p.synapses) or not single:
        return [(p, sum(weight_sizes(p, passes)))]
    found = []
    for first in range(0, p.channels, step):
        channels = min(step, p.channels - first)
        own = replace(loops, turns={**loops.turns, "tiles": 1}, last_parts=-(-channels // p.tile_channels))
        turn = replace(p, first_channel=first, channels=channels, loops=own)
        found.append((turn, sum(weight_sizes(turn, passes))))
    return found


def number_blocks(passes: list[Pass], buffer: int, half: int) -> list[Pass]:
    """Return the passes of a stage in their final order with the numbers of their blocks, and addresses in the buffer.

    Their ``weights`` are counted from the first word of a block until then. The halves, of ``half`` words each, take
    turns from ``buffer`` on.
    """
    placed, number = [], 0
    for p in passes:
        if p.fetched and not p.synapses:  # it fires what passes before have added up
            p = replace(p, fetched=0)
        elif p.fetched:
            base = buffer + number % 2 * half
            number += 1
            p = replace(p, fetched=number, weights=tuple(base + weight for weight in p.weights))
        placed.append(p)
    return placed


def groups_of_parts(p: Pass, groups: int) -> list[int]:
    """Return for every part that has channels the groups that run it, as bits: they have the same weights."""
    loops = p.loops
    parts = loops.last_parts if loops.channel_turns == 1 else loops.parts
    working = loops.parts * loops.positions
    return [sum(1 << g for g in range(min(groups, working)) if g % loops.parts == part) for part in range(parts)]


def outside_words(params: CoreParams, passes) -> int:
    """Return the 32-bit words of all blocks of these passes."""
    pieces = -(-params.width * params.weight_bits // WORD_BITS)
    return sum(
        BLOCK_WORDS + len(groups_of_parts(p, params.groups)) * sum(RUN_WORDS + size * pieces for size in p.sizes)
        for p in passes if p.fetched
    )


def block_digest(words: np.ndarray) -> int:
    """Return the digest of the uint32 words before it."""
    digest, mask = 0, 2**WORD_BITS - 1
    for word in words.tolist():
        digest = ((digest << 1 & mask | digest >> WORD_BITS - 1) + word) & mask
    return digest
