"""Weights of narrow layers, two words in one word of the memory."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Halves"]


class Halves(wiring.Component):
    """The register behind the weight memory, which takes the whole word or one half of each lane's bits.

    It stands in the place of the memory's own second cycle, so that the choice shares cells with the register and the
    multipliers see no more logic than they do without narrow layers.

    Members
    -------
    word : In
        From a memory of latency 1.
    narrow, upper : In(1)
        The layer is narrow; if so, its weights are the upper halves.
    weights : Out
        One per lane, a cycle later.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "word": In(p.width * p.weight_bits), "narrow": In(1), "upper": In(1),
            "weights": Out(data.ArrayLayout(signed(p.weight_bits), p.width)),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        half = p.weight_bits // 2
        other = Signal()
        weights = Signal.like(self.weights, reset_less=True)
        m.d.comb += [other.eq(self.narrow & self.upper), self.weights.eq(weights)]
        for lane in range(p.width):
            low, high = (self.word[lane * p.weight_bits + at :][:half] for at in (0, half))
            chosen = Signal(half, name=f"chosen_{lane}")
            m.d.comb += chosen.eq(Mux(other, high, low))
            m.d.sync += weights[lane].eq(Cat(chosen, Mux(self.narrow, chosen[-1].replicate(half), high)))
        return m
