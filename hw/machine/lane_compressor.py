"""Spike compression behind a neuron that serves all lanes: one count a cycle, in the order of the lanes."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads
from hw.machine.events import write_port

__all__ = ["LaneCompressor"]


class LaneCompressor(wiring.Component):
    """Pool the tiles of a window, then store the counts that are not zero as they pass; nothing ever waits.

    Members
    -------
    begin : In(1)
        A pass begins: start from the layer's base addresses.
    i : In(stream(beat))
        Every tile is ``params.lanes`` beats.
    done : Out(1)
        The pass's last tile is stored, or, for the readout, has passed.
    counted : Out(1)
        An event of a map that synapses read is being stored.
    write : Out
        To the event store.
    """

    def __init__(self, params):
        self._params = params
        super().__init__({
            "begin": In(1), "layer": In(payloads.layer_block(params)),
            "i": In(stream.Signature(payloads.beat(params), always_ready=True)),
            "done": Out(1), "counted": Out(1), "write": Out(write_port(params)),
        })

    def elaborate(self, platform):
        m = Module()
        p, layer, write, tile = self._params, self.layer, self.write, self.i.payload.tile
        new, window = self.i.payload.counts[0], Signal(payloads.counts(p), reset_less=True)
        joined, lane, ends = Signal(signed(p.value_bits)), Signal(range(max(2, p.lanes))), Signal()
        m.d.comb += [joined.eq(new + window[0]), ends.eq(lane == p.lanes - 1)]
        if p.maximum:
            with m.If(layer.fused_maximum):
                m.d.comb += joined.eq(Mux(new > window[0], new, window[0]))
        with m.If(tile.window_first):
            m.d.comb += joined.eq(new)
        with m.If(self.i.valid):  # the window's counts go round, a turn for every tile
            m.d.sync += [window.eq(Cat(window.as_value()[p.value_bits:], joined)), lane.eq(Mux(ends, 0, lane + 1))]

        stores = payloads.stores(p, layer)
        passed, opens, closes, final = (Signal(name=name) for name in ("passed", "opens", "closes", "final"))
        event, pointer = Signal(write.event_address.shape()), Signal(write.pointer_address.shape())
        m.d.sync += [
            passed.eq(self.i.valid & (tile.window_last | tile.layer_last) & stores), opens.eq(lane == 0),
            closes.eq(self.i.valid & ends & tile.layer_last), final.eq(closes), self.done.eq(final),
            write.event.value.eq(joined), write.event.index.eq(tile.index + lane),
        ]
        m.d.comb += [
            write.event_enable.eq(passed & (write.event.value != 0)), write.event_address.eq(event),
            write.pointer_enable.eq((passed & opens) | (final & stores)), write.pointer_address.eq(pointer),
            write.pointer.eq(event), self.counted.eq(write.event_enable & layer.counted),
        ]
        with m.If(self.begin):
            m.d.sync += [event.eq(layer.event_base), pointer.eq(layer.pointer_base)]
        with m.Else():
            m.d.sync += [event.eq(event + write.event_enable), pointer.eq(pointer + write.pointer_enable)]
        return m
