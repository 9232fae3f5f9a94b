"""Random programs, and what the walker makes of them: loops, cursors and taps written down plainly."""

from itertools import product

from gen.plan.params import LEVELS
from gen.plan.program import cursor_fields, idle_fields, output_fields, pack, pass_fields, synapse_fields
from tests.kit.program_walk import LINE_PASS, LINE_SYNAPSE, whole_cursor

__all__ = ["expected", "random_pass", "words_of_passes"]

# of a synapse, with each of its words
GIVEN = "position_step", "position_columns", "part_step", "ring_mask", "ring_base", "wide"


def _value(rng, field):
    bits, signed = field
    return int(rng.integers(-(1 << (bits - 1)), 1 << (bits - 1)) if signed else rng.integers(1 << bits))


def _random(rng, layout, **given):
    return {name: given.get(name, _value(rng, field)) for name, field in layout.items()}


def random_pass(p, rng, synapses, tiles=30, **given):
    """Return a pass: block, output cursor, (synapse block, cursor) each; most windows lie around the map's edges."""
    turns = dict.fromkeys(p.levels, 0)
    while True:
        level = str(rng.choice(p.levels))
        turns[level] += 1
        count = 1
        for turn in turns.values():
            count *= turn + 1
        if count > tiles:
            turns[level] -= 1
            break
    block = _random(rng, pass_fields(p), synapses=synapses, **{f"{level}_turns": turns[level] for level in p.levels},
                    **{"keep": int(rng.random() < 0.3), **dict.fromkeys(idle_fields(p, pass_fields(p)), 0), **given})
    output = [_random(rng, output_fields(p)) for _ in range(1 + len(p.levels))]
    sources = []
    for _ in range(synapses):
        factors = {}
        if p.phase_bits:
            factors = {f"{axis}_factor": int(rng.integers(1, 1 << p.phase_bits)) for axis in ("row", "column")}
            for axis in ("row", "column"):
                factors[f"{axis}_tap_phase"] = int(rng.integers(factors[f"{axis}_factor"]))
        fields = _random(
            rng, synapse_fields(p), kernel_rows=int(rng.integers(4)), kernel_columns=int(rng.integers(4)),
            words=int(rng.choice([0, 0, 1, 3])), rows=int(rng.integers(1, 9)), columns=int(rng.integers(1, 9)),
            row_tap=int(rng.integers(3)), column_tap=int(rng.integers(3)), active=int(rng.integers(p.width + 1)),
            active_last=int(rng.integers(p.width + 1)), **factors)
        steps = []
        for _ in range(1 + len(p.levels)):
            phases = {f"{axis}_phase": int(rng.integers(factors[f"{axis}_factor"]))
                      for axis in ("row", "column") if p.phase_bits}
            steps.append(_random(rng, cursor_fields(p), row=int(rng.integers(-3, 4)), column=int(rng.integers(-3, 4)),
                                 **phases))
        sources.append((fields, steps))
    return {"block": block, "output": output, "sources": sources}


def words_of_passes(p, passes, base):
    """Return (words of a program from ``base`` on, addresses of the passes)."""
    words, addresses = [0] * base, []
    for one in passes:
        addresses.append(len(words))
        words += pack(pass_fields(p), one["block"])
        for place in one["output"]:
            words += pack(output_fields(p), place)
        for fields, cursor in one["sources"]:
            words += pack(synapse_fields(p), fields)
            for place in cursor:
                words += pack(cursor_fields(p), place)
    return words, addresses


def _wrapped(layout, place):
    """Return a sum of places as the registers hold it."""
    return {name: _wrap(value, layout[name]) if name in layout else value for name, value in place.items()}


def _wrap(value, field):
    bits, signed = field
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def _moved(place, step, fields):
    place = {name: value + step.get(name, 0) for name, value in place.items()}
    for axis in ("row", "column"):
        if f"{axis}_phase" in place and place[f"{axis}_phase"] >= fields[f"{axis}_factor"]:
            place[f"{axis}_phase"] -= fields[f"{axis}_factor"]
            place[axis] += 1
            place["address"] += fields[f"{axis}_pitch"]
    return place


def expected(p, one, first_step):
    """Return [("tile", fields), ("word", fields) ..., ("end",) ...] of a pass, off-map taps of single positions out."""
    block, said = LINE_PASS | one["block"], []
    sources = [(LINE_SYNAPSE | fields, whole_cursor(p, cursor)) for fields, cursor in one["sources"]]
    moves = whole_cursor(p, one["output"])
    left_out = () if p.windows else ("last_column", "hit", "column", "columns")
    turns = [block[f"{level}_turns"] + 1 for level in LEVELS]
    output = dict.fromkeys(output_fields(p), 0)
    places = [dict.fromkeys(("row", "column", *cursor_fields(p)), 0) for _ in sources]
    before = None
    for now in product(*map(range, turns)):
        level = 0 if before is None else 1 + next(n for n, (a, b) in enumerate(zip(now, before)) if a != b)
        before = now
        output = {name: value + moves[level][name] for name, value in output.items()}
        places = [_moved(place, cursor[level], fields) for place, (fields, cursor) in zip(places, sources)]
        ends = [turn == count - 1 for turn, count in zip(now, turns)]
        first = first_step and now[6] == 0
        said.append(("tile", {
            "address": _wrap(output["address"], (p.address_bits, True)),
            "parameter": _wrap(output["parameter"], (max(1, (p.parameters - 1).bit_length()), False)),
            "window_first": int(now[4] == now[5] == 0), "window_last": int(ends[4] and ends[5]), "first": int(first),
            "last": int(ends[6]), "last_column": int(ends[1]), "last_tile": int(ends[2] and ends[3]), "lanes": 0,
        }))
        if first or not block["keep"]:
            for place, (fields, _) in zip(places, sources):
                active = fields["active_last" if ends[2] and ends[3] else "active"]
                active = 0 if fields["once"] and not first else active
                said += [("word", word | {"active": active}) for word in _words(p, block, fields, place)]
        said.append(("end",))
    for _, *what in said:
        for name in left_out if what else ():
            what[0].pop(name, None)
    return said


def _words(p, block, fields, place):
    layout = cursor_fields(p) | {"weight": (p.weight_address_bits, False)}
    down = {"address": fields["row_step"], "row": fields["row_tap"], "weight": fields["weight_row"],
            "row_phase": fields.get("row_tap_phase", 0)}
    right = {"address": fields["column_step"], "column": fields["column_tap"], "weight": fields["weight_tap"],
             "column_phase": fields.get("column_tap_phase", 0)}
    zeros, alone = fields.get("zeros", 0), block.get("positions", 0) == 0
    for _ in range(fields["kernel_rows"] + 1):
        tap = place = _wrapped(layout, place)
        for _ in range(fields["kernel_columns"] + 1):
            tap = _wrapped(layout, tap)
            hit = int(not zeros or tap["column_phase"] == 0)
            on_map = hit and 0 <= tap["column"] < fields["columns"]
            if (not zeros or place["row_phase"] == 0) and 0 <= place["row"] < fields["rows"] and (on_map or not alone):
                for word in range(fields["words"] + 1):
                    yield {
                        "image": fields["image"], "dense": fields.get("dense", 0), "hit": hit,
                        "address": _wrap(tap["address"] + word, layout["address"]),
                        "column": tap["column"], "columns": fields["columns"],
                        "weight": _wrap(tap["weight"] + word * fields["weight_word"], layout["weight"]),
                        **{name: fields[name] for name in GIVEN if name in fields},
                    }
            tap = _moved(tap, right, fields)
        place = _moved(place, down, fields)
