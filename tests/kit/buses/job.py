"""The bus wrappers under cocotb: their Verilog around a small core, bus models with pauses, golden results.

`simulate_bus` starts this module as a process of its own, which runs `tests.kit.buses.scenarios` in a simulator.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gen.errors import AdafireError
from gen.netfile import load_network, save_network
from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.regions import WHOLE, Room
from hw.identity import describe_input, network_id, register_values
from hw.verilog import AXI, WISHBONE, axi_verilog, core_files, wishbone_verilog
from sim.bench.compiled import compiled
from sim.bench.job import JOB_VARIABLE, Told
from sim.bench.launch import ASSERTIONS, launched

__all__ = ["BUILD", "BUSES", "BusJob", "main", "simulate_bus"]

BUILD = 0x0123456789ABCDEF_0F1E2D3C4B5A6978
SCENARIOS = "tests.kit.buses.scenarios"
LIMIT_SECONDS = 1200
SMALLEST = Room(weights=1, maps=1, image=0)
BUSES = {
    "axi": (AXI, axi_verilog, ("aclk", "aresetn", "interrupt", "s_axi_*", "s_axis_*", "m_axis_*", "m_axi_*")),
    "wishbone": (WISHBONE, wishbone_verilog, ("clk", "rst", "interrupt", "wb_*")),
}


@dataclass(frozen=True)
class BusJob(Told):
    """One simulation; paths are absolute.

    bus : ``axi`` or ``wishbone``
    networks : files of two networks for one core; its memories begin with the first
    verilog : files, the core and its wrapper
    outside : weights, maps and inputs of the core lie in a memory beside it
    images : of each network
    records : where the bench appends one JSON object for every scenario that passed
    work : empty folder for builds and simulator output
    """

    bus: str
    networks: list
    verilog: list
    lanes: int
    outside: bool
    images: int
    records: str
    work: str
    simulator: str
    seed: int

    def plans(self):
        """Return the networks laid out on the core."""
        return lay_out([load_network(path) for path in self.networks], self.lanes, self.outside)


def lay_out(networks, lanes, outside):
    """Return the plans of networks on one core that is large enough for all."""
    room = SMALLEST if outside else WHOLE
    params = covering([make_plan(network, lanes, room=room) for network in networks])
    return [plan_on(network, params) for network in networks]


def bus_verilog(bus, plan):
    """Return {file name: text} of the core of ``plan``, and the Verilog of its wrapper."""
    _, wrapper, _ = BUSES[bus]
    return core_files(plan), wrapper(plan.params, register_values({
        "build_id": f"{BUILD:032x}", "network_id": network_id(plan.network), "initialised": plan.params.initialised,
        "input": describe_input(plan.network), "lanes": plan.params.lanes,
        "parameters": {"outputs": plan.params.outputs}, "image_digest": plan.digest,
    }))


def simulate_bus(bus, networks, work, *, simulator, lanes=4, outside=False, images=3, seed=0,
                 planted=lambda verilog: verilog):
    """Run every scenario on a wrapper around one core for two networks.

    Parameters
    ----------
    bus : ``axi`` or ``wishbone``
    networks : two; a direct one that takes three values or more, in the memories at first, and any other
    work : empty folder
    simulator : ``verilator`` or ``icarus``
    lanes, images : of the core; of each network
    outside : as of `BusJob`, on ``axi``
    seed : of images, pauses and moments
    planted : function that gives the wrapper's Verilog a fault

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
    plan = lay_out(networks, lanes, outside)[0]
    assert outside == (plan.params.outside > 0)
    files_of_core, wrapper = bus_verilog(bus, plan)
    texts = {**files_of_core, "wrapper.v": planted(wrapper)}
    for name, text in texts.items():  # the simulator runs in this folder, and finds the contents there
        (work / name).write_text(text)
    verilog = [str(work / name) for name in texts if name.endswith(".v")]
    job = BusJob(bus, files, verilog, lanes, outside, images, str(work / "records"), str(work), simulator, seed)
    with launched("tests.kit.buses.job", job, work) as process:
        try:
            code = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            code = f"nothing within {LIMIT_SECONDS} seconds"
    if code:
        tail = "\n".join((work / "log").read_text(errors="replace").splitlines()[-40:])
        raise AdafireError(f"The {bus} wrapper on {simulator}, seed {seed}: exit code {code}. The log ends:\n{tail}")
    records = map(json.loads, (work / "records").read_text().splitlines())
    return {record["scenario"]: record["images"] for record in records}


def main():
    """Build and run the job that the environment names; fail if a scenario fails."""
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    job = BusJob.read()
    top, _, ports = BUSES[job.bus]
    runner, work = get_runner(job.simulator), Path(job.work)
    verilog = [Path(file).read_text() for file in job.verilog]
    folder = compiled(runner, job.simulator, top, verilog, ports, work / "compiled")
    results = runner.test(
        SCENARIOS, top, hdl_toplevel_lang="verilog", build_dir=folder, test_dir=work, seed=job.seed,
        results_xml=str(work / "results.xml"),
        extra_env={JOB_VARIABLE: os.environ[JOB_VARIABLE], ASSERTIONS: "scenarios.py axi.py wishbone.py"},
    )
    run, failed = get_results(results)
    return failed or not run


if __name__ == "__main__":
    raise SystemExit(main())
