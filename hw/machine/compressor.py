"""Spike compression: pools the counts of fired tiles and stores the nonzero ones as events."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads
from hw.machine.events import write_port
from hw.machine.queue import Queue

__all__ = ["Compressor"]


class Compressor(wiring.Component):
    """Pool the tiles of a window, then emit one event a cycle, zeros skipped.

    A vector without events takes one cycle; the next vector follows the last event without a gap::

        i -> pool -> mask of nonzero lanes -> queue -> lowest lane -> its value -> write

    Parameters
    ----------
    depth : int
        Vectors that fit the queue. The sender holds as many credits, so ``i`` is always ready.

    Members
    -------
    begin : In(1)
        A pass begins: start from the layer's base addresses.
    i : In(stream(beat))
        A tile, all its lanes at once.
    credit : Out(range(3))
        How many tiles have been pooled into their window or have left the queue.
    done : Out(1)
        The pass's last tile is stored, or, for the readout, has passed.
    counted : Out(1)
        An event of a map that synapses read is being stored.
    write : Out
        To the event store.
    """

    def __init__(self, params, *, depth):
        self._params, self._depth = params, depth
        super().__init__({
            "begin": In(1), "layer": In(payloads.layer_block(params)),
            "i": In(stream.Signature(payloads.beat(params), always_ready=True)),
            "credit": Out(range(3)), "done": Out(1), "counted": Out(1), "write": Out(write_port(params)),
        })

    def elaborate(self, platform):
        m = Module()
        p, counts, tile = self._params, self.i.payload.counts, self.i.payload.tile
        m.submodules.queue = queue = Queue(payloads.pooled(p), depth=self._depth)
        closes = tile.window_last | tile.layer_last
        pooled, full, merged = Signal(payloads.pooled(p), reset_less=True), Signal(), Signal()
        m.d.sync += [full.eq(self.i.valid & closes), merged.eq(self.i.valid & ~closes)]
        with m.If(self.i.valid):
            m.d.sync += [pooled.index.eq(tile.index), pooled.layer_last.eq(tile.layer_last)]
            for lane in range(p.lanes):
                new, old = counts[lane], pooled.counts[lane]
                joined = Signal(signed(p.value_bits), name=f"joined_{lane}")
                m.d.comb += joined.eq(new + old)
                if p.maximum:
                    with m.If(self.layer.fused_maximum):
                        m.d.comb += joined.eq(Mux(new > old, new, old))
                m.d.sync += old.eq(Mux(tile.window_first, new, joined))
        # What the serializer must know of a vector is found before the queue, not behind it.
        vector, ready = Signal(payloads.pooled(p), reset_less=True), Signal()
        m.d.sync += [
            ready.eq(full), vector.counts.eq(pooled.counts), vector.index.eq(pooled.index),
            vector.layer_last.eq(pooled.layer_last), vector.nonzero.eq(Cat(count.any() for count in pooled.counts)),
        ]
        m.d.comb += [
            queue.i.payload.eq(vector), queue.i.valid.eq(ready),
            queue.i.payload.events.eq(sum(vector.nonzero)),
        ]
        m.d.sync += self.credit.eq(merged + (queue.o.valid & queue.o.ready))
        self._serialize(m, queue.o)
        return m

    def _serialize(self, m, vectors):
        """Emit the vectors one event a cycle."""
        p, layer, head = self._params, self.layer, vectors.payload
        mask, fresh, ends = Signal(p.lanes), Signal(), Signal()
        values = Signal(payloads.counts(p), reset_less=True)
        index = Signal(p.index_bits, reset_less=True)
        event, pointer = Signal(self.write.event_address.shape()), Signal(self.write.pointer_address.shape())
        lowest, rest = Signal(p.lanes), Signal(p.lanes)
        left, alone = Signal.like(head.events), Signal(init=1)  # lanes left in the mask; no more than one
        m.d.comb += [lowest.eq(mask & -mask), rest.eq(mask & (mask - 1)), vectors.ready.eq(alone & ~ends)]
        with m.If(self.begin):
            m.d.sync += [event.eq(layer.event_base), pointer.eq(layer.pointer_base), ends.eq(0)]
        with m.Elif(mask.any()):
            m.d.sync += event.eq(event + 1)
        m.d.sync += [mask.eq(rest), fresh.eq(0), left.eq(left - 1), alone.eq((left <= 2) | alone)]
        with m.If(vectors.valid & vectors.ready):
            m.d.sync += [
                mask.eq(head.nonzero), left.eq(head.events), alone.eq(head.events <= 1),
                values.eq(head.counts), index.eq(head.index),
                fresh.eq(payloads.stores(p, layer)), ends.eq(head.layer_last),
            ]
        with m.If(fresh & ~self.begin):
            m.d.sync += pointer.eq(pointer + 1)

        chosen = Signal(data.StructLayout({
            "lanes": p.lanes, "values": payloads.counts(p), "index": p.index_bits, "event": event.shape(),
        }))
        m.d.sync += [chosen.lanes.eq(lowest), chosen.values.eq(values), chosen.index.eq(index), chosen.event.eq(event)]
        lane, value = Signal(range(max(2, p.lanes))), Signal(signed(p.value_bits))
        base, address, valid = Signal(p.index_bits), Signal(event.shape()), Signal()
        picked = [(Cat(chosen.values[i]) & chosen.lanes[i].replicate(p.value_bits)) for i in range(p.lanes)]
        merged = picked[0]
        for term in picked[1:]:
            merged = merged | term
        m.d.sync += [
            lane.eq(Cat(
                Cat(chosen.lanes[i] for i in range(p.lanes) if i >> bit & 1).any() for bit in range(len(lane))
            )),
            value.eq(merged), base.eq(chosen.index), address.eq(chosen.event), valid.eq(chosen.lanes.any()),
        ]

        draining = Signal(3)
        closing = ends & alone
        started = Signal()
        with m.If(self.begin):
            m.d.sync += started.eq(1)
        with m.Elif(closing & started):
            m.d.sync += [draining.eq(1), started.eq(0)]
        with m.Else():
            m.d.sync += draining.eq(draining << 1)
        m.d.comb += [
            self.write.event_enable.eq(valid), self.write.event_address.eq(address),
            self.write.event.index.eq(base + lane), self.write.event.value.eq(value),
            self.write.pointer_enable.eq((fresh | draining[1]) & payloads.stores(p, layer)),
            self.write.pointer_address.eq(pointer), self.write.pointer.eq(event),
            self.done.eq(draining[2]), self.counted.eq(valid & layer.counted),
        ]
