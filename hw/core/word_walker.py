"""Sends the words of a tile one after another, where every map is a single position."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.sums import loaded_or_moved
from hw.core.tile_cursor import place

__all__ = ["WordWalker"]


class WordWalker(wiring.Component):
    """Send the words of one synapse after another, one a cycle, and rest for one, in which the end of a tile is sent.

    While nothing is under way the place at hand is loaded, whether or not a synapse begins there: the addresses hang
    on nothing that is late.

    Members
    -------
    i_valid, i_ready, place, first, last, gathers : In, Out, In, In, In, In
        A synapse begins; the first or last of its tile; whether it is gathered.
    block, active : In
        Of the synapse under way, from the cycle after it was taken; lanes that an event of it does work in.
    room : In(1)
        When low, at most two more requests come.
    empty : Out(1)
        Nothing is left to send.
    tile_valid, request_valid, request : Out
        The first request comes a cycle after its synapse was taken, a tile with its first one.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "i_valid": In(1), "i_ready": Out(1), "place": In(place(p)), "first": In(1), "last": In(1),
            "gathers": In(1), "block": In(payloads.synapse_block(p)),
            "active": In(payloads.request(p).members["active"]), "room": In(1), "empty": Out(1),
            "tile_valid": Out(1), "request_valid": Out(1), "request": Out(payloads.request(p)),
        })

    def elaborate(self, platform):
        m = Module()
        p, block, request = self._params, self.block, self.request
        room, walking, last_word, takes, closes, end, sends, waits = (Signal(name=name) for name in (
            "room_late", "walking", "last_word", "takes", "closes", "end", "sends", "waits"))
        word = Signal(p.turns_bits, reset_less=True)
        address, weight = (Signal.like(self.place[name], name=name, reset_less=True) for name in ("address", "weight"))
        m.d.comb += [
            last_word.eq(word == block.words), self.i_ready.eq(room & ~walking),
            takes.eq(self.i_valid & self.i_ready), self.empty.eq(~walking & ~self.request_valid),
            sends.eq(self.gathers | self.last),  # of a tile that gathers nothing, the last synapse sends the end
        ]
        m.d.sync += [room.eq(self.room), self.request_valid.eq(0), self.tile_valid.eq(0)]
        with m.If(room | ~walking):
            m.d.sync += [
                word.eq(loaded_or_moved(~walking, 0, word)),
                address.eq(loaded_or_moved(~walking, self.place.address, address)),
                weight.eq(loaded_or_moved(~walking, self.place.weight, weight, block.weight_word)),
            ]
        with m.If(room & walking):
            m.d.sync += [
                walking.eq(~last_word), end.eq(last_word), self.request_valid.eq(~last_word | closes),
            ]
        with m.If(takes):
            m.d.sync += [
                walking.eq(self.gathers),
                closes.eq(self.last), end.eq(~self.gathers), self.request_valid.eq(sends),
                self.tile_valid.eq(sends & (self.first | waits)), waits.eq(~sends & (self.first | waits)),
            ]
        m.d.comb += [
            request.word.eq(~end), request.end.eq(end),
            request.image.eq(block.image), request.dense.eq(block.dense if p.dense else 0),
            request.address.eq(address), request.weight.eq(weight), request.active.eq(self.active),
        ]
        if p.groups > 1:
            m.d.comb += request.part_step.eq(block.part_step)
        return m
