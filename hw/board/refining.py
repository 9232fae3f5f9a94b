"""Changes of a netlist between synthesis and the router, in a file of Yosys' write_json."""

import json
from collections import Counter

__all__ = ["count_readers", "refining"]


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
