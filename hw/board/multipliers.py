"""The register of a product moves into the multiplier before it, on the ECP5.

Yosys leaves that register beside MULT18X18D, which has one of its own inside: 36 flip-flops, and a wire as long as the
way to the nearest free ones, which was the slowest path of a core. Inputs keep their registers outside: those of the
weights stand beside the block RAMs, whose outputs are slow.
"""

from hw.board.refining import count_readers, plain_registers

__all__ = ["absorb_registers"]

MULTIPLIER = "MULT18X18D"
# As Lattice's generator sets them; the clock is always enabled, nothing but the global reset clears the register.
REGISTERED = {
    "REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0", "GSR": "ENABLED", "RESETMODE": "SYNC",
}


def absorb_registers(netlist):
    """Move registers of products into their multipliers, in place.

    It is all of a product's bits or none: each bit in use goes to one flip-flop and nowhere else, all of one clock,
    without enable or reset, 0 in the beginning.
    """
    for module in netlist["modules"].values():
        cells, readers, registers = module["cells"], count_readers(module), plain_registers(module["cells"])
        for cell in [cell for cell in cells.values() if cell["type"] == MULTIPLIER]:
            outputs = {
                port: bits[0] for port, bits in cell["connections"].items()
                if cell["port_directions"][port] == "output" and readers[bits[0]]
            }
            if any(readers[bit] > 1 or bit not in registers for bit in outputs.values()):
                continue
            clocks = {cells[registers[bit]]["connections"]["CLK"][0] for bit in outputs.values()}
            if len(clocks) != 1:
                continue
            for port, bit in outputs.items():
                cell["connections"][port] = cells.pop(registers[bit])["connections"]["Q"]
            cell["parameters"].update(REGISTERED)
            cell["connections"] |= {"CLK0": [clocks.pop()], "CE0": ["1"], "RST0": ["0"]}
            cell["port_directions"] |= dict.fromkeys(("CLK0", "CE0", "RST0"), "input")
