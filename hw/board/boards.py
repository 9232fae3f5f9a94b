"""Boards as data: the platform with its pins, where the UART comes out, which LED, how to program it.

Most platforms are amaranth-boards'. Our own, with the document that names their pins:

- Colorlight i5 (v7.0) on Muselab's extension board i5-extboard v1.2: schematic ``i5_v6.0-extboard.pdf`` and
  ``i5_extboard_v1.2_pinout.png`` of the repository wuxx/Colorlight-FPGA-Projects. Its debugger is a serial port too.
  The SDRAM is an M12L64322A or an EM638325; clock enable is tied high, chip select and byte masks low.
- Sipeed Tang Nano 20K: schematic ``Tang_Nano_20K_3921_Schematic.pdf``. The SDRAM is inside the part's package: Gowin's
  tools and nextpnr know by their names the ports that lead to it, and where they are.
- TUL PYNQ-Z2: ``PYNQ-Z2 v1.0.xdc`` and the user manual v1.0.

Pins of DDR3, called ``ddram`` here, as LiteX's boards have them (litex-boards 2023.12, BSD-2, ``gsd_orangecrab.py`` and
``lambdaconcept_ecpix5.py``) and, for the Arty A7, Digilent's Arty-A7 master constraints and amaranth-boards. Those that
amaranth-boards 0.0.21 has for the OrangeCrab name other balls for banks and strobes, and are not used.

A UART that the board does not lead to USB is on header pins, named in ``uart``: connect an adapter for 3.3 V there.
"""

from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace

from amaranth.build import Attrs, Clock, Connector, Pins, PinsN, Resource, Subsignal
from amaranth.build.res import PortMetadata
from amaranth.hdl import IOPort
from amaranth.lib import io
from amaranth.vendor import GowinPlatform, LatticeECP5Platform, XilinxPlatform
from amaranth_boards.resources import SDRAMResource

from gen.plan.target import find_target
from hw.board.gowin_pins import GowinFFBuffer
from hw.board.litedram import LiteDram
from hw.board.mig import MT41K128M16JT_125, Mig
from hw.memory.flash import IS25LP128_W25Q128, FlashPart
from hw.memory.sdram_part import COLORLIGHT_I5, TANG_NANO_20K, ULX3S, SdramPart

__all__ = [
    "BOARDS", "Board", "ColorlightI5Platform", "ProcessorPort", "PynqZ2Platform", "TangNano20kPlatform", "find_board",
]

USB = "the board's USB serial port"


@dataclass(frozen=True)
class ProcessorPort:
    """The memory of a Zynq's processor, through one of its ports for AXI masters: ``HP0`` to ``HP3`` (UG585, 22.3)."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """What a design needs of a board beside its part.

    Parameters
    ----------
    name : str
        As in `gen.plan.target.TARGETS`.
    platform : str
        ``module:class`` of an Amaranth platform.
    led : tuple
        Resource, its number and, if it is one colour of several, the colour.
    uart : str
        Where a host finds the UART, for the report; empty where a processor drives the core over AXI.
    header : (Resource, ...)
        Resources that the platform does not name, or names wrongly: a UART on header pins, a DDR3.
    memory : SdramPart, LiteDram, Mig, ProcessorPort or None
        The memory beside the part: an SDRAM on the pins that the platform calls ``sdram``, a DDR3 on those called
        ``ddram``, or that of a processor.
    flash : FlashPart or None
        The memory that the part is configured from, on the pins that the platform calls ``spi_flash``.
    program : str
        The command that loads a bitstream until power is off.
    store : str
        Where there is a ``flash``: the command that writes a file to it at an offset.
    """

    name: str
    platform: str
    led: tuple = ("led", 0)
    uart: str = USB
    header: tuple = ()
    memory: SdramPart | LiteDram | Mig | ProcessorPort | None = None
    flash: FlashPart | None = None
    program: str
    store: str = ""

    def make_platform(self):
        """Return a new platform, its UART there."""
        module, name = self.platform.split(":")
        platform = getattr(import_module(module), name)()
        platform.add_resources(self.header)
        return platform

    @property
    def target(self):
        """The part and its budget, a `gen.plan.target.Target`."""
        return find_target(self.name)


def _uart(rx, tx, **attributes):
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


_ORANGECRAB_DDRAM = _ddram(
    {"IO_TYPE": "SSTL135_I", "SLEWRATE": "FAST"}, {"IO_TYPE": "SSTL135D_I"}, {"TERMINATION": "OFF"},
    {"TERMINATION": "OFF", "DIFFRESISTOR": "100"},
    a="C4 D2 D3 A3 A4 D4 C3 B2 B1 D1 A7 C2 B6 C1 A2 C7", ba="D6 B7 A6", ras_n="C12", cas_n="D13", we_n="B12",
    cs_n="A12", cke="D18", odt="C13", reset_n="L18", dm="D16 G16",
    dq="C17 D15 B17 C16 A15 B13 A17 A13 F17 F16 G15 F15 J16 C18 H16 F18", dqs_p="B15 G18", clk_p="J18",
)
# Balls beside the memory's, tied to the bank's supply and to ground, that strengthen both if they are driven.
_ORANGECRAB_RAILS = Resource(
    "ddram_rails", 0, Subsignal("high", Pins("K16 D17 K15 K17 B18 C6", dir="o")),
    Subsignal("low", Pins("L15 L16", dir="o")), Attrs(IO_TYPE="SSTL135_II", SLEWRATE="FAST"),
)
_ECPIX5_DDRAM = _ddram(
    {"IO_TYPE": "SSTL15_I", "SLEWRATE": "FAST"}, {"IO_TYPE": "SSTL15D_I"}, {"TERMINATION": "75"},
    {"TERMINATION": "OFF", "DIFFRESISTOR": "100"},
    a="T5 M3 L3 V6 K2 W6 K3 L1 H2 L2 N1 J1 M1 K1 H1", ba="U6 N3 N4", ras_n="T3", cas_n="P2", we_n="R3", cke="P1",
    odt="P3", dm="U4 U1", dq="T4 W4 R4 W5 R6 P6 P5 P4 R1 W3 T2 V3 U3 W1 T1 W2", dqs_p="V4 V1", clk_p="H3",
)
_ARTY_DDRAM = _ddram(
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
        _uart("H18", "J17", PULLMODE="UP"),
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
        _uart("70", "69", PULL_MODE="UP"),
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


def _ulx3s(size):
    return Board(
        name=f"ulx3s_{size}f", platform=f"amaranth_boards.ulx3s:ULX3S_{size}F_Platform",
        uart=f"{USB} (US1)", memory=ULX3S, flash=IS25LP128_W25Q128, program="openFPGALoader -b ulx3s {bitstream}",
        store="openFPGALoader -b ulx3s --write-flash --offset {offset:#x} {file}",
    )


# Boards are sold with parts of 128 MB and larger ones: times, and bits of a row, are those of 512 MB, of which the
# first 128 are used. LiteX's boards run them at these clocks, and delay commands so at a slow one.
_ORANGECRAB_MEMORY = LiteDram(
    module="MT41K256M16", row_bits=15, megabytes=128, clock_mhz=48, start_mhz=24, command_delay=100, masks_swapped=True)
_ECPIX5_MEMORY = LiteDram(module="MT41K256M16", row_bits=15, megabytes=512, clock_mhz=75, start_mhz=25)


def _orangecrab(size):
    return Board(
        name=f"orangecrab_r0_2_{size}f", platform=f"amaranth_boards.orangecrab_r0_2:OrangeCrabR0_2_{size}FPlatform",
        led=("rgb_led", 0, "g"),
        uart="header pins: 0 (RX, ball N17) is what the board hears, 1 (TX, ball M18) what it says",
        header=(_uart("N17", "M18", PULLMODE="UP"), _ORANGECRAB_DDRAM, _ORANGECRAB_RAILS), memory=_ORANGECRAB_MEMORY,
        program="openFPGALoader -b orangeCrab {bitstream}",
    )


def _ecpix5(size):
    return Board(
        name=f"ecpix5_{size}f", platform=f"amaranth_boards.ecpix5:ECPIX5{size}Platform", led=("rgb_led", 0, "g"),
        header=(_ECPIX5_DDRAM,), memory=_ECPIX5_MEMORY, program="openFPGALoader -b ecpix5 {bitstream}",
    )


def _arty(size):
    return Board(
        name=f"arty_a7_{size}", platform=f"amaranth_boards.arty_a7:ArtyA7_{size}Platform",
        header=(_ARTY_DDRAM,), memory=MT41K128M16JT_125, program=f"openFPGALoader -b arty_a7_{size}t {{bitstream}}",
    )


BOARDS = {board.name: board for board in (
    *map(_ulx3s, (12, 25, 45, 85)), *map(_orangecrab, (25, 85)), *map(_ecpix5, (45, 85)),
    Board(
        name="colorlight_i5", platform="hw.board.boards:ColorlightI5Platform",
        uart=f"{USB}, on the extension board; without that board balls H18 (in) and J17 (out)",
        memory=COLORLIGHT_I5, program="openFPGALoader -b colorlight-i5 {bitstream}",
    ),
    Board(
        name="icebreaker", platform="amaranth_boards.icebreaker:ICEBreakerPlatform", uart=f"{USB} (the second one)",
        program="openFPGALoader -b ice40_generic {bitstream}",
    ),
    Board(
        name="tang_nano_9k", platform="amaranth_boards.tang_nano_9k:TangNano9kPlatform",
        program="openFPGALoader -b tangnano9k {bitstream}",
    ),
    Board(
        name="tang_nano_20k", platform="hw.board.boards:TangNano20kPlatform", memory=TANG_NANO_20K,
        program="openFPGALoader -b tangnano20k {bitstream}",
    ),
    *map(_arty, (35, 100)),
    Board(
        name="pynq_z2", platform="hw.board.boards:PynqZ2Platform", uart="", memory=ProcessorPort("HP1"),
        program="openFPGALoader -b pynq_z2 {bitstream}",
    ),
)}


def find_board(name):
    """Return the `Board` called ``name``, as forgiving as `gen.plan.target.find_target` and with its errors."""
    return BOARDS[find_target(name).name]
