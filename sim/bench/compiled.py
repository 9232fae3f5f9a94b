"""Verilog compiled for cocotb by Verilator or Icarus, once for every content."""

import hashlib
import os
import platform
import re
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

from gen.cache import cache_folder, is_whole, keep
from sim.cells import with_cells
from sim.toolchain import simulator_version

__all__ = ["compiled", "without_gaps"]

OPTIONS = {
    "verilator": ("--no-public-flat-rw", "--no-timing", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style",
                  "--x-assign", "fast", "--x-initial", "fast", "-CFLAGS", "-O1"),
    # Only Verilog 2005 makes Icarus evaluate, at time 0, the logic that nothing but initial values drives.
    "icarus": ("-g2005",),
}
DAY = 86400
MEMORY = re.compile(r"^ *reg \[(\d+):0\] (\S+) +\[(\d+):0\];", re.MULTILINE)


def compiled(runner, simulator, top, verilog, ports, work, waves=False):
    """Return the folder with the compiled simulator, of the cache or new.

    Parameters
    ----------
    runner : of cocotb, for ``simulator``
    simulator : ``verilator`` or ``icarus``
    top : name of the outermost module
    verilog : list of texts
    ports : names of the top's ports, ``*`` for any letters
    work : folder for what comes into being on the way
    waves : whether the Verilog writes a waveform
    """
    verilog = with_cells(verilog)
    tools = [
        Path(__file__).read_text(), simulator_version(simulator), version("cocotb"), platform.python_version(),
        sys.prefix, simulator, repr(waves),
    ]
    simulators = cache_folder() / "simulators"
    cached = simulators / f"{simulator}-{_digest([*verilog, *tools, top, *ports])}"
    program = {"verilator": top, "icarus": "sim.vvp"}[simulator]
    if (cached / program).exists():
        return cached
    work, options = Path(work), OPTIONS[simulator]
    build, runtime = work / "build", simulators / f"runtime-{_digest(tools)}"
    build.mkdir(parents=True, exist_ok=True)
    later = time.time() + DAY
    for made in filter(is_whole, runtime.glob("*.o")):
        shutil.copy(made, build)
        os.utime(build / made.name, (later, later))  # newer than the makefile to come: make leaves it alone
    sources = [_source(work, "ports.vlt", _public(top, ports))] if simulator == "verilator" else []
    if simulator == "icarus":
        verilog = map(without_gaps, verilog)
    sources += [_source(work, f"source_{number}.v", text) for number, text in enumerate(verilog)]
    runner.build(
        sources=sources, hdl_toplevel=top, build_dir=build, build_args=options, timescale=("1ns", "1ps"),
        waves=waves and simulator == "verilator",
    )
    for made in build.glob("verilated*.o"):  # Verilator's own, the same for all that it compiles
        runtime.mkdir(parents=True, exist_ok=True)
        if not is_whole(runtime / made.name):
            keep(made, runtime / made.name)
    simulators.mkdir(parents=True, exist_ok=True)
    partial = cached.with_name(f"{cached.name}.{os.getpid()}")
    partial.mkdir()
    shutil.copy2(build / program, partial)
    try:
        partial.rename(cached)
    except OSError:  # another process was faster
        shutil.rmtree(partial)
    return cached


def _digest(identity):
    return hashlib.sha256("\0".join(identity).encode()).hexdigest()[:24]


def _public(top, ports):
    """Return Verilator's configuration; cocotb asks it to make every signal public, which doubles its build."""
    lines = [f'public_flat_rw -module "{top}" -var "{name}"\n' for name in ports]
    return "".join(["`verilator_config\n", *lines])


def without_gaps(verilog):
    """Return the Verilog with memories that read all ones where an address is beyond their depth.

    A part reads something there, which the core multiplies by zero; Icarus reads X, and 0 * X is X to it.
    """
    modules = verilog.split("endmodule")
    for number, module in enumerate(modules):
        for width, name, last in MEMORY.findall(module):
            ones = f"{{{int(width) + 1}{{1'b1}}}}"
            modules[number] = module = re.sub(
                rf"<= {re.escape(name)} *\[(.+)\];",
                lambda read, name=name, last=last, ones=ones:
                    f"<= {read[1]} <= {last} ? {name} [{read[1]}] : {ones};",
                module,
            )
    return "endmodule".join(modules)


def _source(work, name, text):
    path = work / name
    path.write_text(text)
    return path
