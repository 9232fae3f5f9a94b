"""The AXI master before LiteDRAM's own controller and its model of a memory: every word, and the rate of bursts.

    python -m benchmarks.litedram --work DIR [--seed 1]

`litedram_gen --sim` makes the controller of an ECPIX-5's memory with a model in the place of its PHY, four phases to a
cycle where the ECP5's has two: so a burst of the memory takes one cycle here, and two on the board. It is built with
the Verilog of `hw.memory.axi.AxiMaster` by Verilator, under cocotb. Random bursts come first, each word read is
compared; then reads and writes as fast as they are taken. Wants ``pip install litedram liteeth``, and ``litedram_gen``
in PATH.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from random import Random

BITS, BUS_BITS, MODULE, SIMULATOR, SEED, WORK = 21, 29, "benchmarks.litedram", "verilator", "LITEDRAM_SEED", "dut"
ROOT = Path(__file__).parents[1]


def around():
    """Return the Verilog of the master joined to the controller, which is told that its memory is up."""
    from amaranth.back import verilog
    from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal
    from amaranth.lib import wiring
    from amaranth.lib.wiring import In

    from hw.board.litedram import LITEDRAM, PORT_BITS
    from hw.memory.axi import AxiMaster

    m, told, answered = Module(), Signal(), Signal()
    m.submodules.master = master = AxiMaster(BITS, 32, bus_bits=BUS_BITS, axi_width=PORT_BITS)
    with m.If(answered):
        m.d.sync += told.eq(1)
    ports = {f"{'o' if member.flow is In else 'i'}_user_port_memory_{name}": getattr(master.axi, name)
             for name, member in master.axi.signature.members.items() if not name.endswith(("cache", "prot"))}
    m.submodules.controller = Instance(
        LITEDRAM, i_clk=ClockSignal(), i_wb_ctrl_adr=Const(0, 30), i_wb_ctrl_dat_w=Const(1, 32),
        i_wb_ctrl_sel=Const(15, 4), i_wb_ctrl_cyc=~told, i_wb_ctrl_stb=~told, i_wb_ctrl_we=Const(1),
        o_wb_ctrl_ack=answered, **ports,
    )
    bus = master.signature.members["bus"].signature.create(path=("bus",))
    wiring.connect(m, wiring.flipped(bus), master.bus)
    flat = {"_".join(("bus", *path)): (port.as_value() if hasattr(port, "as_value") else port, None)
            for path, _, port in bus.signature.flatten(bus)}
    return verilog.convert(m, name=WORK, ports=flat | {"told": (told, None)}, emit_src=False)


def main(arguments=None):
    """Generate, build, run; the test prints the rates."""
    from cocotb_tools.runner import get_runner

    from hw.board.boards import find_board
    from hw.board.litedram import LITEDRAM, LITEDRAM_YAML, litedram_yaml
    from sim.toolchain import tool_environment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="an empty folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    work, board = options.work.resolve(), find_board("ecpix5_85f")
    work.mkdir(parents=True, exist_ok=True)
    (work / LITEDRAM_YAML).write_text(litedram_yaml(board.memory, board.target))
    log = (work / "litedram.log").open("w")  # it goes on to build a simulation of its own, and fails there
    subprocess.run(["litedram_gen", LITEDRAM_YAML, "--sim", "--output-dir", "made", "--name", LITEDRAM,
                    "--no-compile-software"], cwd=work, check=False, stdout=log, stderr=log)
    controller = work / "made" / "gateware" / f"{LITEDRAM}.v"
    if not controller.exists():
        raise SystemExit(f"litedram_gen made no controller: see {log.name}.")
    (work / "around.v").write_text(around())
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ.update(tool_environment() | {"PYTHONPATH": path})
    runner = get_runner(SIMULATOR)
    runner.build(
        sources=[work / "around.v", controller], hdl_toplevel=WORK, build_dir=work / "built",
        timescale=("1ns", "1ps"), build_args=["-Wno-fatal", "-Wno-lint", "-Wno-style"],
    )
    runner.test(MODULE, WORK, hdl_toplevel_lang="verilog", build_dir=work / "built", test_dir=work,
                extra_env={SEED: str(options.seed)})


if __name__ != "__main__" and SEED in os.environ:
    import cocotb
    from cocotb.clock import Clock
    from cocotb.triggers import ClockCycles, FallingEdge, Timer

    from tests.hw.memory.traffic import moved_words, random_bursts

    async def run(dut, bursts, random, lazy):
        """Run the bursts, with pauses where ``lazy``; return the words moved in a cycle, and compare those read."""
        wanted, written = moved_words(bursts, {}, unwritten=None)

        async def send(name, payloads):
            valid, ready, payload = (getattr(dut, f"bus_{name}_{part}") for part in ("valid", "ready", "payload"))
            for word in payloads:
                for _ in range(random.choice([0, 0, 1, 2]) if lazy else 0):
                    await FallingEdge(dut.clk)
                payload.value, valid.value, moved = word, 1, False
                while not moved:
                    await Timer(2, "ns")
                    moved = bool(ready.value)
                    await FallingEdge(dut.clk)
                valid.value = 0

        await FallingEdge(dut.clk)
        cocotb.start_soon(send("request", [
            address | length - 1 << BITS | (words is not None) << BITS + 8 for address, length, words in bursts]))
        giving, cycles, number = cocotb.start_soon(send("write", written)), 0, 0
        while number < len(wanted):
            dut.bus_read_ready.value = int(not lazy or random.random() < 0.7)
            await Timer(2, "ns")
            if dut.bus_read_valid.value and dut.bus_read_ready.value:
                word = int(dut.bus_read_payload.value)
                assert wanted[number] in (None, word), f"word {number}: {word:#x}, not {wanted[number]:#x}"
                number += 1
            cycles += 1
            assert cycles < 200_000, f"nothing comes after {number} words"
            await FallingEdge(dut.clk)
        dut.bus_read_ready.value = 0
        await giving
        assert not dut.bus_fault.value
        return (len(wanted) + len(written)) / cycles

    @cocotb.test()
    async def words_and_rates(dut):
        """Every word comes back; then the rates."""
        random = Random(int(os.environ[SEED]))
        for port in (dut.bus_request_valid, dut.bus_write_valid, dut.bus_read_ready):
            port.value = 0
        dut.rst.value = 1
        Clock(dut.clk, 10, "ns").start()
        await ClockCycles(dut.clk, 20)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 20)
        for number in range(3):
            bursts = random_bursts(random.randrange(2**20), 60, address_bits=BITS, width=32, local=0.6, reads=0.5)
            await run(dut, bursts, random, number > 0)
        turns = [burst for n in range(16) for burst in ((256 * n, 64, None), (2**19 + 64 * n, 64, [n] * 64))]
        for name, bursts in {
            "256 words, reads, one behind the other": [(256 * n, 256, None) for n in range(16)],
            "64 words, reads, rows of their own": [(37 * n * 64 % 2**20, 64, None) for n in range(40)],
            "64 words, read and written in turn": turns,
        }.items():
            print(f"{name}: {100 * await run(dut, bursts, random, False):.0f} % of the cycles have a word")


if __name__ == "__main__":
    sys.exit(main())
