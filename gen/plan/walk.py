"""Where a pass goes: its loops over tiles, how the groups share them, and every address as a start and steps.

Image, traffic, estimate, compare and the tests read the `Walk`; nobody recomputes addresses (`gen.plan.addresses`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gen.layers import Synapse
from gen.window import Window

__all__ = ["Cursor", "Loops", "Ring", "SourceWalk", "Walk", "share_loops"]


@dataclass(frozen=True)
class Loops:
    """Turns of every level, and how the groups share columns and channel tiles; all are counts.

    Group g runs part ``g % parts`` at position ``g // parts``: of each run of ``positions`` columns one, of each run of
    ``parts`` channel tiles one. The last runs have ``last_positions`` columns and ``last_parts`` tiles. Where the input
    of each tile is ``shared`` (`gen.plan.sharing`), all groups run all tiles, and a position is the number of a share.
    """

    turns: dict[str, int]
    parts: int
    positions: int
    last_parts: int
    last_positions: int
    shared: bool = field(default=False, kw_only=True)

    @property
    def channel_turns(self) -> int:
        """Channel tiles that a group runs at one position, the last one perhaps not by all groups."""
        return self.turns["blocks"] * self.turns["tiles"]


@dataclass(frozen=True)
class Ring:
    """Words on the chip by which a map passes: ``words``, a power of two, from ``base`` on, a multiple of it.

    See `gen.plan.spilling`.
    """

    base: int
    words: int


@dataclass(frozen=True)
class Cursor:
    """A place that moves from tile to tile: field values at the first tile, and what each of `LEVELS` adds to them."""

    start: dict[str, int]
    steps: tuple[dict[str, int], ...]


@dataclass(frozen=True)
class SourceWalk:
    """How a synapse is gathered: the fields of its block (`gen.plan.program.synapse_fields`) and its cursor.

    ``window``: how it moves over the words of the map.
    """

    synapse: Synapse
    window: Window
    fields: dict[str, int]
    cursor: Cursor

    @property
    def dense(self) -> bool:
        """Whether words are taken lane by lane."""
        return bool(self.fields["dense"])


@dataclass(frozen=True)
class Walk(Loops):
    """All addresses of a pass: loops, the cursor of the stored map and the parameters, one walk for each synapse."""

    output: Cursor
    sources: tuple[SourceWalk, ...]


def share_loops(p, groups: int) -> Loops:
    """Return the loops of a pass shared out among ``groups``, so that they take the fewest turns.

    Of equally good ways the one with the most parts: there the weights of a group are the fewest. A readout runs on
    group 0, if its input is not shared; tiles that share windows of channels are not parted, columns of an upsampled
    map not shared out.
    """
    runs = p.tiles // p.blocks
    splits = {1 << n for n in range(groups.bit_length()) if 1 << n < 2 * runs} if p.blocks == 1 else {1}
    enlarged = any(s.upsample[1] > 1 for s in p.synapses)
    choices = [(parts, 1 if enlarged else min(groups // parts, p.columns)) for parts in sorted(splits, reverse=True)]
    parts, positions = (1, 1) if not p.layer.emits else min(
        choices, key=lambda choice: -(-runs // choice[0]) * -(-p.columns // choice[1])
    )
    turns = {
        "rows": p.rows, "columns": -(-p.columns // positions), "blocks": p.blocks, "tiles": -(-runs // parts),
        "pool_rows": p.window[0], "pool_columns": p.window[1], "steps": p.steps,
    }
    return Loops(
        turns, parts, positions, runs - (turns["tiles"] - 1) * parts, p.columns - (turns["columns"] - 1) * positions,
    )
