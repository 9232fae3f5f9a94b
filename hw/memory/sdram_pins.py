"""The pins of an SDR SDRAM, and the commands that they say."""

import enum

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.memory.sdram_part import BANK_BITS, SdramPart

__all__ = ["ALL_BANKS", "Command", "mode_register", "sdram_pins"]

ALL_BANKS = 10  # bit of the address: of a precharge it means all banks, of a read or write: close the row behind it
ROW_BITS_LEAST = ALL_BANKS + 1


class Command(enum.IntEnum):
    """What ``ras``, ``cas`` and ``we`` say together, ``ras`` the lowest bit, 1 for an asserted (low) pin."""

    NOP = 0
    ACTIVE = 1
    READ = 2
    REFRESH = 3
    STOP = 4
    PRECHARGE = 5
    WRITE = 6
    MODE = 7


def mode_register(burst: int, cas: int) -> int:
    """Return the mode register for sequential bursts of 1, 2, 4 or 8 words, written as long as read."""
    return burst.bit_length() - 1 | cas << 4


def sdram_pins(part: SdramPart) -> wiring.Signature:
    """Return the signature of the pins, seen from the controller.

    Members
    -------
    ras, cas, we : Out(1)
        Asserted when 1; the pins are active low. Chip select and clock enable are asserted all the time.
    ba, a : Out(2), Out(row bits, 11 at least)
    dqm : Out(1)
        Of all bytes: 1 until the memory is up.
    dq_o, dq_oe, dq_i : Out(width), Out(1), In(width)
    """
    return wiring.Signature({
        "ras": Out(1), "cas": Out(1), "we": Out(1), "ba": Out(BANK_BITS), "a": Out(max(part.row_bits, ROW_BITS_LEAST)),
        "dqm": Out(1), "dq_o": Out(part.width), "dq_oe": Out(1), "dq_i": In(part.width),
    })
