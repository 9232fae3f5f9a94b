"""The addresses of a pass, as starts and steps of its cursors.

All of it is linear: the place of a tile is a start plus, for each loop, its turn times a move. The machine adds up
steps (`gen.plan.program`), which hold what a level moves less what the loops inside it had moved. On an upsampled map
places are those of the enlarged map, as quotient and remainder by the factor.
"""

from __future__ import annotations

from functools import cached_property

from gen.layers import INPUT
from gen.plan.grouping import is_dense, tile_window, weight_words
from gen.plan.params import LEVELS
from gen.plan.passes import Pass
from gen.plan.regions import Region
from gen.plan.walk import Cursor, SourceWalk, Walk
from gen.window import ZEROS

__all__ = ["build_walk"]


def build_walk(p: Pass, regions: dict[tuple[str, int], Region]) -> Walk:
    """Return the walk of a placed pass; ``regions`` are those of its stage, {(name, timestep): region}."""
    gathers = [_Gather(p, n, regions[key]) for n, key in enumerate(p.reads)]
    sources = tuple(SourceWalk(gather.synapse, gather.window, gather.block(), gather.cursor()) for gather in gathers)
    return Walk(**vars(p.loops), output=_output(p, regions[p.writes] if p.writes else None), sources=sources)


def _output(p, region):
    """Return the cursor of the stored map's words and of the parameters."""
    loops, start = p.loops, {"address": 0, "parameter": p.parameter}
    words, parameters = {}, {}
    if p.layer.weighted:
        parameters = {"blocks": loops.turns["tiles"] * p.tile_words, "tiles": p.tile_words}
    if region:
        start["address"] = region.base + p.first_channel // p.tile_channels
        words = {
            "rows": region.columns * region.words_per_position, "columns": loops.positions * region.words_per_position,
            "blocks": loops.turns["tiles"], "tiles": loops.parts, "steps": region.words,
        }
    steps = zip(_steps(loops, words), _steps(loops, parameters))
    return Cursor(start, tuple({"address": address, "parameter": parameter} for address, parameter in steps))


def _steps(loops, moves):
    """Return the step of each of `LEVELS` for ``moves``: level to what one turn of it moves."""
    steps, inner = [], 0
    for level in reversed(LEVELS):
        turns = loops.turns[level]
        move = moves.get(level, 0) if turns > 1 else 0
        steps.append(move - inner if turns > 1 else 0)
        inner += (turns - 1) * move
    return steps[::-1]


class _Gather:
    """One synapse of a pass, reading the map in ``region``: block and cursor of the program.

    Its geometry is that of its window over what is stored: a single point where the map is one line.
    """

    def __init__(self, p, index, region):
        self.p, self.synapse = p, p.synapses[index]
        self.image = self.synapse.source == INPUT
        self.dense = is_dense(self.synapse, region.tile_channels, p.tile_channels)
        self.window = region.window(self.synapse.window)
        self.version = 0 if region.same else region.words
        if p.loops.shared:
            region, self.window = region.shared(p.loops.positions)
        self.region = region
        self.weight = p.weights[index] << p.narrow
        self.pitches = region.columns * region.words_per_position, region.words_per_position

    @cached_property
    def _words(self):
        """Words of a tap; how many of them a channel tile, and a block of tiles, lies behind the one before."""
        tiles = self.p.loops.turns["tiles"]
        if self.dense:
            return 1, 1, tiles
        window, period, _ = tile_window(self.synapse, self.p.tile_channels)
        if period is None or len(self.synapse.weight) <= self.p.tile_channels:  # a pass may be one of several tiles
            return self.region.words_per_position, 0, 0
        words = window // self.region.tile_channels
        return (words, words, words * tiles) if period == 1 else (words, 0, words)

    @cached_property
    def _weight_words(self):
        """Weight words of a tile; 0 of a pool, which stays at its one word."""
        if self.p.loops.shared:
            return self.window.area * self.region.words_per_position * self.region.tile_channels
        return weight_words(self.synapse, self.p.tile_channels, self.dense) if self.p.layer.weighted else 0

    def cursor(self):
        """Return the cursor of the window's first word, its place and its weights."""
        p, loops, window = self.p, self.p.loops, self.window
        (height, width), (down, right) = p.window, window.stride
        _, tile_words, block_words = self._words
        moves = (
            {"rows": height * down, "pool_rows": down},
            {"columns": loops.positions * width * right, "pool_columns": right},
            {"blocks": block_words, "tiles": loops.parts * tile_words, "steps": self.version},
            {"blocks": loops.turns["tiles"] * self._weight_words, "tiles": self._weight_words},
        )
        first = self.region.base + p.first_channel // p.tile_channels * tile_words
        start = self._place(-window.padding[0], -window.padding[1], first, self.weight)
        return Cursor(start, tuple(self._place(*step) for step in zip(*(_steps(loops, move) for move in moves))))

    def _place(self, down, right, address, weight):
        """Return a start or step: a place or move on the enlarged map, words and weights beside it."""
        (row, row_phase), (column, column_phase) = map(divmod, (down, right), self.window.upsample)
        return {
            "address": address + row * self.pitches[0] + column * self.pitches[1], "weight": weight,
            "row": row, "column": column, "row_phase": row_phase, "column_phase": column_phase,
        }

    def block(self):
        """Return the fields of the synapse's block."""
        p, window, region = self.p, self.window, self.region
        rows, columns = window.kernel
        words, tile_words, _ = self._words
        tap = self._weight_words // window.area
        # what a loop of one turn moves is never used, and may be too large for its field
        down, right = window.dilation[0] * (rows > 1), window.dilation[1] * (columns > 1)
        (row_tap, row_phase), (column_tap, column_phase) = map(divmod, (down, right), window.upsample)
        apart = p.window[1] * window.stride[1] * (p.loops.positions > 1)
        in_one = p.loops.shared and region.columns == 1  # all shares lie in one position
        return {
            "image": int(self.image), "once": int(region.same), "wide": int(region.wide), "dense": int(self.dense),
            "zeros": int(window.fill == ZEROS),
            "kernel_rows": rows - 1, "kernel_columns": columns - 1, "words": words - 1,
            "rows": region.rows, "columns": region.columns, "row_tap": row_tap, "column_tap": column_tap,
            "row_step": row_tap * self.pitches[0], "column_step": column_tap * self.pitches[1],
            "weight_word": region.tile_channels * (words > 1), "weight_tap": tap * (columns > 1),
            "weight_row": tap * columns * (rows > 1), **self._active(),
            "row_factor": window.upsample[0], "column_factor": window.upsample[1],
            "row_tap_phase": row_phase, "column_tap_phase": column_phase,
            "row_pitch": self.pitches[0], "column_pitch": self.pitches[1],
            "position_step": apart * self.pitches[1], "position_columns": 0 if in_one else apart,
            "part_step": words if in_one else tile_words * (p.loops.parts > 1),
        }

    def _active(self):
        """Return the lanes that an event does work in; with several parts a group knows itself which tile is short."""
        p = self.p
        if not p.layer.weighted:
            return {"active": 0, "active_last": 0}
        _, period, active = tile_window(self.synapse, p.tile_channels)
        last = p.channels - (p.tiles - 1) * p.tile_channels
        shorter = period is None and p.loops.parts == 1
        return {"active": active, "active_last": last if shorter else active}
