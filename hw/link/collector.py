"""Collects input values that come one by one into what the core takes in a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["Collector"]


class Collector(wiring.Component):
    """Make words of ``params.input_values`` values, more than one; a value marked ``first`` begins a word anew.

    Members
    -------
    i : In(stream(input_value))
    o : Out(stream(input_word))
    clear : In(1)
        Drop what is held; a word on offer is withdrawn unless it is taken in this cycle.
    begins : Out(1)
        Values of the first word of an image are held.
    """

    def __init__(self, params):
        self._size, self._bits = params.input_values, params.value_bits
        super().__init__({
            "i": In(stream.Signature(payloads.input_value(params))),
            "o": Out(stream.Signature(payloads.input_word(params))), "clear": In(1), "begins": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        value, first, held = self.i.payload, Signal(), Signal(range(self._size + 1))
        values = Signal(self._size * self._bits, reset_less=True)
        m.d.comb += [
            self.o.valid.eq(held == self._size), self.i.ready.eq(~self.o.valid), self.begins.eq(first & (held != 0)),
            self.o.payload.eq(Cat(values, first)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                values.eq(Cat(values, value.value)[self._bits:]), held.eq(Mux(value.first, 0, held) + 1),
                first.eq(value.first | (first & (held != 0))),
            ]
        with m.If(self.clear | (self.o.valid & self.o.ready)):
            m.d.sync += held.eq(0)
        return m
