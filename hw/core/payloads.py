"""Shapes of everything that crosses between components, each defined once."""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from gen.plan.memories import loadable_memories
from gen.plan.params import WORD_BITS
from gen.plan.program import cursor_fields, header_fields, pass_fields, stage_fields, synapse_fields

__all__ = [
    "closing", "copied_word", "count_shape", "cursor", "event", "header", "image_address", "image_store",
    "image_word", "image_write", "input_value", "input_values", "input_word", "load_port", "map_store", "map_word",
    "map_write", "narrow_word", "neuron_beat", "opening", "output_word", "pass_block",
    "pooled_count", "request", "stage", "stored_word", "synapse_block", "tile", "wide_word", "word_entry",
]


def _struct(fields):
    return data.StructLayout({
        name: signed(bits) if is_signed else unsigned(bits) for name, (bits, is_signed) in fields.items()
    })


def header(p):
    """Program header."""
    return _struct(header_fields(p))


def stage(p):
    """Block of a stage."""
    return _struct(stage_fields(p))


def pass_block(p):
    """Block of a pass. Every member ``layer`` of a component is one of these, that of the pass in force.

    A pass runs a layer, all of it or a part, with the pool that is fused behind it (`gen.plan.passes.Pass`).
    """
    return _struct(pass_fields(p))


def synapse_block(p):
    """Block of a synapse."""
    return _struct(synapse_fields(p))


def cursor(p):
    """Start or step of a synapse's cursor, or where it is."""
    return _struct(cursor_fields(p))


def input_value(p):
    """One input value in raster order, channels innermost; ``first`` marks the first of an image."""
    return data.StructLayout({"value": signed(p.value_bits), "first": 1})


def input_word(p):
    """The input values that the core takes in a cycle; ``first`` marks the first word of an image."""
    if p.input_values == 1:
        return input_value(p)
    return data.StructLayout({"values": data.ArrayLayout(signed(p.value_bits), p.input_values), "first": 1})


def input_values(word):
    """Return the values in an `input_word`, the first one first."""
    return list(word.values) if "values" in word.shape().members else [word.value]


def output_word():
    """One word of a result; ``last`` marks its end."""
    return data.StructLayout({"data": signed(WORD_BITS), "last": 1})


def load_port(p):
    """A memory word to load: ``write`` has one bit per loadable memory, each memory takes the bits it has."""
    loaded = loadable_memories(p).values()
    return data.StructLayout({
        "data": WORD_BITS * -(-max(spec.width for spec in loaded) // WORD_BITS),
        "address": range(max(spec.depth for spec in loaded) + 1),
        "write": len(loaded),
    })


def count_shape(p):
    """A count in a map's word."""
    return Shape(p.count_bits, bool(p.signed))


def map_word(p):
    """A word of a map: one count for each lane of a group."""
    return data.ArrayLayout(count_shape(p), p.width)


def narrow_word(p):
    """A word as the memory of the maps has it: of each count the lowest bits."""
    return data.ArrayLayout(Shape(p.map_bits, bool(p.signed)), p.width)


def wide_word(p):
    """The other bits of the counts of a word."""
    return data.ArrayLayout(p.count_bits - p.map_bits, p.width)


def map_write(p):
    """A word that every group's copy of the maps takes."""
    return data.StructLayout({"enable": 1, "address": range(max(2, p.map_words)), "word": map_word(p)})


def map_store(p):
    """A word of a map on its way outside the chip; ``address`` counts from the map's first."""
    return data.StructLayout({"enable": 1, "address": range(max(2, p.stored_words)), "word": narrow_word(p)})


def copied_word(p):
    """A word of a map that has come from outside the chip."""
    return data.StructLayout({"address": range(max(2, p.map_words)), "word": narrow_word(p)})


def image_word(p):
    """A word of the input."""
    return data.ArrayLayout(Shape(p.image_bits, bool(p.value_signed)), p.image_tile)


def image_address(p):
    """Where a word lies in a group's copy of the input; without a ring the lowest bits are the slot."""
    return range(max(2, p.image_depth))


def image_write(p):
    """A word of the input that every group's copy takes: in whole windows every row of it at an address of its own."""
    address = image_address(p) if p.image_rows == 1 else data.ArrayLayout(image_address(p), p.image_rows)
    return data.StructLayout({"enable": 1, "address": address, "word": image_word(p)})


def image_store(p):
    """A word of the input as it comes; the lowest bits of ``address`` are the slot."""
    return data.StructLayout({"address": range(max(2, p.image_words << p.slot_bits)), "word": image_word(p)})


def request(p):
    """What the walker asks every group to gather: a ``word`` of a map or of the input, the ``end`` of a tile, or both.

    ``address``, ``column`` and ``hit`` are those of the group at position 0 with part 0: the word is on the map if
    ``hit`` (its column's remainder reads) and ``0 <= column < columns``; its row is. Without windows all words are.
    ``weight`` is the address of the weights of its first lane, of a dense word those of all lanes. ``active`` are the
    lanes in which an event does work.
    """
    hit, column, shared, place = {}, {}, {}, signed(p.place_bits)
    if p.windows:
        hit, column = {"hit": 1}, {"column": place, "columns": place}
    wide = {"wide": 1} if p.wide else {}
    ring = dict.fromkeys(("ring_mask", "ring_base"), unsigned(p.ring_bits)) if p.rowwise else {}
    if p.groups > 1:
        positions = {"position_step": signed(p.address_bits), "position_columns": place} if p.windows else {}
        shared = {**positions, "part_step": signed(p.address_bits)}
    return data.StructLayout({
        "word": 1, "end": 1, "image": 1, "dense": 1, **hit, "address": signed(p.address_bits), **column,
        "weight": unsigned(p.weight_address_bits), "active": unsigned(p.width.bit_length()), **shared, **ring, **wide,
    })


def tile(p):
    """What a group must know of a tile, sent before its words.

    ``address`` of its map word and ``parameter`` of its first channel; its part in a pooling window; ``first`` and
    ``last`` of the timesteps (states are initial; states are left behind). ``last_column`` and ``last_tile`` say which
    groups take part; only windows have columns. ``lanes`` less one: 0 from the walker; each group's `TileQueue` sets
    them, and moves ``address``, to those of the group's own tile in the cycle after the announcement.
    """
    return data.StructLayout({
        "address": signed(p.address_bits), "parameter": range(max(2, p.parameters)),
        "window_first": 1, "window_last": 1, "first": 1, "last": 1, **({"last_column": 1} if p.windows else {}),
        "last_tile": 1, "lanes": range(p.width),
    })


def word_entry(p):
    """A word that waits to be gathered; ``mask`` has its lanes that are to be looked at, ``last``: a tile ends with it.

    ``word`` is a map's or, with ``image``, the input's (never dense), as bit planes: the lowest bits of all its lanes,
    then the next bits of all lanes, so that both share multiplexers. One whose mask is empty only carries ``last``.
    """
    return data.StructLayout({
        "word": p.stored_bits, "image": 1, "mask": p.width, "dense": 1,
        "weight": unsigned(p.weight_address_bits), "active": unsigned(p.width.bit_length()), "last": 1,
    })


def event(p):
    """What the lanes take in a cycle: one ``value`` for all or, ``dense``, one of ``word`` for each.

    ``first`` and ``last`` of a tile; a cycle that adds nothing has value 0.
    """
    return data.StructLayout({
        "value": signed(p.operand_bits), **({"dense": 1, "word": map_word(p)} if p.dense else {}),
        "first": 1, "last": 1,
    })


def opening(p):
    """What the firing must know of a tile when its sums are complete; the fields are those of `tile`."""
    members = tile(p).members
    return data.StructLayout({name: members[name] for name in ("parameter", "first", "last", "lanes")})


def closing(p):
    """What it must know when the tile's counts leave the neuron."""
    members = tile(p).members
    return data.StructLayout({"address": range(max(2, p.stored_words)),
                              **{name: members[name] for name in ("window_first", "window_last")}})


def neuron_beat(p):
    """A lane of each neuron on its way through it: ``valid``, ``first`` and ``last`` of its tile; it ``ends`` the tile.

    ``own``: which neurons have a lane there; with one neuron a group there are no such bits.
    """
    own = {"own": p.neurons} if p.neurons > 1 else {}
    return data.StructLayout({"valid": 1, "first": 1, "last": 1, "ends": 1, **own})


def pooled_count(p):
    """A neuron's count of a map's word: ``valid``, in which beat, the address of the word, which it ``ends``.

    ``own``: it has a lane there, as in `neuron_beat`.
    """
    own = {"own": 1} if p.neurons > 1 else {}
    return data.StructLayout({
        "valid": 1, "count": count_shape(p), "beat": range(p.beats), "ends": 1,
        "address": range(max(2, p.stored_words)), **own,
    })


def stored_word(p):
    """A word of a map on its way to every group's copy, or outside the chip."""
    return data.StructLayout({"address": range(max(2, p.stored_words)), "word": map_word(p)})
