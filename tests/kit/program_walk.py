"""A program read from its words and walked tile by tile, as the walker of the gateware does it.

Nothing here knows a network or a plan: only the sizes of the core and the words of its program memory.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

from gen.plan.params import LEVELS
from gen.plan.program import (
    cursor_fields, cursor_words, header_fields, output_fields, pass_fields, stage_fields, synapse_fields, unpack,
    words_of,
)

__all__ = ["PassProgram", "Program", "Request", "Share", "Tile", "share"]


class Request(NamedTuple):
    """A word asked for; ``address``, ``column`` and ``hit`` are those of position 0 and part 0."""

    synapse: int
    image: bool
    dense: bool
    hit: bool
    address: int
    column: int
    weight: int
    active: int


class Tile(NamedTuple):
    """What the walker says of a tile before its requests; the fields are those of `hw.core.payloads.tile`."""

    address: int
    parameter: int
    window_first: bool
    window_last: bool
    first: bool
    last: bool
    last_column: bool
    last_tile: bool


class Share(NamedTuple):
    """A group's share of a tile: its part and position, the lanes and the address of its word."""

    part: int
    position: int
    lanes: int
    address: int


# What a core without windows or tile order does not say, as another core would say it.
LINE_PASS = {"rewind": 0, **{f"{level}_turns": 0 for level in LEVELS}}
LINE_SYNAPSE = {
    "rows": 1, "columns": 1, **dict.fromkeys((
        "kernel_rows", "kernel_columns", "row_tap", "column_tap", "row_step", "column_step", "weight_tap", "weight_row",
    ), 0),
}


def whole_cursor(params, places):
    """Return [start, a step for each of `LEVELS`] of a core's start and steps, those that it has not being 0."""
    steps, line = dict(zip(params.levels, places[1:])), {"row": 0, "column": 0}
    return [line | places[0], *(line | steps.get(level, dict.fromkeys(places[0], 0)) for level in LEVELS)]


@dataclass(frozen=True, eq=False)
class PassProgram:
    """A pass: its fields, those of each synapse, and the cursors as [start, a step for each of `LEVELS`]."""

    fields: dict[str, int]
    output: list[dict[str, int]]
    synapses: list[tuple[dict[str, int], list[dict[str, int]]]]

    def tiles(self, first_step: bool):
        """Yield (`Tile`, its `Request`s) in the order of the loops; ``first_step``: it is timestep 1."""
        turns = [self.fields[f"{level}_turns"] + 1 for level in LEVELS]
        places = [dict(self.output[0]), *(dict(cursor[0]) for _, cursor in self.synapses)]
        before = None
        for now in product(*map(range, turns)):
            if before is not None:
                level = 1 + next(n for n, turn in enumerate(now) if turn != before[n])
                places = [_sum(places[0], self.output[level])] + [
                    _sum(place, cursor[level]) for place, (_, cursor) in zip(places[1:], self.synapses)]
            places[1:] = [_carried(place, fields) for place, (fields, _) in zip(places[1:], self.synapses)]
            before = now
            tile = _tile(places[0], dict(zip(LEVELS, now)), dict(zip(LEVELS, turns)), first_step)
            gathers = not self.fields["keep"] or tile.first
            yield tile, [
                request for n, (place, (fields, _)) in enumerate(zip(places[1:], self.synapses)) if gathers
                for request in self._requests(n, fields, place, tile)
            ]

    def _requests(self, number, fields, place, tile):
        """Yield what one synapse asks for: words on the map, of a tap off it at most one that nobody finds there."""
        active = fields["active_last" if tile.last_tile else "active"]
        active = 0 if fields["once"] and not tile.first else active
        alone, zeros = not self.fields.get("positions", 0), fields.get("zeros", 0)
        down = {"address": fields["row_step"], "row": fields["row_tap"], "weight": fields["weight_row"]}
        right = {"address": fields["column_step"], "column": fields["column_tap"], "weight": fields["weight_tap"]}
        if "row_phase" in place:
            down["row_phase"], right["column_phase"] = fields["row_tap_phase"], fields["column_tap_phase"]
        for _ in range(fields["kernel_rows"] + 1):
            tap = place
            on_map = 0 <= tap["row"] < fields["rows"] and not (zeros and tap["row_phase"])
            for _ in range(fields["kernel_columns"] + 1 if on_map else 0):
                hit = not (zeros and tap["column_phase"])
                off = alone and not (hit and 0 <= tap["column"] < fields["columns"])
                for word in range(1 if off else fields["words"] + 1):
                    yield Request(
                        number, bool(fields["image"]), bool(fields.get("dense", 0)), hit, tap["address"] + word,
                        tap["column"], tap["weight"] + word * fields["weight_word"], active,
                    )
                tap = _carried(_sum(tap, right), fields)
            place = _carried(_sum(place, down), fields)


class Program:
    """The program of a core of these parameters, read from the words of its memory."""

    def __init__(self, params, words):
        self._params, self._words = params, words
        self.header = self._block(header_fields(params), 0)
        at, size = words_of(header_fields(params)), words_of(stage_fields(params))
        self.stages = [
            self._block(stage_fields(params), at + n * size) for n in range(self.header["stages"] + 1)
        ]
        self.pass_at = cache(self._pass_at)

    def passes(self, stage: int) -> list[PassProgram]:
        """Return the passes of a stage in the order in which they run."""
        found, at = [], self.stages[stage]["first_pass"]
        for _ in range(self.stages[stage]["passes"] + 1):
            found.append(self.pass_at(at))
            at = found[-1].fields["next"]
        return found

    def _block(self, layout, at):
        return unpack(layout, self._words[at : at + words_of(layout)])

    def _cursor(self, layout, at):
        places = [self._block(layout, at + n * words_of(layout)) for n in range(1 + len(self._params.levels))]
        return whole_cursor(self._params, places)

    def _pass_at(self, at):
        p = self._params
        fields, at = LINE_PASS | self._block(pass_fields(p), at), at + words_of(pass_fields(p))
        output, at = self._cursor(output_fields(p), at), at + cursor_words(p, output_fields(p))
        synapses = []
        for _ in range(fields["synapses"]):
            block, at = LINE_SYNAPSE | self._block(synapse_fields(p), at), at + words_of(synapse_fields(p))
            synapses.append((block, self._cursor(cursor_fields(p), at)))
            at += cursor_words(p, cursor_fields(p))
        return PassProgram(fields, output, synapses)


def share(fields: dict[str, int], tile: Tile, group: int) -> Share | None:
    """Return the share of a tile that ``group`` runs in a pass of these ``fields``, or None where it sits it out."""
    bits = fields.get("part_bits", 0)
    part, position = group % (1 << bits), group >> bits
    last_parts = fields.get("last_parts", 0)
    if (
        position > fields.get("positions", 0) or tile.last_tile and part > last_parts
        or tile.last_column and position > fields.get("last_positions", 0)
    ):
        return None
    short = tile.last_tile and part == last_parts
    address = tile.address + position * fields.get("output_position", 0) + part
    return Share(part, position, fields["lanes_last" if short else "lanes"] + 1, address)


def _tile(place, now, turns, first_step):
    def last(*levels):
        return all(now[level] == turns[level] - 1 for level in levels)

    return Tile(
        place["address"], place["parameter"], now["pool_rows"] == now["pool_columns"] == 0,
        last("pool_rows", "pool_columns"), first_step and now["steps"] == 0, last("steps"), last("columns"),
        last("blocks", "tiles"),
    )


def _sum(place, step):
    return {name: value + step.get(name, 0) for name, value in place.items()}


def _carried(place, fields):
    """Return a place whose remainders are below their factors."""
    if "row_phase" not in place:
        return place
    place = dict(place)
    for axis in ("row", "column"):
        while place[f"{axis}_phase"] >= fields[f"{axis}_factor"] > 0:
            place[f"{axis}_phase"] -= fields[f"{axis}_factor"]
            place[axis] += 1
            place["address"] += fields[f"{axis}_pitch"]
    return place
