"""Sends a result: what the sequencer knows, then, behind the next image, the values of all outputs."""

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from gen.result import HEADER_WORDS
from hw.core import payloads

__all__ = ["ResultReader"]


class ResultReader(wiring.Component):
    """Send the first words of a result and the outputs.

    Members
    -------
    header : In
        Of the program: how many values the outputs have.
    begin, class_, timesteps, counter : In
        Send a result; its first words, steady while ``heading``.
    heading, shift, busy : Out(1)
        The first words are being sent; the next counter is wanted; a result is being sent.
    address, output : Out, In
        To the output store, which answers two cycles later, with ``params.shared`` three; only while ``busy``.
    o : Out(stream(output_word))
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "header": In(payloads.header(p)), "begin": In(1), "class_": In(range(max(2, p.classes))),
            "timesteps": In(p.timestep_bits), "counter": In(WORD_BITS), "shift": Out(1),
            "heading": Out(1), "busy": Out(1), "address": Out(range(max(2, p.outputs))),
            "output": In(signed(p.acc_bits)), "o": Out(stream.Signature(payloads.output_word())),
        })

    def elaborate(self, platform):
        m = Module()
        index = Signal(range(HEADER_WORDS))
        sends, last = Signal(), Signal()
        whose = [(self.output, ~self.heading), (self.class_, self.heading & (index == 0)),
                 (self.timesteps, self.heading & (index == 1)), (self.counter, self.heading & (index >= 2))]
        word = reduce(or_, (Mux(chosen, known, 0) for known, chosen in whose))
        free = ~self.o.valid | self.o.ready
        value, last_word = Signal(signed(WORD_BITS), reset_less=True), Signal(reset_less=True)
        m.d.comb += [
            self.o.payload.data.eq(value), self.o.payload.last.eq(last_word),
            last.eq(~self.heading & (self.address == self.header.outputs)),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(sends & free):
            m.d.sync += [self.o.valid.eq(1), value.eq(word), last_word.eq(last)]
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE") | self.o.valid)
            with m.State("IDLE"):
                m.d.sync += [index.eq(0), self.address.eq(0)]
                with m.If(self.begin):
                    m.next = "FIRST WORDS"
            with m.State("FIRST WORDS"):
                m.d.comb += [self.heading.eq(1), sends.eq(1), self.shift.eq(free & (index >= 2))]
                with m.If(free):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == HEADER_WORDS - 1):
                        m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.next = "WORD"
            with m.State("WORD"):
                m.next = "SUM" if self._params.shared else "OUTPUT"
            if self._params.shared:
                with m.State("SUM"):
                    m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += sends.eq(1)
                with m.If(free):
                    m.d.sync += self.address.eq(self.address + 1)
                    m.next = "ADDRESS"
                    with m.If(last):
                        m.next = "IDLE"
        return m
