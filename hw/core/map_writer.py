"""Takes the groups' words in turn and writes each into every group's copy of the maps."""

from amaranth.hdl import Array, Cat, Module, Signal
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
        turn, chosen = Signal(range(len(inputs))), Signal(range(len(inputs)))
        offered = Cat(each.valid for each in inputs)
        m.d.comb += self.busy.eq(self.o.enable)
        m.d.sync += self.o.enable.eq(offered.any())
        # Whose word it is, is found by itself: words that are chosen one by one take four times the tables.
        with m.Switch(turn):
            for first in range(len(inputs)):
                with m.Case(first):
                    for place in reversed([*range(first, len(inputs)), *range(first)]):
                        with m.If(offered[place]):
                            m.d.comb += chosen.eq(place)
        words = Array(each.p for each in inputs)
        with m.If(offered.any()):
            m.d.comb += Array(each.ready for each in inputs)[chosen].eq(1)
            m.d.sync += [
                self.o.address.eq(words[chosen].address), self.o.word.eq(words[chosen].word),
                turn.eq(chosen + 1),
            ]
        return m
