"""A process of its own for one job: compiles the Verilog unless the cache has it, then runs `sim.bench.scenarios`.

Started by `sim.verify` with the environment of `sim.toolchain.tool_environment`; whoever ends it ends the
simulator with it, as both are one process group.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from cocotb_tools.runner import get_runner

from gen.cache import cache_folder
from sim.bench.folder import VERILOG
from sim.bench.job import JOB_VARIABLE, WAVES, Job
from sim.toolchain import simulator_version

__all__ = ["build", "main", "without_gaps"]

TOP = "adafire_core"
SCENARIOS = "sim.bench.scenarios"
# Verilator is asked by cocotb to make every signal public, which doubles its build: the ports are enough.
PORTS = "`verilator_config\n" + "".join(
    f'public_flat_rw -module "{TOP}" -var "{name}"\n'
    for name in ("clk", "rst", "load__*", "i__*", "o__*", "abort", "idle", "probe_*")
)
OPTIONS = {
    "verilator": ("--no-public-flat-rw", "--no-timing", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style",
                  "--x-assign", "fast", "--x-initial", "fast"),
    # Only Verilog 2005 makes Icarus evaluate, at time 0, the logic that nothing but initial values drives.
    "icarus": ("-g2005",),
}
MEMORY = re.compile(r"^ *reg \[(\d+):0\] (\S+) +\[(\d+):0\];", re.MULTILINE)
PROGRAM = {"verilator": TOP, "icarus": "sim.vvp"}
DUMP = f"""module adafire_dump;
  initial begin
    $dumpfile("{WAVES['icarus']}");
    $dumpvars(0, {TOP});
  end
endmodule
"""


def build(job, runner):
    """Return the folder with the compiled simulator, of the cache or new."""
    verilog, options = Path(job.folder) / VERILOG, OPTIONS[job.simulator]
    identity = [
        verilog.read_text(), Path(__file__).read_text(), simulator_version(job.simulator), version("cocotb"),
        platform.python_version(), sys.prefix, job.simulator, repr(job.waves),
    ]
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
    cached, program = cache_folder() / "simulators" / f"{job.simulator}-{digest[:24]}", PROGRAM[job.simulator]
    if (cached / program).exists():
        return cached
    work = Path(job.work) / "build"
    if job.simulator == "verilator":
        sources = [_source(job, "ports.vlt", PORTS), verilog]
    else:
        sources = [_source(job, VERILOG, without_gaps(verilog.read_text()))]
        if job.waves:
            sources.append(_source(job, "dump.v", DUMP))
            options += ("-s", "adafire_dump")
    runner.build(
        sources=sources, hdl_toplevel=TOP, build_dir=work, build_args=options, timescale=("1ns", "1ps"),
        waves=job.waves and job.simulator == "verilator",
    )
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_name(f"{cached.name}.{os.getpid()}")
    partial.mkdir()
    shutil.copy2(work / program, partial)
    try:
        partial.rename(cached)
    except OSError:  # another process was faster
        shutil.rmtree(partial)
    return cached


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


def _source(job, name, text):
    path = Path(job.work) / name
    path.write_text(text)
    return path


def main():
    """Build and run the job that the environment names."""
    job = Job.read()
    runner = get_runner(job.simulator)
    folder, work = build(job, runner), Path(job.work)
    runner.test(
        SCENARIOS, TOP, hdl_toplevel_lang="verilog", build_dir=folder, test_dir=work, seed=job.seed, waves=job.waves,
        results_xml=str(work / "results.xml"), extra_env={JOB_VARIABLE: os.environ[JOB_VARIABLE]},
    )


if __name__ == "__main__":
    main()
