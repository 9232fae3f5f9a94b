"""Takes the groups' words in turn and writes each into every group's copy of the maps."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.choice import choice

__all__ = ["MapWriter"]


class MapWriter(wiring.Component):
    """One word a cycle, from the groups that offer one in turn.

    A group's words come at least as many cycles apart as there are groups (`gen.plan.program_words.spacing`), so each
    is taken before the group has the next one.

    Members
    -------
    i_0, i_1 ... : In(stream(stored_word))
        One of each group.
    copied, spills : In(stream(copied_word)), In(1)
        Only with ``params.spilled``: one from outside the chip, taken while no group offers one; the words of the
        groups are for the outside.
    o, outside : Out(map_write), Out(map_store)
        A cycle later; ``outside`` only with ``params.spilled``.
    busy : Out(1)
        A word is on its way.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            **{f"i_{g}": In(stream.Signature(payloads.stored_word(p))) for g in range(p.groups)},
            "o": Out(payloads.map_write(p)), "busy": Out(1),
            **({"copied": In(stream.Signature(payloads.copied_word(p))), "spills": In(1),
                "outside": Out(payloads.map_store(p))} if p.spilled else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        inputs = [getattr(self, f"i_{g}") for g in range(p.groups)]
        turn, chosen = Signal(range(len(inputs))), Signal(range(len(inputs)))
        offered = Cat(each.valid for each in inputs)
        word = Signal(payloads.stored_word(p), reset_less=True)
        m.d.comb += [self.o.address.eq(word.address), self.o.word.eq(word.word)]
        # Whose word it is, is found by itself: words that are chosen one by one take four times the tables.
        with m.Switch(turn):
            for first in range(len(inputs)):
                with m.Case(first):
                    for place in reversed([*range(first, len(inputs)), *range(first)]):
                        with m.If(offered[place]):
                            m.d.comb += chosen.eq(place)
        words = choice([each.p.as_value() for each in inputs], chosen)
        with m.If(offered.any()):
            m.d.comb += Array(each.ready for each in inputs)[chosen].eq(1)
            m.d.sync += [word.eq(words), turn.eq(chosen + 1)]
        if p.spilled:
            self._spill(m, offered.any(), word)
        else:
            m.d.comb += self.busy.eq(self.o.enable)
            m.d.sync += self.o.enable.eq(offered.any())
        return m

    def _spill(self, m, offered, word):
        """Let the words of groups that spill go outside, and what is copied from there come in between others."""
        m.d.comb += [
            self.busy.eq(self.o.enable | self.outside.enable), self.copied.ready.eq(~offered),
            self.outside.address.eq(word.address),
            *(self.outside.word[lane].eq(word.word[lane]) for lane in range(self._params.width)),
        ]
        m.d.sync += [
            self.o.enable.eq(Mux(offered, ~self.spills, self.copied.valid)),
            self.outside.enable.eq(offered & self.spills),
        ]
        with m.If(~offered):
            m.d.sync += [
                word.address.eq(self.copied.p.address),
                *(word.word[lane].eq(self.copied.p.word[lane]) for lane in range(self._params.width)),
            ]
