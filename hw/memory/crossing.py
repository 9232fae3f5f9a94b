"""Leads a memory bus from the core's clock to that of the memory."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out

from hw.memory.bus import MemoryBus

__all__ = ["MEMORY_DOMAIN", "BusCrossing"]

MEMORY_DOMAIN = "memory"
DEPTH = 16  # of each queue: a word moves in every cycle of the slower clock while gray counters cross four registers


class BusCrossing(wiring.Component):
    """Answer a memory bus of the domain ``sync`` by one of the domain `MEMORY_DOMAIN`.

    Each stream has a queue, so both sides keep the rules of `MemoryBus` at any two clocks. Words of a write may come
    out before their request or behind it, as the bus allows.

    Parameters
    ----------
    address_bits, width : int
        Of both buses.

    Members
    -------
    i : In(MemoryBus)
    o : Out(MemoryBus)
        In the domain `MEMORY_DOMAIN`.
    """

    def __init__(self, address_bits: int, width: int):
        signature = MemoryBus(address_bits, width)
        super().__init__({"i": In(signature), "o": Out(signature)})

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        for name, (source, sink, there) in {
            "request": (i.request, o.request, True), "write": (i.write, o.write, True), "read": (o.read, i.read, False),
        }.items():
            domains = ("sync", MEMORY_DOMAIN) if there else (MEMORY_DOMAIN, "sync")
            bits = len(source.payload.as_value() if hasattr(source.payload, "as_value") else source.payload)
            m.submodules[name] = queue = AsyncFIFO(
                width=bits, depth=DEPTH, w_domain=domains[0], r_domain=domains[1], exact_depth=True)
            m.d.comb += [
                queue.w_data.eq(source.payload), queue.w_en.eq(source.valid), source.ready.eq(queue.w_rdy),
                sink.payload.eq(queue.r_data), sink.valid.eq(queue.r_rdy), queue.r_en.eq(sink.ready),
            ]
        m.submodules.fault = FFSynchronizer(o.fault, i.fault)
        return m
