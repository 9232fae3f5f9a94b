"""Stands between a memory bus and one who asks, so that he can be reset alone."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.memory.bus import LONGEST, MemoryBus

__all__ = ["BusGuard"]

OWED = 4 * LONGEST  # words that may be under way before a request waits


class BusGuard(wiring.Component):
    """Keep the promises of a bus for one who is reset amid a burst.

    What was offered stays offered until it is taken: a request and, once that was taken, a word to write are held here.
    After a reset the words still to be read are dropped, those still to be written are zeros; then the next request
    goes.

    Parameters
    ----------
    address_bits, width : int
        Of both buses.

    Members
    -------
    reset : In(1)
        The one who asks is being reset.
    i : In(MemoryBus)
        His bus.
    o : Out(MemoryBus)
    """

    def __init__(self, address_bits, width):
        signature = MemoryBus(address_bits, width)
        super().__init__({"reset": In(1), "i": In(signature), "o": Out(signature)})

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        request, asks = Signal.like(i.request.payload, reset_less=True), Signal()
        word, gives = Signal.like(i.write.payload, reset_less=True), Signal()
        to_read, to_write = (Signal(range(OWED + 2 * LONGEST + 1), name=name) for name in ("to_read", "to_write"))
        left, room, read, came = Signal(), Signal(), Signal(), Signal()
        m.d.sync += room.eq((to_read <= OWED) & (to_write <= OWED))  # but for the request taken last
        m.d.comb += [
            i.request.ready.eq(~asks & room & ~left), o.request.valid.eq(asks), o.request.payload.eq(request),
            i.write.ready.eq(~gives & ~left & (to_write != 0)), o.write.valid.eq(gives), o.write.payload.eq(word),
            i.read.valid.eq(o.read.valid & ~left), i.read.payload.eq(o.read.payload),
            o.read.ready.eq(i.read.ready | left), i.fault.eq(o.fault),
        ]
        asked, written = i.request.valid & i.request.ready & ~self.reset, o.write.valid & o.write.ready
        with m.If(asked):
            m.d.sync += [request.eq(i.request.payload), asks.eq(1)]
        with m.Elif(o.request.ready):
            m.d.sync += asks.eq(0)
        with m.If(i.write.valid & i.write.ready & ~self.reset):
            m.d.sync += [word.eq(i.write.payload), gives.eq(1)]
        with m.Elif(o.write.ready):
            m.d.sync += gives.eq(0)
        length = request.length + 1
        m.d.sync += [  # what was asked and read is counted a cycle later: that hangs on who asks and reads
            came.eq(asked), read.eq(o.read.valid & o.read.ready),
            to_read.eq(to_read + Mux(came & ~request.write, length, 0) - read),
            to_write.eq(to_write + Mux(came & request.write, length, 0) - written),
        ]
        with m.If(self.reset):
            m.d.sync += left.eq(1)
        with m.Elif(left):
            with m.If((to_write != 0) & ~gives):
                m.d.sync += [gives.eq(1), word.eq(0)]
            with m.Elif((to_read == 0) & (to_write == 0) & ~asks):
                m.d.sync += left.eq(0)
        return m
