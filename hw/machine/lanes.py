"""The lanes: one multiplier and one accumulator for each output channel of a tile."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads

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
        Keep the largest value in place of the sum, for max pooling: counts with unit weights. Without effect
        when ``params.maximum`` is 0.
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
            product = Signal(signed(p.value_bits + p.weight_bits), name=f"product_{lane}", reset_less=True)
            replace = Signal(name=f"replace_{lane}")
            total, count = self.sums[lane], len(self.value)
            m.d.comb += replace.eq(first)
            m.d.sync += [
                product.eq(self.value * self.weights[lane]),
                total.eq(Mux(replace, product, total + product)),
            ]
            if p.maximum:
                larger = product[:count].as_signed() > total[:count].as_signed()
                with m.If(self.maximum):
                    m.d.comb += replace.eq(first | larger)
                    with m.If(~replace):
                        m.d.sync += total.eq(total)
        return m
