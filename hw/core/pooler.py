"""Pools the counts of the tiles of a fused window."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["Pooler"]


class Pooler(wiring.Component):
    """Join each count to that of its lane in the tiles of the window before, by sum or maximum.

    In tile order a tile's timesteps follow one another, so there are as many windows as timesteps under way.

    Parameters
    ----------
    params : CoreParams
    part : int
        Of the neuron among those of its group, from 0.

    Members
    -------
    begin : In(1)
        A pass begins.
    layer : In
    beat, count : In
        A lane of each neuron and the count of this one's, as they leave the neurons.
    tile : In(closing)
        Of these lanes.
    o : Out(pooled_count)
        A cycle later, of the window's last tile only.
    """

    def __init__(self, params, part=0):
        self._params = p = params
        self._part = part
        super().__init__({
            "begin": In(1), "layer": In(payloads.pass_block(p)), "beat": In(payloads.neuron_beat(p)),
            "count": In(payloads.count_shape(p)), "tile": In(payloads.closing(p)), "o": Out(payloads.pooled_count(p)),
        })

    def elaborate(self, platform):
        m = Module()
        p, beat, tile, new, o = self._params, self.beat, self.tile, self.count, self.o
        number, joined = Signal(range(p.beats), name="number"), Signal.like(new, name="joined")
        m.d.comb += joined.eq(new)
        if p.windows:
            self._window(m, number, joined)
        with m.If(beat.valid):
            m.d.sync += number.eq(Mux(beat.ends, 0, number + 1))
        m.d.sync += [
            o.valid.eq(beat.valid & (tile.window_last if p.windows else 1)), o.count.eq(joined), o.beat.eq(number),
            o.ends.eq(beat.ends), o.address.eq(tile.address),
            *([o.own.eq(beat.own[self._part])] if p.neurons > 1 else []),
        ]
        return m

    def _window(self, m, number, joined):
        """Let ``joined`` be the count and what its lane had in the window before."""
        p, new = self._params, self.count
        m.submodules.window = window = Memory(shape=payloads.count_shape(p), depth=p.beats * p.pool_steps, init=[])
        write = window.write_port()
        read = window.read_port(domain="comb")
        place = self._place(m) if p.pool_steps > 1 else number
        m.d.comb += [
            read.addr.eq(place), write.addr.eq(place), write.data.eq(joined), write.en.eq(self.beat.valid),
        ]
        with m.If(~self.tile.window_first):
            m.d.comb += joined.eq(new + read.data)
            if p.maximum:
                with m.If(self.layer.fused_maximum):
                    m.d.comb += joined.eq(Mux(new > read.data, new, read.data))

    def _place(self, m):
        """Return where the lane's count lies: it moves on until the tile's last timestep."""
        beat, place = self.beat, Signal(range(self._params.beats * self._params.pool_steps), name="place")
        with m.If(self.begin):
            m.d.sync += place.eq(0)
        with m.Elif(beat.valid):
            m.d.sync += place.eq(Mux(beat.ends & (~self.layer.rewind | beat.last), 0, place + 1))
        return place
