"""The top of a bitstream: the board's pins, its oscillator and PLL, the reset, and the design behind the UART."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Elaboratable, Module, ResetSignal
from amaranth.lib import io, wiring

from hw.board.boards import find_board
from hw.board.clocking import Clocking, Startup
from hw.board.dram import board_memory, clock_step
from hw.board.plls import PLLS
from hw.board.serial_flash import BoardFlash
from hw.flash_file import flash_header
from hw.identity import register_values
from hw.link.link import Link, LinkParams
from hw.link.uart_top import UartTop
from hw.memory.flash import FlashStart

__all__ = ["TOP", "BoardTop", "flash_start", "link_params", "uart_design"]

TOP = "adafire_top"


class BoardTop(Elaboratable):
    """A design on a board.

    Parameters
    ----------
    board : hw.board.boards.Board
    setting : hw.board.plls.Setting
        Of the PLL.
    design : component
        In the domain ``sync``, the core's clock, with the members ``rx`` In(1), ``tx`` Out(1) and ``active``
        Out(1), which lights the LED; perhaps with ``memory`` Out(MemoryBus) and ``flash`` Out(flash_pins).
    """

    def __init__(self, board, setting, design):
        self._board, self._setting, self._design = board, setting, design

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.startup = ClockDomain(reset_less=True)
        oscillator = platform.request(platform.default_clk, 0, dir="-")
        pll = PLLS[self._board.target.family]
        memory = self._board.memory if "memory" in self._design.signature.members else None
        clock_hz = float(self._setting.output) * 1e6
        step = clock_step(memory, clock_hz, pll.steps(self._setting)) if pll.steps else None
        m.submodules.clocking = clocking = Clocking(pll, self._setting, oscillator, step)
        if step is not None:
            for name, clock in (("pins", clocking.clk), ("late", clocking.late)):
                m.domains += ClockDomain(name, reset_less=True)
                m.d.comb += ClockSignal(name).eq(clock)
        m.submodules.startup = startup = DomainRenamer("startup")(Startup(float(self._setting.output)))
        m.submodules.design = design = self._design
        uart, (name, number, *colour) = platform.request("uart", 0, dir="-"), self._board.led
        led = platform.request(name, number, dir="-")
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, uart.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, uart.tx)
        m.submodules.led = light = io.Buffer(io.Direction.Output, getattr(led, *colour) if colour else led)
        m.d.comb += [
            ClockSignal().eq(clocking.clk), ClockSignal("startup").eq(clocking.clk),
            startup.locked.eq(clocking.locked), ResetSignal().eq(startup.reset),
            design.rx.eq(rx.i), tx.o.eq(design.tx), light.o.eq(design.active),
        ]
        if memory is not None:
            m.submodules.dram = dram = board_memory(memory, clock_hz, design.memory.signature)
            wiring.connect(m, design.memory, dram.bus)
            if "oscillator" in dram.signature.members:
                m.d.comb += dram.oscillator.eq(clocking.oscillator)
        if "flash" in design.signature.members:
            m.submodules.serial_flash = flash = BoardFlash()
            wiring.connect(m, design.flash, flash.pins)
        return m


def link_params(target, manifest, clock_mhz):
    """Return the `LinkParams` of a generated folder's design on a board; InputError for a baud rate out of reach."""
    return LinkParams(
        clock_hz=round(clock_mhz * 10**6), baud=manifest["baud"], rx_bytes=target.rx_bytes,
        max_payload=target.rx_bytes // 2,
    )


def flash_start(manifest):
    """Return the `FlashStart` of a generated folder's design on its board; None where it needs or has none."""
    board = find_board(manifest["board"])
    part, flash = board.flash, board.target.flash
    if part is None or flash is None or manifest["initialised"]:
        return None
    return FlashStart(part=part, address=flash.offset, header=flash_header(manifest))


def uart_design(core, params, link, manifest):
    """Return the core behind its UART link, for `BoardTop`.

    Parameters
    ----------
    core : hw.core.core.Core
    params : CoreParams
    link : LinkParams
    manifest : dict
        Of the generated folder.
    """
    return UartTop(params, core, Link(params, link, register_values(manifest), flash_start(manifest)))
