"""Boards as data: the platform with its pins, where the UART comes out, which LED, how to program it.

Most platforms are amaranth-boards', the others ours (`hw.board.platforms`). A UART that the board does not lead to USB
is on header pins, named in ``uart``: connect an adapter for 3.3 V there.
"""

from dataclasses import dataclass
from importlib import import_module

from gen.plan.target import find_target
from hw.board.litedram import LiteDram
from hw.board.mig import MT41K128M16JT_125, Mig
from hw.board.platforms import ARTY_DDRAM, ECPIX5_DDRAM, ORANGECRAB_DDRAM, ORANGECRAB_RAILS, uart_pins
from hw.memory.flash import IS25LP128_W25Q128, FlashPart
from hw.memory.sdram_part import COLORLIGHT_I5, TANG_NANO_20K, ULX3S, SdramPart

__all__ = ["BOARDS", "Board", "ProcessorPort", "find_board"]

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
        header=(uart_pins("N17", "M18", PULLMODE="UP"), ORANGECRAB_DDRAM, ORANGECRAB_RAILS), memory=_ORANGECRAB_MEMORY,
        program="openFPGALoader -b orangeCrab {bitstream}",
    )


def _ecpix5(size):
    return Board(
        name=f"ecpix5_{size}f", platform=f"amaranth_boards.ecpix5:ECPIX5{size}Platform", led=("rgb_led", 0, "g"),
        header=(ECPIX5_DDRAM,), memory=_ECPIX5_MEMORY, program="openFPGALoader -b ecpix5 {bitstream}",
    )


def _arty(size):
    return Board(
        name=f"arty_a7_{size}", platform=f"amaranth_boards.arty_a7:ArtyA7_{size}Platform",
        header=(ARTY_DDRAM,), memory=MT41K128M16JT_125, program=f"openFPGALoader -b arty_a7_{size}t {{bitstream}}",
    )


BOARDS = {board.name: board for board in (
    *map(_ulx3s, (12, 25, 45, 85)), *map(_orangecrab, (25, 85)), *map(_ecpix5, (45, 85)),
    Board(
        name="colorlight_i5", platform="hw.board.platforms:ColorlightI5Platform",
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
        name="tang_nano_20k", platform="hw.board.platforms:TangNano20kPlatform", memory=TANG_NANO_20K,
        program="openFPGALoader -b tangnano20k {bitstream}",
    ),
    *map(_arty, (35, 100)),
    Board(
        name="pynq_z2", platform="hw.board.platforms:PynqZ2Platform", uart="", memory=ProcessorPort("HP1"),
        program="openFPGALoader -b pynq_z2 {bitstream}",
    ),
)}


def find_board(name):
    """Return the `Board` called ``name``, as forgiving as `gen.plan.target.find_target` and with its errors."""
    return BOARDS[find_target(name).name]
