"""Fetches a tile's events and their weights, one event a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.machine import payloads
from hw.machine.state import spacing

__all__ = ["Gather"]


class Gather(wiring.Component):
    """Turn segments into pairs of event value and weight word.

    A tile is begun only when a credit says that its counts will find room behind the neurons; nothing
    stalls after that. Where one neuron serves all lanes, in place of credits a tile ends `hw.machine.state.spacing`
    cycles after the one before, or later. The next segment follows without a gap, there after three cycles, so that
    no register but one holds what it says::

        cycle 0 event address   1-2 event   3 weight address   4-5 weight, value   -> lanes

    Members
    -------
    i : In(stream(segment))
    credit : In(range(3))
        So many more tiles may be begun. Without effect where one neuron serves all lanes.
    event_address : Out
        ``event`` answers one cycle later.
    weight_address : Out
        ``weight`` answers two cycles later, at the lanes.
    narrow, upper : In(1), Out(1)
        The layer's weight words lie two in a memory word: addresses count halves, and ``upper`` says one cycle after
        ``weight_address`` which one (`hw.machine.halves`). Only where ``params.narrow``.
    issue, busy : Out(1)
        An event, or an empty tile, is fetched; the lanes are given an event.
    ending : Out(1)
        The last event of a tile is three cycles from the accumulators.
    o : Out
        ``value`` for the lanes (zero when this cycle adds nothing), first and last of its tile, ``active``
        lanes that do work.
    """

    def __init__(self, params, *, credits):
        self._params, self._credits = params, credits
        p = params
        super().__init__({
            "i": In(stream.Signature(payloads.segment(p))), "credit": In(range(3)),
            "event_address": Out(range(p.events)), "event": In(payloads.event(p)),
            "weight_address": Out(range(p.weights)),
            "ending": Out(1), "issue": Out(1), "busy": Out(1),
            "o": Out(data.StructLayout({
                "value": payloads.event(p).members["value"], "first": 1, "last": 1,
                "active": payloads.segment(p).members["active"],
            })),
            **({"narrow": In(1), "upper": Out(1)} if p.narrow else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        held, full = Signal(payloads.segment(p)), Signal()
        opens = Signal(init=1)
        issue, ends, room = self.issue, Signal(), Signal(init=1)  # ends: the event in hand is its segment's last
        m.d.comb += self.event_address.eq(held.address)
        if p.shared:
            pause = spacing(p)
            closes, rest = ends & held.last, Signal(range(pause))
            m.d.comb += [issue.eq(full & (~closes | room)), room.eq(rest == 0)]
            m.d.sync += rest.eq(Mux(issue & closes, pause - 1, Mux(room, 0, rest - 1)))
            leaving = Signal(2)  # events of the segment in hand that wait for their weights
            m.d.sync += leaving.eq(Cat(issue & ends, leaving))
            with m.If(issue & ends):
                m.d.sync += full.eq(0)
            m.d.comb += self.i.ready.eq(~full & ~leaving.any())
        else:
            credits = Signal(range(self._credits + 1), init=self._credits)
            left = Signal.like(credits)
            m.d.comb += [issue.eq(full & (~opens | room)), left.eq(credits + self.credit - (issue & opens))]
            m.d.sync += [credits.eq(left), room.eq(left != 0)]
            m.d.comb += self.i.ready.eq(~full | (issue & ends))
        with m.If(issue):
            m.d.sync += [held.address.eq(held.address + 1), held.length.eq(held.length - 1)]
            m.d.sync += [opens.eq(ends & held.last), ends.eq(held.length <= 2)]
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.payload), full.eq(self.i.valid), ends.eq(self.i.payload.length <= 1)]

        flags = Signal(data.StructLayout({"take": 1, "first": 1, "last": 1}))
        m.d.sync += [
            flags.take.eq(issue & (held.length != 0)),
            flags.first.eq(issue & opens),
            flags.last.eq(issue & ends & held.last),
        ]
        fetched, at_event, at_place = Signal(payloads.event(p)), Signal.like(flags), Signal.like(flags)
        place, value = Signal(held.origin.shape(), reset_less=True), Signal(fetched.value.shape(), reset_less=True)
        own = [held] * 3  # the event's segment at the stages flags, at_event, at_place
        if not p.shared:
            for stage in range(1, 4):
                own[stage - 1] = Signal.like(held, name=f"segment_{stage}", reset_less=True)
                m.d.sync += own[stage - 1].eq(own[stage - 2] if stage > 1 else held)
        m.d.sync += [
            at_event.eq(flags), fetched.eq(self.event),
            place.eq(fetched.index - own[1].origin),
        ]
        self._weight_address(m, own[1].weights + fetched.index)
        m.d.sync += [value.eq(fetched.value), at_place.eq(at_event)]
        inside = Signal()
        m.d.comb += inside.eq(at_place.take & (place >= 0) & (place < own[2].count))
        early = Signal.like(self.o)
        m.d.comb += [self.ending.eq(early.last), self.busy.eq(flags.take)]
        taken, active = Signal.like(value), Signal.like(held.active, reset_less=True)
        m.d.sync += [
            taken.eq(Mux(inside, value, 0)), active.eq(Mux(inside, own[2].active, 0)),
            early.first.eq(at_place.first), early.last.eq(at_place.last),
            self.o.eq(early), self.o.value.eq(taken), self.o.active.eq(active),
        ]
        return m

    def _weight_address(self, m, at):
        if not self._params.narrow:
            m.d.sync += self.weight_address.eq(at)
            return
        odd = Signal()
        m.d.sync += [self.weight_address.eq(Mux(self.narrow, at >> 1, at)), odd.eq(at[0]), self.upper.eq(odd)]
