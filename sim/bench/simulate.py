"""A process of its own for one job: compiles the Verilog unless the cache has it, then runs `sim.bench.scenarios`.

Started by `sim.verify` with the environment of `sim.toolchain.tool_environment`; whoever ends it ends the
simulator with it, as both are one process group.
"""

import os
from pathlib import Path

from cocotb_tools.runner import get_runner

from sim.bench.compiled import compiled
from sim.bench.folder import core_text, put_contents, read_folder
from sim.bench.job import JOB_VARIABLE, WAVES, Job
from sim.bench.launch import ASSERTIONS
from sim.bench.view import CONTROLS, TOP, View
from sim.inside import CORE

__all__ = ["main"]

PORTS = ("clk", "rst", "load__*", "i__*", "o__*", "abort", "idle", "fault", "probe_*", "memory__*")
SCENARIOS, WAVED = "sim.bench.scenarios", "sim.bench.waved"


def main():
    """Build and run the job that the environment names."""
    job = Job.read()
    runner, work = get_runner(job.simulator), Path(job.work)
    core = core_text(job.folder)
    put_contents(job.folder, work)
    top, verilog, ports, tests = CORE, [core], PORTS, [SCENARIOS]
    if job.waves:
        view = View(read_folder(job.folder), core)
        for name, text in view.files().items():
            (work / name).write_text(text)
        verilog.append(view.verilog(WAVES[job.simulator]))
        top, ports, tests = TOP, PORTS + CONTROLS, [WAVED, SCENARIOS]
    folder = compiled(runner, job.simulator, top, verilog, ports, work / "compiled", job.waves)
    runner.test(
        tests, top, test_filter="|".join(f"{name.replace(' ', '_')}$" for name in job.planned),
        hdl_toplevel_lang="verilog", build_dir=folder, test_dir=work, seed=job.seed,
        waves=job.waves and job.simulator == "icarus",  # only the form of the file: the Verilog says what and when
        results_xml=str(work / "results.xml"),
        extra_env={JOB_VARIABLE: os.environ[JOB_VARIABLE], ASSERTIONS: ""},
    )


if __name__ == "__main__":
    main()
