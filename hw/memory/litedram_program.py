"""The accesses to LiteDRAM's registers that start a DDR3: its mode registers, then the read leveling of an ECP5.

LiteDRAM leaves both to software on a CPU (``sdram_init`` of litex/soc/software/liblitedram/sdram.c, BSD-2, release
2024.12). The steps here are the same, in parts; `hw.memory.litedram_start` is the machine that runs them.
"""

from collections.abc import Iterator
from enum import IntEnum

__all__ = [
    "CAS_LATENCY", "CAS_WRITE_LATENCY", "DELAYS", "LANES", "MODE_REGISTERS", "Op", "Part", "READ_PHASE", "REGISTERS",
    "SLIPS", "WRITE_PHASE", "entries", "word_address",
]

# Byte addresses that a core of two byte lanes and two phases has, made for no CPU; its csr.csv must say the same.
REGISTERS = {
    "ddrctrl_init_done": 0x0000, "ddrphy_dly_sel": 0x0800, "ddrphy_rdly_dq_rst": 0x0804, "ddrphy_rdly_dq_inc": 0x0808,
    "ddrphy_rdly_dq_bitslip_rst": 0x080C, "ddrphy_rdly_dq_bitslip": 0x0810, "ddrphy_burstdet_clr": 0x0814,
    "ddrphy_burstdet_seen": 0x0818, "sdram_dfii_control": 0x1000,
    **{f"sdram_dfii_pi{phase}_{name}": 0x1004 + 0x20 * phase + offset for phase in (0, 1) for name, offset in {
        "command": 0x00, "command_issue": 0x04, "address": 0x08, "baddress": 0x0C, "wrdata": 0x10, "rddata": 0x18,
    }.items()},
}
LANES, SLIPS, DELAYS = 2, 4, 8  # byte lanes; positions of a lane's words, and of its strobe, each of which wraps
READ_PHASE, WRITE_PHASE = 0, 1
HARDWARE, CKE, ODT, RESET_N = 1, 2, 4, 8  # of sdram_dfii_control
CS, WE, CAS, RAS, WRITES, READS = 1, 2, 4, 8, 16, 32  # of a command

# JEDEC JESD79-3F, 3.4.3, at the slowest clocks of a DDR3. Output drivers of 34 ohms, terminations of 60.
CAS_LATENCY, CAS_WRITE_LATENCY = 6, 5
MODE_REGISTERS = {
    2: 0b01 << 9,                                   # RTT_WR of RZQ/4; CAS write latency 5
    3: 0,
    1: 1 << 1 | 1 << 2,                             # drivers of RZQ/7; RTT_NOM of RZQ/4; the DLL is on
    0: (CAS_LATENCY - 4) << 4 | 1 << 8 | 0b001 << 9,  # bursts of 8; reset of the DLL; write recovery of 5 cycles
}
LONG_CALIBRATION = 1 << 10  # A10 with ZQCL
RESET_NS, CKE_NS = 200_000, 500_000  # JESD79-3F, 3.3.1: reset held low, then until CKE
SETTLE_NS = 20_000  # tXPR, tDLLK (512 cycles) and tZQinit are shorter at any clock here
PAUSE = 16  # cycles: between commands of a test

# What is written and read: binary digits of pi, words of 32 bits, four to a burst.
PATTERNS = (
    (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0, 0x082EFA98, 0xEC4E6C89),
    (0x452821E6, 0x38D01377, 0xBE5466CF, 0x34E90C6C),
)


class Op(IntEnum):
    """What an entry does."""

    WRITE, SELECT, CHECK, SEEN, WAIT, END = range(6)  # SELECT writes the lanes that are turned, SEEN checks a bit each


class Part(IntEnum):
    """What is run in one go."""

    BEGIN, TEST, LATER, SLIP, FINISH = range(5)


def entries(part: Part, clock_hz: float) -> Iterator[tuple[Op, str, int]]:
    """Yield (operation, register, data) of a part."""
    def wait(nanoseconds):
        return Op.WAIT, "", max(PAUSE, round(nanoseconds * clock_hz / 1e9))

    def command(phase, bits, address=0, bank=0):
        pins = f"sdram_dfii_pi{phase}_"
        return [(Op.WRITE, pins + name, value) for name, value in (
            ("address", address), ("baddress", bank), ("command", bits), ("command_issue", 1))]

    def turned(*registers):  # all lanes paused and released together afterwards, or their pointers differ
        yield Op.SELECT, "ddrphy_dly_sel", 0
        yield from ((Op.WRITE, register, 1) for register in registers)
        yield from ((Op.WRITE, "ddrphy_dly_sel", value) for value in (0, 2**LANES - 1, 0))

    if part is Part.BEGIN:
        yield Op.WRITE, "ddrctrl_init_done", 0
        for level, nanoseconds in ((0, RESET_NS), (ODT | RESET_N, CKE_NS), (CKE | ODT | RESET_N, SETTLE_NS)):
            yield Op.WRITE, "sdram_dfii_control", level
            yield wait(nanoseconds)
        for bank, value in MODE_REGISTERS.items():
            yield from command(0, RAS | CAS | WE | CS, value, bank)
            yield wait(0)
        yield wait(SETTLE_NS)
        yield from command(0, WE | CS, LONG_CALIBRATION)
        yield wait(SETTLE_NS)
        yield from turned("ddrphy_rdly_dq_rst", "ddrphy_rdly_dq_bitslip_rst")
    elif part is Part.TEST:
        places = [(phase, 4 * half) for phase in (0, 1) for half in (0, 1)]
        for pattern in PATTERNS:
            yield from command(0, RAS | CS)
            yield wait(0)
            yield from ((Op.WRITE, f"sdram_dfii_pi{phase}_wrdata+{offset}", word)
                        for (phase, offset), word in zip(places, pattern))
            yield from command(WRITE_PHASE, CAS | WE | CS | WRITES)
            yield wait(0)
            yield Op.WRITE, "ddrphy_burstdet_clr", 1
            yield from command(READ_PHASE, CAS | CS | READS)
            yield wait(0)
            yield from command(0, RAS | WE | CS)
            yield wait(0)
            yield from ((Op.CHECK, f"sdram_dfii_pi{phase}_rddata+{offset}", word)
                        for (phase, offset), word in zip(places, pattern))
            yield Op.SEEN, "ddrphy_burstdet_seen", 0
    elif part is Part.LATER:
        yield from turned("ddrphy_rdly_dq_inc")
    elif part is Part.SLIP:
        yield from turned("ddrphy_rdly_dq_bitslip")
    else:
        yield Op.WRITE, "sdram_dfii_control", HARDWARE
        yield Op.WRITE, "ddrctrl_init_done", 1
    yield Op.END, "", 0


def word_address(register: str) -> int:
    """Return the address of a word; ``register`` may have an offset in bytes behind a ``+``."""
    name, _, offset = register.partition("+")
    return (REGISTERS[name] + int(offset or 0)) // 4 if name else 0
