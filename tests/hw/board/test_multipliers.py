"""Registers of products, which move into their multipliers, and those which stay."""

import copy
import json

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.board.flows import FLOWS, synthesis
from hw.board.netlist import netlist as rtlil_text
from hw.board.tools import run_tool
from hw.board.multipliers import REGISTERED, absorb_registers
from tests.kit.netlists import CLOCK, RESET, prove_netlist, register, shell

WIDTH = 4
A, B, P, Q = ([base + bit for bit in range(WIDTH)] for base in (10, 20, 30, 40))


def netlist(outputs=Q, **cells):
    """Return a multiplier of which WIDTH bits are in use, with a register behind each of them, then ``cells``."""
    ports = {f"{side}{bit}": [bits[bit]] for side, bits in (("A", A), ("B", B), ("P", P)) for bit in range(WIDTH)}
    ports |= {f"P{WIDTH}": [99], "SIGNEDA": ["1"]}  # a bit that nothing reads
    product = {
        "type": "MULT18X18D", "parameters": {}, "connections": ports,
        "port_directions": {name: "output" if name[0] == "P" else "input" for name in ports},
    }
    registers = {f"product_{bit}": register(P[bit], Q[bit]) for bit in range(WIDTH)}
    return shell(outputs, {"product": product} | registers | cells)


def test_the_register_of_a_product_moves_into_the_multiplier():
    made = netlist(other=register(Q[0], 50))
    absorb_registers(made)
    cells = made["modules"]["shell"]["cells"]
    assert set(cells) == {"product", "other"}
    product = cells["product"]
    assert [product["connections"][f"P{bit}"] for bit in range(WIDTH)] == [[bit] for bit in Q]
    assert product["connections"][f"P{WIDTH}"] == [99] and product["connections"]["A0"] == [A[0]]
    assert product["parameters"] == REGISTERED
    assert {name: product["connections"][name] for name in ("CLK0", "CE0", "RST0")} == {
        "CLK0": [CLOCK], "CE0": ["1"], "RST0": ["0"],
    }
    assert set(product["connections"]) == set(product["port_directions"])


@pytest.mark.parametrize("made", [
    netlist(product_1=register(P[1], Q[1], CEMUX="CE", CE=[60])),
    netlist(product_1=register(P[1], Q[1], LSR=[RESET])),
    netlist(product_1=register(P[1], Q[1], REGSET="SET")),
    netlist(product_1=register(P[1], Q[1], CLKMUX="INV")),
    netlist(product_1=register(P[1], Q[1], clock=70)),
    netlist(second=register(P[1], 50)),
    netlist(outputs=[*Q, P[1]]),
    netlist(product_1={"type": "LUT4", "parameters": {}, "port_directions": {"A": "input", "Z": "output"},
                       "connections": {"A": [P[1]], "Z": [Q[1]]}}),
], ids=["enable", "reset", "one", "falling edge", "two clocks", "two readers", "an output", "logic"])
def test_all_stay_where_one_bit_cannot_move(made):
    before = copy.deepcopy(made)
    absorb_registers(made)
    assert made == before


class Sum(wiring.Component):
    """What a lane does, of few bits."""

    a: In(signed(3))
    b: In(signed(3))
    clear: In(1)
    total: Out(signed(8))

    def elaborate(self, platform):
        m = Module()
        a, b, product = Signal(signed(3)), Signal(signed(3)), Signal(signed(6), reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b), self.total.eq(self.total + product)]
        with m.If(self.clear):
            m.d.sync += self.total.eq(0)
        return m


def bits(name, number):
    return ", ".join(f"{name}{bit}" for bit in reversed(range(number)))


# Lattice's MULT18X18D as far as it is used here, for lack of one in Yosys.
MODEL = f"""
module MULT18X18D(input {bits("A", 18)}, {bits("B", 18)}, {bits("C", 18)}, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
                  CLK0, CE0, RST0, output {bits("P", 36)});
    parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";
    parameter GSR = "ENABLED", RESETMODE = "SYNC";
    wire signed [17:0] a = {{{bits("A", 18)}}}, b = {{{bits("B", 18)}}};
    wire signed [35:0] product = a * b;
    reg [35:0] kept = 0;
    always @(posedge CLK0) if (RST0) kept <= 0; else if (CE0) kept <= product;
    assign {{{bits("P", 36)}}} = REG_OUTPUT_CLK == "CLK0" ? kept : product;
endmodule
"""


def test_the_netlist_does_what_it_did(tmp_path):
    (tmp_path / "top.il").write_text(rtlil_text(Sum(), "top"))
    (tmp_path / "model.v").write_text(MODEL)
    run_tool(tmp_path, synthesis(FLOWS["ecp5"], "top"), tmp_path)
    before = json.loads((tmp_path / "top.json").read_text())
    FLOWS["ecp5"].refine(tmp_path / "top.json")
    after = json.loads((tmp_path / "top.json").read_text())
    assert after != before
    prove_netlist(tmp_path, after, ["model.v"])
