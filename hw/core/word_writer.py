"""Collects the counts of a tile into a word of the map."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["WordWriter"]


class WordWriter(wiring.Component):
    """Make a word of the counts of a tile, zero in the lanes beyond, and offer it while the next one is collected.

    All neurons give their counts of a tile in the same cycles.

    A word must be taken before the next one but one begins: words begin at least as many cycles apart as groups
    share the way to the maps (`gen.plan.program_words.spacing`), so one register is enough. Of the tiles of a pooling
    window only the last one's counts come here.

    Members
    -------
    layer : In
    i_0, i_1 ... : In(pooled_count)
        Of each neuron.
    write : Out(stream(stored_word))
        Two cycles after the last count, only where the layer stores.
    counted : Out
        How many counts are events of a layer whose events are counted.
    idle : Out(1)
        No word waits.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "layer": In(payloads.pass_block(p)), **{f"i_{n}": In(payloads.pooled_count(p)) for n in range(p.neurons)},
            "write": Out(stream.Signature(payloads.stored_word(p))), "counted": Out(range(p.neurons + 1)),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        p, i, write = self._params, self.i_0, self.write
        word = Signal(payloads.stored_word(p), reset_less=True)
        complete, takes = (Signal(name=name) for name in ("complete", "takes"))
        with m.If(i.valid):
            m.d.sync += word.address.eq(i.address)
            with m.If(i.beat == 0):
                m.d.sync += word.word.eq(0)
            for lane in range(p.width):
                own = getattr(self, f"i_{lane % p.neurons}")
                with m.If((i.beat == lane // p.neurons) & (own.own if p.neurons > 1 else 1)):
                    m.d.sync += word.word[lane].eq(own.count)
        m.d.comb += [
            takes.eq(complete & (~write.valid | write.ready)), self.idle.eq(~complete & ~write.valid),
            self.counted.eq(sum(self._is_event(getattr(self, f"i_{n}")) for n in range(p.neurons))),
        ]
        m.d.sync += complete.eq((i.valid & i.ends & self.layer.stores) | (complete & ~takes))
        with m.If(takes):
            m.d.sync += [write.payload.eq(word), write.valid.eq(1)]
        with m.Elif(write.ready):
            m.d.sync += write.valid.eq(0)
        return m

    def _is_event(self, i):
        return i.valid & (i.count != 0) & self.layer.counted & (i.own if self._params.neurons > 1 else 1)
