"""Carry chains as the router gets them: what is left out at their ends, what moves into them, and that they add."""

import json
import random
from itertools import product

import pytest
from amaranth.hdl import Cat, Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.board.carries import refine_carries
from hw.board.flows import FLOWS, synthesis
from hw.board.netlist import netlist as rtlil_text
from hw.board.tools import run_tool
from tests.kit.netlists import prove_netlist

ADDS = 0x96AA  # a + (b ^ c) where d is 1, as Yosys has it
PAIR = ("0", "1")


def table(function, inputs, output):
    """Return a table of up to four inputs, the others 0."""
    wires = [*inputs, *["0"] * (4 - len(inputs))]
    init = sum(function(*(number >> place & 1 for place in range(len(inputs)))) << number for number in range(16))
    return {
        "type": "LUT4", "parameters": {"INIT": f"{init:016b}"},
        "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
        "connections": {**{pin: [wire] for pin, wire in zip("ABCD", wires)}, "Z": [output]},
    }


def chain(a, b, carry, totals, last=900, invert="0"):
    """Return {name: cell} of a chain; what is missing at its end is 0."""
    cells, bits = {}, list(zip(a, b, totals)) + [("0", "0", 901)] * (len(a) % 2)
    for number in range(0, len(bits), 2):
        wires = {"CIN": [carry], "COUT": [last if number + 2 == len(bits) else 800 + number]}
        for half, (left, right, total) in zip(PAIR, bits[number:]):
            wires |= {f"A{half}": [left], f"B{half}": [right], f"C{half}": [invert], f"D{half}": ["1"]}
            wires |= {f"S{half}": [total]}
        outputs = {"COUT", "S0", "S1"}
        cells[f"carry_{number}"] = {
            "type": "CCU2C", "parameters": {f"INIT{half}": f"{ADDS:016b}" for half in PAIR}, "connections": wires,
            "port_directions": {port: "output" if port in outputs else "input" for port in wires},
        }
        carry = 800 + number
    return cells


def module(cells, inputs, outputs):
    return {"modules": {"top": {"cells": cells, "ports": {
        "i": {"direction": "input", "bits": list(inputs)}, "o": {"direction": "output", "bits": list(outputs)},
    }}}}


def evaluate(netlist, values):
    """Return the outputs for values of the inputs; what has no wire may be anything."""
    made = netlist["modules"]["top"]
    known = {"0": 0, "1": 1, "x": random.getrandbits(1)} | dict(zip(made["ports"]["i"]["bits"], values))
    for _ in made["cells"]:
        for cell in made["cells"].values():
            wires = {port: bits[0] for port, bits in cell["connections"].items()}
            directions = cell["port_directions"]
            read = {port: known.get(wire, 0) for port, wire in wires.items() if directions[port] == "input"}
            wrote = {}
            if cell["type"] == "LUT4":
                wrote["Z"] = _lookup(cell["parameters"]["INIT"], [read[pin] for pin in "ABCD"])
            else:
                carry = read["CIN"]
                for half in PAIR:
                    pins, init = [read[pin + half] for pin in "ABCD"], cell["parameters"][f"INIT{half}"]
                    propagates = _lookup(init, pins)
                    wrote[f"S{half}"] = propagates ^ carry
                    carry = carry if propagates else _lookup(init, [*pins[:2], 0, 0])
                wrote["COUT"] = carry
            known |= {wires[port]: value for port, value in wrote.items() if wires[port] != "x"}
    return [known[wire] for wire in made["ports"]["o"]["bits"]]


def _lookup(init, pins):
    return int(init, 2) >> sum(bit << place for place, bit in enumerate(pins)) & 1


A, B, S = (list(range(base, base + 5)) for base in (10, 20, 30))
EVEN, ODD = slice(4), slice(5)
TABLES = {
    "and": table(lambda x, y: x & y, (50, 51), B[1]),
    "choice": table(lambda s, x, y: x if s else y, (50, 51, 52), B[1]),
    "of three": table(lambda x, y, z: 1 - (x & y & z), (50, 51, 52), B[1]),
}


def refined(size, carry, *, read=None, invert="0", before=(), last=()):
    """Return a chain's netlist before and after, its inputs those of the chain and of tables ``before``."""
    taken = [wire for wire in (*A[size], *B[size]) if not (before and wire == B[1])] + [50, 51, 52] * bool(before)
    outputs = [*(S[size] if read is None else read), *last]

    def made():
        cells = chain(A[size], B[size], carry, S[size], invert=invert)
        return module(cells | {name: table | {} for name, table in before}, taken, outputs)

    before, after = made(), made()
    refine_carries(after)
    return before, after, len(taken)


def shape(netlist):
    """Return (cells of chains, tables, chains with a carry from outside, last carries that have a wire)."""
    cells = netlist["modules"]["top"]["cells"].values()
    chains = [cell["connections"] for cell in cells if cell["type"] == "CCU2C"]
    carries = {wires["COUT"][0] for wires in chains}
    taken = {wires["CIN"][0] for wires in chains}
    return (len(chains), len(cells) - len(chains), len(taken - carries - {"x"}), len(carries - taken - {"x"}))


@pytest.mark.parametrize("invert", PAIR)
@pytest.mark.parametrize("carry", PAIR)
@pytest.mark.parametrize("size, read, wanted", [
    (EVEN, None, (2, 1, 0, 0)),  # the sum of the first bit is that of a table
    (EVEN, S[1:4], (2, 0, 0, 0)),
    (ODD, None, (3, 0, 0, 0)),  # a bit to spare
    (ODD, S[3:5], (3, 0, 0, 0)),
], ids=["even", "first not read", "odd", "odd, first not read"])
def test_a_chain_begins_with_its_first_bit_and_ends_with_its_last(size, read, wanted, carry, invert):
    before, after, inputs = refined(size, carry, read=read, invert=invert)
    assert shape(after) == wanted and shape(before)[2:] == (1, 1)
    for values in product((0, 1), repeat=inputs):
        assert evaluate(after, values) == evaluate(before, values)


@pytest.mark.parametrize("carry, wanted", [("0", (3, 1, 0, 1)), (99, (3, 0, 1, 1))], ids=["constant", "a wire"])
def test_carries_that_are_read_or_come_from_elsewhere_stay(carry, wanted):
    before, after, inputs = refined(ODD, carry, last=[900])
    assert shape(after) == wanted
    for values in product((0, 1), repeat=inputs):
        assert evaluate(after, values) == evaluate(before, values)


@pytest.mark.parametrize("name, invert, moves", [
    ("and", "0", True), ("and", "1", True), ("choice", "0", True), ("choice", "1", False), ("of three", "0", False),
])
def test_a_small_table_moves_into_the_chain(name, invert, moves):
    before, after, inputs = refined(ODD, "0", invert=invert, before=[(name, TABLES[name])])
    assert shape(after) == (3, not moves, 0, 0)
    for values in product((0, 1), repeat=inputs):
        assert evaluate(after, values) == evaluate(before, values)


def test_a_table_that_others_read_stays():
    before, after, inputs = refined(ODD, "0", before=[("and", TABLES["and"])], last=[B[1]])
    assert shape(after) == (3, 1, 0, 0)
    for values in product((0, 1), repeat=inputs):
        assert evaluate(after, values) == evaluate(before, values)


class Sums(wiring.Component):
    """Sums, differences, comparisons, and choices before them."""

    a: In(signed(6))
    b: In(signed(7))
    choose: In(1)
    total: Out(signed(8))
    less: Out(1)
    chosen: Out(signed(8))
    either: Out(signed(8))
    count: Out(5)

    def elaborate(self, platform):
        m = Module()
        spread = self.choose.replicate(7)
        m.d.sync += [
            self.total.eq(self.a - self.b), self.less.eq((self.a - self.b)[-1]),
            self.chosen.eq(self.total + Mux(self.choose, self.a, self.b)), self.count.eq(self.count + 1),
            self.either.eq((Cat(1, self.total).as_signed() + Cat(self.choose, self.b ^ spread).as_signed()) >> 1),
        ]
        return m


def test_the_netlist_does_what_it_did(tmp_path):
    (tmp_path / "top.il").write_text(rtlil_text(Sums(), "top"))
    run_tool(tmp_path, synthesis(FLOWS["ecp5"], "top"), tmp_path)
    before = json.loads((tmp_path / "top.json").read_text())
    FLOWS["ecp5"].refine(tmp_path / "top.json")
    after = json.loads((tmp_path / "top.json").read_text())
    assert shape(before)[2] > 0 and shape(after)[2:] == (0, 0)
    prove_netlist(tmp_path, after)
