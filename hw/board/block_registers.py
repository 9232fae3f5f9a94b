"""The register behind a block RAM moves into the block, on the ECP5.

Yosys leaves it beside DP16KD, which has one of its own inside: so many flip-flops, and a wire from the block's slow
output to each of them. With the register inside, a word leaves the block as early as from a flip-flop.
"""

from hw.board.refining import count_readers, plain_registers

__all__ = ["absorb_block_registers"]

BLOCK, READ = "DP16KD", "DOB"  # Yosys reads at this port of a memory with one port for each


def absorb_block_registers(netlist):
    """Move the registers behind the read ports of block RAMs into the blocks, in place.

    It is all bits of a block or none: each bit in use goes to one flip-flop and nowhere else, all of the clock of the
    port, without enable or reset, 0 in the beginning; the port is always enabled.
    """
    for module in netlist["modules"].values():
        cells, readers, registers = module["cells"], count_readers(module), plain_registers(module["cells"])
        for cell in [cell for cell in cells.values() if cell["type"] == BLOCK]:
            wires = cell["connections"]
            used = {port: bits[0] for port, bits in wires.items() if port.startswith(READ) and readers[bits[0]]}
            behind = {port: registers.get(bit) for port, bit in used.items() if readers[bit] == 1}
            found = [cells[name]["connections"]["CLK"] for name in behind.values() if name]
            if not used or found != [wires["CLKB"]] * len(used) or wires["CEB"] != ["1"]:
                continue
            for port, name in behind.items():
                wires[port] = cells.pop(name)["connections"]["Q"]
            cell["parameters"]["REGMODE_B"] = "OUTREG"
