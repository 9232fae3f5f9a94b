"""Copies words of maps and of the input from outside the chip to where a block says."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gen.plan.blocks import COPY_WORDS, FIELDS
from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.memory.bus import memory_request

__all__ = ["Copier"]

BURST = 64  # words: those that are written wait no longer for their turn
LENGTH_BITS = 24


class Copier(wiring.Component):
    """Keep the list of copies of a block, then carry them out one after the other.

    Members
    -------
    clear, list_valid, list_word : In
        The list is empty; a word of it (`gen.plan.blocks`).
    go : In(1)
        Carry the list out; until ``done``.
    done : Out(1)
        Strobe: the last word is on its way into its memory.
    settled : In(1)
        Nothing waits to be written outside.
    settles : In(1)
        Begin once that is so.
    forget : In(1)
        Copy nothing more: what comes is dropped.
    slot, header : In
        Which slot of the input is read; where it lies.
    request, i : Out(stream(memory_request)), In(stream(32))
    maps, image : Out(stream(copied_word)), Out(image_write)
        A word for the maps; one for the input, taken at once.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "clear": In(1), "list_valid": In(1), "list_word": In(WORD_BITS), "go": In(1), "done": Out(1),
            "settled": In(1), "settles": In(1), "forget": In(1),
            "slot": In(range(max(2, p.image_slots))), "header": In(payloads.header(p)),
            "request": Out(stream.Signature(memory_request(p.outside_bits))), "i": In(stream.Signature(WORD_BITS)),
            "maps": Out(stream.Signature(payloads.copied_word(p))), "image": Out(payloads.image_write(p)),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        copy = data.StructLayout({
            "place": p.ring_bits, "unused": WORD_BITS - 1 - p.ring_bits, "of_input": 1,
            "words": LENGTH_BITS, "unused_too": WORD_BITS - LENGTH_BITS, "address": WORD_BITS,
        })
        m.submodules.list = memory = Memory(shape=WORD_BITS * COPY_WORDS, depth=1 << FIELDS["copies"], init=[])
        write, read = memory.write_port(), memory.read_port()
        entry, third = Signal(WORD_BITS * COPY_WORDS, reset_less=True), Signal(range(COPY_WORDS))
        listed, carried = Signal(FIELDS["copies"]), Signal(FIELDS["copies"])
        with m.If(self.list_valid):
            m.d.sync += [
                entry.eq((entry >> WORD_BITS) | self.list_word << (COPY_WORDS - 1) * WORD_BITS),
                third.eq(third + 1),
            ]
            with m.If(third == COPY_WORDS - 1):
                m.d.sync += [third.eq(0), listed.eq(listed + 1)]
        m.d.sync += [write.en.eq(self.list_valid & (third == COPY_WORDS - 1)), write.addr.eq(listed)]
        m.d.comb += [write.data.eq(entry), read.addr.eq(carried)]
        with m.If(self.clear):
            m.d.sync += [listed.eq(0), carried.eq(0), third.eq(0)]

        of = data.View(copy, read.data)
        at, ask, left = Signal(p.outside_bits, reset_less=True), Signal(LENGTH_BITS), Signal(LENGTH_BITS)
        begins = Signal()
        waits = self._collect(m, of, begins, left)
        burst, request = Signal(range(BURST + 1)), self.request.payload
        m.d.comb += [
            burst.eq(Mux(ask > BURST, BURST, ask)), request.address.eq(at), request.length.eq(burst - 1),
            self.request.valid.eq(ask != 0),
        ]
        with m.If(self.request.valid & self.request.ready):
            m.d.sync += [at.eq(at + burst), ask.eq(ask - burst)]
        with m.FSM():
            with m.State("IDLE"), m.If(self.go & (self.settled | ~self.settles)):
                m.next = "NEXT"
            with m.State("NEXT"):
                m.next = "READ"
                with m.If(carried == listed):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
            with m.State("READ"):
                m.d.comb += begins.eq(1)
                pitch = Mux(of.of_input & (self.slot != 0), self.header.image_pitch, 0) if p.image_ring else 0
                m.d.sync += [at.eq(of.address + pitch), ask.eq(of.words), left.eq(of.words), carried.eq(carried + 1)]
                m.next = "MOVE"
            with m.State("MOVE"), m.If((left == 0) & ~waits):
                m.next = "NEXT"
        return m

    def _collect(self, m, of, begins, left):
        """Collect pieces of 32 bits into words at rising addresses on the chip; return whether a word waits."""
        p = self._params
        pieces = max(p.map_pieces, p.image_pieces)
        place, image = Signal(p.ring_bits, reset_less=True), Signal(reset_less=True)
        word, piece = Signal(WORD_BITS * pieces, reset_less=True), Signal(range(pieces + 1), reset_less=True)
        waits, taken, last = Signal(), Signal(), Signal()
        m.d.comb += [
            self.maps.valid.eq(waits & ~image), self.maps.p.word.eq(word), self.maps.p.address.eq(place),
            self.image.enable.eq(waits & image), self.image.word.eq(word), self.image.address.eq(place),
            taken.eq(waits & (image | self.maps.ready)), self.i.ready.eq(~waits | taken),
            last.eq(piece == Mux(image, p.image_pieces - 1, p.map_pieces - 1)),
        ]
        with m.If(taken):
            m.d.sync += [waits.eq(0), place.eq(place + 1)]
        with m.If(begins):
            m.d.sync += [place.eq(of.place), image.eq(of.of_input), piece.eq(0)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [piece.eq(Mux(last, 0, piece + 1)), waits.eq(last & ~self.forget), left.eq(left - 1)]
            with m.Switch(piece):
                for i in range(pieces):
                    with m.Case(i):
                        m.d.sync += word.word_select(i, WORD_BITS).eq(self.i.payload)
        return waits
