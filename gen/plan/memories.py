"""The core's memories as one table made from its parameters: widths, depths and latencies are asked for here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from gen.plan.params import WORD_BITS

__all__ = [
    "BLOCK", "MemorySpec", "OUTSIDE", "Piece", "SINGLE_PORT", "SMALL", "loadable_memories", "memory_table",
    "parameter_bits",
]

BLOCK, SINGLE_PORT, OUTSIDE = "block", "single port", "outside"
SMALL = 16  # words that look-up tables hold
# Widths of an 18 kbit block at its depths: a column as wide needs no multiplexer behind its read port.
COLUMNS = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
WHOLE_BITS, WHOLE_WORDS = 32, 2048  # a memory that the tools divide well themselves: deeper, they take many banks
WORTH = 3 / 4  # share of the blocks that a bank more must leave, to be worth its multiplexer


class Piece(NamedTuple):
    """One RAM of a memory: bits ``low`` to below ``high`` of the ``words`` words from ``first`` on."""

    low: int
    high: int
    first: int
    words: int


@dataclass(frozen=True)
class MemorySpec:
    """One memory, of a group, of a neuron, or of the whole core.

    ``owner`` is the number of the group or neuron, which ends the name, and before it of several memories that hold a
    part of each word the number of the ``part``; ``width`` in bits, ``depth`` in words,
    ``latency`` in cycles from address to data; ``kind``: block RAM, which may become look-up tables (``small``) if the
    part has such (``tables``), single-port RAM, or outside the chip, where it has no latency of its own; ``loadable``:
    the load port fills it, in the order of the table.
    """

    name: str
    width: int
    depth: int
    kind: str = BLOCK
    latency: int = 2
    loadable: bool = False
    owner: int | None = None
    part: int | None = None
    tables: bool = True

    @property
    def role(self):
        """The name that it shares with its like in other groups or neurons, and with those of a word's other parts."""
        name = self.name if self.owner is None else self.name.removesuffix(f"_{self.owner}")
        return name if self.part is None else name.removesuffix(f"_{self.part}")

    @property
    def bits(self):
        """Bits of all words."""
        return self.width * self.depth

    @property
    def small(self):
        """Whether it lies in look-up tables."""
        return self.kind == BLOCK and self.tables and self.depth <= SMALL

    @property
    def pieces(self) -> list[Piece]:
        """The RAMs that hold it, bank by bank: in depth where that saves blocks, in width so that a RAM is a block.

        A bank begins at a multiple of the power of two that holds its words.
        """
        if self.kind != BLOCK or self.small or (self.width <= WHOLE_BITS and self.depth <= WHOLE_WORDS):
            return [Piece(0, self.width, 0, self.depth)]
        found, first = [], 0
        for words in _banks(self.width, self.depth):
            column = _column(words)
            found += [Piece(low, min(low + column, self.width), first, words) for low in range(0, self.width, column)]
            first += words
        return found

    def blocks(self, bram) -> int:
        """Return the blocks of a `gen.plan.target.BlockRam` that it takes where it lies in block RAM."""
        return sum(bram.count(piece.high - piece.low, piece.words) for piece in self.pieces)


def _column(depth):
    return next((bits for words, bits in COLUMNS if depth <= words), 1)


def _banks(width, depth):
    """Return the words of each bank: of a depth just over that of a block the rest lies by itself."""
    whole = -(-width // _column(depth)) * -(-depth // COLUMNS[-1][0])
    full = max([words for words, _ in COLUMNS if words < depth], default=0)
    if full:
        cut = [full, *_banks(width, depth - full)]
        blocks = sum(-(-width // _column(words)) * -(-words // COLUMNS[-1][0]) for words in cut)
        if blocks <= WORTH * whole:
            return cut
    return [depth]


def parameter_bits(p):
    """Return the bits of what a channel has, side by side from the lowest: theta, bias, v_init, and theta_low or 0."""
    return p.theta_bits, p.bias_bits, p.state_bits, p.theta_bits * p.signed


@lru_cache(maxsize=64)
def memory_table(p):
    """Return {name: MemorySpec} of every memory of a core of these `CoreParams`, one for each owner.

    A memory that nobody reads is not there: no states where none outlives a timestep, no map words of nothing.
    """
    parameter = sum(parameter_bits(p))
    specs = [
        MemorySpec("program", WORD_BITS, p.program, loadable=True),
        MemorySpec("limits", WORD_BITS, p.limits, loadable=True),
    ]
    weights, states = (SINGLE_PORT if p.spram >= level else BLOCK for level in (1, 2))
    own = [range(g * p.neurons, (g + 1) * p.neurons) for g in range(p.groups)]
    for g, neurons in enumerate(own):
        specs.append(MemorySpec(f"weights_{g}", p.width * p.weight_bits, p.weights, weights, 2, True, g))
        specs += [MemorySpec(f"parameters_{n}", parameter, p.parameters, BLOCK, 2, True, n) for n in neurons]
    for g, neurons in enumerate(own):
        parts = [None] if p.image_rows == 1 else range(p.image_rows)
        specs += [
            *(MemorySpec(f"image_{g}" if part is None else f"image_{part}_{g}", p.image_row_lanes * p.image_bits,
                         p.image_depth, owner=g, part=part) for part in parts),
            MemorySpec(f"maps_{g}", p.width * p.map_bits, p.map_words, owner=g),
        ]
        if p.wide:
            specs.append(MemorySpec(f"wide_{g}", p.width * (p.count_bits - p.map_bits), p.wide, owner=g))
        for n in neurons:
            if p.states:
                specs.append(MemorySpec(f"states_{n}", p.state_bits, p.states, states, owner=n))
            if p.currents:
                specs.append(MemorySpec(f"currents_{n}", p.acc_bits, p.currents, owner=n))
    if p.shared:
        specs += [MemorySpec(f"outputs_{g}", p.acc_bits, p.outputs, owner=g) for g in range(p.groups)]
    else:
        specs.append(MemorySpec("outputs", p.acc_bits, p.outputs))
    if p.outside:
        specs.append(MemorySpec("outside", WORD_BITS, p.outside, OUTSIDE, 0, True))
    # The part with single-port RAM, an iCE40, has no memory of look-up tables: it would take flip-flops for them.
    return {spec.name: replace(spec, tables=not p.spram and not p.spare_blocks) for spec in specs}


def loadable_memories(p):
    """Return {name: MemorySpec} of the memories that the load port fills: the number of each is its code there."""
    return {name: spec for name, spec in memory_table(p).items() if spec.loadable}
