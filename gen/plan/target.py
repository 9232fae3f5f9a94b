"""What each board's part offers, as data: no component ever asks which board it is on.

Figures are the vendors' (Lattice FPGA-DS-02012 and FPGA-DS-02008, Gowin DS117 and DS226, AMD DS180 and
DS190). A block RAM is counted in the smallest block that the part can use on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from gen.errors import InputError

__all__ = ["BlockRam", "Dram", "Flash", "Flow", "Target", "TARGETS", "find_target"]

BURST_RATE = 0.98  # of an SDRAM's peak, in long bursts: `python -m benchmarks.sdram`
AXI_RATE = 0.8  # of the peak of a DDR3 behind AXI, refreshes and turns between reads and writes: estimated


@dataclass(frozen=True)
class BlockRam:
    """One block of memory: its primitive, its ``bits``, and every (width, depth) it can take."""

    name: str
    bits: int
    shapes: tuple[tuple[int, int], ...]

    def count(self, width, depth):
        """Return the fewest blocks that hold ``depth`` words of ``width`` bits, all blocks in one shape."""
        return min(-(-width // w) * -(-depth // d) for w, d in self.shapes)


@dataclass(frozen=True)
class Dram:
    """A memory on the board, beside the part.

    Parameters
    ----------
    name : str
        Its kind.
    megabytes : int
        What a core may use of it.
    width : int
        Bits that it moves in a cycle of its clock.
    share : float
        Of its peak, in long bursts.
    clock_mhz : float or None
        Of the port that leads to it; None where it runs with the core.
    luts, ffs, blocks : int
        Tables, flip-flops and block RAMs of its controller; of an SDRAM's, by `python -m benchmarks.sdram`.
    """

    name: str
    megabytes: int
    width: int
    share: float = BURST_RATE
    clock_mhz: float | None = None
    luts: int = 504
    ffs: int = 329
    blocks: int = 0

    @property
    def words(self) -> int:
        """Words of 32 bits that it holds."""
        return self.megabytes * 2**18

    def pace(self, core_mhz: float = 1.0) -> float:
        """Return the cycles of the core that a word of 32 bits takes in a long burst, refreshes included.

        A core takes one in a cycle at most.
        """
        return max(1.0, 32 / self.width * core_mhz / (self.clock_mhz or core_mhz)) / self.share


@dataclass(frozen=True)
class Flash:
    """The serial flash on the board that the part is configured from.

    Its first ``offset`` bytes are for bitstreams, the others for what a core is loaded with that begins empty.
    """

    megabytes: int
    offset: int

    @property
    def room(self) -> int:
        """Bytes for what a core is loaded with."""
        return self.megabytes * 2**20 - self.offset


@dataclass(frozen=True)
class Flow:
    """From Verilog to bitstream: the router's name, whether all tools are free software, and which they are."""

    name: str
    open: bool
    tools: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A board and the part on it.

    Parameters
    ----------
    name : str
        As a user writes it: the class of amaranth-boards in snake case.
    family : str
        ``ecp5``, ``ice40``, ``gw1n``, ``gw2a`` or ``xilinx7``.
    device, package, speed : str
        As amaranth's platform of the family spells them.
    luts, ffs, bram_blocks, dsps : int
        Look-up tables of ``lut_inputs`` inputs, flip-flops, blocks of ``bram``, and multipliers of at least
        16 x 16 bits.
    spram_bits : int
        Single-port memory beside the block RAMs, bits.
    dram : Dram or None
        What holds weights and maps that the part has no room for.
    flash : Flash or None
        What loads a core at power-up that begins empty.
    clock_mhz : float
        Oscillator on the board.
    rx_bytes : int
        Receive buffer of the UART link: one block RAM, where that is large enough.
    core_mhz : float
        What the core is clocked with unless a user asks for something else: routed cores of 16 lanes reach it,
        or of the lanes that fit.
    """

    name: str
    title: str
    family: str
    device: str
    package: str
    speed: str
    luts: int
    ffs: int
    bram: BlockRam
    bram_blocks: int
    dsps: int
    clock_mhz: float
    core_mhz: float
    flow: Flow
    lut_inputs: int = 4
    spram_bits: int = 0
    dram: Dram | None = None
    flash: Flash | None = None
    rx_bytes: int = 2048

    @property
    def is_gowin(self):
        """Whether the part is one of Gowin's."""
        return self.family in ("gw1n", "gw2a")

    @property
    def bram_bits(self):
        """Bits in all block RAMs, parity bits included."""
        return self.bram_blocks * self.bram.bits

    @property
    def spram_blocks(self):
        """Single-port memories of 256 kbit."""
        return self.spram_bits // 2**18

    @property
    def pace(self):
        """Cycles of a word of 32 bits from outside, as of `Dram.pace`; 0 where there is nothing outside."""
        return self.dram.pace(self.core_mhz) if self.dram else 0.0

    @property
    def budget(self):
        """What a design may use, under the names that `generate` and `build` report: lut, ff, bram, dsp."""
        return {"lut": self.luts, "ff": self.ffs, "bram": self.bram_blocks, "dsp": self.dsps}


# A block of 18 kbit, alike with all three vendors: nine-bit words and wider have the parity bits as data.
_SHAPES_18K = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))

_DP16KD = BlockRam("DP16KD", 18432, _SHAPES_18K)
_EBR = BlockRam("SB_RAM40_4K", 4096, ((16, 256), (8, 512), (4, 1024), (2, 2048)))
_BSRAM = BlockRam("BSRAM", 18432, _SHAPES_18K)
_RAMB18 = BlockRam("RAMB18E1", 18432, _SHAPES_18K)

_ECP5_FLOW = Flow("nextpnr-ecp5", True, ("yosys", "nextpnr-ecp5", "ecppack"))
_ICE40_FLOW = Flow("nextpnr-ice40", True, ("yosys", "nextpnr-ice40", "icepack"))
_GOWIN_FLOW = Flow("nextpnr-himbaechel", True, ("yosys", "nextpnr-himbaechel-gowin", "gowin_pack"))
_VIVADO_FLOW = Flow("Vivado", False, ("vivado",))


# Behind the largest bitstream of an ECP5-85: 1,927,699 bytes uncompressed (ecppack, nothing in block RAM), and up to
# 2,320 more for each of 208 blocks of RAM with contents, 2,410,259 in all.
_BEHIND_BITSTREAM = 0x300000


def _ecp5(size, **board):
    luts, blocks, dsps = {25: (24288, 56, 28), 45: (43848, 108, 72), 85: (83640, 208, 156)}[size]
    return Target(
        family="ecp5", luts=luts, ffs=luts, bram=_DP16KD, bram_blocks=blocks, dsps=dsps, flow=_ECP5_FLOW,
        **board,
    )


def _ulx3s(size, capacity):
    return _ecp5(
        capacity, name=f"ulx3s_{size}f", title=f"Radiona ULX3S {size}F", device=f"LFE5U-{size}F",
        package="BG381", speed="6", clock_mhz=25, core_mhz=80, dram=Dram("SDRAM", 32, 16),
        flash=Flash(16, _BEHIND_BITSTREAM),
    )


def _ddr3(megabytes, clock_mhz, *controller, width=32):
    """A DDR3 behind an AXI port, which moves a word of 32 bits in a cycle and is slower than the memory."""
    return Dram("DDR3", megabytes, width, AXI_RATE, clock_mhz, *controller)


def _litedram(megabytes, clock_mhz):
    """A DDR3 behind LiteDRAM on an ECP5: each word is a burst of the memory, of two cycles."""
    return _ddr3(megabytes, clock_mhz, *_LITEDRAM, width=16)


# What leads to the port, and the controller behind it, by Yosys; but AMD's controller by guess, Yosys has none.
_LITEDRAM = 4900, 2550, 2
_MIG = 5500, 5000
_PORT = 220, 150


def _orangecrab(size):
    return _ecp5(
        size, name=f"orangecrab_r0_2_{size}f", title=f"OrangeCrab r0.2 {size}F", device=f"LFE5U-{size}F",
        package="MG285", speed="8", clock_mhz=48, core_mhz=96, dram=_litedram(128, 48),
    )


def _ecpix5(size):
    return _ecp5(
        size, name=f"ecpix5_{size}f", title=f"LambdaConcept ECPIX-5 {size}F", device=f"LFE5UM5G-{size}F",
        package="BG554", speed="8", clock_mhz=100, core_mhz=100, dram=_litedram(512, 75),
    )


def _arty(size, luts, blocks, dsps):
    return Target(
        name=f"arty_a7_{size}", title=f"Digilent Arty A7-{size}T", family="xilinx7", device=f"xc7a{size}ti",
        package="csg324", speed="1L", luts=luts, ffs=2 * luts, bram=_RAMB18, bram_blocks=blocks, dsps=dsps,
        clock_mhz=100, core_mhz=80, flow=_VIVADO_FLOW, lut_inputs=6, dram=_ddr3(256, 83.33, *_MIG),
    )


_BOARDS = (
    # The 12F is the die of the 25F; the open tools give all of it.
    _ulx3s(12, 25), _ulx3s(25, 25), _ulx3s(45, 45), _ulx3s(85, 85),
    _orangecrab(25), _orangecrab(85),
    _ecpix5(45), _ecpix5(85),
    _ecp5(
        25, name="colorlight_i5", title="Colorlight i5", device="LFE5U-25F", package="BG381", speed="6",
        clock_mhz=25, core_mhz=80, dram=Dram("SDRAM", 8, 32),
    ),
    Target(
        name="icebreaker", title="1BitSquared iCEBreaker", family="ice40", device="iCE40UP5K", package="SG48",
        speed="", luts=5280, ffs=5280, bram=_EBR, bram_blocks=30, dsps=8, clock_mhz=12, core_mhz=24,
        flow=_ICE40_FLOW, spram_bits=4 * 2**18, rx_bytes=512,
    ),
    Target(
        name="tang_nano_9k", title="Sipeed Tang Nano 9K", family="gw1n", device="GW1NR-LV9QN88PC6/I5",
        package="QN88P", speed="C6/I5", luts=8640, ffs=6480, bram=_BSRAM, bram_blocks=26, dsps=20,
        clock_mhz=27, core_mhz=72, flow=_GOWIN_FLOW,
    ),
    Target(
        name="tang_nano_20k", title="Sipeed Tang Nano 20K", family="gw2a", device="GW2AR-LV18QN88C8/I7",
        package="QN88", speed="C8/I7", luts=20736, ffs=15552, bram=_BSRAM, bram_blocks=46, dsps=48,
        clock_mhz=27, core_mhz=108, flow=_GOWIN_FLOW, dram=Dram("SDRAM", 8, 32),
    ),
    _arty(35, 20800, 100, 90), _arty(100, 63400, 270, 240),
    Target(
        name="pynq_z2", title="TUL PYNQ-Z2", family="xilinx7", device="xc7z020", package="clg400", speed="1",
        luts=53200, ffs=106400, bram=_RAMB18, bram_blocks=280, dsps=220, clock_mhz=125, core_mhz=100, flow=_VIVADO_FLOW,
        lut_inputs=6, dram=_ddr3(64, None, *_PORT),  # of its 512 MB, what its system leaves
    ),
)

TARGETS = {target.name: target for target in _BOARDS}


def find_target(name):
    """Return the target called ``name``, upper case and hyphens forgiven.

    Raises
    ------
    InputError
        For an unknown name; the text offers the nearest ones.
    """
    plain = str(name).strip().lower().replace("-", "_")
    if plain in TARGETS:
        return TARGETS[plain]
    near = get_close_matches(plain, TARGETS, n=3, cutoff=0.5)
    offer = f"the nearest {'names are' if len(near) > 1 else 'name is'} {', '.join(near)}; " if near else ""
    raise InputError(f"There is no board {name!r}: {offer}`adafire boards` lists all {len(TARGETS)}.")
