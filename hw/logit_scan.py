"""The logits of the readout, kept by tile and handed out one by one."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw import payloads

__all__ = ["LogitScan"]


class LogitScan(wiring.Component):
    """Store the readout's tiles as they fire; on ``begin`` stream the logits of every class in order.

    Members
    -------
    clear, fired, logits : In
        Start at the first tile; store one tile.
    begin : In(1)
        Stream all logits; a tile takes two cycles to fetch, then a logit two.
    o : Out(stream)
        ``logit``, its class ``index``, ``last``.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "header": In(payloads.header(p)),
            "clear": In(1), "fired": In(1), "logits": In(data.ArrayLayout(signed(p.acc_bits), p.lanes)),
            "begin": In(1),
            "o": Out(stream.Signature(data.StructLayout({
                "logit": signed(p.acc_bits), "index": range(max(2, p.classes)), "last": 1,
            }))),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        m.submodules.logits = memory = Memory(shape=p.acc_bits * p.lanes, depth=p.class_tiles, init=[])
        write, read = memory.write_port(), memory.read_port()
        stored, tile = Signal(range(p.class_tiles + 1)), Signal(range(p.class_tiles + 1))
        lane = Signal(range(max(2, p.lanes)))
        index = self.o.payload.index
        m.d.comb += [
            write.addr.eq(stored), write.data.eq(self.logits.as_value()), write.en.eq(self.fired), read.addr.eq(tile),
            self.o.payload.last.eq(index == self.header.classes),
        ]
        with m.If(self.clear):
            m.d.sync += stored.eq(0)
        with m.Elif(self.fired):
            m.d.sync += stored.eq(stored + 1)
        with m.FSM() as fsm:
            m.d.comb += read.en.eq(fsm.ongoing("ADDRESS"))
            with m.State("IDLE"):
                with m.If(self.begin):
                    m.d.sync += [tile.eq(0), index.eq(0)]
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += lane.eq(0)
                m.next = "SELECT"
            with m.State("SELECT"):
                m.d.sync += self.o.payload.logit.eq(data.View(self.logits.shape(), read.data)[lane])
                m.next = "STREAM"
            with m.State("STREAM"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "SELECT"
                    m.d.sync += [lane.eq(lane + 1), index.eq(index + 1)]
                    with m.If(self.o.payload.last):
                        m.next = "IDLE"
                    with m.Elif(lane == self.header.class_lanes):
                        m.d.sync += tile.eq(tile + 1)
                        m.next = "ADDRESS"
        return m
