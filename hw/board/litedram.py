"""LiteDRAM beside a core on an ECP5: what its generator is told, what it must say, and its module with the pins.

``litedram_gen`` (PyPI litedram, 2024.12) writes the controller and the PHY as one Verilog module with an AXI port. It
is made for no CPU: `hw.memory.litedram_start` does what software on a CPU does.
"""

import csv
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import ClockDomain, ClockSignal, Const, DomainRenamer, Instance, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In

from gen.errors import AdafireError
from hw.board.flows import Command
from hw.memory.bus import connect_wider
from hw.memory.crossed_axi import CrossedAxi, CrossedMemory
from hw.memory.crossing import MEMORY_DOMAIN
from hw.memory.litedram_program import (
    CAS_LATENCY, CAS_WRITE_LATENCY, MODE_REGISTERS, READ_PHASE, REGISTERS, WRITE_PHASE,
)
from hw.memory.litedram_start import LiteDramStart

__all__ = ["LITEDRAM", "LITEDRAM_VERILOG", "LITEDRAM_YAML", "PORT_BITS", "LiteDram", "LiteDramMemory",
           "litedram_command", "litedram_yaml", "take_litedram"]

LITEDRAM = "litedram_core"
LITEDRAM_YAML, LITEDRAM_VERILOG = "litedram.yml", f"{LITEDRAM}.v"
MADE = "litedram"  # the folder that the generator writes
PORT, PORT_BITS = "memory", 128  # a burst of the memory: LiteDRAM 2024.12 hangs behind a narrower AXI port
BANK_BITS, COLUMN_BITS = 3, 10
LANES = 2
ADDRESSES = "sdram_dfii_pi0_address_write"


@dataclass(frozen=True, kw_only=True)
class LiteDram:
    """A DDR3 of 16 bits on an ECP5, behind LiteDRAM.

    Parameters
    ----------
    module : str
        LiteDRAM's name of the part, whose times it keeps.
    row_bits : int
        Of that part.
    megabytes : int
        What a core may use, from the first byte on.
    clock_mhz, start_mhz : float
        Of LiteDRAM's port, a fourth of the bits a second of a pin; of the start of its PHY.
    command_delay : int
        Steps of the pins' delay for clock and commands.
    masks_swapped : bool
        The board has led each byte's mask to the other byte's pin.
    """

    module: str
    row_bits: int
    megabytes: int
    clock_mhz: float
    start_mhz: float
    command_delay: int = 0
    masks_swapped: bool = False

    @property
    def address_bits(self) -> int:
        """Bits of a byte's address on LiteDRAM's port."""
        return self.row_bits + BANK_BITS + COLUMN_BITS + (LANES - 1).bit_length()


def litedram_yaml(part: LiteDram, target) -> str:
    """Return what `litedram_gen` reads for the memory ``part`` of a board's ``target`` (`gen.plan.target.Target`)."""
    lines = {
        "cpu": "None", "uart": "None", "device": f"{target.device}-{target.speed}{target.package}C", "memtype": "DDR3",
        "sdram_module": part.module, "sdram_module_nb": LANES, "sdram_rank_nb": 1, "sdram_phy": "ECP5DDRPHY",
        "input_clk_freq": f"{target.clock_mhz:g}e6", "sys_clk_freq": f"{part.clock_mhz:g}e6",
        "init_clk_freq": f"{part.start_mhz:g}e6", "cmd_delay": part.command_delay, "dm_swap": part.masks_swapped,
        "cmd_buffer_depth": 16,
    }
    port = f"user_ports:\n  {PORT}:\n    type: axi\n    id_width: 1\n"
    return "".join(f"{name}: {value}\n" for name, value in lines.items()) + port


def litedram_command() -> Command:
    """Return the Command that makes what `take_litedram` takes of `LITEDRAM_YAML`."""
    return Command("litedram_gen", "litedram.log", (
        LITEDRAM_YAML, "--output-dir", MADE, "--name", LITEDRAM, "--csr-csv", f"{MADE}/csr.csv",
        "--no-compile-software",
    ))


def take_litedram(work: Path):
    """Take `LITEDRAM_VERILOG` from what the generator has made in ``work``, and drop the rest.

    Raises AdafireError where `LiteDramStart` cannot start it: registers must lie where it writes, and the part want the
    mode registers and phases that it has.
    """
    folder = work / MADE
    rows = csv.reader((folder / "csr.csv").read_text().splitlines())
    found = {row[1]: int(row[2], 0) for row in rows if row and row[0] == "csr_register"}
    header = (folder / "software" / "include" / "generated" / "sdram_phy.h").read_text()
    said = {name: int(value) for name, value in re.findall(r"#define SDRAM_PHY_(\w+) (\d+)\n", header)}
    wanted = {"CL": CAS_LATENCY, "CWL": CAS_WRITE_LATENCY, "RDPHASE": READ_PHASE, "WRPHASE": WRITE_PHASE}
    modes = [int(value, 16) for value in re.findall(rf"{ADDRESSES}\((0x\w+)\)", header)]
    wrong = [name for name, place in REGISTERS.items() if found.get(name) != place]
    wrong += [name for name, value in wanted.items() if said.get(name) != value]
    wrong += ["mode registers"] * (modes[2:-1] != [*MODE_REGISTERS.values()])
    if wrong:
        raise AdafireError(
            f"This LiteDRAM has other registers or settings than hw/memory/litedram_program.py: {', '.join(wrong)}. "
            "Install the release that constraints.txt names: pip install -c constraints.txt litedram."
        )
    (folder / "gateware" / LITEDRAM_VERILOG).rename(work / LITEDRAM_VERILOG)
    shutil.rmtree(folder)


class LiteDramMemory(CrossedMemory):
    """Answer a memory bus by LiteDRAM, on the pins that the platform calls ``ddram``."""

    def elaborate(self, platform):
        m = Module()
        part, failed = self._part, Signal()
        m.domains += ClockDomain(MEMORY_DOMAIN)
        m.submodules.crossed = crossed = CrossedAxi(self._signature, part.address_bits, PORT_BITS)
        m.submodules.start = start = DomainRenamer(MEMORY_DOMAIN)(LiteDramStart(part.clock_mhz * 1e6))
        m.submodules.failed = FFSynchronizer(start.failed, failed)
        connect_wider(m, self.bus, crossed.bus, failed)
        control, axi, ports = start.bus, crossed.axi, {}
        for prefix, bus, left_out in ((f"user_port_{PORT}", axi, ("cache", "prot")), ("wb_ctrl", control, ())):
            for name, member in bus.signature.members.items():
                if not name.endswith(left_out):
                    ports[f"{'o' if member.flow is In else 'i'}_{prefix}_{name}"] = getattr(bus, name)
        m.submodules.controller = Instance(
            LITEDRAM, i_clk=self.oscillator, i_rst=Const(0), o_user_clk=ClockSignal(MEMORY_DOMAIN),
            o_user_rst=ResetSignal(MEMORY_DOMAIN), i_wb_ctrl_cti=Const(0, 3), i_wb_ctrl_bte=Const(0, 2),
            **self._pins(m, platform.request("ddram", 0, dir="-")), **ports,
        )
        if ("ddram_rails", 0) in platform.resources:
            rails = platform.request("ddram_rails", 0, dir="-")
            for name, level in (("high", -1), ("low", 0)):
                m.submodules[name] = rail = io.Buffer("o", getattr(rails, name))
                m.d.comb += rail.o.eq(level)
        return m

    def _pins(self, m, pins):
        """Return the ports of the module that lead to pins; address pins that the part has not are low."""
        bits = self._part.row_bits
        if len(pins.a) > bits:
            m.submodules.beyond = beyond = io.Buffer("o", pins.a[bits:])
            m.d.comb += beyond.o.eq(0)
        ports = {"o_ddram_a": pins.a[:bits].io, "io_ddram_dq": pins.dq.io, "io_ddram_dqs_p": pins.dqs_p.io}
        names = ("ba", "ras_n", "cas_n", "we_n", "cs_n", "dm", "cke", "odt", "reset_n", "clk_p")
        return ports | {f"o_ddram_{name}": getattr(pins, name).io for name in names if hasattr(pins, name)}
