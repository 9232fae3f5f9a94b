"""`build`: from a generated folder to a board's bitstream, in named steps, or to the figures of the core alone.

Steps: elaborate (Amaranth: RTLIL and constraints), synthesis (Yosys), place and route (nextpnr, up to three seeds),
bitstream. A clock that no seed reaches is lowered to one that the routed design carried, and all of it done again: a
bitstream always meets its timing. For parts that need Vivado: its project and a synthesis by Yosys, for an estimate.
Finished builds are kept in the cache by what went into them.
"""

import hashlib
import json
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from gen.cache import cache_folder
from gen.errors import AdafireError, InputError
from gen.folders import whole_folder
from gen.image import memory_image
from gen.intnet import IntegerNetwork
from gen.netfile import load_network
from gen.program import CoreParams
from gen.schedule import schedule_on
from hw.board_top import TOP, BoardTop, link_params, uart_design
from hw.boards import Board, find_board
from hw.clocking import PLLS
from hw.core import Core
from hw.flows import FLOWS, XILINX_CELLS, XILINX_SYNTH, synthesis, verilog_synthesis
from hw.post_route import count_cells, netlist_cells, post_route_figures, shares
from hw.shell import Shell
from hw.tools import find_tool, run_tool, tool_version
from hw.vivado import axi_project, uart_project

__all__ = ["build"]

FAILED = "build-failed"
REPORT = "report.json"
DROPPED = ("*.il", "*.config", "*.asc", "*.routed.json", f"{TOP}.json", "shell.json", "cells.json")
SHELL = "shell"
CORE_ONLY_MHZ = 90
SEEDS = (2, 1, 3)
NEAR = 0.9  # seeds differ by some 10 %: another one is tried where the last came this near
CLOCKS = 4  # how often a clock is tried before giving up


@dataclass(frozen=True)
class Order:
    """What shall be built: checked input, nothing slow done yet."""

    folder: Path
    manifest: dict
    params: CoreParams
    network: IntegerNetwork
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
        return self.flow.tools if self.flow else ("yosys",)

    def setting(self, wanted_mhz):
        """Return the PLL's setting for the highest clock not above ``wanted_mhz``."""
        return PLLS[self.board.target.family].setting(self.board.target.clock_mhz, wanted_mhz)

    def link(self, setting):
        """Return the link's parameters at the clock of ``setting``; InputError if that cannot make the baud rate."""
        return link_params(self.board.target, self.manifest, setting.output)

    def core(self):
        """Return the core, its memories initialised."""
        return Core(self.params, memory_image(schedule_on(self.network, self.params)))


def build(folder, clock_mhz=None, core_only=False, seed=None, progress=None):
    """Make the bitstream for the board that ``folder`` was generated for, or the vendor's project that makes it.

    Parameters
    ----------
    folder : path of a folder made by `generate`
    clock_mhz : float or None
        The core's clock; by default the board's (`gen.target.Target.core_mhz`).
    core_only : bool
        Route the core alone in a shell of five pins (`hw.shell`), for its figures; no bitstream.
    seed : int or None
        Of the placer: this one only.
    progress : callable(step, fraction) or None

    Returns
    -------
    dict : the report, also in ``folder``/build/report.json, beside the bitstream, the constraints and the logs.

    Raises
    ------
    InputError : no generated folder, a clock that the PLL cannot make, the core alone without open tools.
    ToolMissing : a tool is not installed.
    AdafireError : a tool failed, or no clock was met; the logs are in ``folder``/build-failed.
    """
    order = _order(Path(folder), clock_mhz, core_only, seed)
    report = progress or (lambda step, fraction: None)
    kept = cache_folder() / "builds" / _key(order)
    if (kept / REPORT).exists():
        with whole_folder(order.folder / "build") as work:
            shutil.copytree(kept, work, dirs_exist_ok=True)
    else:
        with _work_folder(order.folder) as work:
            start = time.perf_counter()
            make = _route_core if core_only else _make_bitstream if order.flow else _make_project
            figures = make(order, work, _Steps(order, work, report))
            figures = _described(order, figures) | {"seconds": round(time.perf_counter() - start, 1)}
            (work / REPORT).write_text(json.dumps(figures, indent=2) + "\n")
            for pattern in DROPPED:  # they are large, and made again from what is there
                for file in work.glob(pattern):
                    file.unlink()
        with whole_folder(kept) as copy:
            shutil.copytree(order.folder / "build", copy, dirs_exist_ok=True)
    report("done", 1.0)
    figures = json.loads((order.folder / "build" / REPORT).read_text())
    if figures["bitstream"]:
        file = str(order.folder / "build" / figures["bitstream"])
        figures |= {"bitstream": file, "program": figures["program"].format(bitstream=file)}
    return figures


def _order(folder, clock_mhz, core_only, seed):
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        board = find_board(manifest["board"])
        params = CoreParams(**manifest["parameters"])
        network = load_network(folder / "network.safetensors")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} is not a folder made by this version's `adafire generate` ({error}): generate it again."
        ) from error
    clock = clock_mhz or (CORE_ONLY_MHZ if core_only else board.target.core_mhz)
    order = Order(folder, manifest, params, network, board, clock, core_only, SEEDS if seed is None else (seed,))
    if core_only and not order.flow:
        raise InputError(
            f"{board.target.title} cannot be routed by open tools, so there are no post-route figures of the core: "
            "build without --core-only for a project and an estimate, or generate for another board."
        )
    if not core_only and board.uart:
        order.link(order.setting(clock))
    for tool in order.tools:
        find_tool(tool)
    return order


def _key(order):
    """Return a name for all that the result depends on: the folder, the options, the tools, this program."""
    sources = [file for floor in ("gen", "hw") for file in sorted((Path(__file__).parents[1] / floor).glob("*.py"))]
    parts = [
        (order.folder / "manifest.json").read_bytes(), (order.folder / "network.safetensors").read_bytes(),
        repr((order.clock_mhz, order.core_only, order.seeds, *map(tool_version, order.tools))).encode(),
        *(file.read_bytes() for file in sources),
    ]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:24]


class _Steps:
    """Runs the steps in a work folder: reports each, and adds up its seconds."""

    def __init__(self, order, work, report):
        self._order, self._work, self._report, self.seconds = order, work, report, {}

    @contextmanager
    def step(self, name, fraction, note=""):
        self._report(f"{name}{note}", fraction)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - start, 1)

    def run(self, command):
        run_tool(self._work, command, self._order.folder / FAILED)

    def synthesize(self, command):
        with self.step("synthesis", 0.1):
            self.run(command)

    def route(self, top, clock_mhz, constrained=True):
        """Place and route with one seed after the other until ``clock_mhz`` is met; return the best figures."""
        flow, target, best = self._order.flow, self._order.board.target, {"fmax_mhz": 0}
        for attempt, seed in enumerate(self._order.seeds):
            with self.step("place and route", 0.4 + 0.1 * attempt, f", {clock_mhz:.4g} MHz, seed {seed}"):
                self.run(flow.route(target, top, clock_mhz, seed, constrained))
            figures = post_route_figures(self._work, flow, clock_mhz) | {"seed": seed, "clock_mhz": clock_mhz}
            best = max(best, figures, key=lambda figures: figures["fmax_mhz"])
            if not NEAR * clock_mhz <= figures["fmax_mhz"] < clock_mhz:
                break
        return best


def _route_core(order, work, steps):
    with steps.step("elaborate", 0.0):
        (work / f"{SHELL}.il").write_text(rtlil.convert(Shell(order.core()), name=SHELL, emit_src=False))
    steps.synthesize(synthesis(order.flow.synth, SHELL))
    best = steps.route(SHELL, order.clock_mhz, constrained=False)
    return best | {"kind": "post-route", "bitstream": None, "step_seconds": steps.seconds}


def _make_bitstream(order, work, steps):
    wanted = order.clock_mhz
    for _ in range(CLOCKS):
        setting = order.setting(wanted)
        clock = float(setting.output)
        with steps.step("elaborate", 0.0):
            design = uart_design(order.core(), order.params, order.link(setting), order.manifest)
            plan = order.board.make_platform().prepare(BoardTop(order.board, setting, design), TOP, emit_src=False)
            for suffix in (".il", order.flow.constraints):
                (work / f"{TOP}{suffix}").write_text(plan.files[f"{TOP}{suffix}"])
        steps.synthesize(synthesis(order.flow.synth, TOP))
        best = steps.route(TOP, clock)
        if best["fmax_mhz"] >= clock:
            with steps.step("bitstream", 0.95):
                steps.run(order.flow.packing(order.board.target, TOP))
            file = f"{TOP}{order.flow.bitstream}"
            return best | {"kind": "post-route", "bitstream": file, "step_seconds": steps.seconds}
        wanted = best["fmax_mhz"]
    raise AdafireError(
        f"No bitstream: the routed design missed {CLOCKS} clocks one after the other, the last of {clock:.4g} MHz at "
        f"{wanted:.4g} MHz. Its slowest path is {best['critical_path']}. Give a lower --clock, or fewer --lanes to "
        f"`adafire generate`; the logs are in {order.folder / FAILED}."
    )


def _make_project(order, work, steps):
    """Write the project of the vendor's tool; synthesize the same Verilog for an estimate of its size."""
    with steps.step("elaborate", 0.0):
        setting, core = order.setting(order.clock_mhz), (order.folder / "core.v").read_text()
        make = uart_project if order.board.uart else axi_project
        top, files = make(order.board, setting, core, order.params, order.manifest)
        for name, text in files.items():
            (work / name).write_text(text)
    steps.synthesize(verilog_synthesis(XILINX_SYNTH, top, [name for name in files if name.endswith(".v")]))
    return {
        **count_cells(XILINX_CELLS, netlist_cells(work)), "kind": "synthesis estimate",
        "clock_mhz": float(setting.output), "fmax_mhz": None, "slack_ns": None, "critical_path": None,
        "bitstream": None, "project": f"{TOP}.tcl", "step_seconds": steps.seconds,
    }


def _described(order, figures):
    """Return the report: the figures, what they are of, and what a user does next."""
    target = order.board.target
    return {
        "board": target.name, "lanes": order.manifest["lanes"], **figures, "asked_mhz": order.clock_mhz,
        "shares": shares(figures, target), "core_only": order.core_only,
        "program": order.board.program, "uart": order.board.uart,
        "tools": {name: tool_version(name) for name in order.tools},
    }


@contextmanager
def _work_folder(folder):
    """Yield a new folder; it becomes ``build`` at the end, or vanishes with an interrupt, or keeps its logs as
    ``build-failed`` with an error of a tool."""
    work = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
    work.chmod(0o755)
    name = None
    try:
        yield work
        name = "build"
    except AdafireError:
        name = FAILED
        raise
    finally:
        for old in {"build", FAILED} if name else ():
            shutil.rmtree(folder / old, ignore_errors=True)
        if name:
            work.rename(folder / name)
        else:
            shutil.rmtree(work)
