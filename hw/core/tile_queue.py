"""The tiles on their way through a group: what firing will need to know of them, kept until then."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.times import times

__all__ = ["SLACK", "TileQueue", "depth"]

SLACK = 6  # tiles that may still come once the queue has said that it has no room


def depth(params):
    """Return how many tiles the queue holds: of a quick core more are on their way through the neurons."""
    return 32 if params.quick else 16


class TileQueue(wiring.Component):
    """Adapt the walker's tiles to the group, and keep them from their announcement until their counts have left.

    The walker describes the tile of position 0 and part 0 (`gen.plan.program.pass_fields`). A tile that the group sits
    out is not kept. The queue has one end where tiles enter and two where they leave: when their sums are complete,
    and when their counts leave the neuron. At each lies a memory with a register behind it, so that a part without
    look-up-table RAM has them in blocks.

    Parameters
    ----------
    params : CoreParams
    number : int
        Of the group, from 0.

    Members
    -------
    layer : In
        The pass in force, at the first tile's announcement at the latest.
    tile_valid, tile : In
    opening : Out(stream(opening))
        Three cycles after the announcement at the earliest.
    closing : Out(stream(closing))
        The same tiles, each taken behind its opening.
    room : Out(1)
        The tiles of all words under way will find room.
    empty : Out(1)
        No tile is kept or about to be.
    """

    def __init__(self, params, number):
        self._params = p = params
        self._number = number
        super().__init__({
            "layer": In(payloads.pass_block(p)), "tile_valid": In(1), "tile": In(payloads.tile(p)),
            "opening": Out(stream.Signature(payloads.opening(p))),
            "closing": Out(stream.Signature(payloads.closing(p))), "room": Out(1), "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        most = depth(self._params)
        tile = Signal.like(self.tile, reset_less=True)
        valid = Signal()
        m.d.sync += [valid.eq(self.tile_valid), tile.eq(self.tile)]
        away, ends, offset = self._place(m, tile)
        pushes = Signal()
        m.d.comb += pushes.eq(valid & ~away)

        written, opened, closed = (Signal(range(2 * most), name=name) for name in ("written", "opened", "closed"))
        adapted = {"lanes": Mux(ends, layer.lanes_last, layer.lanes), "address": tile.address + offset}
        for name, taken in (("opening", opened), ("closing", closed)):
            port = getattr(self, name)
            m.submodules[f"{name}s"] = memory = Memory(
                shape=port.payload.shape(), depth=most, init=[], attrs={"no_rw_check": 1})
            write = memory.write_port()
            read = memory.read_port(domain="comb")
            entry = Signal(port.payload.shape(), name=f"{name}_entry", reset_less=True)
            turns = ~port.valid | port.ready
            m.d.comb += [
                write.en.eq(pushes), write.addr.eq(written),
                *(write.data[field].eq(adapted.get(field, tile[field])) for field, _ in port.payload.shape()),
                read.addr.eq(taken), port.payload.eq(entry),
            ]
            with m.If(turns):
                m.d.sync += [entry.eq(read.data), port.valid.eq(taken != written), taken.eq(taken + (taken != written))]
        level = Signal.like(written)
        m.d.comb += [level.eq(written - closed), self.empty.eq(~valid & (level == 0) & ~self.closing.valid)]
        m.d.sync += [written.eq(written + pushes), self.room.eq(level <= most - SLACK)]
        return m

    def _place(self, m, tile):
        """Return whether the group sits the tile out, whether its own is the last one, and how far its word lies."""
        p, layer = self._params, self.layer
        if p.groups == 1:
            return Const(0), tile.last_tile, Const(0)
        offset = Signal(signed(p.address_bits), reset_less=True)
        over, beyond_column, beyond_tile, last_part, away, ends = (
            Signal(name=name) for name in ("over", "beyond_column", "beyond_tile", "last_part", "away", "ends"))
        with m.Switch(layer.part_bits):
            for part_bits in range((p.groups - 1).bit_length() + 1):
                position, part = self._number >> part_bits, self._number % (1 << part_bits)
                with m.Case(part_bits):
                    m.d.sync += [
                        over.eq(layer.positions < position if p.windows else position > 0),
                        beyond_tile.eq(layer.last_parts < part), last_part.eq(layer.last_parts == part),
                        offset.eq(times(layer.output_position, position) + part if p.windows else part),
                        beyond_column.eq(layer.last_positions < position if p.windows else 0),
                    ]
        m.d.comb += [
            away.eq(over | (tile.last_column & beyond_column if p.windows else 0) | (tile.last_tile & beyond_tile)),
            ends.eq(tile.last_tile & last_part),
        ]
        return away, ends, offset
