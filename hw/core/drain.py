"""Takes a tile's sums when they are complete and gives them to the neuron, one lane a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["Drain"]

READ = 2  # cycles of the memories that are read meanwhile


class Drain(wiring.Component):
    """Shift the lanes' sums out, lowest lane first, while the next tile is being added up.

    ::

        done | parameter, beat: lane 0 | lane 1 | lane 2        | ...
             |                         |        | total: lane 0 | ...

    Members
    -------
    sums, done : In
        The sums in the cycle of ``done``. The next tile is done ``lanes`` cycles later at the earliest.
    tiles : In(stream(opening))
        The tile that is done; taken with ``done``, valid by then.
    beat, parameter : Out
        A lane, and the address of its parameters, from the cycle after ``done`` on.
    total : Out
        Its sum, two cycles later, when the memories have answered.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "sums": In(data.ArrayLayout(signed(p.acc_bits), p.width)), "done": In(1),
            "tiles": In(stream.Signature(payloads.opening(p))),
            "beat": Out(payloads.neuron_beat()), "parameter": Out(range(max(2, p.parameters))),
            "total": Out(signed(p.acc_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        p, tile, beat = self._params, self.tiles.payload, self.beat
        left = Signal(range(p.width), reset_less=True)
        m.d.comb += [self.tiles.ready.eq(self.done), beat.ends.eq(beat.valid & (left == 0))]
        with m.If(self.done):
            m.d.sync += [
                beat.valid.eq(1), beat.first.eq(tile.first), beat.last.eq(tile.last), left.eq(tile.lanes),
                self.parameter.eq(tile.parameter),
            ]
        with m.Else():
            m.d.sync += [
                beat.valid.eq(beat.valid & ~beat.ends), left.eq(left - 1), self.parameter.eq(self.parameter + 1),
            ]

        waiting = Signal(data.ArrayLayout(signed(p.acc_bits), p.width), reset_less=True)
        m.d.sync += waiting.eq(Mux(self.done, Cat(*self.sums), Cat(*(waiting[lane] for lane in range(1, p.width)))))
        total = waiting[0]
        for stage in range(READ):
            late = Signal.like(total, name=f"total_{stage}", reset_less=True)
            m.d.sync += late.eq(total)
            total = late
        m.d.comb += self.total.eq(total)
        return m
