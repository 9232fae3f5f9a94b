"""What a core takes of a part before any tool has run: memories and multipliers exactly, logic by a fitted table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gen.plan.memories import BLOCK, SINGLE_PORT, SMALL, MemorySpec, memory_table
from gen.plan.params import WORD_BITS, CoreParams
from gen.plan.parking import DEPTH, DIGIT
from gen.plan.program import cursor_fields, output_fields

if TYPE_CHECKING:
    from gen.plan.target import Target

__all__ = ["ICE40_FREE", "core_resources", "grows_with", "link_resources", "queue_specs", "single_port_blocks"]

QUEUED = 16  # words in a group's queue
QUEUE_MARKS = 2  # bits of one that lie in tables with its mask in any case (`hw.core.word_queue`)
BEHIND = 128  # words that wait to be written outside, at most
SPRAM_BITS, SPRAM_WORDS = 16, 16384  # of one block of single-port RAM
SOFTMAX_TABLE = 25, 256  # bits and words of exponentials and logarithms
SOFTMAX_DSPS = 2
SOFTMAX_ABSORBED = 56  # flip-flops inside them
TABLE_LUTS = 1.5  # tables of four inputs for one bit of 16 words: two of six hold 4 bits
OTHER_TABLES = 1.05  # of a part that is no ECP5, over those of one (`hw.board.carries`): SB_LUT4 of digits_small
# Cells that a flip-flop takes beside the tables, where the table of its own cell feeds it: most share theirs with none.
JOINED = {"ice40": 0.57, "gw1n": 0.7, "gw2a": 0.7}
# What must stay free of a Gowin part. Of 8,640 cells nextpnr placed 7,373 in minutes, another time 7,400 not at all; of
# the flip-flops two thirds in minutes, 86 % of 15,552 not in twenty. Four bits of 16 words keep six from being used.
GOWIN_FREE = {"lut": 0.15, "ff": 0.2}
GOWIN_LINK_FF = 1050  # with those of its memories
GOWIN_HALF = 9  # bits of both factors of a multiplication that takes half a multiplier
ICE40_LINK = 1400  # cells
ICE40_FREE = 420  # cells that stay free: of 5,280 nextpnr routed 4,899 in a minute, 5,049 in two and a half

FLASH = 130, 51  # of what loads a core from a board's flash: Yosys, the link with it less the link without
# The part that fetches, and what it has more where maps lie outside: `python -m benchmarks.area NETWORK --board BOARD`
FETCHING, ROWWISE = (560, 180), (1080, 560)
# What moves states in and out (`hw.core.state_stream`, `hw.memory.shared`), of the components by themselves: for the
# core, for each group, for each neuron, and for each group of four bits of a state and neuron.
PARKING = {"core": (160, 57), "group": (402, 142), "neuron": (270, 155), "digits": (75, 4)}

# Tables of four inputs and flip-flops by what they grow with (`grows_with`), fitted by `benchmarks.fit_resources`.
LOGIC = {
    "core": (536, 680), "softmax": (438, 271), "program": (13.6, 22.7), "serial": (6.62, 8.94), "lane": (19.5, 5.67),
    "lane bits": (1.84, 6.31), "signed": (7.17, 7.29), "dense": (1.82, 5.64), "phase": (227, 41.7),
    "narrow": (3.33, 0.663), "windows": (231, 51.7), "strips": (71.0, 34.9),
    "input rows": (5.4, 3.3), "input rows of a group": (2.3, 0.0),
    "step bits": (2.7, 0.25), "shared": (2.2, 2.3),
}


def core_resources(params: CoreParams, target: Target) -> dict[str, int]:
    """Return {lut, ff, bram, dsp} of a core of ``params``.

    Blocks and multipliers are those that the tools need, tables and flip-flops within some 15 % of routed cores. Where
    table and flip-flop share a cell, cells are counted as tables. The controller of a memory outside the chip is
    counted with the core, and so is what loads it from the board's flash.
    """
    luts, ffs = (sum(LOGIC[name][kind] * size for name, size in grows_with(params).items()) for kind in (0, 1))
    loads = target.flash is not None and params.outside > 0
    controller = [(target.dram.luts, target.dram.ffs)] if target.dram and params.outside else []
    parks = [_parking(params)] if params.parked else []
    for kind in controller + [FETCHING] * (params.outside > 0) + [ROWWISE] * params.rowwise + [FLASH] * loads + parks:
        luts, ffs = luts + kind[0], ffs + kind[1]
    blocks, tables = _memories(params, target)
    blocks += target.dram.blocks if target.dram and params.outside else 0
    if target.family == "ecp5":  # `hw.board.multipliers`, `hw.board.block_registers`
        ffs -= _inside_blocks(params)
        ffs -= params.lanes * (params.operand_bits + params.weight_bits) + SOFTMAX_ABSORBED * params.softmax
    else:
        luts *= OTHER_TABLES
    luts += JOINED.get(target.family, 0) * ffs
    ffs += tables * target.is_gowin  # six to four bits, as tables on an ECP5
    halves = target.is_gowin and max(params.operand_bits, params.weight_bits) <= GOWIN_HALF
    return {
        "lut": round(luts + tables), "ff": round(ffs), "bram": blocks,
        "dsp": (params.lanes // 2 if halves else params.lanes) + SOFTMAX_DSPS * params.softmax,
    }


def link_resources(target: Target) -> dict[str, int]:
    """Return {lut, ff, bram, dsp} of the UART link that stands beside the core on a board.

    On an iCE40 and on Gowin's parts with the cells that placing needs free.
    """
    if target.family == "ice40":
        return {"lut": ICE40_LINK + ICE40_FREE, "ff": 800, "bram": 8, "dsp": 0}
    luts, ffs = 1500 + JOINED.get(target.family, 0) * 800, 800
    if target.is_gowin:
        luts, ffs = luts + GOWIN_FREE["lut"] * target.luts, GOWIN_LINK_FF + GOWIN_FREE["ff"] * target.ffs
    return {"lut": round(luts), "ff": round(ffs), "bram": 2, "dsp": 0}


def single_port_blocks(params: CoreParams) -> int:
    """Return the blocks of single-port RAM that a core needs."""
    specs = [spec for spec in memory_table(params).values() if spec.kind == SINGLE_PORT]
    return sum(-(-spec.width // SPRAM_BITS) * -(-spec.depth // SPRAM_WORDS) for spec in specs)


def queue_specs(params: CoreParams) -> list[MemorySpec]:
    """Return the memories of a group's queue of words (`hw.core.word_queue`)."""
    marks = params.width + QUEUE_MARKS
    if not params.spare_blocks:
        return [MemorySpec("queues", _queue_bits(params), QUEUED)]
    words = MemorySpec("queues", _queue_bits(params) - marks, QUEUED, tables=False)
    return [words, MemorySpec("marks of queues", marks, QUEUED)]


def _queue_bits(p):
    """Return the bits of a word in a group's queue (`hw.core.payloads.word_entry`)."""
    return p.stored_bits + p.width + p.weight_address_bits + p.width.bit_length() + 3


def _memories(params, target):
    """Return (blocks, tables of four inputs) of all memories."""
    blocks, tables, joint = 0, 0.0, target.family == "ice40"
    for spec in memory_table(params).values():
        if spec.kind != BLOCK:
            continue
        if spec.small and not joint:
            tables += TABLE_LUTS * spec.width
        else:
            blocks += spec.blocks(target.bram)
            tables += spec.width * (len({piece.first for piece in spec.pieces}) - 1)  # a multiplexer behind the banks
    if params.softmax:
        blocks += target.bram.count(*SOFTMAX_TABLE)
    if params.rowwise:  # words on their way outside, and where each burst of them goes
        width = WORD_BITS * max(params.map_pieces, params.image_pieces) + 1
        blocks += target.bram.count(width, BEHIND) + 1
    if params.parked:
        blocks += 2 * params.groups * params.neurons * target.bram.count(WORD_BITS, DEPTH)
    for spec in queue_specs(params):
        if spec.small and not joint:
            tables += params.groups * TABLE_LUTS * spec.width
        else:
            blocks += params.groups * spec.blocks(target.bram)
    return blocks, tables


def _inside_blocks(params):
    """Return the flip-flops that a core in tables has behind its memories, and one in blocks inside them.

    The weights' stay outside, before the multipliers. A queue in a block needs no register behind it.
    """
    specs = [spec for spec in memory_table(params).values() if spec.kind == BLOCK and not spec.small]
    inside = sum(spec.width for spec in specs if spec.role != "weights")
    if params.spare_blocks:
        inside += sum(spec.width for spec in specs if spec.depth <= SMALL)
        inside += params.groups * sum(spec.width for spec in queue_specs(params) if not spec.small)
    return inside


def _parking(p):
    """Return (tables, flip-flops) of what moves states to and from the outside."""
    neurons = p.groups * p.neurons
    sizes = {"core": 1, "group": p.groups, "neuron": neurons, "digits": neurons * -(-p.state_bits // DIGIT)}
    return tuple(sum(PARKING[name][kind] * size for name, size in sizes.items()) for kind in (0, 1))


def grows_with(p):
    """Return what the logic of a core grows with, as in `LOGIC`."""
    program = p.address_bits + p.weight_address_bits + p.windows * p.place_bits + len(p.levels) * p.turns_bits
    rows = (p.image_tile - p.image_row_lanes) * p.image_bits
    return {
        "core": 1, "softmax": p.softmax, "program": program,
        "serial": p.groups * p.neurons * (p.acc_bits + p.state_bits + p.burst_bits * 4),
        "lane": p.lanes, "lane bits": p.lanes * p.sum_bits, "signed": p.signed * p.groups * p.neurons * p.acc_bits,
        "dense": p.dense * p.lanes * p.count_bits, "phase": p.phase_bits > 0,
        "narrow": p.narrow * p.lanes * p.weight_bits, "windows": p.windows, "strips": p.strips > 0,
        "input rows": rows, "input rows of a group": p.groups * rows,
        "step bits": p.quick * sum(bits for bits, _ in (*output_fields(p).values(), *cursor_fields(p).values())),
        "shared": p.shared * p.groups * p.acc_bits,
    }


