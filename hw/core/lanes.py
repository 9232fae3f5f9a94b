"""The lanes: one multiplier and one accumulator for each output channel of a tile."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["Lanes"]


class Lanes(wiring.Component):
    """Sum value times weight over a tile in every lane, or keep the largest.

    The sums are complete two cycles after the tile's last event, for one cycle: they are what the accumulators would
    hold in the next one, in which these begin again from 0, so that the next tile follows without a gap::

        cycle 0 event   1 operand of each lane, weights   2 product, sum   3 accumulator

    Members
    -------
    event, weights : In
        One event; a cycle later, one weight for each lane.
    maximum : In(1)
        Keep the largest value in place of the sum: counts with weights of one. Of counts of both signs every event is
        ``dense``. Only where ``params.maximum``.
    sums : Out
        Of each lane, its last product included.
    done : Out(1)
        ``sums`` is complete.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "event": In(payloads.event(p)), "weights": In(data.ArrayLayout(signed(p.weight_bits), p.width)),
            "sums": Out(data.ArrayLayout(signed(p.sum_bits), p.width)), "done": Out(1),
            **({"maximum": In(1)} if p.maximum else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p, event = self._params, self.event
        last, first, counts = (Signal(2, name=name) for name in ("last", "first", "counts"))
        m.d.sync += last.eq(Cat(event.last, last))
        m.d.comb += self.done.eq(last[1])
        if p.maximum and p.signed:  # neither zero nor a cycle without an event is larger than a count below zero
            dense = event.dense if p.dense else Const(0, 1)  # all maxima may be those of fused pools
            m.d.sync += [first.eq(Cat(event.first, first)), counts.eq(Cat(dense, counts))]
        else:
            m.d.comb += counts.eq(3)
        value = Signal(signed(p.operand_bits), reset_less=True)
        for lane in range(p.width):
            operand = Signal(signed(p.operand_bits), name=f"operand_{lane}", reset_less=True) if p.dense else value
            product = Signal(signed(p.operand_bits + p.weight_bits), name=f"product_{lane}", reset_less=True)
            total = Signal(signed(p.sum_bits), name=f"total_{lane}")
            m.d.sync += [
                operand.eq(Mux(event.dense, event.word[lane], event.value) if p.dense else event.value),
                product.eq(operand * self.weights[lane]),
            ]
            added = self._largest(m, lane, total, product, first[1], counts[1]) if p.maximum else total + product
            m.d.comb += self.sums[lane].eq(added)
            m.d.sync += total.eq(self.sums[lane])
            with m.If(self.done):
                m.d.sync += total.eq(0)
        return m

    def _largest(self, m, lane, total, product, first, counts):
        """Return the sum, or the larger of total and product."""
        p = self._params
        replace, larger = (Signal(name=f"{name}_{lane}") for name in ("replace", "larger"))
        now, before = (value[: p.count_bits] for value in (product, total))
        if p.signed:
            now, before = now.as_signed(), before.as_signed()
        m.d.comb += [larger.eq(now > before), replace.eq(self.maximum & (first | (counts & larger)))]
        added = total + product
        # Of counts without sign no more than these bits differ from those of the sum: all others are 0.
        low = p.sum_bits if p.signed else min(p.count_bits + 1, p.sum_bits)
        held = Cat(Mux(self.maximum, total[:low], added[:low]), added[low : p.sum_bits])
        return Mux(replace, product, held.as_signed())
