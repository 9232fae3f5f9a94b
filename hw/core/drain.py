"""Takes a tile's sums when they are complete and gives them to the neurons, a lane of each a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.choice import choice
from hw.core.sums import loaded_or_moved

__all__ = ["Drain"]

FEW = 8  # lanes for which it does not pay that a register and a table lie apart: iCE40 has them as one cell
READ = 2  # cycles of the memories that are read meanwhile


class Drain(wiring.Component):
    """Shift the lanes' sums out, lowest lanes first, while the next tile is being added up.

    Of N neurons number i takes lanes i, N + i, 2 N + i ... The values of an output go to their memory one by one: the
    neurons stay at their lanes for N cycles there, in each of which another one's lane counts::

        done | parameter, beat: lanes 0 .. N - 1 | lanes N .. | ...
             |                                   |            | totals: lanes 0 .. N - 1 | ...

    Members
    -------
    layer : In
        The pass in force.
    sums, done : In
        The sums in the cycle of ``done``. The next tile is done as many cycles later as this one has beats, at the
        earliest (`gen.plan.passes.Pass.beats`).
    tiles : In(stream(opening))
        The tile that is done; taken with ``done``, valid by then.
    beat, parameter : Out
        A lane of each neuron, and the address of their parameters, from the cycle after ``done`` on.
    totals : Out
        Their sums, two cycles later, when the memories have answered.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "layer": In(payloads.pass_block(p)),
            "sums": In(data.ArrayLayout(signed(p.sum_bits), p.width)), "done": In(1),
            "tiles": In(stream.Signature(payloads.opening(p))),
            "beat": Out(payloads.neuron_beat(p)), "parameter": Out(range(max(2, p.parameters))),
            "totals": Out(data.ArrayLayout(signed(p.sum_bits), p.neurons)),
        })

    def elaborate(self, platform):
        m = Module()
        p, tile, beat = self._params, self.tiles.payload, self.beat
        left = Signal(range(p.width), reset_less=True)  # lanes behind the first of this beat
        moves, taken = self._own(m, left) if p.neurons > 1 else (Const(1), Const(1))
        m.d.comb += [self.tiles.ready.eq(self.done), beat.ends.eq(beat.valid & (left < taken))]
        with m.If(self.done):
            m.d.sync += [beat.first.eq(tile.first), beat.last.eq(tile.last)]
        m.d.sync += [
            beat.valid.eq(self.done | (beat.valid & ~beat.ends)),
            left.eq(loaded_or_moved(self.done, tile.lanes, left, -taken)),
            self.parameter.eq(loaded_or_moved(self.done, tile.parameter, self.parameter, moves)),
        ]

        totals = (self._chosen if p.width > FEW else self._shifted)(m, moves)
        for stage in range(READ):
            late = Signal(len(totals), name=f"totals_{stage}", reset_less=True)
            m.d.sync += late.eq(totals)
            totals = late
        m.d.comb += self.totals.as_value().eq(totals)
        return m

    def _shifted(self, m, moves):
        """Return the sums of the beat: those that wait move up."""
        p = self._params
        waiting = Signal(data.ArrayLayout(signed(p.sum_bits), p.width), reset_less=True)
        with m.If(self.done | moves):
            m.d.sync += waiting.eq(Mux(self.done, Cat(*self.sums), Cat(*waiting)[p.neurons * p.sum_bits :]))
        return Cat(*(waiting[number] for number in range(p.neurons)))

    def _chosen(self, m, moves):
        """Return the sums of the beat, chosen by its number: half a table for each of a register that moves up."""
        p = self._params
        waiting = Signal(data.ArrayLayout(signed(p.sum_bits), p.width), reset_less=True)
        number = Signal(range(p.beats), name="number", reset_less=True)
        with m.If(self.done):
            m.d.sync += [waiting.eq(self.sums), number.eq(0)]
        with m.Elif(moves):
            m.d.sync += number.eq(number + 1)
        size = p.neurons * p.sum_bits
        return choice([waiting.as_value()[beat * size :][:size] for beat in range(p.beats)], number)

    def _own(self, m, left):
        """Say whose lanes count; return whether the next beat has others, and how many lanes this one takes."""
        number = self._params.neurons
        moves, turn = Signal(), Signal(range(number))
        one_by_one = self.layer.readout
        with m.If(self.done | ~one_by_one):
            m.d.sync += turn.eq(0)
        with m.Else():
            m.d.sync += turn.eq(turn + 1)
        m.d.comb += [
            moves.eq(~one_by_one | (turn == number - 1)),
            *(self.beat.own[n].eq(Mux(one_by_one, turn == n, left >= n)) for n in range(number)),
        ]
        return moves, Mux(one_by_one, 1, number)
