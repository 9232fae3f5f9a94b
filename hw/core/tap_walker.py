"""Sends the words of the taps of a kernel row, one a cycle."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.line_walker import line
from hw.core.tile_cursor import place

__all__ = ["TapWalker"]


class TapWalker(wiring.Component):
    """Send the words of kernel rows, without a gap between them, and the ends of tiles, with the last word if it can.

    A tap off the map takes one cycle: its request vanishes in `hw.core.fetch.Fetch`. Where groups read several
    positions, which may lie on the map all the same, it takes all its words. On an upsampled map a tap whose remainder
    carries takes a cycle more.

    Members
    -------
    i_valid, i_ready, i : In, Out, In(line)
    block : In(synapse_block)
        Of the lines' synapse.
    alone : In(1)
        The pass has a single position.
    room : In(1)
        When low, at most two more requests come.
    active : In
        Lanes that an event of the synapse does work in.
    walking : Out(1)
        The request sent is one of a line, which may go on.
    tile_valid, request_valid, request : Out
        A cycle after a line was taken.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "i_valid": In(1), "i_ready": Out(1), "i": In(line(p)), "block": In(payloads.synapse_block(p)),
            "alone": In(1), "room": In(1), "active": In(payloads.request(p).members["active"]), "walking": Out(1),
            "tile_valid": Out(1), "request_valid": Out(1), "request": Out(payloads.request(p)),
        })

    def elaborate(self, platform):
        m = Module()
        p, block, request = self._params, self.block, self.request
        tap = Signal(place(p), reset_less=True)
        address, weight = (Signal.like(tap[name], name=f"word_{name}", reset_less=True)
                           for name in ("address", "weight"))
        word, column = (Signal(p.turns_bits, name=name, reset_less=True) for name in ("word", "column"))
        room, sent, end, closes, opens = Signal(), Signal(), Signal(), Signal(), Signal()
        over, hit = Const(0), Const(1)
        if p.phase_bits:
            over, hit = tap.column_phase >= block.column_factor, ~block.zeros | (tap.column_phase == 0)
            over = over & self.walking
        # Compared a cycle before they are asked for: the answer moves everything in front.
        on_map, word_ends, taps_end = (Signal(name=name) for name in ("on_map", "word_ends", "taps_end"))
        off = self.alone & ~(hit & on_map)
        last_word, last_tap, goes = Signal(), Signal(), Signal()
        m.d.comb += [
            last_word.eq(word_ends | off), last_tap.eq(last_word & taps_end),
            goes.eq(room & ~over), self.i_ready.eq(goes & (~self.walking | last_tap)),
        ]
        m.d.sync += room.eq(self.room)
        with m.If(~over):
            m.d.sync += [sent.eq(0), opens.eq(0)]
        with m.If(goes & self.walking):
            m.d.sync += [sent.eq(~last_tap), word.eq(word + 1), word_ends.eq(word + 1 == block.words)]
            with m.If(last_word):
                m.d.sync += [word.eq(0), word_ends.eq(block.words == 0)]
                m.d.sync += [column.eq(column + 1), taps_end.eq(column + 1 == block.kernel_columns)]
            with m.If(last_tap):
                m.d.sync += self.walking.eq(0)
        with m.If(self.i_valid & self.i_ready):
            m.d.sync += [
                sent.eq(1), opens.eq(self.i.first), end.eq(self.i.end), closes.eq(self.i.last),
                self.walking.eq(~self.i.end),
                word.eq(0), column.eq(0), word_ends.eq(block.words == 0), taps_end.eq(block.kernel_columns == 0),
            ]
        self._move(m, tap, address, weight, goes, last_word, last_tap, over, on_map)
        m.d.comb += [
            self.request_valid.eq(sent & ~over), self.tile_valid.eq(opens & ~over),
            request.word.eq(~end), request.end.eq(end | (closes & last_tap)),
            request.image.eq(block.image), request.dense.eq(block.dense if p.dense else 0),
            request.hit.eq(hit), request.address.eq(address), request.column.eq(tap.column),
            request.columns.eq(block.columns), request.weight.eq(weight), request.active.eq(self.active),
        ]
        shared = ("position_step", "position_columns", "part_step") if p.groups > 1 else ()
        ring = ("ring_mask", "ring_base") if p.rowwise else ()
        wide = ("wide",) if p.wide else ()
        m.d.comb += [request[name].eq(block[name]) for name in (*shared, *ring, *wide)]
        return m

    def _move(self, m, tap, address, weight, goes, last_word, last_tap, over, on_map):
        """Go on to the next word of the tap, to the next tap, or to the next line."""
        p, block = self._params, self.block
        carry = block.column_pitch if p.phase_bits else 0
        to_tap = last_word | over
        takes = Signal()
        m.d.comb += takes.eq(~self.walking | (last_tap & ~over))
        further = {  # both are added up: which of them goes on is known late
            "address": Mux(to_tap, tap.address + Mux(over, carry, block.column_step), address + 1),
            "weight": Mux(to_tap, tap.weight + Mux(over, 0, block.weight_tap), weight + block.weight_word),
        }
        for name, register in (("address", address), ("weight", weight)):
            value = Signal.like(register, name=f"next_{name}")
            m.d.comb += value.eq(Mux(takes, self.i.place[name], further[name]))
            with m.If(goes | over):
                m.d.sync += register.eq(value)
                with m.If(takes | to_tap):
                    m.d.sync += tap[name].eq(value)
        columns = {"column": block.column_tap}
        if p.phase_bits:
            columns = {
                "column": Mux(over, 1, block.column_tap),
                "column_phase": Mux(over, -block.column_factor, block.column_tap_phase),
            }
        for name, step in columns.items():
            value = Signal.like(tap[name], name=f"next_{name}")
            m.d.comb += value.eq(Mux(takes, self.i.place[name], tap[name] + step))
            with m.If((goes | over) & (takes | to_tap)):
                m.d.sync += tap[name].eq(value)
                if name == "column":
                    m.d.sync += on_map.eq(value.as_unsigned() < block.columns.as_unsigned())
