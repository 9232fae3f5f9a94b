"""Collects the counts of a tile into a word of the map."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["WordWriter"]


class WordWriter(wiring.Component):
    """Make a word of the counts of a tile, zero in the lanes beyond, and offer it while the next one is collected.

    A word must be taken before the next one but one begins: the ends of tiles lie at least as many cycles apart as
    groups share the way to the maps (`gen.plan.program_words.spacing`), so one register is enough.

    Members
    -------
    layer : In
    i : In(pooled_count)
    write : Out(stream(stored_word))
        Two cycles after the last count, only where the layer stores.
    counted : Out(1)
        The layer's events are counted, and ``i`` is one.
    idle : Out(1)
        No word waits.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "layer": In(payloads.pass_block(p)), "i": In(payloads.pooled_count(p)),
            "write": Out(stream.Signature(payloads.stored_word(p))), "counted": Out(1), "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        i, write = self.i, self.write
        word = Signal(payloads.stored_word(self._params), reset_less=True)
        complete, takes = (Signal(name=name) for name in ("complete", "takes"))
        with m.If(i.valid):
            m.d.sync += word.address.eq(i.address)
            with m.If(i.lane == 0):
                m.d.sync += word.word.eq(0)
            for lane in range(self._params.width):
                with m.If(i.lane == lane):
                    m.d.sync += word.word[lane].eq(i.count)
        m.d.comb += [
            takes.eq(complete & (~write.valid | write.ready)), self.idle.eq(~complete & ~write.valid),
            self.counted.eq(i.valid & (i.count != 0) & self.layer.counted),
        ]
        m.d.sync += complete.eq((i.valid & i.ends & self.layer.stores) | (complete & ~takes))
        with m.If(takes):
            m.d.sync += [write.payload.eq(word), write.valid.eq(1)]
        with m.Elif(write.ready):
            m.d.sync += write.valid.eq(0)
        return m
