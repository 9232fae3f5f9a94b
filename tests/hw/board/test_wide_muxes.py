"""Choices of sixteen bits, and the cells that they become."""

import json
import random

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.board.flows import FLOWS, synthesis
from hw.board.netlist import netlist as rtlil_text
from hw.board.tools import run_tool
from hw.board.wide_muxes import make_wide_muxes
from hw.core.choice import choice
from tests.kit.netlists import prove_netlist

OUTPUT = 100


def chooser():
    """Return a netlist of one choice, its words at wires 2, 3 ..., its selects from 50 on."""
    ports = {port: [2 + place] for place, port in enumerate("ABCDEFGHIJKLMNOP")}
    ports |= {port: [50 + place] for place, port in enumerate("STUV")}
    return {"modules": {"top": {"ports": {}, "cells": {"choice": {
        "type": "$_MUX16_", "port_directions": {**dict.fromkeys(ports, "input"), "Y": "output"},
        "connections": ports | {"Y": [OUTPUT]},
    }}}}}


def value(cells, wire, known):
    """Return what drives the wire."""
    if wire in known:
        return known[wire]
    cell = next(cell for cell in cells.values() if cell["connections"]["Z"] == [wire])
    given = {port: bits[0] for port, bits in cell["connections"].items()}
    low, high, select = {
        "LUT4": ("A", "B", "C"), "PFUMX": ("BLUT", "ALUT", "C0"), "L6MUX21": ("D0", "D1", "SD"),
    }[cell["type"]]
    return value(cells, given[high if known[given[select]] else low], known)


def test_a_choice_becomes_tables_and_muxes():
    netlist, cells = chooser(), {"LUT4": 8, "PFUMX": 4, "L6MUX21": 3}
    make_wide_muxes(netlist)
    made = netlist["modules"]["top"]["cells"]
    assert {each: sum(cell["type"] == each for cell in made.values()) for each in cells} == cells
    assert len(made) == sum(cells.values())
    for number in range(16):
        known = {2 + place: random.getrandbits(1) for place in range(16)}
        known |= {50 + place: number >> place & 1 for place in range(4)}
        assert value(made, OUTPUT, known) == known[2 + number]


def test_other_cells_stay():
    netlist = {"modules": {"top": {"ports": {}, "cells": {"one": {
        "type": "LUT4", "parameters": {}, "port_directions": {"A": "input", "Z": "output"},
        "connections": {"A": ["0"], "Z": [7]},
    }}}}}
    before = json.dumps(netlist)
    make_wide_muxes(netlist)
    assert json.dumps(netlist) == before


class Chooser(wiring.Component):
    """One of sixteen words."""

    words: In(data.ArrayLayout(2, 16))
    number: In(4)
    of_sixteen: Out(2)

    def elaborate(self, platform):
        m = Module()
        words = [self.words[place] for place in range(16)]
        m.d.sync += self.of_sixteen.eq(choice(words, self.number))
        return m


def test_the_netlist_does_what_it_did(tmp_path):
    (tmp_path / "top.il").write_text(rtlil_text(Chooser(), "top"))
    run_tool(tmp_path, synthesis(FLOWS["ecp5"], "top"), tmp_path)
    FLOWS["ecp5"].refine(tmp_path / "top.json")
    netlist = json.loads((tmp_path / "top.json").read_text())
    cells = [cell["type"] for cell in netlist["modules"]["top"]["cells"].values()]
    assert (cells.count("LUT4"), cells.count("PFUMX"), cells.count("L6MUX21")) == (16, 8, 6)
    prove_netlist(tmp_path, netlist)
