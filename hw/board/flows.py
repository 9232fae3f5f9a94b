"""The open flows as data: for each family what synthesis, place and route, and packing are called with."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from hw.board.block_registers import absorb_block_registers
from hw.board.carries import refine_carries
from hw.board.multipliers import absorb_registers
from hw.board.netlist import RELAXED
from hw.board.refining import refining
from hw.board.wide_muxes import COVER, make_wide_muxes

__all__ = [
    "CELLS", "Command", "FLOWS", "Flow", "Resort", "TIMING_REPORT", "XILINX_CELLS", "XILINX_SYNTH", "synthesis",
    "verilog_synthesis",
]

CELLS, TIMING_REPORT = "cells.json", "timing.json"  # what Yosys and nextpnr tell of a netlist, beside it
# Cells of one kind: a pattern of the names in the tools' reports, and how many it counts for.
Cells = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Command:
    """One run of a tool.

    tool : its name in `hw.board.tools`
    log : the file that takes what it says
    arguments : files are relative to the work folder
    resorts : what is run in its place where it does not end by itself
    """

    tool: str
    log: str
    arguments: tuple[str, ...]
    resorts: tuple["Resort", ...] = ()

    def adding(self, *arguments):
        """Return the command with further arguments, its resorts with them too."""
        resorts = tuple(replace(resort, command=resort.command.adding(*arguments)) for resort in self.resorts)
        return replace(self, arguments=(*self.arguments, *arguments), resorts=resorts)


@dataclass(frozen=True)
class Resort:
    """The ``command`` that is run in place of one whose log has had ``mark``, a pattern, as many ``times``."""

    mark: bytes
    times: int
    command: Command


# A round of routing, a step of the placer: where there is an end it comes long before. And a part of which 94 % or
# more is taken: of an iCE40's 5,280 cells the static placer placed 4,899 in a minute, and in two not 5,049.
ROUTING, PLACING = (rb" wires=", 200), (rb" steplen=", 1500)
FULL = rb"(?:ICESTORM_LC|TRELLIS_COMB|TRELLIS_FF):\s+\d+/\s*\d+\s+(?:9[4-9]|\d{3,})%", 1


@dataclass(frozen=True, kw_only=True)
class Flow:
    """From RTLIL to bitstream for one family.

    Parameters
    ----------
    synth : str
        Yosys' command with its options.
    tables : str
        Its label at which tables are made of gates, and ``gates``, what is done to these before.
    router, packer : str
        Tools of `hw.board.tools`.
    constraints, bitstream : str
        Suffixes of the file that Amaranth writes and of what the board is loaded with.
    place : callable(target, constraints or None) -> arguments
        The part and the constraint file, as the router wants them.
    routed : callable(top) -> arguments
        Where the router writes the routed design.
    pack : callable(target, top) -> arguments
    cells : {lut, ff, bram, dsp, spram, io: Cells}
        What is counted, by names in the netlist and in the router's report; ``io`` are registers, or pairs of them, in
        I/O cells: on an ECP5 a cell for each pin, on Gowin's parts one for each way.
    places, searches : tuple of str
        What chooses the placer and, where that one finds no end or there is no choice, the one that searches.
    insists : tuple of str
        What has the router go on until the clock is met, or for ever.
    refine : callable(path)
        What is done to the netlist's file before the router reads it.
    """

    synth: str
    router: str
    packer: str
    constraints: str
    bitstream: str
    place: Callable
    routed: Callable
    pack: Callable
    cells: dict[str, Cells]
    places: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    insists: tuple[str, ...] = ()
    tables: str = ""
    gates: str = ""
    refine: Callable = lambda file: None

    @property
    def tools(self):
        """Every tool of the flow, in order."""
        return ("yosys", self.router, self.packer)

    def route(self, target, top, clock_mhz, seed, constrained=True):
        """Return the Command that places and routes; timing that fails is reported, not refused."""
        command = Command(self.router, f"route-{seed}.log", (
            *self.place(target, f"{top}{self.constraints}" if constrained else None), *self.routed(top),
            "--json", f"{top}.json", "--freq", f"{clock_mhz:.4f}", "--seed", str(seed),
            "--timing-allow-fail", "--report", TIMING_REPORT,
        ))
        searching = self._insisting(command.adding(*self.searches))
        if not self.places:
            return searching
        resorts = tuple(Resort(*mark, searching) for mark in (FULL, PLACING))
        return self._insisting(replace(command.adding(*self.places), resorts=resorts))

    def _insisting(self, command):
        """Return the command with a router that insists, and may give way to the command."""
        if not self.insists:
            return command
        resorts = (*command.resorts, Resort(*ROUTING, command))
        return replace(command, arguments=(*command.arguments, *self.insists), resorts=resorts)

    def packing(self, target, top):
        """Return the Command that makes the bitstream."""
        return Command(self.packer, "pack.log", self.pack(target, top))


def synthesis(flow, top, options="", verilog=()):
    """Return the Command that makes a netlist of ``top``.il, and counts its cells in `CELLS`.

    ``verilog`` : files of modules that it has instances of
    """
    synth, last = f"{flow.synth} {options} -top {top}", ""
    if flow.gates:
        last = f"{synth} -run {flow.tables}:"
        synth += f" -run begin:{flow.tables}; {flow.gates}; "
    reads = "".join(f"read_verilog {file}; " for file in verilog)
    return _yosys(f"read_rtlil {top}.il; {RELAXED}; {reads}{synth}{last} -json {top}.json")


def verilog_synthesis(synth, top, files):
    """Return the Command that counts the cells of the module ``top`` of Verilog files in `CELLS`."""
    return _yosys(f"read_verilog {' '.join(files)}; {synth} -top {top}")


def _yosys(script):
    return Command("yosys", "synthesis.log", ("-p", f"{script}; tee -q -o {CELLS} stat -json"))


# ECP5: Project Trellis. nextpnr names packages by the vendor's full name.
_ECP5_PACKAGES = {"BG256": "CABGA256", "BG381": "CABGA381", "BG554": "CABGA554", "MG285": "CSFBGA285"}


def _place_ecp5(target, constraints):
    capacity = re.findall(r"(\d+)F", target.device)[0]
    die = f"{'um5g-' if 'UM5G' in target.device else ''}{capacity}k"
    return (
        f"--{die}", "--speed", target.speed, "--package", _ECP5_PACKAGES[target.package],
        *(("--lpf", constraints) if constraints else ("--lpf-allow-unconstrained",)), "--router", "router2",
    )


# nextpnr's electrostatic placer: wires are a third shorter than with the other one, which stops early in large cores.
STATIC = ("--placer", "static")
# A part that is nearly full is searched for hours before it is given up: for each cell as many places as there are
# cells, squared, over this.
GIVE_UP = ("--placer-heap-cell-placement-timeout", "100")
TIMING = ("--placer-heap-timingweight", "20")  # slow paths: at 10, the default, clocks are slower


# iCE40: Project IceStorm.
def _place_ice40(target, constraints):
    return (
        f"--{target.device.removeprefix('iCE40').lower()}", "--package", target.package.lower(),
        *(("--pcf", constraints) if constraints else ("--pcf-allow-unconstrained",)),
    )


# Gowin: Project Apicula.
_GOWIN_DIES = {"gw1n": "GW1N-9C", "gw2a": "GW2A-18C"}


def _place_gowin(target, constraints):
    return (
        "--device", target.device, "--vopt", f"family={_GOWIN_DIES[target.family]}",
        "--vopt", "oreg_in_iob", "--vopt", "ioreg_in_iob",  # `hw.board.gowin_pins`
        *(("--vopt", f"cst={constraints}") if constraints else ()),
    )


def _gowin(family):
    return Flow(
        synth=f"synth_gowin -family {family}",
        router="nextpnr-himbaechel-gowin", packer="gowin_pack", constraints=".cst", bitstream=".fs",
        place=_place_gowin, routed=lambda top: ("--write", f"{top}.routed.json"),
        pack=lambda target, top: (
            "-d", _GOWIN_DIES[family], "-o", f"{top}.fs", f"{top}.routed.json",
        ),
        searches=GIVE_UP,  # its nextpnr has no other placer
        cells={
            # an ALU takes the place of a look-up table, 16 x 4 bits of memory that of four
            "lut": (("LUT[1-4]", 1), ("ALU", 1), ("RAM16SDP4", 4)), "ff": (("DFF*", 1),),
            "bram": (("BSRAM", 1),),
            "dsp": (("MULT9X9", 0.5), ("MULT18X18", 1), ("MULT36X36", 4), ("MULTALU*", 1), ("MULTADDALU*", 2)),
            "io": (("IOLOGICI", 1), ("IOLOGICO", 1)),
        },
    )


FLOWS = {
    "ecp5": Flow(
        synth="synth_ecp5", router="nextpnr-ecp5", packer="ecppack", constraints=".lpf", bitstream=".bit",
        places=STATIC, searches=TIMING, insists=("--tmg-ripup",),
        place=_place_ecp5, routed=lambda top: ("--textcfg", f"{top}.config"),
        pack=lambda target, top: ("--compress", "--input", f"{top}.config", "--bit", f"{top}.bit"),
        cells={
            "lut": (("TRELLIS_COMB", 1),), "ff": (("TRELLIS_FF", 1),), "bram": (("DP16KD", 1),),
            "dsp": (("MULT18X18D", 1),), "io": (("IOLOGIC", 1), ("SIOLOGIC", 1)),
        },
        tables="map_luts", gates=COVER,
        refine=refining(make_wide_muxes, absorb_registers, absorb_block_registers, refine_carries),
    ),
    "ice40": Flow(
        synth="synth_ice40 -device u -dsp -dffe_min_ce_use 4", router="nextpnr-ice40", packer="icepack",
        constraints=".pcf", bitstream=".bin", place=_place_ice40, routed=lambda top: ("--asc", f"{top}.asc"),
        pack=lambda target, top: (f"{top}.asc", f"{top}.bin"), places=STATIC, searches=(*TIMING, *GIVE_UP),
        cells={
            "lut": (("ICESTORM_LC", 1),), "ff": (("SB_DFF*", 1),), "bram": (("ICESTORM_RAM", 1),),
            "dsp": (("ICESTORM_DSP", 1),), "spram": (("ICESTORM_SPRAM", 1),),
        },
    ),
    "gw1n": _gowin("gw1n"),
    "gw2a": _gowin("gw2a"),
}

# The 7 series, synthesized for an estimate only.
XILINX_SYNTH = "synth_xilinx -family xc7 -flatten -noiopad"
XILINX_CELLS = {
    "lut": (("LUT[1-6]", 1), ("SRL*", 1), ("RAM32M", 4), ("RAM64M", 4), ("RAM32X1D", 2), ("RAM64X1D", 2),
            ("RAM128X1D", 4), ("RAM*X1S", 1)),
    "ff": (("FD[RSCP]E*", 1),), "bram": (("RAMB18E1", 1), ("RAMB36E1", 2)), "dsp": (("DSP48E1", 1),),
}
