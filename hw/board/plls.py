"""What the PLL of each family of parts can do, the search for its dividers, and the primitive that it is.

Limits are those of the data sheets, at the slowest speed grade of the boards here: Lattice FPGA-DS-02012 (ECP5,
sysCLOCK PLL timing) and FPGA-TN-02200, FPGA-DS-02008 and FPGA-TN-02052 (iCE40 UltraPlus), Gowin DS117 and DS226 with
UG286 (rPLL), AMD DS181 with UG472 (MMCM of the 7 series).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from amaranth.hdl import Const, Instance, Signal

from gen.errors import InputError

__all__ = ["PLLS", "Pll", "Setting"]


@dataclass(frozen=True)
class Setting:
    """Dividers of a PLL, and the frequencies, MHz, that they give; ``detector`` is the phase detector's."""

    source: Fraction
    reference: int
    multiplier: int
    divider: int
    vco: Fraction
    output: Fraction

    @property
    def detector(self):
        """Frequency at the phase detector, MHz."""
        return self.source / self.reference


@dataclass(frozen=True, kw_only=True)
class Pll:
    """A kind of PLL: detector = source / reference, output = vco / divider, vco = detector * multiplier.

    Parameters
    ----------
    detector, vco, output : (lowest, highest), MHz
    references, multipliers, dividers : sequences of int
    from_output : bool
        The feedback is taken from the output: vco = detector * multiplier * divider.
    instance : callable(setting, clock, output, locked[, late, step]) -> list of Instance
        ``late``, only with ``steps``: another output of the same frequency, ``step`` of them behind the first.
    steps : callable(setting) -> int or None
        Into how many steps a period of the output is divided; None: the second output is not made here.
    takes_pin : bool
        The PLL takes the oscillator's pin itself, not a signal behind an input buffer.
    """

    detector: tuple
    vco: tuple
    output: tuple
    references: range
    multipliers: range
    dividers: Sequence[int]
    instance: Callable
    steps: Callable[[Setting], int] | None = None
    from_output: bool = False
    takes_pin: bool = False

    def setting(self, source_mhz, wanted_mhz):
        """Return the setting of the highest output that is not above ``wanted_mhz``.

        Of those that give the same output, the one with the fastest phase detector, then the fastest VCO: the
        least jitter.

        Raises
        ------
        InputError : the PLL reaches nothing near ``wanted_mhz`` from this oscillator; says what it reaches.
        """
        source, wanted = _exact(source_mhz), _exact(wanted_mhz)
        low, high = self.reach(source_mhz)
        if not low <= wanted <= high:
            raise InputError(
                f"A core clock of {float(wanted):g} MHz cannot be made: the PLL of this part gives {float(low):.4g} to "
                f"{float(high):.4g} MHz from the board's oscillator of {float(source):g} MHz. Choose another --clock."
            )
        lower = []
        for reference, multiplier, vco, dividers in self._oscillations(source):
            divider = next((d for d in dividers if d * wanted >= vco), None)
            if divider and _within(vco / divider, self.output):
                lower.append(Setting(source, reference, multiplier, divider, vco, vco / divider))
        return max(lower, key=lambda s: (s.output, s.detector, s.vco))

    def reach(self, source_mhz):
        """Return the lowest and the highest output, MHz, from an oscillator of ``source_mhz``."""
        outputs = [
            vco / divider for _, _, vco, dividers in self._oscillations(_exact(source_mhz))
            for divider in dividers if self.output[0] * divider <= vco <= self.output[1] * divider
        ]
        return min(outputs), max(outputs)

    def _oscillations(self, source):
        """Yield (reference, multiplier, vco, dividers that leave it so), everything within the limits."""
        for reference in self.references:
            if not _within(source / reference, self.detector):
                continue
            for multiplier in self.multipliers:
                once = source / reference * multiplier
                for vco, dividers in (
                    ((once * d, (d,)) for d in self.dividers) if self.from_output else ((once, self.dividers),)
                ):
                    if _within(vco, self.vco):
                        yield reference, multiplier, vco, dividers


def _exact(mhz):
    return Fraction(mhz).limit_denominator(10**6)


def _within(value, limits):
    return limits[0] <= value <= limits[1]


PHASES = 8  # of a VCO's cycle, on an ECP5


def _ecp5(s, clock, output, locked, late=None, step=0):
    """CLKOP runs at the phase detector's frequency and is fed back; CLKOS is the output, with its own divider.

    CLKOS2 is CLKOS again, so many phases of the VCO later.
    """
    feedback = Signal()
    again = {} if late is None else {
        "a_FREQUENCY_PIN_CLKOS2": f"{float(s.output):.6g}", "p_CLKOS2_ENABLE": "ENABLED", "p_CLKOS2_DIV": s.divider,
        "p_CLKOS2_CPHASE": s.divider - 1 + step // PHASES, "p_CLKOS2_FPHASE": step % PHASES, "o_CLKOS2": late,
    }
    return [Instance(
        "EHXPLLL",
        a_FREQUENCY_PIN_CLKI=f"{float(s.source):.6g}", a_FREQUENCY_PIN_CLKOS=f"{float(s.output):.6g}",
        a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
        p_CLKI_DIV=s.reference, p_CLKFB_DIV=1, p_FEEDBK_PATH="CLKOP", p_INTFB_WAKE="DISABLED",
        p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=s.multiplier, p_CLKOP_CPHASE=s.multiplier - 1, p_CLKOP_FPHASE=0,
        p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=s.divider, p_CLKOS_CPHASE=s.divider - 1, p_CLKOS_FPHASE=0,
        p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB",
        p_PLLRST_ENA="DISABLED", p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
        i_CLKI=clock, i_CLKFB=feedback, o_CLKOP=feedback, o_CLKOS=output, o_LOCK=locked, **again,
        **{f"i_{name}": Const(0) for name in (
            "RST", "STDBY", "PHASESEL0", "PHASESEL1", "PHASEDIR", "PHASESTEP", "PHASELOADREG", "PLLWAKESYNC", "ENCLKOP",
        )},
    )]


def _ice40(s, clock, output, locked):
    ranges = (17, 26, 44, 66, 101)  # MHz at the phase detector where the next loop filter begins
    return [Instance(
        "SB_PLL40_PAD",
        p_FEEDBACK_PATH="SIMPLE", p_DIVR=Const(s.reference - 1, 4), p_DIVF=Const(s.multiplier - 1, 7),
        p_DIVQ=Const(s.divider.bit_length() - 1, 3),
        p_FILTER_RANGE=Const(1 + sum(s.detector >= limit for limit in ranges), 3),
        i_PACKAGEPIN=clock, o_PLLOUTGLOBAL=output, o_LOCK=locked, i_RESETB=Const(1), i_BYPASS=Const(0),
    )]


def _gowin(device):
    def instance(s, clock, output, locked, late=None, step=0):
        return [Instance(
            "rPLL",
            p_DEVICE=device, p_FCLKIN=f"{float(s.source):g}", p_CLKFB_SEL="internal",
            p_IDIV_SEL=s.reference - 1, p_FBDIV_SEL=s.multiplier - 1, p_ODIV_SEL=s.divider,
            p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false", p_DYN_DA_EN="false",
            p_PSDA_SEL=f"{step:04b}", p_DUTYDA_SEL="1000", p_DYN_SDIV_SEL=2,
            p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false", p_CLKOUTD_BYPASS="false",
            p_CLKOUTD_SRC="CLKOUT", p_CLKOUTD3_SRC="CLKOUT",
            i_CLKIN=clock, o_CLKOUT=output, o_LOCK=locked, i_CLKFB=Const(0), i_RESET=Const(0), i_RESET_P=Const(0),
            **({} if late is None else {"o_CLKOUTP": late}),
            **{f"i_{name}": Const(0, 6) for name in ("FBDSEL", "IDSEL", "ODSEL")},
            **{f"i_{name}": Const(0, 4) for name in ("PSDA", "DUTYDA", "FDLY")},
        )]
    return instance


def _xilinx7(s, clock, output, locked):
    feedback, fast = Signal(), Signal()
    return [
        Instance(
            "MMCME2_BASE",
            p_CLKIN1_PERIOD=float(1000 / s.source), p_DIVCLK_DIVIDE=s.reference,
            p_CLKFBOUT_MULT_F=float(s.multiplier), p_CLKOUT0_DIVIDE_F=float(s.divider),
            i_CLKIN1=clock, i_CLKFBIN=feedback, o_CLKFBOUT=feedback, o_CLKOUT0=fast, o_LOCKED=locked,
            i_RST=Const(0), i_PWRDWN=Const(0),
        ),
        Instance("BUFG", i_I=fast, o_O=output),
    ]


_RPLL_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)

PLLS = {
    "ecp5": Pll(
        detector=(10, 400), vco=(400, 800), output=(Fraction("3.125"), 400),
        references=range(1, 129), multipliers=range(1, 129), dividers=range(1, 129), instance=_ecp5,
        steps=lambda setting: PHASES * setting.divider,
    ),
    "ice40": Pll(
        detector=(10, 133), vco=(533, 1066), output=(16, 275),
        references=range(1, 17), multipliers=range(1, 129), dividers=(2, 4, 8, 16, 32, 64), instance=_ice40,
        takes_pin=True,
    ),
    "gw1n": Pll(
        detector=(3, 400), vco=(400, 1200), output=(Fraction("3.125"), 600), from_output=True,
        references=range(1, 65), multipliers=range(1, 65), dividers=_RPLL_DIVIDERS, instance=_gowin("GW1NR-9C"),
    ),
    "gw2a": Pll(
        detector=(3, 500), vco=(500, 1250), output=(Fraction("3.90625"), 625), from_output=True,
        references=range(1, 65), multipliers=range(1, 65), dividers=_RPLL_DIVIDERS, instance=_gowin("GW2AR-18C"),
        steps=lambda setting: 16,
    ),
    "xilinx7": Pll(
        detector=(10, 450), vco=(600, 1200), output=(Fraction("4.69"), 800),
        references=range(1, 107), multipliers=range(2, 65), dividers=range(1, 129), instance=_xilinx7,
    ),
}
