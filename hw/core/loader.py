"""The load port: fills the loadable memories from one stream of words, and checks its digest."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.image import TRAILER
from gen.plan.memories import memory_table
from gen.plan.params import WORD_BITS
from hw.core import payloads

__all__ = ["Loader"]

POLYNOMIAL = 0xEDB88320  # of CRC-32, lowest bit first; a bit a cycle takes a tenth of the tables of Amaranth's own


class Loader(wiring.Component):
    """Decode load blocks ``[memory << 24 | address, words, data...]`` up to the trailer (`gen.plan.image`).

    Members
    -------
    i : In(stream(32))
        Taken only while ``enable`` is high, a word in 35 cycles.
    enable : In(1)
        The core is idle.
    busy : Out(1)
        A block has begun that has not ended.
    fault : Out(1)
        A load has begun and no right trailer has come since. A reset begins a new load, but what the memories hold is
        damaged as before.
    rests : Out(1)
        No word is being taken.
    o : Out(load_port)
    """

    def __init__(self, params):
        self._specs = [spec for spec in memory_table(params).values() if spec.loadable]
        super().__init__({
            "i": In(stream.Signature(WORD_BITS)), "enable": In(1), "busy": Out(1), "fault": Out(1), "rests": Out(1),
            "o": Out(payloads.load_port(params)),
        })

    def elaborate(self, platform):
        m = Module()
        pieces = len(self.o.data) // WORD_BITS
        left, memory = Signal.like(self.o.address, reset_less=True), Signal(8)
        piece, last_piece = Signal(range(pieces + 1)), Signal(range(pieces + 1), reset_less=True)
        word, turn = Signal(WORD_BITS, reset_less=True), Signal(range(WORD_BITS))
        crc, wrong = Signal(WORD_BITS, init=2**WORD_BITS - 1, reset_less=True), Signal()
        begins, digests, differs, feedback, arrived, in_trailer = (Signal(name=name) for name in (
            "begins", "digests", "differs", "feedback", "arrived", "in_trailer"))
        heads, closes = Signal(), Signal()  # the word begins a block; it is the digest
        fault = Signal(reset_less=True)
        fresh = Signal(init=1)  # no word of this load has been digested
        m.d.comb += in_trailer.eq(Mux(heads, word[24:], memory) == TRAILER)
        m.d.sync += self.o.write.eq(0)
        with m.If(self.o.write.any()):
            m.d.sync += self.o.address.eq(self.o.address + 1)
        with m.FSM(name="digest") as digest:
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(self.enable)
                m.d.sync += [word.eq(self.i.payload), turn.eq(0)]
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += fault.eq(1)
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += begins.eq(fresh)
                m.d.sync += [fresh.eq(0), wrong.eq(0)]
                m.next = "DIGEST"
                with m.If(in_trailer & ~closes):
                    m.next = "WORD"
            with m.State("DIGEST"):  # the word comes round; that of the trailer must be the digest's complement
                m.d.comb += digests.eq(1)
                m.d.sync += [word.eq(word.rotate_right(1)), turn.eq(turn + 1), wrong.eq(wrong | ~differs)]
                with m.If(turn == WORD_BITS - 1):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += arrived.eq(1)
                m.next = "TAKE"
        m.d.comb += [differs.eq(crc[0] ^ word[0]), feedback.eq(differs & ~closes)]
        with m.If(begins):
            m.d.sync += crc.eq(-1)
        with m.Elif(digests):
            m.d.sync += crc.eq((crc >> 1) ^ (feedback.replicate(WORD_BITS) & POLYNOMIAL))
        with m.If(arrived):
            with m.FSM(name="block") as block:
                with m.State("ADDRESS"):
                    m.d.sync += [self.o.address.eq(word), memory.eq(word[24:])]
                    m.next = "LENGTH"
                with m.State("LENGTH"):
                    m.d.sync += [left.eq(word), piece.eq(0), last_piece.eq(0)]
                    with m.Switch(memory):
                        for code, spec in enumerate(self._specs):
                            with m.Case(code):
                                m.d.sync += last_piece.eq(-(-spec.width // WORD_BITS) - 1)
                    m.next = "DATA"
                    with m.If(word == 0):
                        m.next = "ADDRESS"
                with m.State("DATA"):
                    with m.Switch(piece):
                        for i in range(pieces):
                            with m.Case(i):
                                m.d.sync += self.o.data.word_select(i, WORD_BITS).eq(word)
                    m.d.sync += piece.eq(piece + 1)
                    with m.If(piece == last_piece):
                        m.d.sync += [piece.eq(0), left.eq(left - 1)]
                        with m.If(memory == TRAILER):
                            m.d.sync += [fault.eq(wrong), fresh.eq(1)]
                        with m.Else():
                            m.d.sync += self.o.write.eq(1 << memory)
                        with m.If(left == 1):
                            m.next = "ADDRESS"
        m.d.comb += [
            heads.eq(block.ongoing("ADDRESS")), closes.eq(block.ongoing("DATA") & (memory == TRAILER)),
            self.fault.eq(fault), self.rests.eq(digest.ongoing("TAKE") & ~self.o.write.any()),
            self.busy.eq(~self.rests | ~heads),
        ]
        return m
