"""The steps of a build: elaborate, synthesis, place and route, bitstream; each timed and reported."""

import re
import time
from contextlib import contextmanager

from amaranth.back import rtlil

from gen.errors import AdafireError, DoesNotFit
from gen.generated import CONTENTS, VERILOG
from hw.board.board_top import TOP, BoardTop, flash_start, uart_design
from hw.board.flows import XILINX_CELLS, XILINX_SYNTH, synthesis, verilog_synthesis
from hw.board.litedram import LITEDRAM_VERILOG, LITEDRAM_YAML, litedram_command, litedram_yaml, take_litedram
from hw.board.post_route import count_cells, netlist_cells, post_route_figures
from hw.board.shell import Shell
from hw.board.tools import run_tool
from hw.board.vivado import axi_project, uart_project
from hw.flash_file import flash_file

__all__ = ["FAILED", "FLASH_FILE", "SHELL", "Steps", "make_bitstream", "make_project", "route_core"]

FAILED, FLASH_FILE = "build-failed", "flash.bin"
SHELL = "shell"
NEAR = 0.85  # seeds differ by 10 % and more: another one is tried where the last came this near
CLOCKS = 4  # how often a clock is tried before giving up
NO_PLACE = re.compile(r"ERROR: (Unable to (?:place|find legal placement)[^\n]*?)(?:, check [^\n]*)?$", re.MULTILINE)
UTILISATION = re.compile(r"^Info:\s+(\w+):\s+(\d+)/\s*([1-9]\d*)\s+\d+%$", re.MULTILINE)


class Steps:
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

    def synthesize(self, command, cells):
        """Make a netlist; `DoesNotFit` where its ``cells`` (`hw.board.flows.Flow`) are more than the part has."""
        with self.step("synthesis", 0.1):
            self.run(command)
        used, budget = count_cells(cells, netlist_cells(self._work)), self._order.board.target.budget
        self._refuse(_too_many((kind, used.get(kind, 0), have) for kind, have in budget.items()))

    def make_litedram(self):
        """Make LiteDRAM's module, where the core has something behind it; return its Verilog files."""
        order, work = self._order, self._work
        if order.litedram is None:
            return ()
        with self.step("memory controller", 0.0):
            (work / LITEDRAM_YAML).write_text(litedram_yaml(order.litedram, order.board.target))
            self.run(litedram_command())
            take_litedram(work)
        return (LITEDRAM_VERILOG,)

    def make_netlist(self, top, verilog=()):
        """Make ``top``.json of ``top``.il and ``verilog``, as the router shall have it.

        `DoesNotFit` as of `synthesize`.
        """
        flow = self._order.flow
        self.synthesize(synthesis(flow, top, verilog=verilog), flow.cells)
        flow.refine(self._work / f"{top}.json")

    def _refuse(self, needs):
        order = self._order
        if needs:
            raise DoesNotFit(
                f"{order.board.target.title} has no room for this design of {order.manifest['lanes']} lanes: it needs "
                f"{', '.join(needs)}. Give fewer --lanes to `adafire generate`, or another board."
            )

    def route(self, top, clock_mhz, constrained=True):
        """Place and route with one seed after the other until ``clock_mhz`` is met; return the best figures."""
        flow, target, best = self._order.flow, self._order.board.target, {"fmax_mhz": 0}
        for attempt, seed in enumerate(self._order.seeds):
            with self.step("place and route", 0.4 + 0.1 * attempt, f", {clock_mhz:.4g} MHz, seed {seed}"):
                command = flow.route(target, top, clock_mhz, seed, constrained)
                try:
                    self.run(command)
                except AdafireError:
                    log = (self._work / command.log).read_text(errors="replace")
                    self._refuse(
                        _too_many((name, int(used), int(have)) for name, used, have in UTILISATION.findall(log))
                        or [f"more than can be placed: {what}" for what in NO_PLACE.findall(log)]
                    )
                    raise
            figures = post_route_figures(self._work, flow, clock_mhz) | {"seed": seed, "clock_mhz": clock_mhz}
            best = max(best, figures, key=lambda figures: figures["fmax_mhz"])
            if not NEAR * clock_mhz <= figures["fmax_mhz"] < clock_mhz:
                break
        return best


def _too_many(rows):
    return [f"{used:,} {kind} where the part has {have:,}" for kind, used, have in rows if used > have]


def route_core(order, work, steps):
    """Route the core alone; return its figures."""
    with steps.step("elaborate", 0.0):
        (work / f"{SHELL}.il").write_text(rtlil.convert(Shell(order.core()), name=SHELL, emit_src=False))
    steps.make_netlist(SHELL)
    best = steps.route(SHELL, order.clock_mhz, constrained=False)
    return best | {"kind": "post-route", "bitstream": None, "step_seconds": steps.seconds}


def make_bitstream(order, work, steps):
    """Make the bitstream, at the clock asked for or at a lower one that is met; return the figures."""
    wanted, verilog = order.clock_mhz, steps.make_litedram()
    for _ in range(CLOCKS):
        setting = order.setting(wanted)
        clock = float(setting.output)
        with steps.step("elaborate", 0.0):
            design = uart_design(order.core(), order.params, order.link(setting), order.manifest)
            plan = order.board.make_platform().prepare(BoardTop(order.board, setting, design), TOP, emit_src=False)
            for suffix in (".il", order.flow.constraints):
                (work / f"{TOP}{suffix}").write_text(plan.files[f"{TOP}{suffix}"])
        steps.make_netlist(TOP, verilog)
        best = steps.route(TOP, clock)
        if best["fmax_mhz"] >= clock:
            with steps.step("bitstream", 0.95):
                steps.run(order.flow.packing(order.board.target, TOP))
            made = {"bitstream": f"{TOP}{order.flow.bitstream}", **write_flash_file(order, order.link(setting), work)}
            return best | order.pin_figures(setting) | {"kind": "post-route", **made, "step_seconds": steps.seconds}
        wanted = best["fmax_mhz"]
    raise AdafireError(
        f"No bitstream: the routed design missed {CLOCKS} clocks one after the other, the last of {clock:.4g} MHz at "
        f"{wanted:.4g} MHz. Its slowest path is {best['critical_path']}. Give a lower --clock, or fewer --lanes to "
        f"`adafire generate`; the logs are in {order.folder / FAILED}."
    )


def write_flash_file(order, link, work):
    """Write what loads the core at power-up, where it begins empty and the board's flash has room; return the figures.

    These are ``flash``, the file's name or None, ``flash_bytes`` and ``flash_room``; none for other designs.
    """
    start = flash_start(order.manifest)
    if start is None:
        return {}
    data, room = flash_file(order.manifest, order.image, link.max_payload), order.board.target.flash.room
    fits = len(data) <= room
    if fits:
        (work / FLASH_FILE).write_bytes(data)
    return {"flash": FLASH_FILE if fits else None, "flash_bytes": len(data), "flash_room": room}


def make_project(order, work, steps):
    """Write the project of the vendor's tool; synthesize the same Verilog for an estimate of its size."""
    with steps.step("elaborate", 0.0):
        setting = order.setting(order.clock_mhz)
        sources = {file.name: file.read_text() for file in order.folder.iterdir() if file.suffix == CONTENTS}
        sources[VERILOG] = (order.folder / VERILOG).read_text()
        make = uart_project if order.board.uart else axi_project
        top, files = make(order.board, setting, dict(sorted(sources.items())), order.params, order.manifest)
        for name, text in files.items():
            (work / name).write_text(text)
    verilog = [name for name in files if name.endswith(".v")]
    steps.synthesize(verilog_synthesis(XILINX_SYNTH, top, verilog), XILINX_CELLS)
    return {
        **dict.fromkeys(XILINX_CELLS, 0), **count_cells(XILINX_CELLS, netlist_cells(work)),
        "kind": "synthesis estimate", "clock_mhz": float(setting.output), "fmax_mhz": None, "slack_ns": None,
        "critical_path": None, "bitstream": None, "project": f"{TOP}.tcl", "step_seconds": steps.seconds,
    }
