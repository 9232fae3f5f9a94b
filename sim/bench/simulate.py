"""A process of its own for one job: compiles the Verilog unless the cache has it, then runs `sim.bench.scenarios`.

Started by `sim.verify` with the environment of `sim.toolchain.tool_environment`; whoever ends it ends the
simulator with it, as both are one process group.
"""

import os
from pathlib import Path

from cocotb_tools.runner import get_runner

from sim.bench.compiled import compiled
from sim.bench.folder import VERILOG
from sim.bench.job import JOB_VARIABLE, Job

__all__ = ["main"]

TOP = "adafire_core"
PORTS = ("clk", "rst", "load__*", "i__*", "o__*", "abort", "idle", "probe_*")
SCENARIOS = "sim.bench.scenarios"


def main():
    """Build and run the job that the environment names."""
    job = Job.read()
    runner, work = get_runner(job.simulator), Path(job.work)
    verilog = (Path(job.folder) / VERILOG).read_text()
    folder = compiled(runner, job.simulator, TOP, [verilog], PORTS, work / "compiled", job.waves)
    runner.test(
        SCENARIOS, TOP, hdl_toplevel_lang="verilog", build_dir=folder, test_dir=work, seed=job.seed, waves=job.waves,
        results_xml=str(work / "results.xml"), extra_env={JOB_VARIABLE: os.environ[JOB_VARIABLE]},
    )


if __name__ == "__main__":
    main()
