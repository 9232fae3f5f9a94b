"""Choices of one bit out of sixteen, on the ECP5: a table for two of them, joined by the slices' own muxes.

Yosys uses these muxes only where they make one large table of two, four or eight; of a choice of sixteen it makes
fifteen tables where eight and seven muxes do. Before its tables are made, `COVER` finds the choices. Smaller ones are
left alone: they save little, and what is bound to one place is as far from all it is made of.
"""

from itertools import count

__all__ = ["COVER", "make_wide_muxes"]

COVER = "muxcover -nopartial -mux16; opt_clean"
KIND, WORDS, SELECTS = "$_MUX16_", "ABCDEFGHIJKLMNOP", "STUV"
CHOICE = f"{0xCACA:016b}"  # of A and B by C


def make_wide_muxes(netlist):
    """Make all choices in a netlist of Yosys' write_json of cells of the ECP5, in place."""
    for module in netlist["modules"].values():
        cells = module["cells"]
        wires = _wires(module)
        for name in [name for name, cell in cells.items() if cell["type"] == KIND]:
            _make(cells, name, wires)


def _wires(module):
    """Return an iterator of wires that are new."""
    used = [bit for cell in module["cells"].values() for bits in cell["connections"].values() for bit in bits]
    used += [bit for port in module["ports"].values() for bit in port["bits"]]
    return count(1 + max((bit for bit in used if isinstance(bit, int)), default=1))


def _make(cells, name, wires):
    """Put tables and muxes in the place of the choice ``name``."""
    of = cells.pop(name)["connections"]
    words = [of[port][0] for port in WORDS]
    for level, select in enumerate(SELECTS):
        pairs = zip(words[::2], words[1::2])
        words = []
        for place, (low, high) in enumerate(pairs):
            words.append(of["Y"][0] if select == SELECTS[-1] else next(wires))
            cells[f"{name}_{level}_{place}"] = _cell(level, low, high, of[select][0], words[-1])


def _cell(level, low, high, select, output):
    """Return the cell of a choice of two at this level."""
    kind, ports, parameters = (
        ("LUT4", {"A": low, "B": high, "C": select, "D": "0"}, {"INIT": CHOICE}),
        ("PFUMX", {"BLUT": low, "ALUT": high, "C0": select}, {}),
        ("L6MUX21", {"D0": low, "D1": high, "SD": select}, {}),
    )[min(level, 2)]
    return {
        "type": kind, "parameters": parameters, "attributes": {},
        "port_directions": {**dict.fromkeys(ports, "input"), "Z": "output"},
        "connections": {port: [wire] for port, wire in {**ports, "Z": output}.items()},
    }
