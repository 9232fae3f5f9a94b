"""Performance counters of one image."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gen.layout.program import WORD_BITS
from hw.machine.sequencer import COUNTERS

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Count from the first input word taken until the result is given.

    Members
    -------
    clear, taken, given : In(1)
        No image is under way; an input word is taken; the result is being sent.
    busy, counted, active : In
        The lanes are given an event; an event is stored; lanes that do useful work in this cycle.
    o : Out
        The counters, in the order of `COUNTERS`.
    """

    def __init__(self, params):
        super().__init__({
            "clear": In(1), "taken": In(1), "given": In(1), "busy": In(1), "counted": In(1),
            "active": In(range(params.lanes + 1)), "o": Out(data.ArrayLayout(WORD_BITS, len(COUNTERS))),
        })

    def elaborate(self, platform):
        m = Module()
        started, running = Signal(), Signal()
        late = {name: Signal.like(getattr(self, name), name=f"{name}_late") for name in ("busy", "counted", "active")}
        m.d.sync += [late[name].eq(getattr(self, name)) for name in late]
        m.d.sync += running.eq((started | self.taken) & ~self.given)
        amounts = dict(zip(COUNTERS, (running, *late.values())))
        for i, name in enumerate(COUNTERS):
            with m.If(self.clear):
                m.d.sync += self.o[i].eq(0)
            with m.Else():
                m.d.sync += self.o[i].eq(self.o[i] + amounts[name])
        with m.If(self.clear):
            m.d.sync += started.eq(0)
        with m.Elif(self.taken):
            m.d.sync += started.eq(1)
        return m
