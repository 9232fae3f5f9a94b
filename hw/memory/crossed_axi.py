"""A memory bus of the core's clock as an AXI4 master of the memory's."""

from amaranth.hdl import DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.memory.axi import PAGE, AxiMaster, axi4
from hw.memory.bus import MemoryBus, connect_wider
from hw.memory.crossing import MEMORY_DOMAIN, BusCrossing

__all__ = ["CrossedAxi", "CrossedMemory"]


class CrossedAxi(wiring.Component):
    """Answer a memory bus of ``sync`` through AXI4 in the domain `MEMORY_DOMAIN`, from address 0 on.

    Parameters
    ----------
    signature : MemoryBus
    bus_bits, axi_width : int
        Bits of an address and of data on AXI.

    Members
    -------
    bus : In(MemoryBus)
    axi : Out(axi4)
    """

    def __init__(self, signature: MemoryBus, bus_bits: int, axi_width: int):
        self._bus_bits, self._axi_width = bus_bits, axi_width
        super().__init__({"bus": In(signature), "axi": Out(axi4(bus_bits, axi_width))})

    def elaborate(self, platform):
        m = Module()
        bits, width = self.bus.signature.address_bits, self.bus.signature.width
        page_bits = (8 * PAGE // width).bit_length() - 1
        m.submodules.crossing = crossing = BusCrossing(bits, width)
        m.submodules.master = master = DomainRenamer(MEMORY_DOMAIN)(
            AxiMaster(max(bits, page_bits), width, bus_bits=self._bus_bits, axi_width=self._axi_width))
        wiring.connect(m, wiring.flipped(self.bus), crossing.i)
        wiring.connect(m, master.axi, wiring.flipped(self.axi))
        connect_wider(m, crossing.o, master.bus)
        return m


class CrossedMemory(wiring.Component):
    """Answers a memory bus by a memory with a clock of its own; the base of those behind a `CrossedAxi`.

    Parameters
    ----------
    part
        Of the board (`Board.memory`).
    clock_hz : float
        Of the domain ``sync``: any.
    signature : MemoryBus
        Of the design's bus.

    Members
    -------
    bus : In(MemoryBus)
    oscillator : In(1)
        The board's.
    """

    def __init__(self, part, clock_hz: float, signature: MemoryBus):
        self._part, self._signature = part, signature
        super().__init__({"bus": In(signature), "oscillator": In(1)})
