"""Every board elaborates, and its constraint file holds the pins of its documents."""

import re
from functools import cache
from importlib import import_module

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import InputError
from gen.plan.target import TARGETS
from hw.board.board_top import TOP, BoardTop, flash_start, link_params
from hw.board.boards import BOARDS, find_board
from hw.board.litedram import LITEDRAM, LiteDram
from hw.board.mig import MIG, Mig
from hw.board.plls import PLLS
from hw.memory.bus import MemoryBus
from hw.memory.flash import flash_pins
from hw.memory.sdram_part import SdramPart

# Oscillator, what the board hears, what it says, LED: schematics of the makers.
PINS = {
    "ulx3s": "G2 M1 L4 B2", "orangecrab": "A9 N17 M18 M3", "ecpix5": "K23 R26 R24 R21", "colorlight": "P3 H18 J17 U16",
    "icebreaker": "35 6 9 11", "tang_nano_9k": "52 18 17 10", "tang_nano_20k": "4 70 69 15", "arty": "E3 A9 D10 H5",
}
LINE = {
    "ecp5": 'LOCATE COMP "{port}" SITE "{pin}";', "ice40": "set_io {port} {pin}", "gw1n": 'IO_LOC "{port}" {pin};',
    "gw2a": 'IO_LOC "{port}" {pin};', "xilinx7": 'set_property LOC {pin} [get_ports "{port}"]',
}
SUFFIX = {"ecp5": ".lpf", "ice40": ".pcf", "gw1n": ".cst", "gw2a": ".cst", "xilinx7": ".xdc"}
WITH_UART = [board for board in BOARDS.values() if board.uart]


class Echo(wiring.Component):
    """A design that says what it hears."""

    rx: In(1)
    tx: Out(1)
    active: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [self.tx.eq(self.rx), self.active.eq(~self.rx)]
        return m


@cache
def plan(board):
    """Return the files of a board's top."""
    target = board.target
    setting = PLLS[target.family].setting(target.clock_mhz, target.core_mhz)
    return board.make_platform().prepare(BoardTop(board, setting, Echo()), TOP, emit_src=False).files


def test_every_target_is_a_board():
    assert list(BOARDS) == list(TARGETS)


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_part_and_oscillator_are_those_of_the_platform(board):
    target, platform = board.target, board.make_platform()
    if hasattr(platform, "part"):
        assert platform.part == target.device
    else:
        assert (platform.device, platform.package) == (target.device, target.package)
        assert str(getattr(platform, "speed", "")) == target.speed
    assert platform.default_clk_frequency == target.clock_mhz * 1e6
    module = import_module(board.platform.partition(":")[0])
    assert module.__name__.startswith(("amaranth_boards.", "hw.board.platforms"))


@pytest.mark.parametrize("board", WITH_UART, ids=lambda board: board.name)
def test_the_constraints_hold_the_pins(board):
    files, family = plan(board), board.target.family
    constraints = files[TOP + SUFFIX[family]]
    pins = next(pins for name, pins in PINS.items() if board.name.startswith(name)).split()
    colour = f"__{board.led[2]}" if len(board.led) > 2 else ""
    oscillator = re.search(r"\bclk\d*_0__io", constraints).group()
    for port, pin in zip((oscillator, "uart_0__rx__io", "uart_0__tx__io", f"{board.led[0]}_0{colour}__io"), pins):
        assert LINE[family].format(port=port, pin=pin) in constraints
    assert set(re.findall(r"\w+__io", constraints)) == {
        oscillator, "uart_0__rx__io", "uart_0__tx__io", f"{board.led[0]}_0{colour}__io",
    }


@pytest.mark.parametrize("board", WITH_UART, ids=lambda board: board.name)
def test_the_design_holds_pll_and_reset(board):
    files = plan(board)
    text = files.get(f"{TOP}.il") or files[f"{TOP}.v"]
    primitive = {"ecp5": "EHXPLLL", "ice40": "SB_PLL40_PAD", "gw1n": "rPLL", "gw2a": "rPLL", "xilinx7": "MMCME2_BASE"}
    assert primitive[board.target.family] in text and "startup" in text and "design" in text


def test_a_bitstream_is_loaded_by_one_command():
    for board in BOARDS.values():
        assert board.program.format(bitstream="a.bit").split()[:2] == ["openFPGALoader", "-b"]


def test_boards_without_a_usb_uart_say_the_pins():
    assert "N17" in BOARDS["orangecrab_r0_2_85f"].uart and "H18" in BOARDS["colorlight_i5"].uart


def test_find_forgives_and_offers():
    assert find_board("ULX3S-85F") is BOARDS["ulx3s_85f"]
    with pytest.raises(InputError, match="There is no board 'tangnano9k': the nearest names are tang_nano_9k"):
        find_board("tangnano9k")


def test_the_link_fits_the_part():
    assert link_params(TARGETS["ulx3s_85f"], {"baud": 1_000_000}, 62.5).rx_bytes == 2048
    small = link_params(TARGETS["icebreaker"], {"baud": 1_000_000}, 18)
    assert (small.rx_bytes, small.max_payload, small.clock_hz) == (512, 256, 18_000_000)
    with pytest.raises(InputError, match="12000000 baud cannot be made from a clock of 18000000 Hz"):
        link_params(TARGETS["icebreaker"], {"baud": 12_000_000}, 18)


def test_a_board_has_the_memory_that_its_target_counts_on():
    for board in BOARDS.values():
        dram, memory = board.target.dram, board.memory
        assert (dram is None) == (memory is None), board.name
        if isinstance(memory, SdramPart):
            assert (dram.megabytes, dram.width) == (memory.megabytes, memory.width), board.name
            assert len(board.make_platform().request("sdram", 0, dir="-").dq) == memory.width, board.name
            memory.timing(board.target.core_mhz * 1e6)
        elif isinstance(memory, (LiteDram, Mig)):
            width = 16 if isinstance(memory, LiteDram) else 32
            assert (dram.name, dram.megabytes, dram.width) == ("DDR3", memory.megabytes, width), board.name
            clock_mhz = memory.clock_mhz if isinstance(memory, LiteDram) else 1e6 / 4 / memory.period_ps
            assert dram.clock_mhz == pytest.approx(clock_mhz, rel=1e-3), board.name
            assert 2**memory.address_bits >= memory.megabytes * 2**20


class Keeping(Echo):
    """A design with something in the board's memory."""

    memory: Out(MemoryBus(18, 32))


@pytest.mark.parametrize("name, width, masks", [("ulx3s_85f", 16, 2), ("colorlight_i5", 32, 0)])
def test_a_design_with_an_sdram_has_its_pins(name, width, masks):
    """On a Colorlight i5 the byte masks have no pins."""
    board = BOARDS[name]
    setting = PLLS["ecp5"].setting(board.target.clock_mhz, board.target.core_mhz)
    files = board.make_platform().prepare(BoardTop(board, setting, Keeping()), TOP, emit_src=False).files
    pins = re.findall(r'LOCATE COMP "sdram_0__(\w+)__io', files[f"{TOP}.lpf"])
    assert (pins.count("dq"), pins.count("dqm"), pins.count("ba"), pins.count("clk")) == (width, masks, 2, 1)
    text = files[f"{TOP}.il"]
    sent = len(pins) - 1 - 2 * (masks > 0)  # all but the clock and what is constant, chip select and clock enable
    # nextpnr puts each of these into the I/O cell of its pin, or ends with an error; an output has two, one enables it
    assert {cell: text.count(f"  cell \\{cell} ") for cell in ("IFS1P3DX", "OFS1P3DX", "ODDRX1F")} == {
        "IFS1P3DX": width, "OFS1P3DX": 2 * sent + 1, "ODDRX1F": 1}


def test_the_memory_inside_a_package_has_the_ports_that_gowin_names():
    """As `apycula` has them for a GW2AR-18C, and without a line of constraints: nextpnr knows where they are."""
    board = BOARDS["tang_nano_20k"]
    setting = PLLS["gw2a"].setting(board.target.clock_mhz, board.target.core_mhz)
    files = board.make_platform().prepare(BoardTop(board, setting, Keeping()), TOP, emit_src=False).files
    text = files.get(f"{TOP}.il") or files[f"{TOP}.v"]
    found = {name: int(width or 1) for width, name in re.findall(
        r"^  wire (?:width (\d+) )?(?:inout|output|input) \d+ +\\(\w*sdram\w*)$", text, re.M)}
    assert found == {
        "O_sdram_clk": 1, "O_sdram_cke": 1, "O_sdram_cs_n": 1, "O_sdram_cas_n": 1, "O_sdram_ras_n": 1,
        "O_sdram_wen_n": 1, "O_sdram_dqm": 4, "O_sdram_addr": 11, "O_sdram_ba": 2, "IO_sdram_dq": 32,
    }
    assert "sdram" not in files[f"{TOP}.cst"]
    # Flip-flops that nextpnr finds at an OBUF or IOBUF: three at each bit of data, one at each other pin that changes.
    assert {cell: text.count(f"  cell \\{cell} ") for cell in ("IOBUF", "OBUF", "DFF", "ODDR")} == {
        "IOBUF": 32, "OBUF": 3 + 4 + 11 + 2, "DFF": 3 * 32 + 20, "ODDR": 1}


# Balls of a DDR3: litex-boards 2023.12 and, for the Arty A7, Digilent's master constraints.
DDR3 = {
    "orangecrab_r0_2_85f": {
        "dq[0]": "C17", "dq[15]": "F18", "ba[0]": "D6", "dqs_p[0]": "B15", "clk_p": "J18", "cke": "D18",
    },
    "ecpix5_85f": {"dq[0]": "T4", "dq[15]": "W2", "ba[0]": "U6", "dqs_p[0]": "V4", "clk_p": "H3", "cke": "P1"},
    "arty_a7_35": {"dq[0]": "K5", "dq[15]": "R3", "ba[0]": "R1", "dqs_n[0]": "N1", "clk_n": "V9", "cke": "N5"},
}


@pytest.mark.parametrize("name", DDR3)
def test_a_design_with_a_ddr3_has_its_pins_and_its_controller(name):
    board = BOARDS[name]
    setting = PLLS[board.target.family].setting(board.target.clock_mhz, board.target.core_mhz)
    files = board.make_platform().prepare(BoardTop(board, setting, Keeping()), TOP, emit_src=False).files
    constraints = files[TOP + SUFFIX[board.target.family]]
    for pin, ball in DDR3[name].items():
        member, _, number = pin.partition("[")
        port = f"ddram_0__{member}__io" + (f"[{number}" if number else "")
        port = port.replace("[", r"\[") if board.target.family == "xilinx7" else port
        assert LINE[board.target.family].format(port=port, pin=ball) in constraints, port
    text = files.get(f"{TOP}.il") or files[f"{TOP}.v"]
    assert (MIG if name == "arty_a7_35" else LITEDRAM) in text and "crossing" in text


class Reading(Echo):
    """A design that reads the board's flash."""

    flash: Out(flash_pins())


WITH_FLASH = [board for board in BOARDS.values() if board.flash]


@pytest.mark.parametrize("board", WITH_FLASH, ids=lambda board: board.name)
def test_a_design_with_a_flash_has_its_pins(board):
    """Balls as amaranth-boards has them; the clock has none, it is that of USRMCLK."""
    target = board.target
    setting = PLLS[target.family].setting(target.clock_mhz, target.core_mhz)
    files = board.make_platform().prepare(BoardTop(board, setting, Reading()), TOP, emit_src=False).files
    constraints = files[f"{TOP}.lpf"]
    pins = {"cs": "R2", "copi": "W2", "cipo": "V2", "wp": "Y2", "hold": "W1"}
    for port, pin in pins.items():
        assert LINE["ecp5"].format(port=f"spi_flash_0__{port}__io", pin=pin) in constraints
    assert set(re.findall(r"spi_flash_0__(\w+)__io", constraints)) == set(pins)
    assert "USRMCLK" in files[f"{TOP}.il"]


def test_a_board_has_the_flash_that_its_target_counts_on():
    assert [board.name for board in WITH_FLASH] == ["ulx3s_12f", "ulx3s_25f", "ulx3s_45f", "ulx3s_85f"]
    for board in BOARDS.values():
        flash = board.target.flash
        assert (flash is None) == (board.flash is None) == (board.store == ""), board.name
        if flash and board.flash:
            assert flash.offset % 2**16 == 0 and 2_410_259 <= flash.offset and flash.room == 13 * 2**20
            assert board.flash.divisor(board.target.core_mhz * 1e6) == 4
            assert board.store.format(offset=flash.offset, file="a.bin").endswith("--offset 0x300000 a.bin")


def test_only_a_core_that_begins_empty_is_loaded_from_the_flash():
    manifest = {"board": "ulx3s_85f", "initialised": False, "build_id": "0123456789abcdef" * 2}
    start = flash_start(manifest)
    assert start and (start.address, start.header[:5]) == (0x300000, b"ADAF\xef")
    assert flash_start({**manifest, "initialised": True}) is None
    assert flash_start({**manifest, "board": "colorlight_i5"}) is None
    assert flash_start({**manifest, "board": "icebreaker"}) is None
