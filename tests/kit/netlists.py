"""Netlists of Yosys' write_json, made fit to be read by it again."""

__all__ = ["without_open_outputs"]


def without_open_outputs(netlist):
    """Give wires to the outputs of carry chains that have none (`hw.board.carries`): Yosys refuses an output of x."""
    for module in netlist["modules"].values():
        wire = 1 + max((bit for cell in module["cells"].values() for bits in cell["connections"].values()
                        for bit in bits if isinstance(bit, int)), default=0)
        for cell in module["cells"].values():
            for port, bits in cell["connections"].items():
                if bits == ["x"] and cell["port_directions"][port] == "output":
                    cell["connections"][port], wire = [wire], wire + 1
    return netlist
