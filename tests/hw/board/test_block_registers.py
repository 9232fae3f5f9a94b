"""Registers behind block RAMs, which move into the blocks, and those which stay."""

import copy
import json

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.memories import MemorySpec
from hw.board.block_registers import absorb_block_registers
from hw.board.flows import FLOWS, synthesis
from hw.board.netlist import netlist as rtlil_text
from hw.board.tools import run_tool
from hw.core.memory import CoreMemory
from tests.kit.netlists import CLOCK, RESET, register, shell

FOUND, KEPT = [10, 11], [20, 21]


def netlist(outputs=KEPT, enable="1", **cells):
    """Return a block RAM of which two bits are read, with a register behind each of them, then ``cells``."""
    wires = {"DOA0": [90], "DOB0": [FOUND[0]], "DOB1": [FOUND[1]], "DOB2": [91], "CEB": [enable], "CLKB": [CLOCK]}
    block = {
        "type": "DP16KD", "parameters": {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"}, "connections": wires,
        "port_directions": {name: "output" if name[:2] == "DO" else "input" for name in wires},
    }
    registers = {f"word_{bit}": register(FOUND[bit], KEPT[bit]) for bit in range(2)}
    return shell(outputs, {"block": block} | registers | cells)


def test_the_register_moves_into_the_block():
    made = netlist(other=register(KEPT[0], 50))
    absorb_block_registers(made)
    cells = made["modules"]["shell"]["cells"]
    assert set(cells) == {"block", "other"}
    wires = cells["block"]["connections"]
    assert (wires["DOB0"], wires["DOB1"], wires["DOB2"]) == ([KEPT[0]], [KEPT[1]], [91])
    assert cells["block"]["parameters"] == {"REGMODE_A": "NOREG", "REGMODE_B": "OUTREG"}


@pytest.mark.parametrize("made", [
    netlist(word_1=register(FOUND[1], KEPT[1], CEMUX="CE", CE=[60])),
    netlist(word_1=register(FOUND[1], KEPT[1], LSR=[RESET])),
    netlist(word_1=register(FOUND[1], KEPT[1], REGSET="SET")),
    netlist(word_1=register(FOUND[1], KEPT[1], clock=70)),
    netlist(second=register(FOUND[1], 50)),
    netlist(outputs=[*KEPT, FOUND[1]]), netlist(enable=60),
    netlist(product={"type": "MULT18X18D", "parameters": {}, "port_directions": {"A0": "input", "P0": "output"},
                     "connections": {"A0": [KEPT[1]], "P0": [70]}}),
], ids=["enable", "reset", "one", "two clocks", "two readers", "an output", "a port that rests", "a multiplier"])
def test_all_stay_where_one_bit_cannot_move(made):
    before = copy.deepcopy(made)
    absorb_block_registers(made)
    assert made == before


class Reader(wiring.Component):
    """A memory of the core whose address is registered."""

    address: In(9)
    enable: In(1)
    word: In(8)
    data: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = CoreMemory(MemorySpec("maps_0", 8, 512, tables=False), [5])
        address = Signal(9)
        m.d.sync += address.eq(self.address)
        m.d.comb += [
            memory.address.eq(address), memory.write.enable.eq(self.enable), memory.write.address.eq(self.address),
            memory.write.data.eq(self.word), self.data.eq(memory.data),
        ]
        return m


def test_memories_of_a_core_keep_no_register_outside(tmp_path):
    (tmp_path / "top.il").write_text(rtlil_text(Reader(), "top"))
    run_tool(tmp_path, synthesis(FLOWS["ecp5"], "top"), tmp_path)
    FLOWS["ecp5"].refine(tmp_path / "top.json")
    cells = json.loads((tmp_path / "top.json").read_text())["modules"]["top"]["cells"].values()
    kinds = [cell["type"] for cell in cells]
    assert kinds.count("DP16KD") == 1 and kinds.count("TRELLIS_FF") == 9  # those of the address
    assert [cell["parameters"]["REGMODE_B"] for cell in cells if cell["type"] == "DP16KD"] == ["OUTREG"]
