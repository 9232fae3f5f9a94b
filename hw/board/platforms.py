"""Pins of boards: the platforms that are our own, and the resources that amaranth-boards' lack, with their documents.

- Colorlight i5 (v7.0) on Muselab's extension board i5-extboard v1.2: schematic ``i5_v6.0-extboard.pdf`` and
  ``i5_extboard_v1.2_pinout.png`` of the repository wuxx/Colorlight-FPGA-Projects. Its debugger is a serial port too.
  The SDRAM is an M12L64322A or an EM638325; clock enable is tied high, chip select and byte masks low.
- Sipeed Tang Nano 20K: schematic ``Tang_Nano_20K_3921_Schematic.pdf``. The SDRAM is inside the part's package: Gowin's
  tools and nextpnr know by their names the ports that lead to it, and where they are.
- TUL PYNQ-Z2: ``PYNQ-Z2 v1.0.xdc`` and the user manual v1.0.

Pins of DDR3, called ``ddram`` here, as LiteX's boards have them (litex-boards 2023.12, BSD-2, ``gsd_orangecrab.py`` and
``lambdaconcept_ecpix5.py``) and, for the Arty A7, Digilent's Arty-A7 master constraints and amaranth-boards. Those that
amaranth-boards 0.0.21 has for the OrangeCrab name other balls for banks and strobes, and are not used.
"""

from types import SimpleNamespace

from amaranth.build import Attrs, Clock, Connector, Pins, PinsN, Resource, Subsignal
from amaranth.build.res import PortMetadata
from amaranth.hdl import IOPort
from amaranth.lib import io
from amaranth.vendor import GowinPlatform, LatticeECP5Platform, XilinxPlatform
from amaranth_boards.resources import SDRAMResource

from hw.board.gowin_pins import GowinFFBuffer

__all__ = [
    "ARTY_DDRAM", "ColorlightI5Platform", "ECPIX5_DDRAM", "ORANGECRAB_DDRAM", "ORANGECRAB_RAILS", "PynqZ2Platform",
    "TangNano20kPlatform", "uart_pins",
]


def uart_pins(rx: str, tx: str, **attributes) -> Resource:
    """Return a UART on balls: what the board hears, with ``attributes``, and what it says."""
    return Resource(
        "uart", 0, Subsignal("rx", Pins(rx, dir="i"), Attrs(**attributes)), Subsignal("tx", Pins(tx, dir="o")),
        Attrs(IO_TYPE="LVCMOS33"),
    )


def _ddram(single, differential, of_data, of_strobes, **pins):
    """A DDR3's pins: attributes of single and of differential ones, what data and strobes have beside, and balls."""
    def subsignal(name):
        attributes = {**(differential if name[:-2] in ("clk", "dqs") else {}),
                      **(of_data if name == "dq" else of_strobes if name.startswith("dqs") else {})}
        return Subsignal(name, Pins(pins[name], dir="io" if name.startswith("dq") else "o"), Attrs(**attributes))

    return Resource("ddram", 0, *map(subsignal, pins), Attrs(**single))


ORANGECRAB_DDRAM = _ddram(
    {"IO_TYPE": "SSTL135_I", "SLEWRATE": "FAST"}, {"IO_TYPE": "SSTL135D_I"}, {"TERMINATION": "OFF"},
    {"TERMINATION": "OFF", "DIFFRESISTOR": "100"},
    a="C4 D2 D3 A3 A4 D4 C3 B2 B1 D1 A7 C2 B6 C1 A2 C7", ba="D6 B7 A6", ras_n="C12", cas_n="D13", we_n="B12",
    cs_n="A12", cke="D18", odt="C13", reset_n="L18", dm="D16 G16",
    dq="C17 D15 B17 C16 A15 B13 A17 A13 F17 F16 G15 F15 J16 C18 H16 F18", dqs_p="B15 G18", clk_p="J18",
)
# Balls beside the memory's, tied to the bank's supply and to ground, that strengthen both if they are driven.
ORANGECRAB_RAILS = Resource(
    "ddram_rails", 0, Subsignal("high", Pins("K16 D17 K15 K17 B18 C6", dir="o")),
    Subsignal("low", Pins("L15 L16", dir="o")), Attrs(IO_TYPE="SSTL135_II", SLEWRATE="FAST"),
)
ECPIX5_DDRAM = _ddram(
    {"IO_TYPE": "SSTL15_I", "SLEWRATE": "FAST"}, {"IO_TYPE": "SSTL15D_I"}, {"TERMINATION": "75"},
    {"TERMINATION": "OFF", "DIFFRESISTOR": "100"},
    a="T5 M3 L3 V6 K2 W6 K3 L1 H2 L2 N1 J1 M1 K1 H1", ba="U6 N3 N4", ras_n="T3", cas_n="P2", we_n="R3", cke="P1",
    odt="P3", dm="U4 U1", dq="T4 W4 R4 W5 R6 P6 P5 P4 R1 W3 T2 V3 U3 W1 T1 W2", dqs_p="V4 V1", clk_p="H3",
)
ARTY_DDRAM = _ddram(
    {"IOSTANDARD": "SSTL135", "SLEW": "FAST"}, {"IOSTANDARD": "DIFF_SSTL135"}, {}, {},
    a="R2 M6 N4 T1 N6 R7 V6 U7 R8 V7 R6 U6 T6 T8", ba="R1 P4 P2", ras_n="P3", cas_n="M4", we_n="P5", cs_n="U8",
    cke="N5", odt="R5", reset_n="K6", dm="L1 U1", dq="K5 L3 K3 L6 M3 M1 L4 M2 V4 T5 U4 V5 V1 T3 U3 R3", dqs_p="N2 U2",
    dqs_n="N1 V2", clk_p="U9", clk_n="V9",
)


class ColorlightI5Platform(LatticeECP5Platform):
    """The module on its extension board; only what is used here."""

    device = "LFE5U-25F"
    package = "BG381"
    speed = "6"
    default_clk = "clk25"
    resources = [
        Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), Attrs(IO_TYPE="LVCMOS33")),
        Resource("led", 0, PinsN("U16", dir="o"), Attrs(IO_TYPE="LVCMOS33")),
        uart_pins("H18", "J17", PULLMODE="UP"),
        SDRAMResource(
            0, clk="B9", we_n="A10", ras_n="B10", cas_n="A9", ba="B11 C8",
            a="B13 C14 A16 A17 B16 B15 A14 A13 A12 A11 B12",
            dq="D15 E14 E13 D12 E12 D11 C10 B17 B8 A8 C7 A7 A6 B6 A5 B5 "
               "D5 C5 D6 C6 E7 D7 E8 D8 E9 D9 E11 C11 C12 D13 D14 C15",
            attrs=Attrs(PULLMODE="NONE", DRIVE="4", SLEWRATE="FAST", IO_TYPE="LVCMOS33"),
        ),
    ]
    connectors = [
        Connector("pmod", 0, "C17 B18 B20 F20 - - A18 A19 B19 D20 - -"),  # P2 of the extension board
        Connector("pmod", 1, "D1 C1 C2 E3 - - E2 D2 B1 A3 - -"),          # P3
    ]


# As the part's SDRAM is called in Gowin's and in apicula's tables, and how wide each port is.
_GW2AR_SDRAM = {
    "clk": ("O_sdram_clk", 1), "clk_en": ("O_sdram_cke", 1), "cs": ("O_sdram_cs_n", 1), "cas": ("O_sdram_cas_n", 1),
    "ras": ("O_sdram_ras_n", 1), "we": ("O_sdram_wen_n", 1), "dqm": ("O_sdram_dqm", 4), "a": ("O_sdram_addr", 11),
    "ba": ("O_sdram_ba", 2), "dq": ("IO_sdram_dq", 32),
}


class TangNano20kPlatform(GowinPlatform):
    """Sipeed Tang Nano 20K; only what is used here. What it calls ``sdram`` has no balls."""

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    default_clk = "clk27"
    resources = [
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), Attrs(IO_TYPE="LVCMOS33")),
        *(Resource("led", i, PinsN(pin, dir="o"), Attrs(IO_TYPE="LVCMOS33"))
          for i, pin in enumerate(("15", "16", "17", "18", "19", "20"))),
        uart_pins("70", "69", PULL_MODE="UP"),
    ]
    connectors = []

    def request(self, name, number=0, *, dir=None, xdr=None):
        """Return a resource's pins; of ``sdram`` the ports inside the package."""
        if name != "sdram":
            return super().request(name, number, dir=dir, xdr=xdr)
        return SimpleNamespace(**{
            name: io.SingleEndedPort(
                IOPort(width, name=port, metadata=[PortMetadata(None, {})] * width), invert=port.endswith("_n"))
            for name, (port, width) in _GW2AR_SDRAM.items()
        })

    def get_io_buffer(self, buffer):
        """Return what stands for a buffer of `amaranth.lib.io`."""
        if not isinstance(buffer, io.FFBuffer):
            return super().get_io_buffer(buffer)
        made = GowinFFBuffer(buffer.direction, buffer.port, i_domain=buffer.i_domain, o_domain=buffer.o_domain)
        for name in buffer.signature.members:
            setattr(made, name, getattr(buffer, name))
        return made

    def iter_port_constraints_bits(self):
        """Yield (port, ball, attributes) of all that have a ball."""
        return (row for row in super().iter_port_constraints_bits() if row[1] is not None)

    @property
    def _chipdb_device(self):  # the memory chip beside the die does not matter to the router
        return "GW2A-18C"


class PynqZ2Platform(XilinxPlatform):
    """TUL PYNQ-Z2; the programmable logic's own clock and LEDs, for designs without the processor."""

    device = "xc7z020"
    package = "clg400"
    speed = "1"
    default_clk = "clk125"
    resources = [
        Resource("clk125", 0, Pins("H16", dir="i"), Clock(125e6), Attrs(IOSTANDARD="LVCMOS33")),
        *(Resource("led", i, Pins(pin, dir="o"), Attrs(IOSTANDARD="LVCMOS33"))
          for i, pin in enumerate(("R14", "P14", "N16", "M14"))),
    ]
    connectors = []
