"""The AXI master's Verilog before cocotbext-axi's memory, a model that is not our own.

`simulate` runs this module as a process; it builds the simulation and runs the cocotb test below.
"""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[3]
MODULE = "tests.hw.memory.cocotb_axi"
TOP, SIMULATOR, LIMIT_S = "master", "icarus", 600
ADDRESS_BITS, WIDTH, BASE = 12, 32, 0x8000


def simulate(work, seed):
    """Run the cocotb test in the folder ``work``; return its exit code and what it wrote."""
    from sim.toolchain import tool_environment

    environment = tool_environment() | {"WORK": str(work), "SEED": str(seed)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    environment.pop("PYTEST_CURRENT_TEST", None)
    run = subprocess.run([sys.executable, "-m", MODULE], cwd=work, env=environment, capture_output=True, text=True,
                         timeout=LIMIT_S, check=False)
    return run.returncode, run.stdout + run.stderr


def main():
    """Emit, build, run."""
    from amaranth.back import verilog
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    from hw.memory.axi import AxiMaster
    from sim.bench.launch import ASSERTIONS

    work, runner = Path(os.environ["WORK"]), get_runner(SIMULATOR)
    master = AxiMaster(ADDRESS_BITS, WIDTH, base=BASE)
    ports = {"_".join(path): (value.as_value() if hasattr(value, "as_value") else value, None)
             for path, _, value in master.signature.flatten(master)}
    (work / "master.v").write_text(verilog.convert(master, name=TOP, ports=ports, emit_src=False))
    runner.build(sources=[work / "master.v"], hdl_toplevel=TOP, build_dir=work / "built", timescale=("1ns", "1ps"))
    results = runner.test(MODULE, TOP, hdl_toplevel_lang="verilog", build_dir=work / "built", test_dir=work,
                          results_xml=str(work / "results.xml"),
                          extra_env={"SEED": os.environ["SEED"], ASSERTIONS: "cocotb_axi.py"})
    run, failed = get_results(results)
    return int(bool(failed or not run))


if __name__ != "__main__" and "SEED" in os.environ:
    import cocotb
    from cocotb.clock import Clock
    from cocotb.triggers import ClockCycles, RisingEdge
    from cocotbext.axi import AxiBus, AxiRam

    from tests.hw.memory.traffic import moved_words, random_bursts

    @cocotb.test()
    async def words_come_back(dut):
        """Every word, with pauses on all channels, and what the memory holds at the end."""
        seed = int(os.environ["SEED"])
        random = Random(seed)
        bursts = random_bursts(seed, 30, address_bits=ADDRESS_BITS, width=WIDTH, local=0.6, reads=0.5)
        for port in (dut.bus_request_valid, dut.bus_write_valid, dut.bus_read_ready):
            port.value = 0
        dut.rst.value = 1
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
        memory = AxiRam(AxiBus.from_prefix(dut, "axi"), dut.clk, dut.rst, size=2**16)
        for channel in (memory.write_if.aw_channel, memory.write_if.w_channel, memory.write_if.b_channel,
                        memory.read_if.ar_channel, memory.read_if.r_channel):
            channel.set_pause_generator(random.random() < 0.3 for _ in iter(int, 1))
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        contents = {}
        wanted, written = moved_words(bursts, contents)

        async def send(name, payloads):
            valid, ready, payload = (getattr(dut, f"bus_{name}_{part}") for part in ("valid", "ready", "payload"))
            for word in payloads:
                await ClockCycles(dut.clk, random.choice([1, 1, 2, 3]))
                payload.value, valid.value = word, 1
                await RisingEdge(dut.clk)
                while not ready.value:
                    await RisingEdge(dut.clk)
                valid.value = 0

        requests = [address | length - 1 << ADDRESS_BITS | (words is not None) << ADDRESS_BITS + 8
                    for address, length, words in bursts]
        cocotb.start_soon(send("request", requests))
        giving = cocotb.start_soon(send("write", written))
        for number, word in enumerate(wanted):
            dut.bus_read_ready.value = 1
            await RisingEdge(dut.clk)
            while not dut.bus_read_valid.value:
                await RisingEdge(dut.clk)
            assert int(dut.bus_read_payload.value) == word, f"word {number}"
            dut.bus_read_ready.value = 0
            await ClockCycles(dut.clk, random.choice([1, 1, 1, 4]))
        await giving
        await ClockCycles(dut.clk, 3000)
        held = memory.read(BASE, 4 << ADDRESS_BITS)
        for address, word in contents.items():
            assert int.from_bytes(held[4 * address : 4 * address + 4], "little") == word
        assert not dut.bus_fault.value


if __name__ == "__main__":
    raise SystemExit(main())
