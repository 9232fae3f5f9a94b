"""Cuts bursts where pages of the memory end."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.memory.bus import memory_request

__all__ = ["Cutter"]


class Cutter(wiring.Component):
    """Turn every request into one or more, in order, none of which leaves a page of ``2 ** page_bits`` words.

    A request leaves two cycles after it came, a piece every two cycles. The next one is taken while the last waits.

    Parameters
    ----------
    address_bits : int
        As of `MemoryBus`.
    page_bits : int
        Less than ``address_bits``.

    Members
    -------
    i : In(stream(memory_request))
    o : Out(stream(memory_request))
    """

    def __init__(self, address_bits, page_bits):
        self._page = page_bits
        request = memory_request(address_bits)
        super().__init__({"i": In(stream.Signature(request)), "o": Out(stream.Signature(request))})

    def elaborate(self, platform):
        m = Module()
        held, full = Signal.like(self.i.payload, reset_less=True), Signal()
        place, page = held.address[: self._page], held.address[self._page :]
        room, loads, fits = Signal(self._page), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full), loads.eq(full & ~self.o.valid),
            room.eq(~place), fits.eq(held.length <= room),  # both are words less one
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(loads):
            m.d.sync += [
                self.o.valid.eq(1), self.o.payload.eq(held), self.o.payload.length.eq(Mux(fits, held.length, room)),
                held.length.eq(held.length - room - 1), held.address.eq(Cat(place & 0, page + 1)), full.eq(~fits),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(self.i.payload), full.eq(1)]
        return m
