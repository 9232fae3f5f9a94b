"""Performance counters of one image."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core.sequencer import COUNTERS

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Count from ``clear`` on, while ``running``.

    Members
    -------
    clear, running : In(1)
        An image's work begins; it is under way.
    busy, counted, active : In
        Groups whose lanes are given an event; groups that store a count; lanes that do useful work in this cycle.
    o : Out
        The counters, in the order of `COUNTERS`.
    """

    def __init__(self, params):
        super().__init__({
            "clear": In(1), "running": In(1), "busy": In(range(params.groups + 1)),
            "counted": In(range(params.groups + 1)),
            "active": In(range(params.lanes + 1)), "o": Out(data.ArrayLayout(WORD_BITS, len(COUNTERS))),
        })

    def elaborate(self, platform):
        m = Module()
        amounts = {"cycles": self.running}
        for name, port in (("busy_cycles", "busy"), ("events", "counted"), ("synaptic_ops", "active")):
            amounts[name] = Signal.like(getattr(self, port), name=f"{name}_late")
            m.d.sync += amounts[name].eq(getattr(self, port))
        for i, name in enumerate(COUNTERS):
            with m.If(self.clear):
                m.d.sync += self.o[i].eq(0)
            with m.Else():
                m.d.sync += self.o[i].eq(self.o[i] + amounts[name])
        return m
