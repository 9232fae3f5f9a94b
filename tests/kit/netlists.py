"""Netlists of Yosys' write_json, made fit to be read by it again, and proved."""

import json

from hw.board.flows import Command
from hw.board.tools import run_tool

__all__ = ["CLOCK", "RESET", "prove_netlist", "register", "shell"]

CLOCK, RESET = 2, 3  # wires

PROOF = """
read_json top.json; delete =A:blackbox; MODELS read_verilog -overwrite +/ecp5/cells_sim.v;
prep -top top -flatten; rename top gate; design -stash gate; read_rtlil top.il; prep -top top -flatten; rename top gold;
design -copy-from gate gate; async2sync; miter -equiv -flatten gold gate miter; prep -top miter;
sat -verify -prove trigger 0 -tempinduct -maxsteps 12 -set-init-zero -ignore_unknown_cells miter
"""


def prove_netlist(folder, netlist, models=()):
    """Prove by induction that a refined ``netlist`` of the ECP5's cells does what ``folder``/top.il does.

    ``models`` : files of ``folder`` with cells that Yosys has no model of
    """
    (folder / "top.json").write_text(json.dumps(_without_open_outputs(netlist)))
    proof = PROOF.replace("MODELS", "".join(f"read_verilog -overwrite {file};" for file in models))
    run_tool(folder, Command("yosys", "proof.log", ("-p", proof)), folder)
    assert "Induction step proven: SUCCESS!" in (folder / "proof.log").read_text()


def _without_open_outputs(netlist):
    """Give wires to the outputs of carry chains that have none (`hw.board.carries`): Yosys refuses an output of x."""
    for module in netlist["modules"].values():
        wire = 1 + max((bit for cell in module["cells"].values() for bits in cell["connections"].values()
                        for bit in bits if isinstance(bit, int)), default=0)
        for cell in module["cells"].values():
            for port, bits in cell["connections"].items():
                if bits == ["x"] and cell["port_directions"][port] == "output":
                    cell["connections"][port], wire = [wire], wire + 1
    return netlist


def register(take, give, clock=CLOCK, **changes):
    """Return a flip-flop that takes the wire ``take`` every cycle; ``changes`` of its parameters or wires."""
    parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "GSR": "DISABLED", "LSRMUX": "LSR", "REGSET": "RESET"}
    connections = {"CLK": [clock], "DI": [take], "LSR": ["0"], "Q": [give]}
    for name, value in changes.items():
        (parameters if name in parameters else connections)[name] = value
    directions = {name: "output" if name == "Q" else "input" for name in connections}
    return {"type": "TRELLIS_FF", "parameters": parameters, "port_directions": directions, "connections": connections}


def shell(outputs, cells):
    """Return a netlist of ``cells`` with a clock, whose output is the wires ``outputs``."""
    return {"modules": {"shell": {
        "ports": {"clk": {"direction": "input", "bits": [CLOCK]}, "o": {"direction": "output", "bits": list(outputs)}},
        "cells": cells,
    }}}
