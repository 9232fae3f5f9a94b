"""The states of a group that lie outside the chip: fetched ahead of its neurons, and written behind them."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from gen.plan.parking import BURST, DEPTH
from hw.core import payloads
from hw.core.state_queue import StateQueue
from hw.core.times import times
from hw.memory.bus import MemoryBus

__all__ = ["StateStream"]

UNDER_WAY = 12  # cycles from the end of a tile to its first state, and more
WRITTEN_LATE = 48  # cycles from there until its last one is among the words to be written, and more


class StateStream(wiring.Component):
    """Give each neuron of a group its states, and take what it leaves, as `gen.plan.parking` has them outside.

    While there is ``room`` a tile may end: its states have come, and there is place for what it leaves. Nothing waits
    behind that::

        cycle 0 beat   1 a state is taken   2 it is there ...   fired, with the new state   1 more: its word is kept

    Parameters
    ----------
    params : CoreParams
    number : int
        Of the group, from 0.

    Members
    -------
    begin, layer : In
        A pass begins; its block, from the next cycle on.
    first_step, last_step : In(1)
        States are initial, none comes; they are not read again, none is written.
    rests : In(1)
        All tiles of the pass have been fired.
    stop : In(1)
        The image is given up: ask for nothing more; what comes, or is left, is forgotten when the next pass begins.
    beat, fired, states : In
        Lanes on their way into the neurons; those that leave them, with their states.
    parked : Out
        States of the neurons, two cycles behind ``beat``.
    room : Out(1)
        A tile may end.
    busy : Out(1)
        States are still to come, or to be written.
    bus : Out(MemoryBus)
    """

    def __init__(self, params, number):
        self._params = p = params
        self._number = number
        states, beat = data.ArrayLayout(signed(p.state_bits), p.neurons), payloads.neuron_beat(p)
        super().__init__({
            "begin": In(1), "layer": In(payloads.pass_block(p)), "first_step": In(1), "last_step": In(1), "stop": In(1),
            "rests": In(1), "beat": In(beat), "fired": In(beat), "states": In(states), "parked": Out(states),
            "room": Out(1), "busy": Out(1), "bus": Out(MemoryBus(p.outside_bits, WORD_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        p, layer, bus = self._params, self.layer, self.bus
        queues = [StateQueue(p) for _ in range(p.neurons)]
        begun, rested, flush, beat = Signal(), Signal(), Signal(), Signal.like(self.beat)
        m.d.sync += [begun.eq(self.begin), rested.eq(self.rests), beat.eq(self.beat)]
        m.d.comb += flush.eq(rested & self.rests & ~self.stop)  # a tile may be on its way for a cycle
        for number, queue in enumerate(queues):
            m.submodules[f"queue_{number}"] = queue
            m.d.comb += [
                queue.begin.eq(begun), queue.digits.eq(layer.digits), queue.flush.eq(flush),
                queue.takes.eq(beat.valid & ~beat.first & layer.parks), self.parked[number].eq(queue.state),
                queue.leaves.eq(self.fired.valid & layer.parks & ~self.last_step & ~self.stop),
                queue.new_state.eq(self.states[number]),
            ]
        asks, gives, burst, wanted, unwritten = self._ask(m, begun, queues[0])
        comes, goes = bus.read.valid & bus.read.ready, bus.write.valid & bus.write.ready
        owed = self._count(m, "owed", begun, Mux(asks, burst, 0), comes)
        granted = self._count(m, "granted", begun, Mux(gives, burst, 0), goes)
        coming, going = self._turn(m, "coming", begun, comes), self._turn(m, "going", begun, goes)
        m.d.comb += [
            bus.read.ready.eq(1), bus.write.valid.eq((granted != 0) & Array(q.o.valid for q in queues)[going]),
            bus.write.payload.eq(Array(q.o.payload for q in queues)[going]),
        ]
        for number, queue in enumerate(queues):
            m.d.comb += [
                queue.i.valid.eq(comes & (coming == number)), queue.i.payload.eq(bus.read.payload),
                queue.o.ready.eq(goes & (going == number)),
            ]
        complete = Signal()
        m.d.comb += [
            complete.eq(~wanted & (owed == 0)),
            self.busy.eq(~complete | unwritten | bus.request.valid | (granted != 0)),
        ]
        m.d.sync += self.room.eq(
            (complete | (queues[-1].came >= UNDER_WAY + p.width)) & (queues[0].left <= DEPTH - WRITTEN_LATE))
        return m

    def _ask(self, m, begun, queue):
        """Offer requests; return (strobes: a read, a write is offered; its words; more to be read, to be written)."""
        p, layer, request = self._params, self.layer, self.bus.request
        words = p.neurons * DEPTH
        start, total = layer.park + times(layer.parked_0, self._number), layer[f"parked_{self._number}"]
        unread, unwritten = (Signal(range(p.parked + 1), name=name) for name in ("unread", "unwritten"))
        read_at, write_at = (Signal(p.outside_bits, name=name, reset_less=True) for name in ("read_at", "write_at"))
        read, written, burst = (Signal(range(BURST + 1), name=name) for name in ("read", "written", "burst"))
        asks, gives, free, goes_on = Signal(), Signal(), Signal(), Signal()
        held = self._count(m, "held", begun, Mux(asks, burst, 0), Mux(queue.took, p.neurons, 0))
        waiting = self._count(m, "waiting", begun, Mux(queue.kept, p.neurons, 0), Mux(gives, burst, 0))
        m.d.comb += [
            read.eq(Mux(unread > BURST, BURST, unread)), written.eq(Mux(unwritten > BURST, BURST, unwritten)),
            free.eq(~request.valid | request.ready), goes_on.eq(free & ~self.stop),
            gives.eq(goes_on & (unwritten != 0) & (waiting >= written)),
            asks.eq(goes_on & ~gives & (unread != 0) & (held <= words - BURST)), burst.eq(Mux(gives, written, read)),
        ]
        with m.If(free):
            m.d.sync += [
                request.valid.eq(asks | gives), request.payload.write.eq(gives), request.payload.length.eq(burst - 1),
                request.payload.address.eq(Mux(gives, write_at, read_at)),
            ]
        with m.If(asks):
            m.d.sync += [unread.eq(unread - burst), read_at.eq(read_at + burst)]
        with m.If(gives):
            m.d.sync += [unwritten.eq(unwritten - burst), write_at.eq(write_at + burst)]
        with m.If(begun):
            m.d.sync += [
                read_at.eq(start), write_at.eq(start),
                unread.eq(Mux(self.first_step, 0, total)), unwritten.eq(Mux(self.last_step, 0, total)),
            ]
        with m.If(self.stop):
            m.d.sync += [unread.eq(0), unwritten.eq(0)]
        return asks, gives, burst, unread.any(), unwritten.any()

    def _count(self, m, name, begun, more, fewer):
        """Return how many words there are of those that come and go so."""
        count = Signal(range(self._params.neurons * DEPTH + 1), name=name)
        m.d.sync += count.eq(Mux(begun, 0, count + more - fewer))
        return count

    def _turn(self, m, name, begun, moves):
        """Return whose word is the next."""
        turn = Signal(range(self._params.neurons), name=name)
        with m.If(begun):
            m.d.sync += turn.eq(0)
        with m.Elif(moves):
            m.d.sync += turn.eq(turn + 1)
        return turn
