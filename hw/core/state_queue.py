"""The states of one neuron on their way from outside the chip, and back."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from gen.plan.parking import DEPTH, HALF

__all__ = ["StateQueue"]


class StateQueue(wiring.Component):
    """Keep words of states that have come until the neuron takes them, and those that it has left until they go.

    Nobody here knows how many there are: who lets a tile end sees to it that nothing runs over or dry.

    Members
    -------
    begin, paired : In(1)
        A pass begins, which has two states in a word.
    i : In(stream(32))
        A word that comes, taken at once.
    takes, takes_last : In(1)
        The neuron takes its next state; it is the last one of a tile.
    state : Out
        A cycle later.
    leaves, leaves_last, new_state : In
        It leaves a state, the last one of a tile.
    took, kept : Out(1)
        Strobes: all states of a word have been taken; a word goes among those to be written.
    o : Out(stream(32))
        Words to be written.
    came, left : Out
        How many words are there of both kinds.
    drop_came, drop_left : In(1)
        Drop a word of both kinds in each cycle.
    """

    def __init__(self, params):
        word, level = signed(params.state_bits), range(DEPTH + 1)
        super().__init__({
            "begin": In(1), "paired": In(1), "i": In(stream.Signature(WORD_BITS, always_ready=True)),
            "takes": In(1), "takes_last": In(1), "state": Out(word),
            "leaves": In(1), "leaves_last": In(1), "new_state": In(word), "took": Out(1), "kept": Out(1),
            "o": Out(stream.Signature(WORD_BITS)), "came": Out(level), "left": Out(level),
            "drop_came": In(1), "drop_left": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.words_come = come = SyncFIFOBuffered(width=WORD_BITS, depth=DEPTH)
        m.submodules.words_left = left = SyncFIFOBuffered(width=WORD_BITS, depth=DEPTH)
        m.d.comb += [
            come.w_data.eq(self.i.payload), come.w_en.eq(self.i.valid), self.came.eq(come.level),
            come.r_en.eq(self.took | self.drop_came), self.left.eq(left.level),
            self.o.valid.eq(left.r_rdy), self.o.payload.eq(left.r_data),
            left.r_en.eq(self.o.ready | self.drop_left),
        ]
        taken = self._halves(m, "taken", self.takes, self.takes_last)
        m.d.comb += self.took.eq(self.takes & (~self.paired | taken | self.takes_last))
        with m.If(self.takes):
            half = come.r_data.word_select(taken, HALF)
            m.d.sync += self.state.eq(Mux(self.paired, half.as_signed(), come.r_data.as_signed()))

        lower, upper = Signal(HALF, reset_less=True), self._halves(m, "given", self.leaves, self.leaves_last)
        new = Signal(signed(WORD_BITS))
        m.d.comb += [new.eq(self.new_state), left.w_en.eq(self.kept)]
        with m.If(self.leaves):
            m.d.sync += lower.eq(new)
        m.d.sync += [
            self.kept.eq(self.leaves & (~self.paired | upper | self.leaves_last)),
            left.w_data.eq(Mux(self.paired & upper, Cat(lower, new[:HALF]), new)),
        ]
        return m

    def _halves(self, m, name, moves, ends):
        """Return whether the next state lies in the upper half of a word."""
        upper = Signal(name=name)
        with m.If(self.begin):
            m.d.sync += upper.eq(0)
        with m.Elif(moves):
            m.d.sync += upper.eq(self.paired & ~upper & ~ends)
        return upper
