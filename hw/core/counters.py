"""Performance counters of one image."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
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
        Groups whose lanes are given an event; counts stored; lanes that do useful work in this cycle.
    shift : In(1)
        Not ``running``: the first counter is read, the others move up.
    o : Out(32)
        The first counter; they come in the order of `COUNTERS`.
    """

    def __init__(self, params):
        super().__init__({
            "clear": In(1), "running": In(1), "busy": In(range(params.groups + 1)),
            "counted": In(range(params.groups * params.neurons + 1)),
            "active": In(range(params.lanes + 1)), "shift": In(1), "o": Out(WORD_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        amounts = {"cycles": self.running}
        for name, port in (("busy_cycles", "busy"), ("events", "counted"), ("synaptic_ops", "active")):
            amounts[name] = Signal.like(getattr(self, port), name=f"{name}_late")
            m.d.sync += amounts[name].eq(getattr(self, port))
        counts = [Signal(WORD_BITS, name=name) for name in COUNTERS]
        m.d.comb += self.o.eq(counts[0])
        for count, following in zip(counts, (*counts[1:], counts[0])):
            with m.If(self.clear):
                m.d.sync += count.eq(0)
            with m.Elif(self.shift):
                m.d.sync += count.eq(following)
            with m.Else():
                m.d.sync += count.eq(count + amounts[count.name])
        return m
