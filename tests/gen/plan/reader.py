"""What a plan's words make the machine gather, tile by tile: read from the memories alone, as the walker does."""

from itertools import product

import numpy as np

from gen.plan.params import LEVELS
from gen.plan.program import (
    cursor_fields, cursor_words, header_fields, output_fields, pass_fields, stage_fields, synapse_fields, unpack,
    words_of,
)
from tests.kit.program_walk import LINE_PASS, LINE_SYNAPSE, whole_cursor

__all__ = ["gathered", "read_program", "stored_at", "tiles_of"]


def read_program(plan):
    """Return (header, stages, passes): field values; a pass has its ``cursor`` and ``sources`` beside them."""
    params, words = plan.params, plan.contents["program"]

    def block(layout, at):
        return unpack(layout, words[at : at + words_of(layout)])

    def cursor(layout, at):
        places = [block(layout, at + n * words_of(layout)) for n in range(1 + len(params.levels))]
        return whole_cursor(params, places)

    header, at = block(header_fields(params), 0), words_of(header_fields(params))
    stages = []
    for _ in range(header["stages"] + 1):
        stages.append(block(stage_fields(params), at))
        at += words_of(stage_fields(params))
    passes = []
    while at < len(words):
        fields = LINE_PASS | block(pass_fields(params), at) | {"at": at, "sources": []}
        at += words_of(pass_fields(params))
        fields["cursor"] = cursor(output_fields(params), at)
        at += cursor_words(params, output_fields(params))
        for _ in range(fields["synapses"]):
            synapse, at = LINE_SYNAPSE | block(synapse_fields(params), at), at + words_of(synapse_fields(params))
            fields["sources"].append((synapse, cursor(cursor_fields(params), at)))
            at += cursor_words(params, cursor_fields(params))
        passes.append(fields)
    return header, stages, passes


def _turns(block):
    return [block[f"{level}_turns"] + 1 for level in LEVELS]


def _walked(cursor, turns, factors=None, pitches=None):
    """Yield (turns, place) of a cursor for all tiles, adding up steps and carrying remainders."""
    place, before = dict(cursor[0]), None
    for now in product(*map(range, turns)):
        if before is not None:
            level = next(n for n in range(len(turns)) if now[n] != before[n])
            place = _moved(place, cursor[1 + level], factors, pitches)
        yield now, place
        before = now


def _moved(place, step, factors, pitches):
    place = {name: value + step[name] for name, value in place.items()}
    for axis, name in enumerate(("row", "column")):
        if f"{name}_phase" in place and place[f"{name}_phase"] >= factors[axis]:
            place[f"{name}_phase"] -= factors[axis]
            place[name] += 1
            place["address"] += pitches[axis]
    return place


def _takes_part(block, now, group):
    """Return whether ``group`` runs the tile at ``now``, and its part and position."""
    bits = block.get("part_bits", 0)
    part, position = group % (1 << bits), group >> bits
    runs = position <= block.get("positions", 0)
    if now[1] == block["columns_turns"]:
        runs &= position <= block.get("last_positions", 0)
    last_tile = now[2] == block["blocks_turns"] and now[3] == block["tiles_turns"]
    runs &= not last_tile or part <= block.get("last_parts", 0)
    return runs, part, position, last_tile and part == block.get("last_parts", 0)


def tiles_of(block, group):
    """Return [(turns, address, parameter, lanes)] of the tiles that a group runs, from a pass's block."""
    tiles = []
    for now, place in _walked(block["cursor"], _turns(block)):
        runs, part, position, last = _takes_part(block, now, group)
        if runs:
            address = place["address"] + position * block.get("output_position", 0) + part
            tiles.append((now, address, place["parameter"], block["lanes_last" if last else "lanes"] + 1))
    return tiles


def gathered(block, index, group):
    """Return for every tile that a group runs [(address, weight address)] of the words on the map of one synapse."""
    fields, cursor = block["sources"][index]
    factors = fields.get("row_factor", 1), fields.get("column_factor", 1)
    pitches = fields.get("row_pitch", 0), fields.get("column_pitch", 0)
    tiles = []
    for now, place in _walked(cursor, _turns(block), factors, pitches):
        runs, part, position, _ = _takes_part(block, now, group)
        if runs:
            place = dict(place)
            place["address"] += position * fields.get("position_step", 0) + part * fields.get("part_step", 0)
            place["column"] += position * fields.get("position_columns", 0)
            tiles.append(list(_words(fields, place, factors, pitches)))
    return tiles


def _words(fields, place, factors, pitches):
    down = {"address": fields["row_step"], "row": fields["row_tap"], "column": 0}
    right = {"address": fields["column_step"], "row": 0, "column": fields["column_tap"]}
    if "row_phase" in place:
        down |= {"row_phase": fields["row_tap_phase"], "column_phase": 0}
        right |= {"row_phase": 0, "column_phase": fields["column_tap_phase"]}
    down["weight"], right["weight"] = fields["weight_row"], fields["weight_tap"]
    for _ in range(fields["kernel_rows"] + 1):
        tap = place
        for _ in range(fields["kernel_columns"] + 1):
            hit = not fields.get("zeros") or not (tap.get("row_phase") or tap.get("column_phase"))
            if hit and 0 <= tap["row"] < fields["rows"] and 0 <= tap["column"] < fields["columns"]:
                for word in range(fields["words"] + 1):
                    yield tap["address"] + word, tap["weight"] + word * fields["weight_word"]
            tap = _moved(tap, right, factors, pitches)
        place = _moved(place, down, factors, pitches)


def stored_at(region, channels):
    """Return int64 [words, tile_channels, 3], (channel, row, column) of what lies where in a region; -1: nothing.

    Of the line form the channel is that of the one position.
    """
    tile, words = region.tile_channels, region.words_per_position
    place = np.full((region.rows, region.columns, words * tile, 3), -1)
    grid = np.stack(np.meshgrid(range(region.rows), range(region.columns), range(channels), indexing="ij"), axis=-1)
    place[:, :, :channels] = grid[..., [2, 0, 1]]
    return place.reshape(-1, tile, 3)
