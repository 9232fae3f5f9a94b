"""What the tools' reports say of a design: resources, clock, critical path."""

import json
import math
from fnmatch import fnmatchcase

from hw.board.flows import CELLS, TIMING_REPORT

__all__ = ["component", "count_cells", "netlist_cells", "post_route_figures", "shares"]


def netlist_cells(work):
    """Return {cell: how many} of the netlist, from `CELLS`."""
    return json.loads((work / CELLS).read_text())["design"]["num_cells_by_type"]


def count_cells(cells, used):
    """Return {kind: blocks} of ``used``, {name: how many}, by the patterns of ``cells`` (`Flow.cells`); kinds of
    which ``used`` has no name are left out."""
    counts = {
        kind: [weight * number for pattern, weight in patterns for name, number in used.items()
               if fnmatchcase(name, pattern)]
        for kind, patterns in cells.items()
    }
    return {kind: round(sum(numbers)) for kind, numbers in counts.items() if numbers}


def post_route_figures(work, flow, clock_mhz):
    """Return the figures of the last routing in ``work``.

    Resources (those the router reports, else those of the netlist), ``fmax_mhz``, ``slack_ns`` at ``clock_mhz`` and
    ``critical_path``, the slowest path between registers, by the components at its ends.
    """
    timing = json.loads((work / TIMING_REPORT).read_text())
    placed = {name: cell["used"] for name, cell in timing["utilization"].items()}
    fmax = min(_as_of_the_core(clock, clock_mhz) for clock in timing["fmax"].values())
    clocked = [p["path"] for p in timing["critical_paths"] if "<async>" not in (p["from"], p["to"])]
    path = max(clocked, key=lambda steps: sum(step["delay"] for step in steps))
    return {
        **dict.fromkeys(flow.cells, 0), **count_cells(flow.cells, netlist_cells(work)),
        **count_cells(flow.cells, placed), "fmax_mhz": math.floor(100 * fmax) / 100,
        "slack_ns": round(1000 / clock_mhz - 1000 / fmax, 3),
        "critical_path": f"{component(path[0]['from']['cell'])} -> {component(path[-1]['to']['cell'])}",
    }


def _as_of_the_core(clock, clock_mhz):
    """Return what a ``clock`` of the router's report reaches, MHz; of one that is not the core's, in proportion."""
    wanted = clock.get("constraint", clock_mhz)
    return clock["achieved"] * (1 if math.isclose(wanted, clock_mhz, rel_tol=1e-3) else clock_mhz / wanted)


def component(cell):
    """Return the instance path of a cell: what stands before its own name, wrappers around link and core left out."""
    path = [name.partition("$")[0] for name in cell.split(".")[:-1]] or [cell]
    path = path[1:] if path[0] == "design" and len(path) > 1 else path
    return ".".join(name for name, before in zip(path, [None, *path]) if name != before)


def shares(figures, target):
    """Return {kind: fraction of what the part has} for the kinds in ``figures``."""
    budget = target.budget | {"spram": target.spram_blocks}
    return {kind: round(figures[kind] / have, 4) for kind, have in budget.items() if kind in figures}
