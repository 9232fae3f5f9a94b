"""The register behind a block RAM moves into the block, on the ECP5.

Yosys leaves it beside DP16KD, which has one of its own inside: so many flip-flops, and a wire from the block's slow
output to each of them. With the register inside, a word leaves the block as early as from a flip-flop. What goes to a
multiplier keeps its register on the way: blocks and multipliers lie far apart.
"""

from hw.board.refining import count_readers, plain_registers

__all__ = ["absorb_block_registers"]

BLOCK, MULTIPLIER = "DP16KD", "MULT18X18D"
READ = "DOB"  # Yosys reads at this port of a memory with one port for each


def absorb_block_registers(netlist):
    """Move the registers behind the read ports of block RAMs into the blocks, in place.

    It is all bits of a block or none: each bit in use goes to one flip-flop and nowhere else, all of the clock of the
    port, without enable or reset, 0 in the beginning, before no multiplier; the port is always enabled.
    """
    for module in netlist["modules"].values():
        cells, readers, registers = module["cells"], count_readers(module), plain_registers(module["cells"])
        factors = {bit for cell in cells.values() if cell["type"] == MULTIPLIER
                   for port, bits in cell["connections"].items() if cell["port_directions"][port] == "input"
                   for bit in bits}
        for cell in [cell for cell in cells.values() if cell["type"] == BLOCK]:
            wires = cell["connections"]
            used = {port: bits[0] for port, bits in wires.items() if port.startswith(READ) and readers[bits[0]]}
            behind = {port: registers.get(bit) for port, bit in used.items() if readers[bit] == 1}
            found = [cells[name]["connections"] for name in behind.values() if name]
            if not used or len(found) < len(used) or wires["CEB"] != ["1"]:
                continue
            if any(each["CLK"] != wires["CLKB"] or each["Q"][0] in factors for each in found):
                continue
            for port, name in behind.items():
                wires[port] = cells.pop(name)["connections"]["Q"]
            cell["parameters"]["REGMODE_B"] = "OUTREG"
