"""Stores an input image as events."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads
from hw.machine.events import write_port

__all__ = ["Ingest"]


class Ingest(wiring.Component):
    """Take one map of input values in raster order, channels innermost; store the nonzero ones.

    Members
    -------
    i : In(stream(input_word))
        One value a cycle, taken only between ``begin`` and ``done``.
    begin, stop : In(1)
        Start a map; give it up.
    busy, done : Out(1)
        A map is being stored; high for one cycle at its end.
    restart : Out(1)
        A word marked ``first`` has come where none may be: the sender has begun another image.
    write : Out
        To the event store.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "i": In(stream.Signature(payloads.input_word(p))), "begin": In(1), "stop": In(1), "first_map": In(1),
            "header": In(payloads.header(p)), "busy": Out(1), "done": Out(1), "restart": Out(1),
            "write": Out(write_port(p)),
        })

    def elaborate(self, platform):
        m = Module()
        header, word = self.header, self.i.payload
        channel, place = Signal(header.input_channels.shape()), Signal(header.input_row.shape())
        row, started = Signal(header.input_rows.shape()), Signal()
        event, pointer = Signal(self.write.event_address.shape()), Signal(self.write.pointer_address.shape())
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                with m.If(self.begin):
                    m.d.sync += [
                        channel.eq(0), place.eq(0), row.eq(0), started.eq(0),
                        event.eq(header.event_base), pointer.eq(header.pointer_base),
                    ]
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += [
                    self.restart.eq(self.i.valid & word.first & (started | ~self.first_map)),
                    self.i.ready.eq(~self.restart),
                ]
                with m.If(self.stop | self.restart):
                    m.next = "IDLE"
                with m.Elif(self.i.valid):
                    m.d.comb += [
                        self.write.event_enable.eq(word.value != 0), self.write.pointer_enable.eq(channel == 0),
                    ]
                    m.d.sync += [
                        started.eq(1), event.eq(event + (word.value != 0)), pointer.eq(pointer + (channel == 0)),
                        channel.eq(channel + 1), place.eq(place + 1),
                    ]
                    with m.If(channel == header.input_channels):
                        m.d.sync += channel.eq(0)
                    with m.If(place == header.input_row):
                        m.d.sync += [place.eq(0), row.eq(row + 1)]
                        with m.If(row == header.input_rows):
                            m.next = "END"
            with m.State("END"):
                m.d.comb += [self.write.pointer_enable.eq(1), self.done.eq(1)]
                m.next = "IDLE"
        m.d.comb += [
            self.write.event_address.eq(event), self.write.event.index.eq(place), self.write.event.value.eq(word.value),
            self.write.pointer_address.eq(pointer), self.write.pointer.eq(event),
        ]
        return m
