"""An SDRAM behind its controller: data rate of sequential and random bursts, simulated, and the controller's area.

    python -m benchmarks.sdram [--part ulx3s colorlight_i5] [--width 16 32] [--clock 100] [--words 12800] [--json FILE]
    python -m benchmarks.sdram --pins ulx3s_85f:80 tang_nano_20k:108

The controller of `hw.memory.sdram` runs before the model of its part (`sim.sdram`), which keeps the part's times and
counts what breaks them; nothing may. Between them are the registers at the pins that a board has. The peak is a beat
of the pins in every cycle. Bursts are asked for as fast as they are taken, and every word is taken at once. Sequential
bursts follow each other, of 256 words; random ones begin anywhere in the memory, of 64 or 8 words, all reads, all
writes or half of each. Refreshes count: with as many words as are the default there are two rounds of them.

The area is that of the netlist for an ECP5 before placing, counted as `benchmarks.area` counts. ``--route SEEDS``
places and routes the controller alone on an ECP5-85 of speed grade 6, as `benchmarks.clock` does. Last comes the area
of what else answers a memory bus: the AXI master and the controller of HyperRAM.

``--pins`` prints, of boards at clocks (MHz), only when their SDRAM's pins are clocked and what is left of a period
(`hw.memory.sdram_timing`): the clock is the highest that the board's PLL makes and that is not above.
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.sim import Simulator
from rich.console import Console
from rich.table import Table

from benchmarks.area import TOP, figures, synthesized
from benchmarks.clock import routed_seeds
from gen.folders import whole_files
from hw.board.boards import find_board
from hw.board.plls import PLLS
from hw.board.shell import Shell
from hw.board.steps import SHELL
from hw.memory.axi import AxiMaster
from hw.memory.bus import LONGEST
from hw.memory.hyperram import HyperRamController
from hw.memory.hyperram_part import TANG_NANO_9K
from hw.memory.sdram import SdramController
from hw.memory.sdram_part import COLORLIGHT_I5, ULX3S
from hw.memory.sdram_timing import pin_timing
from hw.names import plain_names
from sim.sdram import RULES, SdramModel, connect_pins

PARTS = {"ulx3s": ULX3S, "colorlight_i5": COLORLIGHT_I5}
ROW_BITS = 4  # of the part that is simulated: rows do not matter, the memory of the simulator does
SEED = 1


def bursts(kind, words, address_bits):
    """Return [(address, length, write)] of so many words."""
    rng, size = np.random.default_rng(SEED), 2**address_bits
    name, length, writes = kind
    count = -(-words // length)
    if name == "sequential":
        starts = [n * length % size for n in range(count)]
    else:
        starts = rng.integers(0, size - length, count).tolist()
    write = {"reads": [0] * count, "writes": [1] * count, "both": rng.integers(0, 2, count).tolist()}[writes]
    return [(start, length, way) for start, way in zip(starts, write)]


KINDS = [
    *(("sequential", LONGEST, way) for way in ("reads", "writes")),
    *(("random", length, way) for length in (64, 8) for way in ("reads", "writes", "both")),
]


def on_a_board(part, clock_hz, width):
    """Return the controller as `hw.board.dram` has it."""
    return SdramController(part, clock_hz, width=width, pin_cycles=pin_timing(part, clock_hz).edges)


def data_rate(part, clock_hz, width, asked):
    """Return the beats that the part moves per cycle, from the first word to the last one.

    Raises
    ------
    AssertionError
        Where a rule of the part was broken.
    """
    part = replace(part, row_bits=ROW_BITS, power_up_us=1)
    controller, model = on_a_board(part, clock_hz, width), SdramModel(part, clock_hz)
    m = Module()
    m.submodules.controller, m.submodules.model = controller, model
    connect_pins(m, controller.pins, model.pins, pin_timing(part, clock_hz).edges)
    bus, simulator = controller.bus, Simulator(m)
    simulator.add_clock(1 / clock_hz)
    beats = sum(length for _, length, _ in asked) * width // part.width
    found = {}

    async def ask(ctx):
        for address, length, write in asked:
            ctx.set(bus.request.payload, {"address": address, "length": length - 1, "write": write})
            ctx.set(bus.request.valid, 1)
            await ctx.tick().until(bus.request.ready)
        ctx.set(bus.request.valid, 0)

    async def count(ctx):
        ctx.set(bus.write.valid, 1)
        ctx.set(bus.read.ready, 1)
        cycles, moved = 0, 0
        while moved < beats:
            _, _, moved = await ctx.tick().sample(model.words)
            cycles += moved > 0
        broken = ctx.get(model.broken)
        assert ctx.get(model.violations) == 0, [rule for rule in RULES if broken[rule]]
        found["rate"] = beats / cycles

    simulator.add_testbench(ask)
    simulator.add_testbench(count)
    simulator.run()
    return found["rate"]


def pin_table(boards):
    """Return the table of the pins' timing, ``boards`` as ``NAME:MHZ``."""
    table = None
    for name, _, mhz in (board.partition(":") for board in boards):
        board = find_board(name)
        pll = PLLS[board.target.family]
        setting = pll.setting(board.target.clock_mhz, float(mhz))
        timing = pin_timing(board.memory, float(setting.output) * 1e6, pll.steps(setting))
        table = table or Table("board", "MHz", "late, ns", "degrees", "edges", *timing.margins)
        late, margins = timing.step / timing.steps, (f"{ns:.2f}" for ns in timing.margins.values())
        table.add_row(
            board.name, f"{float(setting.output):.4g}", f"{late * 1e3 / float(setting.output):.2f}",
            f"{360 * late:.1f}", str(timing.edges), *margins)
    return table


def area(component):
    """Return {figure: number} of a component."""
    return figures(synthesized(plain_names(rtlil.convert(component, name=TOP, emit_src=False))), TOP)


def listed(used):
    """Return the figures of an area as text."""
    return ", ".join(f"{number:,} {figure}" for figure, number in used.items() if number)


def main(argv=None):
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", nargs="*", choices=PARTS, default=list(PARTS), help="the parts of which boards")
    parser.add_argument("--width", type=int, nargs="+", default=[16, 32], help="of the bus, in bits")
    parser.add_argument("--clock", type=float, default=100, help="in MHz")
    parser.add_argument("--words", type=int, default=12_800, help="of the pins, that each kind of bursts moves")
    parser.add_argument("--route", type=int, default=0, metavar="SEEDS", help="place and route with so many seeds")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--pins", nargs="+", metavar="BOARD:MHZ", help="the timing of their pins only")
    options = parser.parse_args(argv)
    if options.pins:
        Console(width=120).print(pin_table(options.pins))
        return
    clock_hz, made, progress = options.clock * 1e6, {}, Console(stderr=True)
    for name, width in ((name, width) for name in options.part for width in options.width):
        part = PARTS[name]
        if width % part.width:
            continue
        title = f"{part.title}, {width}-bit bus, {options.clock:g} MHz"
        address_bits = replace(part, row_bits=ROW_BITS).address_bits - (width // part.width).bit_length() + 1
        table, rows = Table("bursts", "words", "of them", "of the peak", "MB/s", title=title), {}
        for kind in KINDS:
            asked = bursts(kind, options.words * part.width // width, address_bits)
            rate = data_rate(part, clock_hz, width, asked)
            rows[" ".join(map(str, kind))] = rate
            table.add_row(kind[0], str(kind[1]), kind[2], f"{rate:.1%}", f"{rate * clock_hz * part.width / 8e6:.1f}")
        used = area(on_a_board(part, clock_hz, width))
        Console(width=100).print(table, listed(used))
        routed = {}
        if options.route:
            shell = Shell(on_a_board(part, clock_hz, width), whole=True)
            text = rtlil.convert(shell, name=SHELL, emit_src=False)
            routed = routed_seeds(text, range(1, options.route + 1), partial(progress.print, f"{title}:"))
            for seed, row in routed.items():
                print(f"seed {seed}: {row['fmax_mhz']} MHz, slowest path {row['critical_path']}")
        made[title] = {"rates": rows, "area": used, "routed": routed}
        _keep(options.json, made)
    others = {f"AXI master, {width} bits": AxiMaster(24, width) for width in (32, 128)}
    others[f"{TANG_NANO_9K.title}, 60 MHz"] = HyperRamController(TANG_NANO_9K, 60e6)
    for name, component in others.items():
        made[name] = {"area": area(component)}
        print(f"{name}: {listed(made[name]['area'])}")
    _keep(options.json, made)


def _keep(file, made):
    if file:
        whole_files({file: json.dumps(made, indent=2) + "\n"})


if __name__ == "__main__":
    main()
