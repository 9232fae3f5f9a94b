"""`hw.board.litedram`: what the generator is told, and whether what it made is what is started."""

from dataclasses import replace
from pathlib import Path

import pytest

from gen.errors import AdafireError
from hw.board.boards import BOARDS
from hw.board.litedram import LITEDRAM_VERILOG, LITEDRAM_YAML, PORT_BITS, litedram_command, litedram_yaml, take_litedram
from hw.board.tools import run_tool
from hw.memory.litedram_program import MODE_REGISTERS, REGISTERS

HEADER = "software/include/generated/sdram_phy.h"


def made(work, registers=REGISTERS, latency=6, modes=MODE_REGISTERS):
    """Write what LiteDRAM 2024.12 writes, as far as it is read."""
    folder = work / "litedram"
    (folder / HEADER).parent.mkdir(parents=True)
    (folder / "gateware").mkdir()
    (folder / "gateware" / LITEDRAM_VERILOG).write_text("module litedram_core; endmodule")
    rows = [f"csr_register,{name},{place:#010x},1,rw" for name, place in registers.items()]
    (folder / "csr.csv").write_text("\n".join(["#---", "csr_base,ddrphy,0x00000800,,", *rows, "constant,a,b,,"]))
    named = {"CL": latency, "CWL": 5, "RDPHASE": 0, "WRPHASE": 1}
    writes = [0, 0, *modes.values(), 0x400]
    (folder / HEADER).write_text("".join(f"#define SDRAM_PHY_{name} {value}\n" for name, value in named.items())
                                 + "".join(f"\tsdram_dfii_pi0_address_write({value:#x});\n" for value in writes))


def test_what_was_made_is_taken_and_the_rest_dropped(tmp_path):
    made(tmp_path)
    take_litedram(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [LITEDRAM_VERILOG]


@pytest.mark.parametrize("differs, named", [
    ({"registers": {**REGISTERS, "ddrphy_dly_sel": 0x900}}, "ddrphy_dly_sel"), ({"latency": 7}, "CL"),
    ({"modes": {**MODE_REGISTERS, 1: 0x44}}, "mode registers"),
])
def test_another_release_is_refused(differs, named, tmp_path):
    made(tmp_path, **differs)
    text = f"other registers or settings than hw/memory/litedram_program.py: {named}. "
    with pytest.raises(AdafireError, match=text):
        take_litedram(tmp_path)


def test_what_the_generator_is_told():
    board = BOARDS["ecpix5_85f"]
    lines = litedram_yaml(board.memory, board.target).splitlines()
    assert lines[:3] == ["cpu: None", "uart: None", "device: LFE5UM5G-85F-8BG554C"]
    assert {"sdram_module: MT41K256M16", "input_clk_freq: 100e6", "sys_clk_freq: 75e6", "cmd_delay: 0"} < set(lines)
    assert lines[-4:] == ["user_ports:", "  memory:", "    type: axi", "    id_width: 1"]


@pytest.mark.parametrize("name", ["orangecrab_r0_2_25f", "ecpix5_85f"])
def test_the_generator_makes_a_core_that_can_be_started(name, tmp_path):
    """With LiteDRAM itself, where it is installed; its ports are those of the design around it."""
    pytest.importorskip("litedram")
    board = BOARDS[name]
    (tmp_path / LITEDRAM_YAML).write_text(litedram_yaml(board.memory, board.target))
    run_tool(tmp_path, litedram_command(), Path("kept"))
    take_litedram(tmp_path)
    text = (tmp_path / LITEDRAM_VERILOG).read_text()
    assert f"[{board.memory.address_bits - 1}:0] user_port_memory_araddr" in text
    assert f"[{PORT_BITS - 1}:0] user_port_memory_wdata" in text
    assert f"[{board.memory.row_bits - 1}:0] ddram_a" in text
    assert replace(board.memory, row_bits=13).address_bits == board.memory.address_bits - 2
