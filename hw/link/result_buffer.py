"""Keeps pieces of results until the link has sent them: of a short result all of it, so that the core does not wait."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.core import payloads

__all__ = ["ResultBuffer"]

BYTE = 8
WORD_BYTES = 4


class ResultBuffer(wiring.Component):
    """Two banks of one piece each: one fills while the other one is read. A word is taken in four cycles.

    A piece ends when its bank is full, and with the last word of a result.

    Parameters
    ----------
    words : int
        Of a piece at most, a power of two.

    Members
    -------
    i : In(stream(output_word))
    clear : In(1)
        Drop what has come and what comes, but for a piece being read.
    whole, length, final : Out
        A piece waits; its words; it is the last one of its result.
    begin, end : In(1)
        Its reading begins (never together with ``clear``), and is over.
    word, byte, data : In, In, Out(8)
        A byte of it, one cycle later.
    """

    def __init__(self, words):
        self._bits = exact_log2(words)
        super().__init__({
            "i": In(stream.Signature(payloads.output_word())), "clear": In(1), "whole": Out(1), "final": Out(1),
            "length": Out(range(2**self._bits + 1)), "begin": In(1), "end": In(1),
            "word": In(self._bits), "byte": In(range(WORD_BYTES)), "data": Out(BYTE),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=BYTE, depth=WORD_BYTES * 2 ** (self._bits + 1), init=[])
        into, out = memory.write_port(), memory.read_port()
        full = Array(Signal(name=f"full_{bank}") for bank in range(2))
        lengths = Array(Signal(self.length.shape(), name=f"length_{bank}") for bank in range(2))
        finals = Array(Signal(name=f"final_{bank}") for bank in range(2))
        filling, emptying, reading = Signal(), Signal(), Signal()
        index, byte = Signal(self._bits), Signal(range(WORD_BYTES))
        last = byte == WORD_BYTES - 1
        m.d.comb += [
            into.en.eq(self.i.valid & ~full[filling]), into.addr.eq(Cat(byte, index, filling)),
            into.data.eq(self.i.payload.data.as_unsigned().word_select(byte, BYTE)),
            self.i.ready.eq(self.clear | (~full[filling] & last)),
            out.addr.eq(Cat(self.byte, self.word, emptying)), self.data.eq(out.data),
            self.whole.eq(full[emptying] & ~reading), self.length.eq(lengths[emptying]),
            self.final.eq(finals[emptying]),
        ]
        with m.If(into.en):
            m.d.sync += [byte.eq(byte + 1), index.eq(index + last)]
            with m.If(last & (self.i.payload.last | index.all())):
                m.d.sync += [
                    full[filling].eq(1), lengths[filling].eq(index + 1), finals[filling].eq(self.i.payload.last),
                    filling.eq(~filling), index.eq(0),
                ]
        with m.If(self.begin):
            m.d.sync += reading.eq(1)
        with m.If(self.clear):
            m.d.sync += [full[~emptying].eq(0), filling.eq(emptying ^ reading), index.eq(0), byte.eq(0)]
            with m.If(~reading):
                m.d.sync += full[emptying].eq(0)
        with m.If(self.end):
            m.d.sync += [reading.eq(0), full[emptying].eq(0), emptying.eq(~emptying)]
        return m
