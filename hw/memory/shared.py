"""One memory bus for several that ask: requests in turn but for the last one's, words in the order of the requests."""

from typing import NamedTuple

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hw.memory.bus import MemoryBus, memory_request

__all__ = ["SharedBus"]

OWED = 8  # bursts of a direction whose words are still to come


class _Owed(NamedTuple):
    """Of one direction: whether another burst has room, whether words are owed, to whom; strobe: one moves."""

    room: Value
    any: Value
    client: Value
    moves: Signal


class SharedBus(wiring.Component):
    """Let ``clients`` share a `MemoryBus`; each sees one of its own, with its own bursts in their order.

    All but the last take turns. That one, who can wait, asks where no other does.

    Whose words come next, and how many, is kept in a queue for each direction. So one that holds back its words of
    reads, or gives those of its writes late, holds up all the others.

    Members
    -------
    i_0, i_1 ... : In(MemoryBus)
    bus : Out(MemoryBus)
    """

    def __init__(self, address_bits, width, clients):
        self._bits, self._clients = address_bits, clients
        own = MemoryBus(address_bits, width)
        super().__init__({**{f"i_{n}": In(own) for n in range(clients)}, "bus": Out(own)})

    def elaborate(self, platform):
        m = Module()
        bus, clients = self.bus, [getattr(self, f"i_{n}") for n in range(self._clients)]
        free, taken = Signal(), Signal()
        request, chosen, asked = self._choose(m, clients, taken)
        reads, writes = (self._owed(m, name, taken & (request.write == (name == "writes")), chosen, request.length)
                         for name in ("reads", "writes"))
        m.d.comb += [
            free.eq((~bus.request.valid | bus.request.ready) & reads.room & writes.room), taken.eq(free & asked),
            Array(client.request.ready for client in clients)[chosen].eq(free),
            bus.read.ready.eq(reads.any & Array(client.read.ready for client in clients)[reads.client]),
            bus.write.valid.eq(writes.any & Array(client.write.valid for client in clients)[writes.client]),
            bus.write.payload.eq(Array(client.write.payload for client in clients)[writes.client]),
            reads.moves.eq(bus.read.valid & bus.read.ready), writes.moves.eq(bus.write.valid & bus.write.ready),
        ]
        with m.If(taken):
            m.d.sync += [bus.request.valid.eq(1), bus.request.payload.eq(request)]
        with m.Elif(bus.request.ready):
            m.d.sync += bus.request.valid.eq(0)
        for number, client in enumerate(clients):
            m.d.comb += [
                client.read.valid.eq(bus.read.valid & reads.any & (reads.client == number)),
                client.read.payload.eq(bus.read.payload),
                client.write.ready.eq(bus.write.ready & writes.any & (writes.client == number)),
                client.fault.eq(bus.fault),
            ]
        return m

    def _choose(self, m, clients, taken):
        """Return the request of the next one that asks, its number, and whether any does."""
        last = len(clients) - 1
        turn, chosen = Signal(range(last), name="turn"), Signal(range(len(clients)), name="chosen")
        offered, request = Signal(len(clients), name="offered"), Signal(memory_request(self._bits), name="request")
        m.d.comb += [
            offered.eq(Cat(client.request.valid for client in clients)),
            request.eq(Array(client.request.payload.as_value() for client in clients)[chosen]),
        ]
        m.d.comb += chosen.eq(last)
        with m.Switch(turn):
            for first in range(last):
                with m.Case(first):
                    for place in reversed([*range(first, last), *range(first)]):
                        with m.If(offered[place]):
                            m.d.comb += chosen.eq(place)
        with m.If(taken & (chosen != last)):
            m.d.sync += turn.eq(Mux(chosen == last - 1, 0, chosen + 1))
        return request, chosen, offered.any()

    def _owed(self, m, name, taken, client, length):
        """Keep whose words are owed in one direction, of each burst that is taken."""
        entry = data.StructLayout({"client": client.shape(), "length": length.shape()})
        m.submodules[name] = queue = SyncFIFO(width=entry.size, depth=OWED)
        first, count = data.View(entry, queue.r_data), Signal(length.shape(), name=f"{name}_count")
        moves, last = Signal(name=f"{name}_move"), count == first.length
        m.d.comb += [queue.w_data.eq(Cat(client, length)), queue.w_en.eq(taken), queue.r_en.eq(moves & last)]
        with m.If(moves):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        return _Owed(queue.w_rdy, queue.r_rdy, first.client, moves)
