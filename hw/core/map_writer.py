"""Takes the groups' words in turn and writes each into every group's copy of the maps."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["MapWriter"]


class MapWriter(wiring.Component):
    """One word a cycle, from the groups that offer one in turn.

    A pass's tiles end at least as many cycles apart as there are groups (`spacing`), so no group waits for long.

    Members
    -------
    i_0, i_1 ... : In(stream(stored_word))
        One of each group.
    o : Out(map_write)
        A cycle later.
    busy : Out(1)
        A word is on its way.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            **{f"i_{g}": In(stream.Signature(payloads.stored_word(p))) for g in range(p.groups)},
            "o": Out(payloads.map_write(p)), "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        inputs = [getattr(self, f"i_{g}") for g in range(self._params.groups)]
        turn = Signal(range(len(inputs)))
        m.d.comb += self.busy.eq(self.o.enable)
        m.d.sync += self.o.enable.eq(0)
        with m.Switch(turn):
            for first in range(len(inputs)):
                with m.Case(first):
                    self._take(m, inputs, [*range(first, len(inputs)), *range(first)], turn)
        return m

    def _take(self, m, inputs, order, turn):
        """Take the first word that is offered, in this order of groups."""
        for place, g in enumerate(order):
            with (m.Elif if place else m.If)(inputs[g].valid):
                m.d.comb += inputs[g].ready.eq(1)
                m.d.sync += [
                    self.o.enable.eq(1), self.o.address.eq(inputs[g].p.address), self.o.word.eq(inputs[g].p.word),
                    turn.eq((g + 1) % len(inputs)),
                ]
