"""The compressed event store: nonzero values of every map in raster order, with a pointer per tile."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.machine import payloads

__all__ = ["EventStore", "write_port"]


def write_port(p):
    """What a writer of the store drives: one event and one pointer per cycle, each with its enable."""
    return data.StructLayout({
        "event_enable": 1, "event_address": range(p.events + 1), "event": payloads.event(p),
        "pointer_enable": 1, "pointer_address": range(p.pointers + 1), "pointer": range(p.events + 1),
    })


class EventStore(wiring.Component):
    """Events and pointers in block RAM: one writer, one event and two pointers read per cycle.

    Members
    -------
    write : In
        `write_port`.
    event_address, event : In, Out
        ``event`` one cycle later.
    first_pointer, end_pointer, first_event, end_event : In, In, Out, Out
        Pointers, two cycles later.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "write": In(write_port(p)),
            "event_address": In(range(max(2, p.events))), "event": Out(payloads.event(p)),
            "first_pointer": In(range(max(2, p.pointers))), "end_pointer": In(range(max(2, p.pointers))),
            "first_event": Out(p.event_address_bits), "end_event": Out(p.event_address_bits),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        m.submodules.events = events = Memory(shape=payloads.event(p), depth=p.events, init=[])
        port, read = events.write_port(), events.read_port()
        m.d.comb += [
            port.en.eq(self.write.event_enable), port.addr.eq(self.write.event_address), port.data.eq(self.write.event),
            read.addr.eq(self.event_address), self.event.eq(read.data),
        ]
        for name, address, value in (
            ("first", self.first_pointer, self.first_event), ("end", self.end_pointer, self.end_event),
        ):
            m.submodules[f"{name}_pointers"] = pointers = Memory(shape=p.event_address_bits, depth=p.pointers, init=[])
            port, read = pointers.write_port(), pointers.read_port()
            m.d.comb += [
                port.en.eq(self.write.pointer_enable), port.addr.eq(self.write.pointer_address),
                port.data.eq(self.write.pointer), read.addr.eq(address),
            ]
            m.d.sync += value.eq(read.data)
        return m
