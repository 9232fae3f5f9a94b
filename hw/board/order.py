"""What shall be built: a generated folder, a board, a clock, all checked before anything slow runs."""

import hashlib
import json
from dataclasses import dataclass
from glob import escape
from importlib.metadata import version
from pathlib import Path

from gen.errors import InputError
from gen.folders import refuse_foreign
from gen.intnet import Network
from gen.generated import NETWORK, VERILOG, GeneratedFolder
from gen.manifest import MANIFEST
from gen.plan.params import CoreParams
from gen.plan.plan import plan_on
from gen.sources import sources_digest
from hw.board.board_top import link_params
from hw.board.boards import Board, find_board
from hw.board.dram import pin_figures
from hw.board.flows import FLOWS
from hw.board.litedram import LiteDram
from hw.board.plls import PLLS
from hw.board.tools import find_tool, tool_version
from hw.core.core import Core

__all__ = ["REPORT", "Order", "place_order"]

REPORT = "report.json"
LIBRARIES = "amaranth", "amaranth-boards"  # what elaborates a design, and gives it its pins
CORE_ONLY_MHZ = 90
CLOCK_RANGE = 0.1, 1000  # MHz
SEEDS = (2, 1, 3)
SEED_MAX = 2**31 - 1  # of nextpnr


@dataclass(frozen=True)
class Order:
    """What `place_order` has checked; ``seeds`` of the placer are tried in this order."""

    folder: Path
    manifest: dict
    params: CoreParams
    network: Network
    image: bytes
    board: Board
    clock_mhz: float
    core_only: bool
    seeds: tuple[int, ...]

    @property
    def flow(self):
        """The family's open flow, None where the vendor's tools are needed."""
        return FLOWS.get(self.board.target.family)

    @property
    def tools(self):
        """Every tool of the build."""
        return (*(("litedram_gen",) if self.litedram else ()), *(self.flow.tools if self.flow else ("yosys",)))

    @property
    def litedram(self):
        """The board's memory, where LiteDRAM leads to it and the core has something there; else None."""
        memory = self.board.memory
        return memory if isinstance(memory, LiteDram) and self.params.outside and not self.core_only else None

    def setting(self, wanted_mhz):
        """Return the PLL's setting for the highest clock not above ``wanted_mhz``."""
        return PLLS[self.board.target.family].setting(self.board.target.clock_mhz, wanted_mhz)

    def pin_figures(self, setting):
        """Return what the report says of the pins of the board's memory, where the core has something there."""
        pll = PLLS[self.board.target.family]
        return pin_figures(self.board.memory, float(setting.output) * 1e6, pll.steps(setting)) if (
            self.params.outside and pll.steps) else {}

    def link(self, setting):
        """Return the link's parameters at the clock of ``setting``; InputError if that cannot make the baud rate."""
        return link_params(self.board.target, self.manifest, setting.output)

    def core(self):
        """Return the core, with what its memories hold when the bitstream is loaded."""
        return Core(self.params, plan_on(self.network, self.params).initial_contents)

    @property
    def key(self):
        """A name for all that the result depends on: the folder, the options, the tools, this program."""
        parts = [
            (self.folder / MANIFEST).read_bytes(), (self.folder / NETWORK).read_bytes(),
            repr((
                self.clock_mhz, self.core_only, self.seeds, *map(version, LIBRARIES), *map(tool_version, self.tools),
            )).encode(),
            sources_digest("gen", "hw").encode(),
        ]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:24]


def place_order(folder, clock_mhz=None, core_only=False, seed=None):
    """Return the `Order` for ``folder``; arguments and errors as of `hw.board.build.build`."""
    found = GeneratedFolder.open(folder, VERILOG)
    manifest, params, board = found.manifest, found.params, find_board(found.manifest["board"])
    usual = CORE_ONLY_MHZ if core_only else board.target.core_mhz
    clock = usual if clock_mhz is None else clock_mhz
    least, most = CLOCK_RANGE
    if not least <= clock <= most:
        raise InputError(f"The clock is in MHz, {least} to {most:,}, not {clock}.")
    if seed is not None and not 1 <= seed <= SEED_MAX:
        raise InputError(f"The placer's seed is 1 to {SEED_MAX}, not {seed}.")
    seeds = SEEDS if seed is None else (seed,)
    order = Order(folder, manifest, params, found.network, found.image, board, clock, core_only, seeds)
    if core_only and not order.flow:
        raise InputError(
            f"{board.target.title} cannot be routed by open tools, so there are no post-route figures of the core: "
            "build without --core-only for a project and an estimate, or generate for another board."
        )
    if not core_only and board.uart:
        order.link(order.setting(clock))
    for tool in order.tools:
        find_tool(tool)
    _check_replaceable(folder / "build")
    return order


def _check_replaceable(built):
    """Refuse to replace the folder of an earlier build where it holds what no build made."""
    try:
        files = [escape(name) for name in json.loads((built / REPORT).read_text())["files"]]
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or one that made no list
        return
    refuse_foreign(built, files, "an earlier build", "a new one")
