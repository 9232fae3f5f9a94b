"""The decision after a round: the class, and whether the exit rule holds at enough positions."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.exit_rule import EXP_BITS
from gen.plan.memories import memory_table
from gen.plan.program import EXIT_CODES
from hw.core import payloads
from hw.core.memory import CoreMemory
from hw.core.softmax import SoftmaxSums
from hw.core.sums import sum_with_carry

__all__ = ["Decision"]

FACTOR_BITS = 14


def less(a, b):
    """Return whether a < b, as a subtraction: of a comparison Yosys makes that and often a tree of tables beside it."""
    return (a - b)[-1]


class Decision(wiring.Component):
    """Find the largest value of a position, then the others' margin, or S and A, and compare with the limit.

    The equations are those of `gen.exit_rule`, bit for bit; ``S * (limit - L)`` is added up bit by bit. One value is
    looked at a cycle, twice with any rule. The margin is larger than the limit if no second value reaches the largest
    less the limit. Only a core with ``params.softmax`` has the rules of softmax.

    Parameters
    ----------
    params : CoreParams
    limits : list of int
        Initial contents of the exit limits.

    Members
    -------
    stage, load : In
    address, value : Out, In
        To the output store, which answers two cycles later, with ``params.shared`` three; only while ``busy``.
    begin, step : In
        Decide about the round ``step``, from 0.
    busy, done : Out(1)
        ``done`` comes, for one cycle, with ``exits`` and ``class_``.
    exits, class_ : Out
        The rule holds; the channel of the largest value at the first position.
    """

    def __init__(self, params, limits):
        self._params = p = params
        self._limits = limits
        super().__init__({
            "stage": In(payloads.stage(p)), "load": In(payloads.load_port(p)),
            "address": Out(range(max(2, p.outputs))), "value": In(signed(p.acc_bits)),
            "begin": In(1), "step": In(range(p.timesteps)), "busy": Out(1), "done": Out(1), "exits": Out(1),
            "class_": Out(range(max(2, p.classes))),
        })

    def elaborate(self, platform):
        m = Module()
        p, stage = self._params, self.stage
        m.submodules.limits = limits = CoreMemory(memory_table(p)["limits"], self._limits, params=p)
        limit_place = Signal.like(limits.address)
        m.d.sync += limit_place.eq(stage.limits + self.step)
        m.d.comb += [limits.load.eq(self.load), limits.address.eq(limit_place)]
        best, holds = Signal(signed(p.acc_bits + 2), reset_less=True), Signal()
        index, left, coming = Signal(range(max(2, p.classes))), Signal(range(p.classes + 1)), Signal(2 + p.shared)
        position, passing = Signal(range(max(2, p.positions))), Signal(range(p.positions + 1))
        base, arrived, last = Signal.like(self.address), Signal(), Signal()
        m.d.sync += coming.eq(Cat(left.any(), coming))
        m.d.comb += [arrived.eq(coming[-1]), last.eq(index == stage.classes)]
        with m.If(left.any()):
            m.d.sync += [left.eq(left - 1), self.address.eq(self.address + 1)]
        with m.If(arrived):
            m.d.sync += index.eq(index + 1)
        # The value less one more than the best, not below 0 where it is larger; ``bounds``: the limit less the best.
        # It is the best that is turned over: so the choice of the other one lies in the chain (`hw.board.carries`).
        lead, larger, bounds = Signal(signed(p.acc_bits + 3)), Signal(), Signal()
        limit = limits.data[: p.acc_bits]
        other = Mux(bounds, Cat(limit, Const(0, 1)).as_signed(), self.value)
        m.d.comb += [lead.eq(sum_with_carry(other, ~best, bounds)), larger.eq(~lead[-1])]
        reached, again = Signal(), Signal()  # by one value, the largest; by another one
        m.d.sync += bounds.eq(0)

        def scan(at):
            m.d.sync += [self.address.eq(at), left.eq(stage.classes + 1), index.eq(0)]

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += [position.eq(0), passing.eq(0), base.eq(stage.output)]
                with m.If(self.begin):
                    scan(stage.output)
                    m.next = "LARGEST"
            with m.State("LARGEST"):
                with m.If(arrived):
                    with m.If((index == 0) | larger):
                        m.d.sync += best.eq(self.value)
                        with m.If(position == 0):
                            m.d.sync += self.class_.eq(index)
                    with m.If(last):
                        m.d.sync += bounds.eq(1)
                        m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.sync += [self.exits.eq(0), reached.eq(0), again.eq(limits.data[p.acc_bits :].any())]
                with m.Switch(stage.exit_kind):
                    with m.Case(EXIT_CODES["off"]):
                        m.next = "DONE"
                    with m.Case(EXIT_CODES["margin"]):
                        scan(base)
                        m.d.sync += best.eq(~lead)  # less the limit and 1: what is larger reaches it
                        m.next = "MARGIN"
                    with m.Default():
                        scan(base)
                        m.next = "SOFTMAX" if p.softmax else "DONE"
            with m.State("MARGIN"):
                with m.If(arrived & larger):
                    m.d.sync += [reached.eq(1), again.eq(again | reached)]
                with m.If(arrived & last):
                    m.d.sync += holds.eq(~again & ~(reached & larger) & (index != 0))
                    m.next = "VERDICT"
            if p.softmax:
                self._softmax(m, arrived, last, best, limits.data, holds)
            with m.State("VERDICT"):
                m.d.sync += [passing.eq(passing + holds), position.eq(position + 1), base.eq(base + stage.classes + 1)]
                m.next = "NEXT"
                with m.If(position == stage.positions):
                    m.next = "COUNT"
            with m.State("NEXT"):
                scan(base)
                m.next = "LARGEST"
            with m.State("COUNT"):
                m.d.sync += self.exits.eq(passing >= stage.required)
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        return m

    def _softmax(self, m, arrived, last, best, limit, holds):
        """Add up S and A; compare S, or A with S * (limit - L)."""
        kind = self.stage.exit_kind
        m.submodules.softmax = softmax = SoftmaxSums(self._params)
        m.d.comb += [
            softmax.shift.eq(self.stage.exit_shift), softmax.scale.eq(self.stage.exit_scale),
            softmax.best.eq(best), softmax.logit.eq(self.value),
        ]
        with m.State("SOFTMAX"):
            m.d.comb += softmax.valid.eq(arrived)
            with m.If(arrived & last):
                m.next = "SETTLE"
        with m.State("SETTLE"):
            with m.If(softmax.settled):
                m.next = "LIMIT"
        s_bits = len(softmax.s)
        shifted, top = Signal(s_bits, reset_less=True), Signal(range(s_bits), reset_less=True)
        factor, bits_left = Signal(FACTOR_BITS, reset_less=True), Signal(range(FACTOR_BITS + 1))
        product = Signal(s_bits + FACTOR_BITS, reset_less=True)
        logarithm = Signal(8 + len(top), reset_less=True)
        difference, near = Signal(signed(FACTOR_BITS + 2), reset_less=True), FACTOR_BITS + 1
        m.d.comb += softmax.place.eq(shifted[-9:-1])
        with m.State("LIMIT"):
            m.d.comb += softmax.clear.eq(kind == EXIT_CODES["confidence"])
            m.d.sync += [shifted.eq(softmax.s), top.eq(s_bits - 1), holds.eq(less(softmax.s, limit))]
            m.next = "NORMALIZE"
            with m.If(kind == EXIT_CODES["confidence"]):
                m.next = "VERDICT"
        with m.State("NORMALIZE"):
            with m.If(shifted[-1]):
                m.next = "LOGARITHM"
            with m.Else():
                m.d.sync += [shifted.eq(shifted << 1), top.eq(top - 1)]
        with m.State("LOGARITHM"):
            m.d.sync += logarithm.eq(Cat(softmax.log, top - EXP_BITS)[: len(logarithm)])
            m.next = "DIFFERENCE"
        with m.State("DIFFERENCE"):
            m.d.sync += difference.eq(limit[:near] - logarithm)
            m.next = "FACTOR"
        # No logarithm comes near 2**FACTOR_BITS.
        large = limit[near:].any() | (~difference[-1] & difference[FACTOR_BITS])
        with m.State("FACTOR"):
            m.d.sync += [
                factor.eq(Mux(large, 2**FACTOR_BITS - 1, Mux(difference < 0, 0, difference))),
                bits_left.eq(FACTOR_BITS), product.eq(0),
            ]
            m.next = "MULTIPLY"
        with m.State("MULTIPLY"):  # the factor's bits from the highest down
            m.d.sync += [
                factor.eq(factor << 1), product.eq((product << 1) + Mux(factor[-1], softmax.s, 0)),
                bits_left.eq(bits_left - 1),
            ]
            with m.If(bits_left == 1):
                m.next = "BELOW"
        with m.State("BELOW"):
            m.d.comb += softmax.clear.eq(1)
            m.d.sync += holds.eq(less(softmax.a, product))
            m.next = "VERDICT"
