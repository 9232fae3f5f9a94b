"""What is fetched from outside the chip while a stage runs: block after block, in the order in which it is needed.

A pass whose weights or parameters lie outside, or that reads a map there, begins when its block has come. Of a pass
that reads a map outside, each row waits for a block of its own, which says what to copy into the rings on the chip
(`gen.plan.spilling`)::

    block:  head, copy ..., run ..., digest
    head:   words behind this one | copies << 20 | ahead << 25 | settles << 30 | another block follows << 31
    copy:   place on the chip | of the input << 31, words of 32 bits, address outside
    run:    address | groups << 24 | of parameters << 28 | neuron << 29, memory words, data ...

The *next* block is fetched when at most ``ahead`` blocks before it belong to passes and rows that have not begun. What
has been written outside until then is there before a block that ``settles`` copies anything. ``groups`` has a bit for
each group that takes the run, of weights or of the parameters of that neuron of the group; ``data`` are as in a load
stream (`gen.plan.image`). The digest begins as 0 and takes each word before it: it is rotated left by one bit, and the
word is added.

Behind the blocks of all stages lie the maps, then as many input maps as a core holds, then states (`gen.plan.parking`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gen.errors import InputError
from gen.layers import INPUT
from gen.plan.outside import groups_of_parts
from gen.plan.memories import parameter_bits
from gen.plan.params import WORD_BITS, CoreParams
from gen.plan.parking import parked_end
from gen.plan.passes import Pass
from gen.plan.spilling import MOST_AHEAD, rows_read

__all__ = [
    "Bases", "Block", "Copy", "OF_PARAMETERS", "block_digest", "block_words", "copy_pieces", "outside_bases",
    "pack_block", "run_head", "stage_blocks", "stage_words", "words_moved",
]

COPY_WORDS, RUN_WORDS, BLOCK_WORDS = 3, 2, 2  # of a copy, of a run beside its data, of a block beside both
OF_PARAMETERS = 4  # bit of a run's head behind the address, which the neuron follows; before it the groups
FIELDS = {"words": 20, "copies": 5, "ahead": MOST_AHEAD.bit_length(), "settles": 1, "follows": 1}  # of a head, bits


@dataclass(frozen=True)
class Copy:
    """``words`` of a map or of the input, from its word ``first`` on, to the address ``place`` on the chip."""

    place: int
    words: int
    first: int
    source: tuple[str, int]

    @property
    def of_input(self) -> bool:
        """Whether they are words of the input."""
        return self.source[0] == INPUT


@dataclass(frozen=True, eq=False)
class Block:
    """What comes before a pass (``row`` is None), or before one of its rows.

    weights, parameters : whether it has the runs of the pass's weights, of its parameters
    ahead : blocks before it that may belong to what has not begun
    settles : whether it waits for all that has been written
    """

    p: Pass
    row: int | None = None
    weights: bool = False
    parameters: bool = False
    copies: tuple[Copy, ...] = ()
    ahead: int = 0
    settles: bool = False


@dataclass(frozen=True)
class Bases:
    """Addresses outside the chip, in words of 32 bits: of the first map, of the input, of states, behind all of it."""

    maps: int
    image: int
    states: int
    end: int


def stage_blocks(passes, regions) -> list[Block]:
    """Return the blocks of a stage in their order; ``regions`` of the plan, {(stage, name, timestep): region}."""
    found = []
    for p in passes:
        if p.fetched:
            found.append(Block(p, weights=p.streamed, parameters=p.supplied))
        if p.rowwise:
            copies = zip(*(_copies(p, n, regions) for n, ring in enumerate(p.rings) if ring))
            found += [
                Block(p, row, copies=sum(of_row, ()), ahead=p.ahead if row else 0, settles=not row)
                for row, of_row in enumerate(copies)
            ]
    return found


def _copies(p, number, regions) -> Iterator[tuple[Copy, ...]]:
    """Yield the copies of one synapse for every row of a pass, each in pieces that the ring holds side by side."""
    ring, key = p.rings[number], p.reads[number]
    region = regions[p.stage, *key]
    row_words = region.columns * region.words_per_position
    first, past = rows_read(p, p.synapses[number], region.rows)
    at = int(first[0]) * row_words
    for end in (past * row_words).tolist():
        pieces = []
        while at < end:
            words = min(end - at, ring.words - at % ring.words)
            pieces.append(Copy(ring.base + at % ring.words, words, at, key))
            at += words
        yield tuple(pieces)


def block_words(block: Block, params: CoreParams) -> int:
    """Return the 32-bit words of a block."""
    runs, p = 0, block.p
    if block.weights:
        pieces = -(-params.width * params.weight_bits // WORD_BITS)
        runs += sum(RUN_WORDS + size * pieces for size in p.sizes)
    if block.parameters:
        pieces = -(-sum(parameter_bits(params)) // WORD_BITS)
        runs += params.neurons * (RUN_WORDS + p.parameter_words * pieces)
    return BLOCK_WORDS + COPY_WORDS * len(block.copies) + runs * len(groups_of_parts(p, params.groups))


def stage_words(stage, params: CoreParams, regions) -> int:
    """Return the 32-bit words of the blocks of a stage; 0 where they are those of another one."""
    own = stage_blocks(stage.passes, regions) if stage.blocks_of is None else []
    return sum(block_words(block, params) for block in own)


def run_head(address: int, groups: int, neuron: int | None = None) -> int:
    """Return the first word of a run of weights for ``groups``, or of the parameters of a ``neuron`` of theirs."""
    taker = groups if neuron is None else groups | 1 << OF_PARAMETERS | neuron << OF_PARAMETERS + 1
    return taker << 24 | address


def words_moved(block: Block, params: CoreParams) -> int:
    """Return the 32-bit words that come from outside for a block, its copies included."""
    return block_words(block, params) + sum(copy_pieces(copy, params) for copy in block.copies)


def copy_pieces(copy: Copy, params: CoreParams) -> int:
    """Return the 32-bit words of a copy."""
    return copy.words * (params.image_pieces if copy.of_input else params.map_pieces)


def outside_bases(params: CoreParams, stages, regions) -> Bases:
    """Return what lies where outside the chip; ``stages``: `gen.plan.layout.StagePlan`."""
    blocks = sum(stage_words(stage, params, regions) for stage in stages)
    maps = [r.outside + r.words for (_, name, _), r in regions.items() if name != INPUT and r.outside is not None]
    image = regions[0, INPUT, 0]
    slots = params.image_slots * (image.outside is not None)
    at = blocks + max(maps, default=0) * params.map_pieces
    states = at + slots * image.words * params.image_pieces
    return Bases(blocks, at, states, states + max(parked_end(p) for stage in stages for p in stage.passes))


def pack_block(
    block: Block, following: Block | None, runs: list[np.ndarray], addresses: list[int], params: CoreParams
) -> np.ndarray:
    """Return the uint32 words of a block.

    ``runs`` of its weights and parameters, ``addresses`` outside of its copies; ``following``: the stage's next block.
    """
    copies = [
        word for copy, address in zip(block.copies, addresses, strict=True)
        for word in (copy.place | copy.of_input << 31, copy_pieces(copy, params), address)
    ]
    body = np.concatenate([np.array(copies, np.uint32), *runs]).astype(np.uint32)
    values = {
        "words": len(body) + 1, "copies": len(block.copies), "ahead": following.ahead if following else 0,
        "settles": block.settles, "follows": following is not None,
    }
    head, at = 0, 0
    for name, bits in FIELDS.items():
        if values[name] >= 1 << bits:
            raise InputError(
                f"layer {block.p.layer.name!r}: a block of {values[name]} {name} outside the chip is more than a core "
                "takes; fewer lanes have smaller ones"
            )
        head, at = head | int(values[name]) << at, at + bits
    words = np.concatenate([np.array([head], np.uint32), body])
    return np.append(words, np.uint32(block_digest(words)))


def block_digest(words: np.ndarray) -> int:
    """Return the digest of the uint32 words before it."""
    digest, mask = 0, 2**WORD_BITS - 1
    for word in words.tolist():
        digest = ((digest << 1 & mask | digest >> WORD_BITS - 1) + word) & mask
    return digest
