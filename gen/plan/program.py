"""The bit layout of the program, shared by image and gateware.

A program is 32-bit words::

    header | stage | stage ... | pass | pass ...        pass:    block, cursor of the output, synapse, synapse ...
                                                        synapse: block, cursor
                                                        cursor:  start, then a step for each level

A block is a run of bit fields, least significant first, padded to whole words. Fields that count things hold the
count less one where none is nothing (``turns``, ``last_...``).

A *cursor* is a place that moves from tile to tile: it begins at ``start``; when the loops over the tiles advance at
level l of ``params.levels`` (all loops inside l begin again), the step of level l is added. So a step holds what
level l moves less what the inner loops had moved. With ``phase_bits``, rows and columns are pairs (quotient,
remainder) by the upsampling factor: a sum whose remainder reaches the factor carries one row or column, and with it
one ``row_pitch`` or ``column_pitch`` of the address. A core without ``windows`` has no rows and columns, and nothing
that only they need.
"""

from gen.errors import InputError
from gen.exit_rule import SCALE_MAX
from gen.plan.params import WORD_BITS
from gen.plan.parking import DIGITS

__all__ = [
    "EXIT_CODES", "cursor_fields", "cursor_words", "header_fields", "idle_fields", "output_fields", "pack",
    "pass_fields", "pass_words", "stage_fields", "synapse_fields", "tile_words", "unpack", "words_of",
]

EXIT_CODES = {"off": 0, "entropy": 1, "confidence": 2, "margin": 3}
FLAG = (1, False)


def _unsigned(limit):
    return (max(1, int(limit).bit_length()), False)


def header_fields(p):
    """Fields of the header: name to (bits, signed). All but ``frames`` and ``frame_words`` are counts less one.

    With ``frames`` the maps of an image follow one another, each read for one round. Where they are kept together, a
    round of a stage reads ``frame_words`` words behind the one before.
    """
    return {
        "stages": _unsigned(p.stages - 1), "frames": FLAG,
        **({"frame_words": _unsigned(p.image_words)} if p.replay else {}),
        "image_channels": _unsigned(max(p.image_tile * p.image_words, p.strips) - 1),  # values of one position
        "image_tile": _unsigned(p.image_tile - 1),  # values of one word; a position begins a new word
        "image_positions": _unsigned(p.image_words - 1),
        "outputs": _unsigned(p.outputs - 1),  # values in a result
        **({"shared": FLAG} if p.shared else {}),  # each the sum over all groups, not that of group 0
        **(_strip_fields(p) if p.strips else {}),
        # outside the chip: the first slot of the input, and how far the second lies behind it
        **({"image": _unsigned(p.outside), "image_pitch": _unsigned(p.outside)} if p.image_ring else {}),
    }


def _strip_fields(p):
    """In strips a position is a row, of which ``row_values`` + 1 values come, the others are zeros.

    Its first word is whole with ``strip_first`` + 1 of them, another one with every ``strip_step`` + 1. Of whole
    ``windows`` ``given`` + 1 rows come, the others are zeros; words for row k of a window begin at ``first_word_k``,
    and behind the one at ``last_word`` at 0 again.
    """
    windows = {
        "windows": FLAG, "given": _unsigned(p.image_words - 1), "last_word": _unsigned(p.image_words - 1),
        **{f"first_word_{row}": _unsigned(p.image_words - 1) for row in range(p.image_rows)},
    } if p.image_rows > 1 else {}
    return {
        "strips": FLAG, "row_values": _unsigned(p.strips - 1),
        "strip_first": _unsigned(p.image_tile - 1), "strip_step": _unsigned(p.image_tile - 1), **windows,
    }


def stage_fields(p):
    """Fields of a stage.

    ``first_pass`` is a program address. The passes run ``rounds`` + 1 times at most; ``whole`` says that one round is
    all timesteps (a two-phase network, tile order), then ``timesteps`` + 1 is what a result reports. ``limits`` is the
    address of the first exit limit. The output that decides has ``classes`` + 1 channels at ``positions`` + 1 places
    from address ``output`` on; ``required`` places must pass. With ``fetches`` blocks of weights are fetched for it,
    the first one at the address ``blocks`` outside the chip (`gen.plan.outside`). In a batch an image ``ends`` with it:
    its input is not needed any more.
    """
    return {
        "first_pass": _unsigned(p.program), "passes": _unsigned(p.passes - 1), "rounds": _unsigned(p.timesteps - 1),
        "whole": FLAG, "timesteps": _unsigned(p.timesteps - 1), "limits": _unsigned(p.limits),
        "exit_kind": (2, False), "exit_shift": _unsigned(p.exit_shift), "exit_scale": _unsigned(SCALE_MAX),
        "output": _unsigned(p.outputs), "classes": _unsigned(p.classes - 1), "positions": _unsigned(p.positions - 1),
        "required": _unsigned(p.positions),
        **({"fetches": FLAG, "blocks": _unsigned(p.outside)} if p.outside else {}),
        **({"ends": FLAG} if p.batch > 1 else {}),
    }


def pass_fields(p):
    """Fields of a pass's block.

    ``next`` is the program address of the pass behind it. ``synapses`` is a count, 0 where a pass gathers nothing.
    ``spacing``: cycles between the ends of two tiles, less one. ``lanes`` and ``lanes_last``: channels of a tile and
    of the last one, less one. The groups share out 2**``part_bits`` channel tiles and ``positions`` + 1 columns:
    group g has part ``g % 2**part_bits`` and position ``g >> part_bits``; it takes no part where its position is over
    ``positions``, over ``last_positions`` at the last column, or its part is over ``last_parts`` at the last tile.
    A pass that is ``fetched`` waits for its block, and if it is ``rowwise`` each of its rows for another
    (`gen.plan.blocks`). The map of one that ``spills`` lies outside the chip, from the address ``spill`` on. The states
    of one that ``parks`` lie there from ``park`` on, each in so many ``digits``: ``parked_g`` words of group g
    (`gen.plan.parking`).
    """
    two_phase = dict.fromkeys(("resumes", "unbiased"), FLAG) if p.two_phase else {}
    signed = {"two_thresholds": FLAG, "burst_low": _unsigned(p.burst)} if p.signed else {}
    shared, groups = {}, _unsigned(p.groups - 1)
    if p.groups > 1 and p.windows:
        shared = {
            "part_bits": _unsigned((p.groups - 1).bit_length()), "positions": groups, "last_positions": groups,
            "last_parts": groups,
            "output_position": (p.address_bits, True),  # words from a column's map word to the next column's
        }
    elif p.groups > 1:
        shared = {"part_bits": _unsigned((p.groups - 1).bit_length()), "last_parts": groups}
    return {
        "next": _unsigned(p.program), "synapses": _unsigned(p.synapses),
        **{f"{level}_turns": (p.turns_bits, False) for level in p.levels},
        "readout": FLAG, "pool": FLAG, "stores": FLAG, "counted": FLAG, "keep": FLAG,
        **({"rewind": FLAG} if p.tile_order else {}),
        "maximum": FLAG, "fused_maximum": FLAG,
        "lanes": _unsigned(p.width - 1), "lanes_last": _unsigned(p.width - 1), "spacing": (8, False),
        "burst": _unsigned(p.burst), "state_limit": (max(1, p.state_bits - 1), False),
        "state": _unsigned(p.states), "current": _unsigned(p.currents), "output": _unsigned(p.outputs),
        **({"quiet": _unsigned(p.min_burst - 1)} if p.min_burst > 1 else {}),  # min_burst less one, a mask of low bits
        **({"narrow": FLAG} if p.narrow else {}), **({"fetched": FLAG} if p.outside else {}),
        **({"rowwise": FLAG} if p.rowwise else {}),
        **({"spills": FLAG, "spill": _unsigned(p.outside)} if p.spilled else {}),
        **(_parking_fields(p) if p.parked else {}), **two_phase, **signed, **shared,
    }


def _parking_fields(p):
    return {
        "parks": FLAG, "digits": _unsigned(DIGITS), "park": _unsigned(p.outside),
        **{f"parked_{group}": _unsigned(p.parked) for group in range(p.groups)},
    }


def output_fields(p):
    """Fields of a start or step of the output's cursor: where a tile's word is stored, where its parameters begin."""
    return {"address": (p.address_bits, True), "parameter": (p.parameters.bit_length() + 1, True)}


def cursor_fields(p):
    """Fields of a start or step of a synapse's cursor: the first word of the window, its row and column, weights."""
    phase = dict.fromkeys(("row_phase", "column_phase"), (p.phase_bits, False)) if p.phase_bits else {}
    place = dict.fromkeys(("row", "column"), (p.place_bits, True)) if p.windows else {}
    return {"address": (p.address_bits, True), **place, "weight": (p.weight_address_bits + 1, True), **phase}


def synapse_fields(p):
    """Fields of a synapse's block.

    A tile reads, for each tap of the kernel, ``words`` + 1 words. ``row_step`` and ``column_step`` are the words
    between two taps, ``row_tap`` and ``column_tap`` the rows and columns; ``weight_word``, ``weight_tap`` and
    ``weight_row`` what the weight address gains from a word, a tap, a kernel row to the next. Weights of a dense
    synapse lie lane by lane: one word a tap. ``active``: lanes that an event does work in, ``active_last`` in the last
    tile; of a dense synapse not used, of a pool 0. ``once``: the input is the same at all timesteps, its events count
    as work at the first alone. The group at position n reads ``n * position_step`` words and ``n *
    position_columns`` columns further, the one with part n ``n * part_step`` words. Of an address the bits of
    ``ring_mask`` count, the others are those of ``ring_base`` (`gen.plan.spilling`). ``wide``: counts have all bits.
    """
    place, address = (p.place_bits, True), (p.address_bits, True)
    weight = (p.weight_address_bits, False)
    lanes = _unsigned(p.width)
    if not p.windows:
        return {
            "image": FLAG, "once": FLAG, **({"dense": FLAG} if p.dense else {}), "words": (p.turns_bits, False),
            "weight_word": lanes, "active": lanes, "active_last": lanes,
            **({"part_step": address} if p.groups > 1 else {}),
        }
    phase = {
        "zeros": FLAG,  # only a remainder of 0 reads
        "row_factor": (p.phase_bits, False), "column_factor": (p.phase_bits, False),
        "row_tap_phase": (p.phase_bits, False), "column_tap_phase": (p.phase_bits, False),
        "row_pitch": address, "column_pitch": address,
    } if p.phase_bits else {}
    shared = {
        "position_step": address, "position_columns": place, "part_step": address,
    } if p.groups > 1 else {}
    ring = {"ring_mask": (p.ring_bits, False), "ring_base": (p.ring_bits, False)} if p.rowwise else {}
    wide = {"wide": FLAG} if p.wide else {}
    return {
        "image": FLAG, "once": FLAG, **({"dense": FLAG} if p.dense else {}),
        "kernel_rows": (p.turns_bits, False), "kernel_columns": (p.turns_bits, False), "words": (p.turns_bits, False),
        "rows": place, "columns": place, "row_tap": place, "column_tap": place,
        "row_step": address, "column_step": address,
        "weight_word": weight, "weight_tap": weight, "weight_row": weight,
        "active": lanes, "active_last": lanes, **phase, **shared, **ring, **wide,
    }


def idle_fields(p, layout):
    """Return the fields of a stage or a pass that are 0 in all networks that such a core runs: it need not look."""
    idle = [] if p.tile_order or p.two_phase else ["whole"]
    return [name for name in (*idle, *([] if p.windows else ["pool", "maximum", "fused_maximum"])) if name in layout]


def words_of(layout):
    """Return the 32-bit words that a block of fields takes."""
    return -(-sum(bits for bits, _ in layout.values()) // WORD_BITS)


def cursor_words(p, layout):
    """Return the words of a whole cursor of these fields."""
    return words_of(layout) * (1 + len(p.levels))


def pass_words(p, synapses):
    """Return the words of a pass of ``synapses`` synapses."""
    synapse = words_of(synapse_fields(p)) + cursor_words(p, cursor_fields(p))
    return words_of(pass_fields(p)) + cursor_words(p, output_fields(p)) + synapses * synapse


def tile_words(p):
    """Return the words that the walker reads for a tile of several synapses, one of them: blocks, steps of cursors."""
    return sum(words_of(fields(p)) for fields in (output_fields, cursor_fields, synapse_fields))


def pack(layout, values):
    """Return the 32-bit words of a block, each value checked against its field."""
    unknown = set(values) ^ set(layout)
    if unknown:
        raise KeyError(f"fields missing or unknown: {sorted(unknown)}")
    packed, position = 0, 0
    for name, (bits, signed) in layout.items():
        value = int(values[name])
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= value <= high:
            raise InputError(f"program field {name} holds {value}, outside {low}..{high}: the core is too small")
        packed |= (value & ((1 << bits) - 1)) << position
        position += bits
    return [(packed >> (WORD_BITS * i)) & (2**WORD_BITS - 1) for i in range(words_of(layout))]


def unpack(layout, words):
    """Return the values of a block, as `pack` packed them."""
    packed, values = sum(int(word) << (WORD_BITS * i) for i, word in enumerate(words)), {}
    for name, (bits, signed) in layout.items():
        value = packed & ((1 << bits) - 1)
        values[name] = value - (1 << bits) if signed and value >> (bits - 1) else value
        packed >>= bits
    return values
