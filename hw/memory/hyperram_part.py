"""HyperRAM parts as data, their pins, and the words that a bus transaction begins with."""

import math
from dataclasses import dataclass

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import InputError

__all__ = ["CA_CLOCKS", "TANG_NANO_9K", "HyperRamPart", "HyperRamTiming", "configuration", "hyperram_pins"]

CA_CLOCKS = 3  # of command and address, two bytes each
LATENCY_CODES = {3: 0b1110, 4: 0b1111, 5: 0b0000, 6: 0b0001}


@dataclass(frozen=True, kw_only=True)
class HyperRamTiming:
    """What the data sheet asks for at one clock, in cycles; ``select`` is an upper bound, all others are lower ones."""

    latency: int
    recovery: int
    select: int
    power_up: int


@dataclass(frozen=True, kw_only=True)
class HyperRamPart:
    """Dies of HyperRAM side by side, a byte of the bus each, that are told the same.

    Parameters
    ----------
    title : str
    dies : int
    address_bits : int
        Of a word of 16 bits in a die.
    latency_mhz : {clocks: MHz}
        Up to which clock an initial latency of so many clocks is enough.
    recovery_ns, select_us, power_up_us : float
        Between two transactions; of one at most, so that the part can refresh itself; before the first.
    """

    title: str
    dies: int
    address_bits: int
    latency_mhz: tuple[tuple[int, float], ...] = ((3, 83.0), (4, 100.0), (5, 133.0), (6, 166.0))
    recovery_ns: float = 40.0
    select_us: float = 4.0
    power_up_us: float = 150.0

    @property
    def width(self) -> int:
        """Bits that are moved in one clock, its two edges together."""
        return 16 * self.dies

    def timing(self, clock_hz: float) -> HyperRamTiming:
        """Return the times in cycles of a clock.

        Raises
        ------
        InputError
            Where the clock is faster than the part.
        """
        fits = [clocks for clocks, most in self.latency_mhz if clock_hz <= most * 1e6]
        if not fits:
            raise InputError(
                f"The HyperRAM {self.title} runs at {self.latency_mhz[-1][1]:g} MHz at most, and the clock asked for "
                f"is {clock_hz / 1e6:g} MHz: ask for a slower clock of the core."
            )
        return HyperRamTiming(
            latency=fits[0], recovery=max(1, math.ceil(self.recovery_ns * clock_hz / 1e9 - 1e-6)),
            select=math.floor(self.select_us * clock_hz / 1e6), power_up=math.ceil(self.power_up_us * clock_hz / 1e6),
        )


# Winbond, "W955D8MBYA 32Mb HyperRAM": tRWR 40 ns, tCSM 4 us, tVCS 150 us, its table of latency codes. The package of a
# GW1NR-9C holds two dies of 32 Mbit (Gowin, DS117).
TANG_NANO_9K = HyperRamPart(title="two dies of W955D8MBYA", dies=2, address_bits=21)


def configuration(latency: int) -> int:
    """Return configuration register 0: twice this latency before every access, linear bursts, all else as at reset."""
    return 0x8F0F | LATENCY_CODES[latency] << 4


def hyperram_pins(part: HyperRamPart) -> wiring.Signature:
    """Return the signature of the pins, seen from the controller; both halves of a clock's cycle side by side.

    The cells of the pins send the first half at the rising edge of ``sync``, the second at the falling one, and a pulse
    of the part's clock a quarter of a period later where ``ck`` is 1. ``dq`` of a half is a byte of each die.

    Members
    -------
    reset, cs : Out(1)
        Asserted when 1.
    ck : Out(1)
    dq_o, dq_oe, dq_i : Out(16 * dies), Out(1), In(16 * dies)
        The first half lowest.
    rwds_o, rwds_oe, rwds_i : Out(1), Out(1), In(2)
        What is sent is the same in both halves and for all dies: 0, no byte is masked. What comes is that of the first
        die.
    """
    return wiring.Signature({
        "reset": Out(1, init=1), "cs": Out(1), "ck": Out(1), "dq_o": Out(part.width), "dq_oe": Out(1),
        "dq_i": In(part.width), "rwds_o": Out(1), "rwds_oe": Out(1), "rwds_i": In(2),
    })
