"""The lanes: one multiplier and one accumulator for each output channel of a tile."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw import payloads

__all__ = ["Lanes"]


class Lanes(wiring.Component):
    """Sum ``value * weight`` over a tile in every lane, or keep the largest.

    The sums are complete two cycles after the tile's last value, for one cycle, while the next tile is
    already being added up.

    Members
    -------
    value, first, last : In
        From `Gather`.
    weights : In
        One weight per lane.
    maximum : In(1)
        Keep the largest value in place of the sum, for max pooling: counts with unit weights.
    sums : Out
        One accumulator per lane.
    done : Out(1)
        ``sums`` is complete.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "value": In(payloads.event(p).members["value"]), "first": In(1), "last": In(1), "maximum": In(1),
            "weights": In(data.ArrayLayout(signed(p.weight_bits), p.lanes)),
            "sums": Out(data.ArrayLayout(signed(p.acc_bits), p.lanes)), "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        first, last = Signal(), Signal()
        m.d.sync += [first.eq(self.first), last.eq(self.last), self.done.eq(last)]
        for lane in range(p.lanes):
            product = Signal(signed(p.value_bits + p.weight_bits), name=f"product_{lane}")
            base = Signal(signed(p.acc_bits), name=f"base_{lane}")
            total = self.sums[lane]
            m.d.comb += base.eq(Mux(first, 0, total))
            m.d.sync += product.eq(self.value * self.weights[lane])
            larger = product[: len(self.value)].as_signed() > base[: len(self.value)].as_signed()
            with m.If(self.maximum):
                m.d.sync += total.eq(Mux(larger, product, base))
            with m.Else():
                m.d.sync += total.eq(base + product)
        return m
