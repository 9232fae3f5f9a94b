"""SDR SDRAM parts as data: organisation, and the times of their data sheets."""

import math
from dataclasses import dataclass, fields

from gen.errors import InputError

__all__ = ["BANK_BITS", "COLORLIGHT_I5", "IS42S16160G_7", "M12L64322A_7", "MT48LC16M16A2_75", "TANG_NANO_20K", "ULX3S",
           "W9825G6KH_6", "SdramPart", "SdramTiming", "slowest"]

BANK_BITS = 2
CASES = (2, 3)  # CAS latencies


@dataclass(frozen=True, kw_only=True)
class SdramTiming:
    """What the data sheet asks for at one clock, in cycles; ``cas`` is the CAS latency, the shortest allowed.

    ``ras_max``, ``retention`` are upper bounds, all others lower ones. ``wr`` counts from the last word written.
    """

    cas: int
    rcd: int
    rp: int
    ras: int
    ras_max: int
    rc: int
    rrd: int
    wr: int
    rfc: int
    mrd: int
    retention: int
    power_up: int


@dataclass(frozen=True, kw_only=True)
class SdramPart:
    """One part: four banks, sequential bursts.

    Parameters
    ----------
    title : str
    width : int
        Data pins.
    row_bits, column_bits : int
    clock_ns : (float, float)
        Shortest period of the clock with CAS latency 2, with 3.
    rcd_ns, rp_ns, ras_ns, rc_ns, rrd_ns, rfc_ns : float
        From opening a row: to a read or write, closing, opening another (``rc``) of this bank, one of another bank
        (``rrd``). From closing a bank to opening it (``rp``), from a refresh to whatever follows (``rfc``).
    ras_max_ns : float
        How long a row may stay open.
    wr_ns : float
        From the last word written to closing its row; two cycles at least.
    access_ns, hold_ns : float
        From the clock's edge until data read are there, and for how long they stay behind the next one; the slower
        CAS latency counts.
    sent_setup_ns, sent_hold_ns : float
        How long what is sent to it stands before the clock's edge, and behind it.
    refreshes, retention_ms : int, float
        How many refreshes are wanted within which time.
    power_up_us : float
        Before the first command.
    """

    title: str
    width: int
    row_bits: int
    column_bits: int
    clock_ns: tuple[float, float]
    rcd_ns: float
    rp_ns: float
    ras_ns: float
    rc_ns: float
    rrd_ns: float
    rfc_ns: float
    wr_ns: float
    access_ns: float
    hold_ns: float
    sent_setup_ns: float
    sent_hold_ns: float
    refreshes: int
    ras_max_ns: float = 100_000.0
    retention_ms: float = 64.0
    power_up_us: float = 200.0

    @property
    def address_bits(self) -> int:
        """Bits of the address of a word as wide as the pins."""
        return self.row_bits + BANK_BITS + self.column_bits

    @property
    def megabytes(self) -> float:
        """Size, in units of 2^20 bytes."""
        return 2**self.address_bits * self.width / 8 / 2**20

    def timing(self, clock_hz: float) -> SdramTiming:
        """Return the times in cycles of a clock.

        Raises
        ------
        InputError
            Where the clock is faster than the part.
        """
        fits = [cas for cas, period in zip(CASES, self.clock_ns) if clock_hz * period <= 1e9 * (1 + 1e-9)]
        if not fits:
            raise InputError(
                f"The SDRAM {self.title} runs at {1e3 / self.clock_ns[1]:.0f} MHz at most, and the clock asked for is "
                f"{clock_hz / 1e6:g} MHz: ask for a slower clock of the core."
            )

        def least(ns):
            return max(1, math.ceil(ns * clock_hz / 1e9 - 1e-6))

        return SdramTiming(
            cas=fits[0], rcd=least(self.rcd_ns), rp=least(self.rp_ns), ras=least(self.ras_ns), rc=least(self.rc_ns),
            rrd=max(2, least(self.rrd_ns)), wr=max(2, least(self.wr_ns)), rfc=least(self.rfc_ns), mrd=2,
            ras_max=math.floor(self.ras_max_ns * clock_hz / 1e9),
            retention=math.floor(self.retention_ms * clock_hz / 1e3), power_up=least(self.power_up_us * 1e3),
        )


# Winbond, "W9825G6KH 4 M x 4 banks x 16 bits SDRAM", 9.5 "AC Characteristics and Operating Condition", the column
# of -6; tWR, tRRD and tRSC are 2 tCK there. Of CAS latency 2 the column of -6I is taken: 10 ns.
W9825G6KH_6 = SdramPart(
    title="W9825G6KH-6", width=16, row_bits=13, column_bits=9, clock_ns=(10.0, 6.0), rcd_ns=15, rp_ns=15, ras_ns=42,
    rc_ns=60, rrd_ns=12, rfc_ns=60, wr_ns=12, access_ns=6, hold_ns=3, sent_setup_ns=1.5, sent_hold_ns=0.8,
    refreshes=8192,
)
# ISSI, "IS42S83200G, IS42S16160G", "AC Electrical Characteristics", the column of -7, and no time shorter than that
# of other revisions of the die.
IS42S16160G_7 = SdramPart(
    title="IS42S16160G-7", width=16, row_bits=13, column_bits=9, clock_ns=(10.0, 7.0), rcd_ns=20, rp_ns=20, ras_ns=42,
    rc_ns=63, rrd_ns=14, rfc_ns=70, wr_ns=14, access_ns=6.5, hold_ns=2.5, sent_setup_ns=1.5,
    sent_hold_ns=0.8, refreshes=8192,
)
# Micron, "256Mb: x4, x8, x16 SDRAM", tables of AC characteristics, the column of -75; 100 us at power-up would do.
MT48LC16M16A2_75 = SdramPart(
    title="MT48LC16M16A2-75", width=16, row_bits=13, column_bits=9, clock_ns=(10.0, 7.5), rcd_ns=20, rp_ns=20,
    ras_ns=44, rc_ns=66, rrd_ns=15, rfc_ns=66, wr_ns=15, access_ns=6, hold_ns=2.7, sent_setup_ns=1.5,
    sent_hold_ns=0.8, refreshes=8192,
)
# ESMT, "M12L64322A 512K x 32 bit x 4 banks", "Operating AC parameter", the column of -7; tRDL of 14 ns and 2 CLK.
M12L64322A_7 = SdramPart(
    title="M12L64322A-7", width=32, row_bits=11, column_bits=8, clock_ns=(10.0, 7.0), rcd_ns=20, rp_ns=20, ras_ns=42,
    rc_ns=63, rrd_ns=14, rfc_ns=63, wr_ns=14, access_ns=6, hold_ns=2.5, sent_setup_ns=2, sent_hold_ns=1,
    refreshes=4096,
)


def slowest(title: str, *parts: SdramPart) -> SdramPart:
    """Return a part that asks for what any of the parts asks for: a board is sold with one or another.

    Raises
    ------
    ValueError
        Where they are not organised alike.
    """
    chosen: dict = {"title": title, "clock_ns": tuple(map(max, zip(*(part.clock_ns for part in parts))))}
    for name in ("width", "row_bits", "column_bits", "refreshes"):
        values = {getattr(part, name) for part in parts}
        if len(values) > 1:
            raise ValueError(f"the parts of {title} differ in {name}: {sorted(values)}")
        chosen[name] = values.pop()
    shortest = {"hold_ns", "ras_max_ns", "retention_ms"}
    for name in {field.name for field in fields(SdramPart)} - set(chosen):
        chosen[name] = (min if name in shortest else max)(getattr(part, name) for part in parts)
    return SdramPart(**chosen)


ULX3S = slowest("SDRAM of a ULX3S", W9825G6KH_6, IS42S16160G_7, MT48LC16M16A2_75)
COLORLIGHT_I5 = M12L64322A_7
# Inside the package of a GW2AR-18 (Gowin, DS226: 64 Mbit of 32 bits). Gowin does not name the die; LiteX's board takes
# it for an M12L64322A, and so do we.
TANG_NANO_20K = M12L64322A_7
