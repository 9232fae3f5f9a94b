"""The board's memory outside the FPGA behind a design's bus: its controller, and its pins."""

from collections.abc import Callable

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In

from hw.board.litedram import LiteDram, LiteDramMemory
from hw.board.mig import Mig, MigMemory
from hw.memory.bus import MemoryBus, connect_wider
from hw.memory.sdram import SdramController
from hw.memory.sdram_part import SdramPart

__all__ = ["BoardDram", "board_memory"]

RESOURCE = "sdram"


def board_memory(part, clock_hz: float, signature: MemoryBus):
    """Return the component that answers a bus of ``signature`` by a board's memory ``part`` (`Board.memory`).

    Its members are ``bus`` In(MemoryBus), and ``oscillator`` In(1), the board's, where it has a clock of its own.
    """
    return BODIES[type(part)](part, clock_hz, signature)


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
        connect_wider(m, self.bus, controller.bus)
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


BODIES: dict[type, Callable] = {SdramPart: BoardDram, LiteDram: LiteDramMemory, Mig: MigMemory}
