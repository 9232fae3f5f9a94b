"""Where a pass goes: its loops over tiles, how the groups share them, and every address as a start and steps.

Image, traffic, estimate, compare and the tests read the `Walk`; nobody recomputes addresses. All of it is linear: the
place of a tile is a start plus, for each loop, its turn times a move. The machine adds up steps (`gen.plan.program`),
which hold what a level moves less what the loops inside it had moved.
"""

from __future__ import annotations

from dataclasses import dataclass

from gen.layers import INPUT, Synapse
from gen.plan.grouping import is_dense, tile_window, weight_words
from gen.plan.params import LEVELS
from gen.window import POINT, ZEROS

__all__ = ["Cursor", "Loops", "SourceWalk", "Walk", "build_walk", "share_loops"]


@dataclass(frozen=True)
class Loops:
    """Turns of every level, and how the groups share columns and channel tiles; all are counts.

    Group g runs part ``g % parts`` at position ``g // parts``: of each run of ``positions`` columns one, of each run of
    ``parts`` channel tiles one. The last runs have ``last_positions`` columns and ``last_parts`` tiles.
    """

    turns: dict[str, int]
    parts: int
    positions: int
    last_parts: int
    last_positions: int

    @property
    def channel_turns(self) -> int:
        """Channel tiles that a group runs at one position, the last one perhaps not by all groups."""
        return self.turns["blocks"] * self.turns["tiles"]


@dataclass(frozen=True)
class Cursor:
    """A place that moves from tile to tile: field values at the first tile, and what each of `LEVELS` adds to them."""

    start: dict[str, int]
    steps: tuple[dict[str, int], ...]


@dataclass(frozen=True)
class SourceWalk:
    """How a synapse is gathered: the fields of its block (`gen.plan.program.synapse_fields`) and its cursor."""

    synapse: Synapse
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
    group 0; tiles that share windows of channels are not parted, columns of an upsampled map not shared out.
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


def build_walk(p, sources, written) -> Walk:
    """Return the walk of a placed pass; ``sources``: the `Region` of each synapse's map, ``written``: of the own."""
    walks = tuple(_source(p, i, region) for i, region in enumerate(sources))
    return Walk(**vars(p.loops), output=_output(p, written), sources=walks)


def _output(p, region):
    loops, tile = p.loops, p.tile_channels
    start, moves = {"address": 0, "parameter": 0}, {}
    if p.layer.weighted:
        start["parameter"] = p.parameter
        moves["parameter"] = {"blocks": loops.turns["tiles"] * tile, "tiles": tile}
    if region:
        words = region.words_per_position
        start["address"] = region.base
        moves["address"] = {
            "rows": region.columns * words, "columns": loops.positions * words,
            "blocks": loops.turns["tiles"], "tiles": loops.parts, "steps": region.words,
        }
    steps = {field: _steps(loops.turns, move) for field, move in moves.items()}
    return Cursor(start, _by_level(steps))


def _source(p, index, region):
    """Return the walk of one synapse: its geometry is that of its window, or of a point where the map is one line."""
    synapse, loops, tile = p.synapses[index], p.loops, p.tile_channels
    image, dense = synapse.source == INPUT, is_dense(synapse, region.tile_channels, tile)
    window = POINT if region.line else synapse.window
    words, tile_words, block_words = _words(p, synapse, region, dense)
    pitches, row, column = _axes(p, window, region)
    weights = weight_words(synapse, tile, dense)
    pool = not p.layer.weighted
    moves = {
        "channel": {"blocks": block_words, "tiles": tile_words * loops.parts, "steps": _per_step(p, region, image)},
        "weight": {} if pool else {"blocks": weights * loops.turns["tiles"], "tiles": weights},
    }
    channel, weight = (_steps(loops.turns, moves[name]) for name in ("channel", "weight"))
    places = [(row.steps[n], column.steps[n]) for n in range(len(LEVELS))]
    start = _place(row.start, column.start, window, pitches, region.base)
    start["weight"] = p.weights[index] << p.narrow
    steps = tuple(
        _place(down, right, window, pitches, channel[n]) | {"weight": weight[n]}
        for n, (down, right) in enumerate(places)
    )
    return SourceWalk(synapse, {
        "image": int(image), "dense": int(dense),
        **_kernel(window, pitches, region), "words": words - 1,
        **_weight_strides(window, words, region, 0 if pool else weights // window.area, dense),
        **_active(p, synapse, dense),
        "position_step": loops.positions > 1 and p.window[1] * window.stride[1] * pitches[1],
        "position_columns": loops.positions > 1 and p.window[1] * window.stride[1],
        "part_step": tile_words if loops.parts > 1 else 0,
    }, Cursor(start, steps))


def _words(p, synapse, region, dense):
    """Return the words of a tap, and how many of them a channel tile, and a block of tiles, lies behind another."""
    if dense:
        return 1, 1, p.loops.turns["tiles"]
    window, period, _ = tile_window(synapse, p.tile_channels)
    if period is None or p.tiles == 1:
        return region.words_per_position, 0, 0
    words = window // region.tile_channels
    return (words, words, words * p.loops.turns["tiles"]) if period == 1 else (words, 0, words)


@dataclass(frozen=True)
class _Axis:
    """First places of the tiles' windows along an axis of the enlarged map: the start and each level's step."""

    start: int
    steps: list[int]


def _axes(p, window, region):
    """Return the words from a row, and from a column, of the map to the next, and both axes."""
    turns, (height, width), (down, right) = p.loops.turns, p.window, window.stride
    rows = {"rows": height * down, "pool_rows": down}
    columns = {"columns": p.loops.positions * width * right, "pool_columns": right}
    pitches = region.columns * region.words_per_position, region.words_per_position
    return pitches, _Axis(-window.padding[0], _steps(turns, rows)), _Axis(-window.padding[1], _steps(turns, columns))


def _place(down, right, window, pitches, address):
    """Return a start or step of a cursor: a place or move on the enlarged map as quotients and remainders."""
    (row, row_phase), (column, column_phase) = divmod(down, window.upsample[0]), divmod(right, window.upsample[1])
    return {
        "address": address + row * pitches[0] + column * pitches[1],
        "row": row, "column": column, "row_phase": row_phase, "column_phase": column_phase,
    }


def _kernel(window, pitches, region):
    (f, g), (rows, columns) = window.upsample, window.kernel
    down, right = window.dilation[0] * (rows > 1), window.dilation[1] * (columns > 1)
    return {
        "kernel_rows": rows - 1, "kernel_columns": columns - 1, "rows": region.rows, "columns": region.columns,
        "row_tap": down // f, "column_tap": right // g, "row_tap_phase": down % f, "column_tap_phase": right % g,
        "row_step": down // f * pitches[0], "column_step": right // g * pitches[1],
        "row_factor": f, "column_factor": g, "row_pitch": pitches[0], "column_pitch": pitches[1],
        "zeros": int(window.fill == ZEROS),
    }


def _weight_strides(window, words, region, tap, dense):
    """Return what a word, a tap, a kernel row add to the weight address; ``tap``: weight words of one."""
    rows, columns = window.kernel
    return {
        "weight_word": region.tile_channels if words > 1 and not dense else 0,
        "weight_tap": tap if columns > 1 else 0, "weight_row": tap * columns if rows > 1 else 0,
    }


def _active(p, synapse, dense):
    if not p.layer.weighted:
        return {"active": 0, "active_last": 0}
    _, period, active = tile_window(synapse, p.tile_channels)
    last = p.channels - (p.tiles - 1) * p.tile_channels
    shrinks = period is None and p.loops.parts == 1 and not dense
    return {"active": active, "active_last": last if shrinks else active}


def _per_step(p, region, image):
    """Return the words from a timestep's map to the next's, in tile order."""
    return 0 if p.steps == 1 or (image and not region.versions) else region.words


def _steps(turns, moves):
    """Return the step of every level of `LEVELS` for ``moves``, level to what one of its turns moves."""
    steps, inner = [], 0
    for level in reversed(LEVELS):
        move = moves.get(level, 0) if turns[level] > 1 else 0
        steps.append(move - inner if turns[level] > 1 else 0)
        inner += (turns[level] - 1) * move
    return steps[::-1]


def _by_level(steps):
    fields = ("address", "parameter")
    return tuple({field: steps[field][n] if field in steps else 0 for field in fields} for n in range(len(LEVELS)))
