"""Clock of a core alone, placed and routed on an ECP5-85 of speed grade 6, seed after seed.

    python -m benchmarks.clock NETWORK [--lanes 16 64] [--neurons N] [--strips FORM] [--seeds 5] [--clock MHZ]
        [--json FILE]

NETWORK is a network file. A core has one neuron a group and no strips unless others are asked for. It stands in the
shell of `adafire build --core-only` and goes through the same flow, but is synthesized once, and every seed is routed,
towards ``--clock``: a seed that meets it goes no further, one that does not is routed as far as the router gets. By
default that is a clock that none reaches. Resources stand beside what `generate` estimates. Below them are the three
slowest places of the best seed and of the worst one: the component that drives a register, the component of the
register, and the delay of the slowest path that ends there.

What is finished is kept in the cache by what it was made of: a run that was interrupted goes on where it was.
"""

import argparse
import hashlib
import json
import shutil
import tempfile
from functools import partial
from pathlib import Path

from amaranth.back import rtlil
from rich.console import Console
from rich.table import Table

from gen.cache import cache_folder
from gen.folders import whole_files, whole_folder
from gen.netfile import load_network
from gen.plan.candidates import candidates
from gen.plan.resources import core_resources
from gen.plan.strips import FORMS, NO_STRIPS
from gen.plan.target import find_target
from hw.board.flows import CELLS, FLOWS, TIMING_REPORT, synthesis
from hw.board.post_route import component, post_route_figures
from hw.board.shell import Shell
from hw.board.steps import SHELL
from hw.board.tools import run_tool, tool_version
from hw.core.core import Core

TARGET = find_target("ulx3s_85f")
FLOW = FLOWS[TARGET.family]
ASKED_MHZ = 125
PLACES = 3
FIGURES = {"fmax_mhz": "Fmax, MHz", "lut": "LUT", "ff": "FF", "bram": "BRAM", "dsp": "DSP"}


def routed_seeds(text, seeds, report, flow=FLOW, clock_mhz=ASKED_MHZ):
    """Return {seed: figures} of a netlist given as RTLIL text, its top `hw.board.steps.SHELL`, towards ``clock_mhz``.

    ``report`` is called with the name of each step that was not finished before.
    """
    command = synthesis(flow, SHELL)
    folder = cache_folder() / "clock" / _key(text, command)
    if not folder.exists():
        report("synthesis")
        with whole_folder(folder) as work:
            (work / f"{SHELL}.il").write_text(text)
            run_tool(work, command, folder)
    found = {}
    with tempfile.TemporaryDirectory(prefix="adafire-clock-") as name:
        work = Path(name)
        for file in (f"{SHELL}.json", CELLS):
            shutil.copy(folder / file, work)
        flow.refine(work / f"{SHELL}.json")
        netlist = (work / f"{SHELL}.json").read_text()
        for seed in seeds:
            command = flow.route(TARGET, SHELL, clock_mhz, seed, constrained=False).adding("--detailed-timing-report")
            kept = folder / f"{_key(netlist, command)}.json"
            if not kept.exists():
                report(f"place and route, seed {seed}")
                run_tool(work, command, work)
                timing = json.loads((work / TIMING_REPORT).read_text())
                whole_files({kept: json.dumps(post_route_figures(work, flow, clock_mhz) | {
                    "places": slowest_places(timing), "steps": slowest_steps(timing),
                })})
            found[seed] = json.loads(kept.read_text())
    return found


def _key(text, command):
    """Return a name for all that the result of ``command`` on ``text`` depends on."""
    return hashlib.sha256(repr((text, command, tool_version(command.tool))).encode()).hexdigest()[:24]


def slowest_places(timing, number=PLACES):
    """Return [(component that drives, component of the register, ns)] of the ``number`` slowest pairs.

    ``timing`` is nextpnr's detailed report, its delays without the setup time of the register. What comes from a pin
    or goes to one is left out.
    """
    slowest = {}
    for net in timing["detailed_net_timings"]:
        for end in net["endpoints"]:
            if "<async>" not in (net["event"], end["event"]):
                pair = component(net["driver"]), component(end["cell"])
                slowest[pair] = max(slowest.get(pair, 0), *end["delay"])
    ranked = sorted(slowest.items(), key=lambda item: item[1], reverse=True)
    return [(*pair, round(delay, 2)) for pair, delay in ranked[:number]]


def slowest_steps(timing):
    """Return [(kind, ns, cell)] of the slowest path between registers: what is passed, and how long that takes."""
    paths = [path["path"] for path in timing["critical_paths"] if "<async>" not in (path["from"], path["to"])]
    slowest = max(paths, key=lambda steps: sum(step["delay"] for step in steps))
    return [(step["type"], round(step["delay"], 2), step["to"]["cell"]) for step in slowest]


def show(console, title, seeds, estimate):
    """Print the table of a core, and the slowest places of its best seed and of its worst one."""
    table = Table("seed", *FIGURES.values(), "slowest path", title=title)
    for seed, figures in seeds.items():
        table.add_row(str(seed), *(f"{figures[name]:,}" for name in FIGURES), figures["critical_path"])
    some = next(iter(seeds.values()))
    table.add_section()
    for name, row in (
        ("estimate", [f"{estimate[kind]:,}" for kind in list(FIGURES)[1:]]),
        ("off by", [f"{estimate[kind] / some[kind] - 1:+.1%}" if some[kind] else "-" for kind in list(FIGURES)[1:]]),
    ):
        table.add_row(name, "", *row, "")
    console.print(table)
    ranked = sorted(seeds, key=lambda seed: seeds[seed]["fmax_mhz"])
    for name, seed in (("best", ranked[-1]), ("worst", ranked[0])):
        for driver, register, delay in seeds[seed]["places"]:
            console.print(f"{name} seed {seed}: {delay:.2f} ns  {driver} -> {register}")


def main(argv=None):
    """Route, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", type=Path, help="a network file")
    parser.add_argument("--lanes", type=int, nargs="+", default=[16], help="of the cores")
    parser.add_argument("--neurons", type=int, default=1, help="of a group")
    parser.add_argument("--strips", choices=(NO_STRIPS, *FORMS), default=NO_STRIPS, help="of the input")
    parser.add_argument("--seeds", type=int, default=5, help="of the placer: 1, 2, ...")
    parser.add_argument("--clock", type=float, default=ASKED_MHZ, help="MHz that the router works towards")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    network, made, progress = load_network(options.network), {}, Console(stderr=True)
    for lanes in options.lanes:
        title = f"{options.network.name}, {lanes} lanes"
        plan = candidates(network, TARGET, lanes=lanes, neurons=options.neurons, strips=options.strips)[0].plan
        text = rtlil.convert(Shell(Core(plan.params, plan.contents)), name=SHELL, emit_src=False)
        estimate = core_resources(plan.params, TARGET)
        made[lanes] = routed_seeds(
            text, range(1, options.seeds + 1), partial(progress.print, f"{title}:"), clock_mhz=options.clock)
        show(Console(width=120), title, made[lanes], estimate)
        if options.json:
            whole_files({options.json: json.dumps(made, indent=2) + "\n"})


if __name__ == "__main__":
    main()
