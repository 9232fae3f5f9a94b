"""A memory on AXI4 for simulation: what `sim.memory` is on a memory bus."""
# pyright: reportAttributeAccessIssue=false
# Ports are attributes that Amaranth makes from a component's signature.

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hw.link.queue import Queue
from hw.memory.axi import OUTSTANDING, axi4
from hw.memory.bus import LENGTH_BITS
from sim.memory import BusModel

__all__ = ["AxiModel"]


class AxiModel(wiring.Component):
    """Answer INCR bursts of whole words, in the order in which they are asked for, reads before writes.

    Parameters
    ----------
    address_bits, width : int
        Of a word, and its bits; higher bits of an address are passed over.
    bus_bits : int
        Bits of an address on AXI.
    settings
        ``latency``, ``stall`` and ``seed`` of `BusModel`.

    Members
    -------
    axi : In(axi4)
    """

    def __init__(self, address_bits: int, width: int, *, bus_bits: int = 32, **settings):
        self._memory = BusModel(address_bits, width, **settings)
        super().__init__({"axi": In(axi4(bus_bits, width))})

    def elaborate(self, platform):
        m = Module()
        axi, m.submodules.memory = self.axi, self._memory
        bus = self._memory.bus
        asks, reads = bus.request, axi.arvalid
        m.submodules.lengths = lengths = Queue(LENGTH_BITS, depth=2 * OUTSTANDING)
        left, within, owed = Signal(LENGTH_BITS), Signal(), Signal(range(2 * OUTSTANDING))
        byte_bits, written = (len(axi.wstrb) - 1).bit_length(), Signal()
        bits = len(asks.payload.address)
        m.d.comb += [
            asks.valid.eq((axi.arvalid & lengths.i.ready) | (axi.awvalid & ~reads)), asks.payload.write.eq(~reads),
            asks.payload.address.eq(Mux(reads, axi.araddr, axi.awaddr)[byte_bits : byte_bits + bits]),
            asks.payload.length.eq(Mux(reads, axi.arlen, axi.awlen)), axi.awready.eq(asks.ready & ~reads),
            axi.arready.eq(asks.ready & lengths.i.ready), lengths.i.valid.eq(axi.arvalid & asks.ready),
            lengths.i.payload.eq(axi.arlen),
            bus.write.valid.eq(axi.wvalid), bus.write.payload.eq(axi.wdata), axi.wready.eq(bus.write.ready),
            axi.rvalid.eq(bus.read.valid & (within | lengths.o.valid)), axi.rdata.eq(bus.read.payload),
            bus.read.ready.eq(axi.rready & axi.rvalid),
            axi.rlast.eq(Mux(within, left, lengths.o.payload) == 0), axi.bvalid.eq(owed != 0),
            written.eq(axi.wvalid & axi.wready & axi.wlast),
        ]
        with m.If(axi.rvalid & axi.rready):
            m.d.sync += [left.eq(Mux(within, left, lengths.o.payload) - 1), within.eq(~axi.rlast)]
            m.d.comb += lengths.o.ready.eq(axi.rlast)
        m.d.sync += owed.eq(owed + written - (axi.bvalid & axi.bready))
        return m
