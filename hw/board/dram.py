"""The board's memory outside the FPGA behind a design's bus: its controller, and its pins."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In

from hw.board.litedram import LiteDram, LiteDramMemory
from hw.board.mig import Mig, MigMemory
from hw.memory.bus import MemoryBus, connect_wider
from hw.memory.sdram import SdramController
from hw.memory.sdram_part import SdramPart
from hw.memory.sdram_timing import pin_timing

__all__ = ["BoardDram", "board_memory", "clock_step", "pin_figures"]

RESOURCE = "sdram"


def board_memory(part, clock_hz: float, signature: MemoryBus):
    """Return the component that answers a bus of ``signature`` by a board's memory ``part`` (`Board.memory`).

    Its members are ``bus`` In(MemoryBus), and ``oscillator`` In(1), the board's, where it has a clock of its own. Where
    there is a `clock_step` it wants the domains of `BoardDram`.
    """
    return BODIES[type(part)](part, clock_hz, signature)


def clock_step(part, clock_hz: float, steps: int) -> int | None:
    """Return by how many of the PLL's ``steps`` of a period a memory's clock is late; None: it takes no such clock."""
    return pin_timing(part, clock_hz, steps).step if isinstance(part, SdramPart) else None


def pin_figures(part, clock_hz: float, steps: int) -> dict:
    """Return what a report says of the pins of a memory that has a `clock_step`; nothing of others.

    ``sdram`` is its clock's ``phase_degrees`` behind the core's, and ``margins_ns`` of `PinTiming`.
    """
    if not isinstance(part, SdramPart):
        return {}
    timing = pin_timing(part, clock_hz, steps)
    return {"sdram": {"phase_degrees": round(360 * timing.step / steps, 2), "margins_ns": timing.margins}}


class BoardDram(wiring.Component):
    """An SDRAM on the pins that the platform calls ``sdram``, each with its registers in the I/O cell.

    When they are clocked: `hw.memory.sdram_timing`. The bus may have fewer bits of address than the part.

    Parameters
    ----------
    part : SdramPart
    clock_hz : float
    signature : MemoryBus
        Of the design's bus.

    The registers are in the domain ``pins``, the core's clock without a reset, so that no pin says anything but what
    the controller does. The part's clock is that of ``late``: the core's, late by `clock_step`.

    Members
    -------
    bus : In(MemoryBus)
    """

    def __init__(self, part: SdramPart, clock_hz: float, signature: MemoryBus):
        cycles = pin_timing(part, clock_hz).edges
        self._controller = SdramController(part, clock_hz, width=signature.width, pin_cycles=cycles)
        super().__init__({"bus": In(signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = controller = self._controller
        connect_wider(m, self.bus, controller.bus)
        self._pins(m, controller.pins, platform.request(RESOURCE, 0, dir="-"))
        return m

    def _pins(self, m, pins, ports):
        m.submodules.clk = clk = io.DDRBuffer("o", ports.clk, o_domain="late")
        m.submodules.dq = dq = io.FFBuffer("io", ports.dq, i_domain="pins", o_domain="pins")
        m.d.comb += [Cat(clk.o).eq(0b01), dq.o.eq(pins.dq_o), dq.oe.eq(pins.dq_oe), pins.dq_i.eq(dq.i)]
        sent = {name: getattr(pins, name) for name in ("ras", "cas", "we", "ba", "a")}
        sent["dqm"] = pins.dqm.replicate(len(getattr(ports, "dqm", ())))
        constant = {"cs": 1, "clk_en": 1}
        for name, level in (sent | constant).items():
            if hasattr(ports, name):
                port = getattr(ports, name)
                pin = io.Buffer("o", port) if name in constant else io.FFBuffer("o", port, o_domain="pins")
                m.submodules[name] = pin
                m.d.comb += pin.o.eq(level)


BODIES: dict[type, Callable] = {SdramPart: BoardDram, LiteDram: LiteDramMemory, Mig: MigMemory}
