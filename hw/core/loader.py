"""The load port: fills the loadable memories from one stream of words, and checks its digest."""

from amaranth.hdl import Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.image import TRAILER
from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.core.block_decoder import BlockDecoder

__all__ = ["Loader"]

POLYNOMIAL = 0xEDB88320  # of CRC-32, lowest bit first; a bit a cycle takes a tenth of the tables of Amaranth's own


class Loader(wiring.Component):
    """Take load blocks ``[memory << 24 | address, words, data...]`` up to the trailer (`gen.plan.image`).

    With weights outside the chip it writes what is fetched of them too.

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
        damaged as before. A core with anything outside the chip begins so: no bitstream holds that.
    rests : Out(1)
        No word is being taken.
    o : Out(load_port)
    waits : In(1)
        Only with ``params.outside``, as all that follows: no word of a load can be written.
    fetching, fetched_valid, fetched : In
        A block is being fetched; a word of its runs.
    spoiled : In(1)
        What was fetched is damaged. It is a fault.
    """

    def __init__(self, params):
        self._params = params
        super().__init__({
            "i": In(stream.Signature(WORD_BITS)), "enable": In(1), "busy": Out(1), "fault": Out(1), "rests": Out(1),
            "o": Out(payloads.load_port(params)),
            **({"waits": In(1), "fetching": In(1), "fetched_valid": In(1), "fetched": In(WORD_BITS), "spoiled": In(1)}
               if params.outside else {}),
        })

    def elaborate(self, platform):
        m = Module()
        decoder = BlockDecoder(self._params)
        m.submodules.decoder = ResetInserter(self.spoiled)(decoder) if self._params.outside else decoder
        word, turn = Signal(WORD_BITS, reset_less=True), Signal(range(WORD_BITS))
        crc, wrong = Signal(WORD_BITS, init=2**WORD_BITS - 1, reset_less=True), Signal()
        begins, digests, differs, feedback, in_trailer = (Signal(name=name) for name in (
            "begins", "digests", "differs", "feedback", "in_trailer"))
        fault = Signal(reset_less=True, init=self._params.outside > 0)
        fresh = Signal(init=1)  # no word of this load has been digested
        m.d.comb += [
            in_trailer.eq(Mux(decoder.heads, word[24:] == TRAILER, decoder.trailer)), self.o.eq(decoder.o),
            decoder.word.eq(word),
        ]
        waits, fetches = (self.waits, self.fetching) if self._params.outside else (Const(0), Const(0))
        with m.FSM() as fsm:
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
                with m.If(in_trailer & ~decoder.closes):
                    m.next = "WORD"
            with m.State("DIGEST"):  # the word comes round; that of the trailer must be the digest's complement
                m.d.comb += digests.eq(1)
                m.d.sync += [word.eq(word.rotate_right(1)), turn.eq(turn + 1), wrong.eq(wrong | ~differs)]
                with m.If(turn == WORD_BITS - 1):
                    m.next = "WORD"
            with m.State("WORD"), m.If(~waits):
                m.d.comb += decoder.valid.eq(1)
                with m.If(decoder.closes):
                    m.d.sync += [fault.eq(wrong), fresh.eq(1)]
                m.next = "TAKE"
        m.d.comb += [differs.eq(crc[0] ^ word[0]), feedback.eq(differs & ~decoder.closes)]
        with m.If(begins):
            m.d.sync += crc.eq(-1)
        with m.Elif(digests):
            m.d.sync += crc.eq((crc >> 1) ^ (feedback.replicate(WORD_BITS) & POLYNOMIAL))
        if self._params.outside:
            with m.If(self.fetching):
                m.d.comb += [decoder.valid.eq(self.fetched_valid), decoder.word.eq(self.fetched)]
            with m.If(self.spoiled):
                m.d.sync += fault.eq(1)
            m.d.comb += decoder.fetches.eq(fetches)
        m.d.comb += [
            self.fault.eq(fault), self.rests.eq(fsm.ongoing("TAKE") & ~decoder.writes),
            self.busy.eq(~fsm.ongoing("TAKE") | ((~decoder.heads | decoder.writes) & ~fetches)),
        ]
        return m
