"""Area of a core by component, and flat, on an ECP5: one table for each number of lanes.

    python -m benchmarks.area NETWORK [--lanes 4 16 32 64] [--depth 2] [--board BOARD] [--json FILE]

NETWORK is a network file. Figures are those of the netlist before placing: ``comb`` counts what a placed design
counts as TRELLIS_COMB (a look-up table 1, a pair of carries 2, 16 x 4 bits of memory 6; two more where a carry comes
from elsewhere or goes there), then flip-flops, blocks of 18 kbit and multipliers of 18 bits. A component's row includes
the components inside it. Logic is merged across components where the core is synthesized flat, as it is for a
bitstream: the last row is smaller than the sum.
"""

import argparse
import json
import re
import tempfile
from collections import Counter
from pathlib import Path

from amaranth.back import rtlil
from rich.console import Console
from rich.table import Table

from gen.netfile import load_network
from gen.plan.placement import placed_plan, with_spares
from gen.plan.plan import make_plan
from gen.plan.target import find_target
from hw.board.flows import FLOWS, synthesis
from hw.board.tools import run_tool
from hw.core.core import Core
from hw.names import plain_names

WEIGHTS = {
    "comb": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}, "FF": {"TRELLIS_FF": 1}, "DP16KD": {"DP16KD": 1},
    "MULT18": {"MULT18X18D": 1},
}
PRIMITIVES = {cell for weights in WEIGHTS.values() for cell in weights}
FLOW = FLOWS["ecp5"]
TOP, FLAT = "adafire_core", "flat"
BOARD = "ulx3s_85f"  # whose part has blocks to spare, where nothing else is said
NUMBER = re.compile(r"\$\d+$")  # Amaranth's, where a component is called as a signal beside it


def synthesized(text, options=""):
    """Return {module: {cell or module: how many}} of RTLIL text for an ECP5, each module without what is inside it."""
    with tempfile.TemporaryDirectory(prefix="adafire-area-") as folder:
        work = Path(folder)
        (work / f"{TOP}.il").write_text(text)
        run_tool(work, synthesis(FLOW, TOP, options), work)
        FLOW.refine(work / f"{TOP}.json")
        modules = json.loads((work / f"{TOP}.json").read_text())["modules"]
    return {name: Counter(cell["type"] for cell in module["cells"].values()) for name, module in modules.items()}


def figures(modules, name):
    """Return {figure: number} of a module with all inside it."""
    total = dict.fromkeys(WEIGHTS, 0)
    for cell, number in modules[name].items():
        known = {figure: weights.get(cell, 0) for figure, weights in WEIGHTS.items()}
        parts = known if cell in PRIMITIVES or cell not in modules else figures(modules, cell)
        total = {figure: total[figure] + number * parts[figure] for figure in WEIGHTS}
    return total


def by_component(modules, depth):
    """Return [(component, figures)], ``depth`` levels below the top, in the order of the hierarchy."""
    rows = []
    for name in sorted(modules):
        path = [NUMBER.sub("", part) for part in name.split(".")[1:]]
        if name.startswith(TOP) and len(path) <= depth:
            rows.append((".".join(path) or "sum", figures(modules, name)))
    return rows


def areas(network, lanes, depth, board=None):
    """Return [(component, figures)] of the core for ``network``; the last row is that of the core flat.

    With a ``board`` what does not fit it lies in its memory.
    """
    target = find_target(board or BOARD)
    plan = with_spares(placed_plan(network, lanes, target) if board else make_plan(network, lanes), target)
    text = plain_names(rtlil.convert(Core(plan.params, plan.contents), name=TOP, emit_src=False))
    flat = figures(synthesized(text), TOP)
    return [*by_component(synthesized(text, "-noflatten"), depth), (FLAT, flat)]


def main(argv=None):
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", type=Path, help="a network file")
    parser.add_argument("--lanes", type=int, nargs="+", default=[16], help="of the cores")
    parser.add_argument("--depth", type=int, default=2, help="levels of components below the core")
    parser.add_argument("--board", help="whose memory has what does not fit its part")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(argv)
    network, made = load_network(options.network), {}
    for lanes in options.lanes:
        made[lanes] = areas(network, lanes, options.depth, options.board)
        table = Table("component", *WEIGHTS, title=f"{options.network.name}, {lanes} lanes")
        for component, row in made[lanes]:
            table.add_row(component, *(f"{number:,}" for number in row.values()), end_section=component == "sum")
        Console(width=100).print(table)
    if options.json:
        options.json.write_text(json.dumps({n: dict(rows) for n, rows in made.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
