"""The sums behind the softmax exit rules, and the tables."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gen.exit_rule import DISTANCE_MAX, EXP, EXP_BITS, LOG, SCALE_FRACTION, SCALE_MAX, X_MAX

__all__ = ["SoftmaxSums"]

LOG_BITS = 8


def _saturated(value, most):
    """Return the value, at most ``most``, all of whose bits are set."""
    bits = most.bit_length()
    return value[:bits] | value[bits:].any().replicate(bits)


class SoftmaxSums(wiring.Component):
    """Add up ``S = sum e_j`` and ``A = sum e_j * x_j`` (`gen.exit_rule`), one logit a cycle.

    Members
    -------
    clear : In(1)
        Set both sums to zero.
    valid, logit, best : In
        One logit, and the largest of all.
    shift, scale : In
        The temperature.
    s, a : Out
        The sums, once ``settled``.
    place, log : In, Out
        An entry of the table of logarithms, a cycle later, while ``settled``: it lies beside that of exponentials.
    """

    def __init__(self, params):
        self._params = p = params
        more = p.classes.bit_length()
        super().__init__({
            "clear": In(1), "valid": In(1), "logit": In(signed(p.acc_bits)), "best": In(signed(p.acc_bits)),
            "shift": In(max(1, p.exit_shift.bit_length())), "scale": In(range(SCALE_MAX + 1)), "settled": Out(1),
            "place": In(range(len(LOG))), "log": Out(LOG_BITS),
            "s": Out(EXP_BITS + 1 + more), "a": Out(EXP_BITS + 1 + X_MAX.bit_length() + more),
        })

    def elaborate(self, platform):
        m = Module()
        both = [e | log << EXP_BITS + 1 for e, log in zip(EXP, LOG, strict=True)]
        m.submodules.tables = tables = Memory(
            shape=EXP_BITS + 1 + LOG_BITS, depth=len(both), init=both, attrs={"ram_style": "block"})
        read = tables.read_port()
        x_bits, fraction = X_MAX.bit_length(), (len(EXP) - 1).bit_length()
        acc_bits, scale_bits = self._params.acc_bits, len(self.scale)
        distance, shifted, limited, product, x, x_read, x_found, x_late, found, e, weighted = (
            Signal(shape, name=name, reset_less=True) for name, shape in {
                "distance": acc_bits, "shifted": acc_bits, "limited": range(DISTANCE_MAX + 1),
                "product": DISTANCE_MAX.bit_length() + scale_bits, "x": x_bits, "x_read": x_bits, "x_found": x_bits,
                "x_late": x_bits, "found": EXP_BITS + 1, "e": EXP_BITS + 1, "weighted": EXP_BITS + 1 + x_bits,
            }.items()
        )
        scaled = product >> SCALE_FRACTION
        steps = Signal(9)
        m.d.comb += [
            read.addr.eq(Mux(steps[4], x[:fraction], self.place)), self.log.eq(read.data[EXP_BITS + 1 :]),
            self.settled.eq(~steps.any()),
        ]
        m.d.sync += [
            steps.eq((steps << 1) | self.valid),
            distance.eq(self.best - self.logit),
            shifted.eq(distance >> self.shift if self._params.exit_shift else distance),
            limited.eq(_saturated(shifted, DISTANCE_MAX)),
            product.eq(limited * self.scale),
            x.eq(_saturated(scaled, X_MAX)),
            x_read.eq(x),
            found.eq(read.data[: EXP_BITS + 1]),
            x_found.eq(x_read),
            e.eq(found >> x_found[fraction:]),
            x_late.eq(x_found),
            weighted.eq(e * x_late),
        ]
        with m.If(self.clear):
            m.d.sync += [self.s.eq(0), self.a.eq(0)]
        with m.Else():
            with m.If(steps[7]):
                m.d.sync += self.s.eq(self.s + e)
            with m.If(steps[8]):
                m.d.sync += self.a.eq(self.a + weighted)
        return m
