"""Sends a result behind the next image: what the sequencer knows, then the values of all outputs."""

from amaranth.hdl import Array, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core import payloads

__all__ = ["HEADER", "ResultReader"]

HEADER = 6  # class, timesteps executed, and the counters


class ResultReader(wiring.Component):
    """Keep the first words of a result, then send them and the outputs.

    Members
    -------
    header : In
        Of the program: how many values the outputs have.
    begin, words : In
        Send a result; its first words, steady for `HEADER` cycles more.
    copying, busy : Out(1)
        The first words are still needed; a result is being sent.
    address, output : Out, In
        To the output store, which answers two cycles later; only while ``busy``.
    o : Out(stream(output_word))
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "header": In(payloads.header(p)), "begin": In(1), "words": In(data.ArrayLayout(WORD_BITS, HEADER)),
            "copying": Out(1), "busy": Out(1), "address": Out(range(max(2, p.outputs))),
            "output": In(signed(p.acc_bits)), "o": Out(stream.Signature(payloads.output_word())),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.first_words = memory = Memory(shape=WORD_BITS, depth=8, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        index = Signal(range(8))
        m.d.comb += [
            write.addr.eq(index), read.addr.eq(index),
            write.data.eq(Array([self.words[i] for i in range(HEADER)])[index]),
        ]
        free = ~self.o.valid | self.o.ready
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE") | self.o.valid)
            with m.State("IDLE"):
                m.d.sync += [index.eq(0), self.address.eq(0)]
                with m.If(self.begin):
                    m.next = "COPY"
            with m.State("COPY"):
                m.d.comb += [write.en.eq(1), self.copying.eq(1)]
                m.d.sync += index.eq(index + 1)
                with m.If(index == HEADER - 1):
                    m.d.sync += index.eq(0)
                    m.next = "FIRST WORDS"
            with m.State("FIRST WORDS"):
                with m.If(free):
                    m.d.sync += [
                        self.o.valid.eq(1), self.o.payload.data.eq(read.data), self.o.payload.last.eq(0),
                        index.eq(index + 1),
                    ]
                    with m.If(index == HEADER - 1):
                        m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.next = "WORD"
            with m.State("WORD"):
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                last = Signal()
                m.d.comb += last.eq(self.address == self.header.outputs)
                with m.If(free):
                    m.d.sync += [
                        self.o.valid.eq(1), self.o.payload.data.eq(self.output), self.o.payload.last.eq(last),
                        self.address.eq(self.address + 1),
                    ]
                    m.next = "ADDRESS"
                    with m.If(last):
                        m.next = "IDLE"
        return m
