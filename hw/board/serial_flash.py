"""The board's serial flash behind a design's pins, the one that the part is configured from."""

from amaranth.hdl import Instance, Module, ResetSignal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In

from hw.memory.flash import flash_pins

__all__ = ["BoardFlash"]

RESOURCE = "spi_flash"


class BoardFlash(wiring.Component):
    """A flash on the pins that the platform of an ECP5 calls ``spi_flash``, its other two pins held high.

    Its clock's pin belongs to the configuration: a design reaches it through USRMCLK (Lattice FPGA-TN-02039, "Master
    SPI"), whose tristate must be a signal, not a constant.

    Members
    -------
    pins : In(flash_pins)
    """

    def __init__(self):
        super().__init__({"pins": In(flash_pins())})

    def elaborate(self, platform):
        m = Module()
        pins, ports = self.pins, platform.request(RESOURCE, 0, dir="-")
        m.submodules.clk = Instance("USRMCLK", i_USRMCLKI=pins.clk, i_USRMCLKTS=ResetSignal())
        m.submodules.cipo = cipo = io.Buffer("i", ports.cipo)
        m.d.comb += pins.cipo.eq(cipo.i)
        for name, level in (("cs", pins.cs), ("copi", pins.copi), ("wp", 0), ("hold", 0)):
            m.submodules[name] = pin = io.Buffer("o", getattr(ports, name))
            m.d.comb += pin.o.eq(level)
        return m
