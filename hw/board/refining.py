"""Changes of a netlist between synthesis and the router, in a file of Yosys' write_json."""

import json
from collections import Counter

__all__ = ["count_readers", "plain_registers", "refining"]

REGISTER = "TRELLIS_FF"


def refining(*changes):
    """Return a function of a netlist's file that does all of ``changes`` to it, functions of the netlist, in place."""

    def refine(file):
        netlist = json.loads(file.read_text())
        for change in changes:
            change(netlist)
        file.write_text(json.dumps(netlist))

    return refine


def count_readers(module):
    """Return how many inputs of cells and outputs of the module each wire goes to."""
    count = Counter(bit for port in module["ports"].values() if port["direction"] != "input" for bit in port["bits"])
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                count.update(bits)
    return count


def plain_registers(cells):
    """Return {bit: name of the flip-flop that does nothing but take it every cycle}."""
    found = {}
    for name, cell in cells.items():
        if cell["type"] == REGISTER:
            parameters, connections = cell["parameters"], cell["connections"]
            plain = parameters["CEMUX"].strip() == "1" and parameters["CLKMUX"] == "CLK" and connections["LSR"] == ["0"]
            if plain and parameters["REGSET"] == "RESET" and parameters["LSRMUX"] == "LSR" and "DI" in connections:
                found[connections["DI"][0]] = name
    return found
