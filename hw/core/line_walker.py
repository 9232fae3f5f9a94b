"""Leads through the kernel rows of a tile's synapses; those that lie off the map end here."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.tile_cursor import place

__all__ = ["LineWalker", "line"]


def line(p):
    """A kernel row on the map, from its first tap on, or the ``end`` of a tile alone; the ``first`` of the tile.

    With a row that is ``last`` the tile ends.
    """
    return data.StructLayout({"place": place(p), "end": 1, "first": 1, "last": 1})


class LineWalker(wiring.Component):
    """Offer the kernel rows of one synapse after another, each the cycle after the one before.

    The last row of the last synapse's kernel is the tile's last, or, where that lies off the map, an end alone. The
    block of a synapse stays in force until its taps are done: in a pass of a ``single`` one it is that of all tiles.

    Members
    -------
    i_valid, i_ready, place, first, last, gathers : In, Out, In, In, In, In
        A synapse begins; the first or last of its tile; whether it is gathered.
    block, next_block : In(synapse_block)
        Of the synapse under way, from the cycle after it was taken; of the one that begins.
    single : In(1)
        The pass has one synapse at most: the next tile's begins with the last line of this one.
    walking : In(1)
        A line taken is under way; then no other synapse of several begins.
    o_valid, o_ready, o : Out, In, Out(line)
    empty : Out(1)
        Nothing is left to offer.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "i_valid": In(1), "i_ready": Out(1), "place": In(place(p)), "first": In(1), "last": In(1),
            "gathers": In(1), "block": In(payloads.synapse_block(p)), "next_block": In(payloads.synapse_block(p)),
            "single": In(1), "walking": In(1),
            "o_valid": Out(1), "o_ready": In(1), "o": Out(line(p)), "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        p, block = self._params, self.block
        at = Signal(place(p), reset_less=True)
        opens, ends, closes, first = (Signal(name=name) for name in ("opens", "ends", "closes", "first_left"))
        row = Signal(p.turns_bits, reset_less=True)
        # The last row of the kernel, and one on the map: compared a cycle before, since the answer moves all in front.
        ends_rows, inside = Signal(name="ends_rows"), Signal(name="inside")
        on_map, over = inside, Const(0)
        if p.phase_bits:
            on_map = inside & (~block.zeros | (at.row_phase == 0))
            over = at.row_phase >= block.row_factor
        takes, moves, done = Signal(), Signal(), Signal(name="done")
        m.d.comb += [
            self.o.place.eq(at), self.o.end.eq(~opens), self.o.first.eq(first), self.o.last.eq(ends_rows & closes),
            self.o_valid.eq(Mux(opens, on_map & ~over, ends)),
            moves.eq(opens & ~over & (self.o_ready | ~on_map)),
            # With the line that is taken, or none.
            done.eq(Mux(opens, on_map & ~over & ends_rows & self.o_ready & self.single, ~ends | self.o_ready)),
            self.i_ready.eq(done & (self.single | ends | ~self.walking)),
            takes.eq(self.i_valid & self.i_ready), self.empty.eq(~opens & ~ends),
        ]
        with m.If(self.o_valid & self.o_ready):
            m.d.sync += first.eq(0)
            with m.If(~opens):
                m.d.sync += ends.eq(0)
        with m.If(moves):
            m.d.sync += [row.eq(row + 1), ends_rows.eq(row + 1 == block.kernel_rows)]
            with m.If(ends_rows):
                m.d.sync += [opens.eq(0), ends.eq(closes & ~on_map)]
        step = {"address": block.row_step, "row": block.row_tap, "weight": block.weight_row}
        if p.phase_bits:
            step["row_phase"] = block.row_tap_phase
            carried = {"address": block.row_pitch, "row": 1, "weight": 0, "row_phase": -block.row_factor}
            step = {name: Mux(over, carried[name], value) for name, value in step.items()}
        with m.If(moves | (opens & over)):
            m.d.sync += [at[name].eq(at[name] + value) for name, value in step.items()]
            m.d.sync += inside.eq(_below(at.row + step["row"], block.rows))
        with m.If(takes):
            m.d.sync += [
                row.eq(0), ends_rows.eq(self.next_block.kernel_rows == 0),
                inside.eq(_below(self.place.row, self.next_block.rows)), at.eq(self.place),
                opens.eq(self.gathers), closes.eq(self.last), ends.eq(~self.gathers & self.last),
            ]
            with m.If(self.first):
                m.d.sync += first.eq(1)
        return m


def _below(row, rows):
    """Return whether a row lies on a map of so many; one below 0 is far below the map."""
    return row[: len(rows)].as_unsigned() < rows.as_unsigned()
