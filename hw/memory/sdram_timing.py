"""When the pins of an SDRAM are looked at: the phase of its clock, and the edge at which words read are caught.

Every pin has its register in the FPGA's I/O cell. What is sent changes at edges of the core's clock. The part's clock
is that clock, late by a part of a period, and forwarded through the same kind of cell, so that both leave alike.
"""

from dataclasses import dataclass

from hw.memory.sdram_part import SdramPart

__all__ = ["PADS", "Pads", "PinTiming", "pin_timing"]

EDGES = (1, 2)  # of the core's clock, at which a word may be caught
FINE = 96  # phases of a period that are tried where no PLL is named


@dataclass(frozen=True, kw_only=True)
class Pads:
    """What lies between the edge of a clock inside the FPGA and the pins of the part beside it, in ns.

    Parameters
    ----------
    output_ns : (float, float)
        From the edge to the pad, of a register in an I/O cell: least and most.
    setup_ns, hold_ns : float
        How long a pad holds its level before and behind the edge at which such a register catches it.
    skew_ns : float
        By how much two outputs differ, the part's clock being one.
    wires_ns : (float, float)
        To the part and back, together.
    """

    output_ns: tuple[float, float]
    setup_ns: float
    hold_ns: float
    skew_ns: float
    wires_ns: tuple[float, float]


# Lattice, FPGA-DS-02012, "External Switching Characteristics", the column of -6: tCOPLL, tSUPLL, tHPLL and tSKEW_PRI.
# The data sheet has no shortest tCOPLL: half of the longest is taken. Wires are those of a few centimetres.
PADS = Pads(output_ns=(2.05, 4.1), setup_ns=0.85, hold_ns=0.98, skew_ns=0.51, wires_ns=(0.2, 0.8))


@dataclass(frozen=True)
class PinTiming:
    """How the pins of a part are clocked.

    Parameters
    ----------
    steps : int
        Into how many the PLL divides a period.
    step : int
        By how many of them the part's clock is late.
    edges : int
        A command leaves at an edge of the core's clock, and its word is caught the CAS latency, less one, plus
        ``edges`` edges later. As many cycles do the registers at the pins add (``pin_cycles`` of `SdramController`).
    margins : {str: float}
        What is left of a period, ns, at the part (``write setup``, ``write hold``) and at the FPGA (``read setup``,
        ``read hold``), when all figures are at their worst; negative where they do not fit.
    """

    steps: int
    step: int
    edges: int
    margins: dict[str, float]

    @property
    def least(self) -> float:
        """The smallest margin, ns."""
        return min(self.margins.values())


def pin_timing(part: SdramPart, clock_hz: float, steps: int = FINE, pads: Pads = PADS) -> PinTiming:
    """Return the timing of the largest smallest margin, with a PLL of so many ``steps`` in a period.

    ``edges`` does not depend on ``steps``.
    """
    fine = max((_timing(part, clock_hz, FINE, edges, pads) for edges in EDGES), key=lambda timing: timing.least)
    return _timing(part, clock_hz, steps, fine.edges, pads)


def _timing(part, clock_hz, steps, edges, pads):
    period = 1e9 / clock_hz

    def margins(step):
        late = period * step / steps
        leaves, returns = (end + wires for end, wires in zip(pads.output_ns, pads.wires_ns))
        return {
            "write setup": late - part.sent_setup_ns - pads.skew_ns,
            "write hold": period - late - part.sent_hold_ns - pads.skew_ns,
            "read setup": edges * period - late - returns - part.access_ns - pads.setup_ns,
            "read hold": late + period + leaves + part.hold_ns - edges * period - pads.hold_ns,
        }

    step = max(range(steps), key=lambda step: min(margins(step).values()))
    return PinTiming(steps, step, edges, {name: round(ns, 2) for name, ns in margins(step).items()})
