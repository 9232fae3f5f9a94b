"""Performance counters of one image."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS

__all__ = ["COUNTED", "Counters"]

COUNTED = ("cycles", "busy_cycles", "events", "synaptic_ops")  # of an image, in the order of its result


class Counters(wiring.Component):
    """Count from ``clear`` on, while ``running``.

    The counters lie in a small memory before one adder, and take turns. What comes meanwhile waits in a few bits; what
    still waits when the counters are read is added then.

    Members
    -------
    clear, running : In(1)
        An image's work begins; it is under way.
    busy, counted, active : In
        Groups whose lanes are given an event; counts stored; lanes that do useful work in this cycle.
    shift : In(1)
        Go on to the next counter; from the fourth cycle after ``running`` on.
    o : Out(32)
        The first counter then; they come in the order of `COUNTED`.
    """

    def __init__(self, params):
        super().__init__({
            "clear": In(1), "running": In(1), "busy": In(range(params.groups + 1)),
            "counted": In(range(params.groups * params.neurons + 1)),
            "active": In(range(params.lanes + 1)), "shift": In(1), "o": Out(WORD_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        number = len(COUNTED)
        amounts = [self.running, self.busy, self.counted, self.active]
        late = [Signal.like(amount, name=f"{name}_late") for name, amount in zip(COUNTED, amounts)]
        waiting = [Signal(len(amount) + number.bit_length() - 1, name=f"{name}_waiting")
                   for name, amount in zip(COUNTED, amounts)]
        turn, next_turn, ran = Signal(range(number)), Signal(range(number)), Signal()
        fresh = Signal()  # the words are those of an image before
        runs = late[0]
        m.submodules.words = words = Memory(shape=WORD_BITS, depth=16, init=[], attrs={"no_rw_check": 1})
        write, read = words.write_port(), words.read_port(domain="comb")
        word = Signal(WORD_BITS, reset_less=True)
        m.d.comb += [
            read.addr.eq(next_turn), write.addr.eq(turn), write.en.eq(runs), write.data.eq(self.o),
            self.o.eq(Mux(fresh, 0, word) + Array(waiting)[turn]), next_turn.eq(turn),
        ]
        m.d.sync += [
            ran.eq(runs), turn.eq(next_turn), word.eq(read.data),
            *(after.eq(amount) for after, amount in zip(late, amounts)),
        ]
        for place in range(number):
            with m.If(self.clear):
                m.d.sync += waiting[place].eq(0)
            with m.Else():
                m.d.sync += waiting[place].eq(Mux(runs & (turn == place), 0, waiting[place]) + late[place])
        with m.If(self.clear):
            m.d.comb += next_turn.eq(0)
            m.d.sync += fresh.eq(1)
        with m.Elif(runs | self.shift):
            m.d.comb += next_turn.eq(turn + 1)
            with m.If(turn == number - 1):
                m.d.sync += fresh.eq(0)
        with m.Elif(ran):
            m.d.comb += next_turn.eq(0)
        return m
