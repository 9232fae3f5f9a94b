"""The wires of the UART: 8 data bits, no parity, one stop bit, least significant bit first, idle high."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["LEAST_DIVISOR", "Receiver", "Transmitter", "received"]

LEAST_DIVISOR = 4  # clock cycles a bit: fewer and the middle of a bit is too hard to hit
BITS = 8


def received():
    """A byte from the wire; ``broken`` if its stop bit was not there."""
    return data.StructLayout({"data": BITS, "broken": 1})


class Receiver(wiring.Component):
    """Bytes from a wire; every bit is sampled in its middle, counted from the edge of the start bit.

    Parameters
    ----------
    divisor : int
        Clock cycles a bit.

    Members
    -------
    rx : In(1)
        Asynchronous.
    o : Out(stream(received), always ready)
        At most one byte in 9 bits' time.
    """

    def __init__(self, divisor):
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(received(), always_ready=True))})

    def elaborate(self, platform):
        m = Module()
        line, count = Signal(init=1), Signal(range(self._divisor))
        bits = Signal(BITS + 1)  # the lowest one is set when all have come
        m.submodules += FFSynchronizer(self.rx, line, init=1)
        m.d.comb += self.o.payload.data.eq(bits[1:])
        m.d.sync += [count.eq(count - 1), self.o.valid.eq(0)]
        with m.If(count == 0):
            m.d.sync += count.eq(self._divisor - 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += count.eq(self._divisor // 2 - 1)
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                with m.If(count == 0):
                    m.d.sync += bits.eq(1 << BITS)
                    m.next = "DATA"
                    with m.If(line):
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(count == 0):
                    m.d.sync += bits.eq(Cat(bits[1:], line))
                    with m.If(bits[1]):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(count == 0):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.broken.eq(~line)]
                    m.next = "IDLE"  # half a bit early, for senders that are fast
                    with m.If(~line):
                        m.next = "BREAK"
            with m.State("BREAK"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class Transmitter(wiring.Component):
    """Bytes to a wire.

    Parameters
    ----------
    divisor : int
        Clock cycles a bit.

    Members
    -------
    i : In(stream(8))
    tx : Out(1)
        A register.
    """

    def __init__(self, divisor):
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(BITS)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        bits = Signal(BITS + 2, init=1)  # start, data, stop; only the stop bit is left in the end
        count, busy = Signal(range(self._divisor)), Signal()
        m.d.comb += [self.tx.eq(bits[0]), self.i.ready.eq(~busy)]
        with m.If(busy):
            m.d.sync += count.eq(count - 1)
            with m.If(count == 0):
                m.d.sync += count.eq(self._divisor - 1)
                with m.If(bits == 1):
                    m.d.sync += busy.eq(0)
                with m.Else():
                    m.d.sync += bits.eq(bits >> 1)
        with m.Elif(self.i.valid):
            m.d.sync += [bits.eq(Cat(0, self.i.payload, 1)), count.eq(self._divisor - 1), busy.eq(1)]
        return m
