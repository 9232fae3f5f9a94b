"""Writes words of maps and of the input to the memory outside the chip, behind the neurons that made them."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from gen.plan.spilling import LONGEST_RUN, PATIENCE
from hw.core import payloads
from hw.core.tile_queue import SLACK, depth
from hw.core.times import times
from hw.memory.bus import memory_request

__all__ = ["WriteBehind"]

SPARE = 96  # words: while copies of several bursts are under way none of these is written


class WriteBehind(wiring.Component):
    """Keep words until the memory takes them; those at rising addresses go in one burst.

    Members
    -------
    map_word, base : In(map_write), In
        A word of a map, to be taken at once; the address outside of the map's first word.
    image : In(stream(image_store))
        A word of the input; taken where no word of a map comes.
    header : In
        Where the input lies outside.
    room : Out(1)
        When low, only what is under way may come.
    busy : Out(1)
        Not all of it has been written.
    request, write : Out(stream(memory_request)), Out(stream(32))
        Of a `hw.memory.bus.MemoryBus`; all requests are writes.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "map_word": In(payloads.map_store(p)), "base": In(p.outside_bits),
            "image": In(stream.Signature(payloads.image_store(p))), "header": In(payloads.header(p)),
            "room": Out(1), "busy": Out(1),
            "request": Out(stream.Signature(memory_request(p.outside_bits))), "write": Out(stream.Signature(WORD_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        tiles = depth(p) + SLACK  # of a group that may be under way when it is told that there is no room
        most = tiles * p.groups + SPARE
        entry = data.StructLayout({"word": WORD_BITS * max(p.map_pieces, p.image_pieces), "image": 1})
        burst = data.StructLayout({"address": p.outside_bits, "length": self.request.payload.length.shape()})
        m.submodules.words = words = SyncFIFOBuffered(width=entry.size, depth=most)
        m.submodules.bursts = bursts = SyncFIFOBuffered(width=burst.size, depth=most)
        comes, word, address = self._arriving(m, entry)
        m.d.comb += [
            words.w_data.eq(word), words.w_en.eq(comes), self.room.eq(words.w_level < SPARE - 1),  # one is on its way
        ]
        self._join(m, comes, word, address, burst, bursts, words)

        first = data.View(burst, bursts.r_data)
        request = self.request.payload
        m.d.comb += [
            self.request.valid.eq(bursts.r_rdy), bursts.r_en.eq(self.request.ready), request.write.eq(1),
            request.address.eq(first.address), request.length.eq(first.length),
        ]
        self._cut(m, data.View(entry, words.r_data), words)
        return m

    def _arriving(self, m, entry):
        """Return, a cycle later, (a word comes, its entry, its address outside)."""
        p, word = self._params, Signal(entry, reset_less=True)
        comes, address = Signal(), Signal(p.outside_bits, reset_less=True)
        m.d.sync += comes.eq(self.map_word.enable if p.spilled else 0)
        if p.spilled:
            m.d.sync += [
                word.word.eq(self.map_word.word), word.image.eq(0),
                address.eq(self.base + times(self.map_word.address, p.map_pieces)),
            ]
        if p.image_ring:
            free = ~self.map_word.enable & self.room if p.spilled else self.room
            image, start = self.image.payload, self.header.image
            slot, place = image.address[: p.slot_bits], image.address[p.slot_bits :]
            m.d.comb += self.image.ready.eq(free)
            with m.If(self.image.valid & free):
                m.d.sync += [
                    comes.eq(1), word.word.eq(image.word), word.image.eq(1),
                    address.eq(start + Mux(slot.any(), self.header.image_pitch, 0) + times(place, p.image_pieces)),
                ]
        return comes, word, address

    def _join(self, m, comes, word, address, burst, bursts, words):
        """Collect runs of words at rising addresses into bursts."""
        p = self._params
        pieces = Mux(word.image, p.image_pieces, p.map_pieces)
        held, opens, waited, count = Signal(), Signal(), Signal(range(PATIENCE + 1)), Signal(range(LONGEST_RUN + 1))
        run, after = Signal(burst, reset_less=True), Signal(p.outside_bits, reset_less=True)
        joins, closes = Signal(), Signal()
        m.d.comb += [
            joins.eq(comes & opens & (address == after) & (count != LONGEST_RUN)),
            closes.eq(opens & Mux(comes, ~joins, waited == PATIENCE)),
            bursts.w_data.eq(run), bursts.w_en.eq(closes),
            self.busy.eq(opens | comes | held),
        ]
        m.d.sync += held.eq(words.level != 0)  # before that a run is open, for longer than a cycle
        m.d.sync += waited.eq(Mux(comes, 0, waited + (waited != PATIENCE)))
        with m.If(closes):
            m.d.sync += opens.eq(0)
        with m.If(comes):
            m.d.sync += [opens.eq(1), after.eq(address + pieces)]
            with m.If(joins):
                m.d.sync += [run.length.eq(run.length + pieces), count.eq(count + 1)]
            with m.Else():
                m.d.sync += [run.address.eq(address), run.length.eq(pieces - 1), count.eq(1)]

    def _cut(self, m, first, words):
        """Give the words out in pieces of 32 bits."""
        p = self._params
        piece, most = Signal(range(max(p.map_pieces, p.image_pieces))), max(p.map_pieces, p.image_pieces)
        last = Signal()
        m.d.comb += [
            last.eq(piece == Mux(first.image, p.image_pieces - 1, p.map_pieces - 1)),
            self.write.valid.eq(words.r_rdy), words.r_en.eq(self.write.ready & last),
        ]
        with m.Switch(piece):
            for i in range(most):
                with m.Case(i):
                    m.d.comb += self.write.payload.eq(first.word.word_select(i, WORD_BITS))
        with m.If(self.write.valid & self.write.ready):
            m.d.sync += piece.eq(Mux(last, 0, piece + 1))
