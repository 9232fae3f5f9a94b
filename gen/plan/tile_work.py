"""What every tile of a pass costs the walker and each group, from the nonzero counts of the maps that it reads.

A map comes as an array [steps, channels, rows, columns]: whether a count is nonzero, or how likely it is, 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gen.plan.grouping import tile_window
from gen.plan.params import LEVELS, CoreParams
from gen.plan.passes import Pass
from gen.plan.program import cursor_fields, output_fields, synapse_fields, words_of
from gen.plan.regions import Region
from gen.plan.walk import SourceWalk
from gen.window import POINT

__all__ = ["TileWork", "single_cycles", "tile_work"]

# Cycles in which `hw.core.pass_reader` makes a tile: of one synapse at least, or one beside its program words; each of
# several synapses, beside its program words; one of a single synapse whose step is kept (`CoreParams.quick`).
MAKE_SINGLE, TURN, MAKE_SYNAPSE, MAKE_KEPT = 4, 1, 5, 2
END = 1  # an end that does not come with a word, or the pause between two synapses


@dataclass(frozen=True, eq=False)
class TileWork:
    """Work of a pass's tiles in the walker's order; ``steps`` as many as the maps have, in tile order one.

    made : cycles from tile to tile in which the walker makes one
    sent : float [steps, tiles], cycles in which it sends the words of one
    taken : float [steps, groups, tiles], cycles in which a group takes the events of its own tile
    words : float [steps, groups, tiles], words with events, which wait in the group's queue
    runs : bool [groups, tiles], whether the group has a tile there
    """

    made: int
    sent: np.ndarray
    taken: np.ndarray
    words: np.ndarray
    runs: np.ndarray


def single_cycles(params: CoreParams) -> int:
    """Return the cycles in which a core makes a tile of one synapse; the first tiles of a quick core take longer."""
    words, carries = words_of(output_fields(params)) + words_of(cursor_fields(params)), params.phase_bits > 0
    return MAKE_KEPT + carries if params.quick else max(MAKE_SINGLE + carries, TURN + words)


def tile_work(p: Pass, regions: dict[tuple[int, str, int], Region], params: CoreParams, maps) -> TileWork:
    """Return the `TileWork` of a pass.

    Parameters
    ----------
    regions : of the whole plan
    maps : for every synapse, the map that it reads, [steps, C, H, W]; one step stands for all of them
    """
    turns = _Turns(p, params.groups)
    steps = 1 if p.steps > 1 else max([1, *(len(nonzero) for nonzero in maps)])
    shape = steps, params.groups, turns.count
    taken, words, sent = np.zeros(shape), np.zeros(shape), np.zeros((steps, turns.count))
    output, places, carries = words_of(output_fields(params)), words_of(cursor_fields(params)), params.phase_bits > 0
    further = MAKE_SYNAPSE + words_of(synapse_fields(params)) + places + carries
    made = output + len(p.synapses) * further if len(p.synapses) > 1 else single_cycles(params)
    for number, (source, key, nonzero) in enumerate(zip(p.walk.sources, p.reads, maps), 1):
        reader = _Reader(p, source, regions[p.stage, *key], params)
        events, filled = reader.gathered(np.asarray(nonzero, float), turns)
        taken += events
        words += filled
        more = number < len(p.synapses)
        sent += np.maximum(reader.asked(turns) + END * (more | reader.ends_alone(turns)), further * more)
    if p.keep:  # the current of the first timestep stands for all
        first = np.arange(steps)[:, None] == 0 if p.steps == 1 else turns.step[None] == 0
        taken, words = taken * first[:, None], words * first[:, None]
        sent = np.where(first, sent, (len(p.synapses) - 1) * further + END)
    # A tile without events is one empty entry.
    return TileWork(made, np.maximum(sent, END), np.where(turns.runs, np.maximum(taken, 1), 0),
                    np.where(turns.runs, np.maximum(words, 1), 0), turns.runs)


class _Turns:
    """Where every turn of the loops over tiles leads each group: arrays [tiles], of groups [groups, tiles]."""

    def __init__(self, p, groups):
        loops, (height, width) = p.walk, p.window
        row, column, block, tile, y, x, step = np.indices([loops.turns[n] for n in LEVELS]).reshape(len(LEVELS), -1)
        group = np.arange(groups)[:, None]
        column = column * loops.positions + group // loops.parts  # shares lie side by side like columns
        columns = loops.positions if loops.shared else p.columns
        tile = (block * loops.turns["tiles"] + tile) * loops.parts + group % loops.parts
        self.count = row.size
        self.runs = (column < columns) & (tile < p.tiles) & (group < loops.parts * loops.positions)
        self.row, self.step = row * height + y, step
        self.column = np.minimum(column, columns - 1) * width + x
        self.tile = np.minimum(tile, p.tiles - 1)
        self.size = p.rows * height, p.columns * width


class _Reader:
    """One synapse of a pass."""

    def __init__(self, p, source: SourceWalk, region, params):
        self.p, self.source, self.region = p, source, region
        self.window = source.window
        self.count, self.windows = source.fields["words"] + 1, params.windows > 0
        # In the maximum of counts of both signs, zeros take part.
        self.whole = source.dense and params.maximum and params.signed and not p.layer.weighted
        self.whole = self.whole and p.layer.kind == "max"
        size, of_map = (p.rows * p.window[0], p.columns * p.window[1]), (region.rows, region.columns)
        self.groups = p.loops.positions if p.loops.shared else 0
        if self.groups:
            self.count, self.window = len(region.own_words(0, self.groups)), POINT
            size = of_map = 1, self.groups
        self.rows, self.columns = (self.window.places(axis, of_map[axis], size[axis]) for axis in (0, 1))

    def gathered(self, nonzero, turns):
        """Return (cycles that the events take, words with events), float [steps, groups, tiles] each."""
        counts, filled = self._words(nonzero)
        starts, which = np.unique(self._first_words(), return_inverse=True)
        step = turns.step if self.p.steps > 1 and len(nonzero) > 1 else None
        found = []
        for words in (filled if self.source.dense else counts, filled):
            total = np.concatenate([np.zeros_like(words[:, :1]), np.cumsum(words, axis=1)], axis=1)
            own = total[:, np.minimum(starts + self.count, words.shape[1])] - total[:, starts]
            tiles = self._over_taps(own)
            at = which[turns.tile], turns.row, turns.column
            found.append(tiles[(slice(None), *at)] if step is None else tiles[(step, *at)][None])
        return found

    def asked(self, turns):
        """Return cycles [tiles] in which the words of the taps are sent; those off the map vanish later.

        A tap off the map takes one, unless the groups look at several positions; a row off it takes one, before the
        first row on it. The columns are those of group 0.
        """
        kernel, column = self.columns.shape[1], turns.column[0]
        across = np.full(turns.count, kernel * self.count)
        if self.p.walk.positions == 1:
            on_map = (self.columns >= 0).sum(1)
            across = (on_map * self.count + kernel - on_map)[column]
        factor, step = self.window.upsample[1], self.window.dilation[1] % self.window.upsample[1]
        phase = (column * self.window.stride[1] - self.window.padding[1]) % factor
        across = across + (phase + (kernel - 1) * step) // factor  # a remainder that carries takes a cycle
        rows = self.rows >= 0
        before = np.where(rows.any(1), rows.argmax(1), rows.shape[1])
        return rows.sum(1)[turns.row] * across + before[turns.row]

    def ends_alone(self, turns):
        """Return bool [tiles], whether the end of a tile cannot come with the last word (`hw.core.line_walker`)."""
        return (self.rows[:, -1] < 0)[turns.row] | (not self.windows)

    def _words(self, nonzero):
        """Return (nonzero counts, whether there is any) of the map's words, [steps, words, rows, columns]."""
        region = self.region
        nonzero = region.strips.of_map(nonzero) if region.strips else nonzero
        steps, channels = len(nonzero), nonzero[0].size if region.line else nonzero.shape[1]
        lanes = np.zeros((steps, region.words_per_position * region.tile_channels, region.rows, region.columns))
        lanes[:, :channels] = nonzero.reshape(steps, channels, *lanes.shape[2:])
        lanes = lanes.reshape(steps, region.words_per_position, region.tile_channels, *lanes.shape[2:])
        filled = np.ones_like(lanes[:, :, 0]) if self.whole else 1 - (1 - lanes).prod(axis=2)
        counts = lanes.sum(axis=2)
        return (self._shared(counts), self._shared(filled)) if self.groups else (counts, filled)

    def _shared(self, words):
        """Return [steps, words, 1, groups] of words [steps, words, rows, columns] that the groups share."""
        words = np.moveaxis(words, 1, -1).reshape(len(words), -1)
        own = np.array([self.region.own_words(group, self.groups) for group in range(self.groups)])
        words = np.pad(words, ((0, 0), (0, max(0, own.max() + 1 - words.shape[1]))))
        return words[:, own].transpose(0, 2, 1)[:, :, None]

    def _first_words(self):
        """Return the first word of a tap that every channel tile reads, int [channel tiles]."""
        tiles = np.arange(self.p.tiles) + self.p.first_channel // self.p.tile_channels
        if self.source.dense:
            return tiles
        if self.count == self.region.words_per_position:
            return 0 * tiles
        _, period, _ = tile_window(self.source.synapse, self.p.tile_channels)
        return tiles // (period or self.p.tiles) * self.count

    def _over_taps(self, words):
        """Return the sum over all taps of every output position, [steps, windows of channels, rows, columns]."""
        padded = np.pad(words, ((0, 0), (0, 0), (0, 1), (0, 1)))  # place -1 reads nothing
        return padded[:, :, self.rows].sum(axis=3)[..., self.columns].sum(axis=-1)
