"""Hands out the logits of the readout one by one."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads

__all__ = ["LogitScan"]


class LogitScan(wiring.Component):
    """On ``begin`` read the readout's words and stream the logits of every class in order.

    Members
    -------
    begin : In(1)
        Stream all logits; a word takes two cycles to fetch, then a logit two.
    read, address, logits : Out, Out, In
        To the memory of the logits, which answers a cycle later.
    o : Out(stream)
        ``logit``, its class ``index``, ``last``.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "header": In(payloads.header(p)), "begin": In(1),
            "read": Out(1), "address": Out(range(max(2, p.class_tiles * p.beats))),
            "logits": In(data.ArrayLayout(signed(p.acc_bits), p.neurons)),
            "o": Out(stream.Signature(data.StructLayout({
                "logit": signed(p.acc_bits), "index": range(max(2, p.classes)), "last": 1,
            }))),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        lane, tile = Signal(range(max(2, p.lanes))), Signal.like(self.address)
        index = self.o.payload.index
        m.d.comb += self.o.payload.last.eq(index == self.header.classes)
        with m.FSM() as fsm:
            m.d.comb += self.read.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                with m.If(self.begin):
                    m.d.sync += [tile.eq(0), self.address.eq(0), lane.eq(0), index.eq(0)]
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "SELECT"
            with m.State("SELECT"):
                m.d.sync += self.o.payload.logit.eq(self.logits[0 if p.shared else lane])
                m.next = "STREAM"
            with m.State("STREAM"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [lane.eq(lane + 1), index.eq(index + 1)]
                    m.next = "SELECT"
                    if p.shared:
                        m.d.sync += self.address.eq(self.address + 1)
                        m.next = "ADDRESS"
                    with m.If(self.o.payload.last):
                        m.next = "IDLE"
                    with m.Elif(lane == self.header.class_lanes):
                        m.d.sync += [lane.eq(0), tile.eq(tile + p.beats), self.address.eq(tile + p.beats)]
                        m.next = "ADDRESS"
        return m
