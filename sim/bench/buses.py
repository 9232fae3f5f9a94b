"""The bus wrappers under cocotb: their Verilog around a small core, bus models with pauses, golden results.

`simulate_bus` starts this module as a process of its own, which runs `sim.bench.bus_scenarios` in a simulator.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from gen.errors import AdafireError
from gen.netfile import load_network, save_network
from gen.program import CoreParams
from gen.schedule import build_schedule, schedule_on
from hw.identity import describe_input, network_id, register_values
from hw.verilog import AXI, WISHBONE, axi_verilog, core_verilog, wishbone_verilog
from sim.bench.compiled import compiled
from sim.bench.job import JOB_VARIABLE, Told
from sim.bench.launch import launched

__all__ = ["BUILD", "BusJob", "main", "simulate_bus"]

BUILD = 0x0123456789ABCDEF_0F1E2D3C4B5A6978
SCENARIOS = "sim.bench.bus_scenarios"
LIMIT_SECONDS = 1200
BUSES = {
    "axi": (AXI, axi_verilog, ("aclk", "aresetn", "interrupt", "s_axi_*", "s_axis_*", "m_axis_*")),
    "wishbone": (WISHBONE, wishbone_verilog, ("clk", "rst", "interrupt", "wb_*")),
}


@dataclass(frozen=True)
class BusJob(Told):
    """One simulation; paths are absolute.

    bus : ``axi`` or ``wishbone``
    networks : files of two networks for one core; its memories begin with the first
    images : of each network
    records : where the bench appends one JSON object for every scenario that passed
    work : empty folder for builds and simulator output
    """

    bus: str
    networks: list
    lanes: int
    images: int
    records: str
    work: str
    simulator: str
    seed: int

    def schedules(self):
        """Return the networks laid out on one core that is large enough for both."""
        networks = [load_network(path) for path in self.networks]
        params = reduce(CoreParams.covering, (build_schedule(network, self.lanes).params for network in networks))
        return [schedule_on(network, params) for network in networks]


def design(schedule):
    """Return what the registers of the wrapper around ``schedule``'s core hold at first."""
    return register_values({
        "build_id": f"{BUILD:032x}", "network_id": network_id(schedule.network), "initialised": True,
        "input": describe_input(schedule.network), "lanes": schedule.params.lanes,
        "parameters": {"classes": schedule.params.classes},
    })


def simulate_bus(bus, networks, work, *, simulator, lanes=2, images=3, seed=0):
    """Run every scenario on a wrapper around one core for two networks.

    Returns
    -------
    dict : scenario to the number of images whose results were compared, all equal to the golden model's.

    Raises
    ------
    AdafireError : a scenario failed, or the simulator did; with the end of its log.
    """
    work = Path(work)
    files = [str(work / f"network_{number}.safetensors") for number in range(len(networks))]
    for network, file in zip(networks, files):
        save_network(network, file)
    job = BusJob(bus, files, lanes, images, str(work / "records"), str(work), simulator, seed)
    with launched("sim.bench.buses", job, work) as process:
        try:
            code = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            code = f"nothing within {LIMIT_SECONDS} seconds"
    if code:
        tail = "\n".join((work / "log").read_text(errors="replace").splitlines()[-40:])
        raise AdafireError(f"The {bus} wrapper on {simulator}, seed {seed}: exit code {code}. The log ends so:\n{tail}")
    return {record["scenario"]: record["images"] for record in map(json.loads, open(job.records))}


def main():
    """Build and run the job that the environment names; fail if a scenario fails."""
    from cocotb_tools.runner import get_results, get_runner

    job = BusJob.read()
    top, wrapper, ports = BUSES[job.bus]
    schedule, runner, work = job.schedules()[0], get_runner(job.simulator), Path(job.work)
    verilog = [core_verilog(schedule), wrapper(schedule.params, design(schedule))]
    folder = compiled(runner, job.simulator, top, verilog, ports, work / "compiled")
    results = runner.test(
        SCENARIOS, top, hdl_toplevel_lang="verilog", build_dir=folder, test_dir=work, seed=job.seed,
        results_xml=str(work / "results.xml"), extra_env={JOB_VARIABLE: os.environ[JOB_VARIABLE]},
    )
    run, failed = get_results(results)
    return failed or not run


if __name__ == "__main__":
    raise SystemExit(main())
