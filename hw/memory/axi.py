"""A memory bus as an AXI4 master: memory controllers of Vivado, the ports of a Zynq, LiteDRAM."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.link.queue import Queue
from hw.memory.bus import LENGTH_BITS, MemoryBus, memory_request
from hw.memory.cutter import Cutter

__all__ = ["OUTSTANDING", "AxiMaster", "axi4"]

PAGE = 4096  # bytes: no burst may cross a multiple (AMBA AXI and ACE protocol specification, A3.4.1)
OUTSTANDING = 4  # bursts asked for and not answered
INCREASING, OKAY = 1, 0
MODIFIABLE, BUFFERABLE = 2, 1  # of AxCACHE: what an interconnect may do, so that it may merge bursts


def axi4(address_bits, width):
    """Return the signature of an AXI4 bus, seen from the master; ``address_bits`` of a byte's address, one identifier.

    Locks, quality of service and regions are left out, and so take their defaults.
    """
    address = {
        "id": Out(1), "addr": Out(address_bits), "len": Out(LENGTH_BITS), "size": Out(3), "burst": Out(2),
        "cache": Out(4), "prot": Out(3), "valid": Out(1), "ready": In(1),
    }
    return wiring.Signature({
        **{f"aw{name}": member for name, member in address.items()},
        "wdata": Out(width), "wstrb": Out(width // 8), "wlast": Out(1), "wvalid": Out(1), "wready": In(1),
        "bid": In(1), "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        **{f"ar{name}": member for name, member in address.items()},
        "rid": In(1), "rdata": In(width), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1),
    })


class AxiMaster(wiring.Component):
    """Answer a memory bus through AXI4.

    A burst of the bus becomes one INCR burst, or two where it crosses 4 KB; a word is one beat. Several bursts of one
    direction are on their way at once. AXI does not order reads and writes: a write waits until all words read before
    have come, a read until all writes before are answered. No word is stored here. An answer other than OKAY raises
    ``bus.fault``.

    Parameters
    ----------
    address_bits, width : int
        As of `MemoryBus`.
    base : int or None
        Address of the memory's first byte, a multiple of its size; the memory has 4 KB at least. None: the member
        ``base`` says it.
    bus_bits : int
        Bits of an address on AXI.
    axi_width : int or None
        Bits of AXI's data; by default those of the bus. On a wider one each word is a beat still, in its own lanes
        (narrow transfers, A3.4.3).

    Members
    -------
    bus : In(MemoryBus)
    axi : Out(axi4)
    base : In(bus_bits)
        Only without a constant one: a multiple of 4,096, the memory behind it below ``2 ** bus_bits``. No burst goes
        while it is 0; it changes only while none is under way.

    Raises
    ------
    ValueError
        Where the base is no such multiple, or the memory does not fit behind it.
    """

    def __init__(self, address_bits: int, width: int, *, base: int | None = 0, bus_bits: int = 32,
                 axi_width: int | None = None):
        signature = MemoryBus(address_bits, width)
        self._lanes = (axi_width or width) // width
        self._byte_bits = (width // 8).bit_length() - 1
        size, first = 1 << address_bits + self._byte_bits, base or 0
        if base is not None and size < PAGE or first % size or not 0 <= first <= (1 << bus_bits) - size:
            raise ValueError(f"a memory of {size:,} bytes, 4,096 at least, cannot begin at {first:#x}: ask for a "
                             f"multiple of its size below 2^{bus_bits}")
        self._address_bits, self._upper_bits = address_bits, bus_bits - address_bits - self._byte_bits
        self._upper, self._told = first >> address_bits + self._byte_bits, base is None
        told = {"base": In(bus_bits)} if self._told else {}
        super().__init__({"bus": In(signature), "axi": Out(axi4(bus_bits, axi_width or width)), **told})

    def elaborate(self, platform):
        m = Module()
        bus, axi = self.bus, self.axi
        page_bits = min(PAGE.bit_length() - 1 - self._byte_bits, self._address_bits - 1)
        m.submodules.cutter = cutter = Cutter(self._address_bits, page_bits)
        bits = exact_log2(self._lanes)
        m.submodules.lengths = lengths = Queue(LENGTH_BITS + bits, depth=OUTSTANDING)
        m.submodules.writes = writes = AddressChannel(self._address_bits)
        m.submodules.reads = reads = AddressChannel(self._address_bits)
        wiring.connect(m, wiring.flipped(bus.request), cutter.i)

        piece, known = cutter.o.payload, self.base.any() if self._told else Const(1)
        may_write = reads.idle & lengths.i.ready & writes.i.ready & known
        may_read = writes.idle & reads.i.ready & known
        m.d.comb += [
            writes.i.payload.eq(piece), reads.i.payload.eq(piece),
            lengths.i.payload.eq(Cat(piece.length, piece.address[:bits])),
            writes.i.valid.eq(cutter.o.valid & piece.write & may_write), lengths.i.valid.eq(writes.i.valid),
            reads.i.valid.eq(cutter.o.valid & ~piece.write & may_read),
            cutter.o.ready.eq(Mux(piece.write, may_write, may_read)),
        ]
        for name, channel in (("aw", writes), ("ar", reads)):
            asks = channel.o.payload
            for part, value in {
                "addr": self._place(Cat(Const(0, self._byte_bits), asks.address)),
                "len": asks.length, "size": self._byte_bits, "burst": INCREASING, "cache": MODIFIABLE | BUFFERABLE,
                "valid": channel.o.valid, "id": 0, "prot": 0,
            }.items():
                m.d.comb += getattr(axi, name + part).eq(value)
            m.d.comb += channel.o.ready.eq(getattr(axi, f"{name}ready"))

        busy, left, ends = Signal(), Signal(LENGTH_BITS), Signal()
        m.d.comb += [
            axi.wdata.eq(bus.write.payload.replicate(self._lanes)), axi.wlast.eq(left == 0),
            axi.wvalid.eq(busy & bus.write.valid), bus.write.ready.eq(busy & axi.wready),
            ends.eq(axi.wvalid & axi.wready & axi.wlast), lengths.o.ready.eq(~busy | ends),
            bus.read.valid.eq(axi.rvalid), axi.rready.eq(bus.read.ready),
            axi.bready.eq(1), writes.answered.eq(axi.bvalid), reads.answered.eq(axi.rvalid & axi.rready & axi.rlast),
        ]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += left.eq(left - 1)
        with m.If(lengths.o.ready):
            m.d.sync += [busy.eq(lengths.o.valid), left.eq(lengths.o.payload[:LENGTH_BITS])]
        self._choose_lanes(m, lengths, reads, piece.address[:bits])
        with m.If((axi.bvalid & (axi.bresp != OKAY)) | (axi.rvalid & axi.rready & (axi.rresp != OKAY))):
            m.d.sync += bus.fault.eq(1)
        return m

    def _choose_lanes(self, m, lengths, reads, first):
        """Put words to be written into their lanes, take words read from theirs; ``first`` is that of a burst."""
        bus, axi, size = self.bus, self.axi, len(self.bus.write.payload) // 8
        if self._lanes == 1:
            m.d.comb += [axi.wstrb.eq(~0), bus.read.payload.eq(axi.rdata)]
            return
        m.submodules.firsts = firsts = Queue(len(first), depth=2 * OUTSTANDING)
        writes, lane, within = Signal.like(first), Signal.like(first), Signal()
        now = Mux(within, lane, firsts.o.payload)
        m.d.comb += [
            axi.wstrb.eq(((1 << size) - 1) << (writes * size)), firsts.i.payload.eq(first),
            firsts.i.valid.eq(reads.i.valid & reads.i.ready), bus.read.payload.eq(axi.rdata.word_select(now, 8 * size)),
            firsts.o.ready.eq(reads.answered),
        ]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += writes.eq(writes + 1)
        with m.If(lengths.o.ready):
            m.d.sync += writes.eq(lengths.o.payload[LENGTH_BITS:])
        with m.If(axi.rvalid & axi.rready):
            m.d.sync += [lane.eq(now + 1), within.eq(~axi.rlast)]

    def _place(self, offset):
        """Return the address on AXI of a byte of the memory."""
        return self.base + offset if self._told else Cat(offset, Const(self._upper, self._upper_bits))


class AddressChannel(wiring.Component):
    """Offer the bursts of one direction, and count those that were not answered.

    Members
    -------
    i : In(stream(memory_request))
    o : Out(stream(memory_request))
        A cycle later.
    answered : In(1)
        One burst is.
    idle : Out(1)
        All are.
    """

    def __init__(self, address_bits):
        request = stream.Signature(memory_request(address_bits))
        super().__init__({"i": In(request), "o": Out(request), "answered": In(1), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        waiting, comes = Signal(range(OUTSTANDING + 1)), Signal()
        m.d.comb += [
            self.i.ready.eq((~self.o.valid | self.o.ready) & (waiting != OUTSTANDING)),
            comes.eq(self.i.valid & self.i.ready), self.idle.eq(waiting == 0),
        ]
        m.d.sync += waiting.eq(waiting + comes - self.answered)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(comes):
            m.d.sync += [self.o.payload.eq(self.i.payload), self.o.valid.eq(1)]
        return m
