"""The board's memory outside the FPGA behind a design's bus: its controller, and its pins."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In

from hw.memory.bus import MemoryBus
from hw.memory.sdram import SdramController
from hw.memory.sdram_part import SdramPart

__all__ = ["BoardDram"]

RESOURCE = "sdram"


class BoardDram(wiring.Component):
    """An SDRAM at the core's clock, on the pins that the platform calls ``sdram``.

    Its clock is the core's inverted, and data read are caught at the falling edge: see docs/memory.md. The bus may have
    fewer bits of address than the part.

    Parameters
    ----------
    part : SdramPart
    clock_hz : float
    signature : MemoryBus
        Of the design's bus.
    """

    def __init__(self, part: SdramPart, clock_hz: float, signature: MemoryBus):
        self._controller = SdramController(part, clock_hz, width=signature.width)
        super().__init__({"bus": In(signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = controller = self._controller
        bus, inner = self.bus, controller.bus
        request, asked = inner.request.payload, bus.request.payload
        m.d.comb += [
            inner.request.valid.eq(bus.request.valid), bus.request.ready.eq(inner.request.ready),
            *(request[name].eq(asked[name]) for name in ("address", "length", "write")), bus.fault.eq(inner.fault),
        ]
        wiring.connect(m, wiring.flipped(bus.write), inner.write)
        wiring.connect(m, inner.read, wiring.flipped(bus.read))
        self._pins(m, controller.pins, platform.request(RESOURCE, 0, dir="-"))
        return m

    def _pins(self, m, pins, ports):
        m.domains.fall = ClockDomain(clk_edge="neg", reset_less=True, local=True)
        m.submodules.clk = clk = io.DDRBuffer("o", ports.clk)
        m.submodules.dq = dq = io.Buffer("io", ports.dq)
        m.d.comb += [
            ClockSignal("fall").eq(ClockSignal()), Cat(clk.o).eq(0b10), dq.o.eq(pins.dq_o), dq.oe.eq(pins.dq_oe),
        ]
        m.d.fall += pins.dq_i.eq(dq.i)
        levels = {name: getattr(pins, name) for name in ("ras", "cas", "we", "ba", "a")}
        levels |= {"dqm": pins.dqm.replicate(len(getattr(ports, "dqm", ()))), "cs": 1, "clk_en": 1}
        for name, level in levels.items():
            if hasattr(ports, name):
                m.submodules[name] = pin = io.Buffer("o", getattr(ports, name))
                m.d.comb += pin.o.eq(level)
