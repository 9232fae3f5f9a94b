"""Dividers against the limits of the data sheets, the primitives as they are emitted."""

from fractions import Fraction

import pytest
from amaranth.hdl import Signal

from gen.errors import InputError
from gen.plan.target import TARGETS
from hw.board.plls import PLLS

# MHz: phase detector, VCO, output. Lattice FPGA-DS-02012, FPGA-DS-02008; Gowin DS117, DS226; AMD DS181.
LIMITS = {
    "ecp5": ((10, 400), (400, 800), (3.125, 400)), "ice40": ((10, 133), (533, 1066), (16, 275)),
    "gw1n": ((3, 400), (400, 1200), (3.125, 600)), "gw2a": ((3, 500), (500, 1250), (3.90625, 625)),
    "xilinx7": ((10, 450), (600, 1200), (4.69, 800)),
}


def vco(family, s):
    """The VCO's frequency as the family's documents have it."""
    return s.source / s.reference * s.multiplier * (s.divider if family.startswith("gw") else 1)


@pytest.mark.parametrize("wanted", [17, 24.5, 62.5, 75.3, 100])
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_every_setting_is_within_the_limits(target, wanted):
    s = PLLS[target.family].setting(target.clock_mhz, wanted)
    detector, oscillator, output = LIMITS[target.family]
    assert detector[0] <= s.source / s.reference <= detector[1]
    assert oscillator[0] <= vco(target.family, s) <= oscillator[1] and s.vco == vco(target.family, s)
    assert output[0] <= s.output <= output[1] and s.output == s.vco / s.divider
    assert 0.95 * wanted < s.output <= wanted


def test_the_core_clock_of_every_board_is_met_closely():
    for target in TARGETS.values():
        setting = PLLS[target.family].setting(target.clock_mhz, target.core_mhz)
        assert abs(setting.output - Fraction(target.core_mhz)) < 0.5, target.name


@pytest.mark.parametrize("family, source, wanted, dividers", [
    ("ecp5", 25, 62.5, (1, 30, 12)),     # VCO 750
    ("ice40", 12, 24, (1, 64, 32)),      # what icepll prints: DIVR 0, DIVF 63, DIVQ 5
    ("gw1n", 27, 54, (1, 2, 16)),        # VCO 864
    ("xilinx7", 100, 80, (1, 12, 15)),   # VCO 1200
])
def test_known_settings(family, source, wanted, dividers):
    s = PLLS[family].setting(source, wanted)
    assert (s.reference, s.multiplier, s.divider) == dividers and s.output == Fraction(wanted)


def test_what_cannot_be_had_is_the_next_lower():
    assert float(PLLS["ice40"].setting(12, 23.9).output) == 23.625
    assert float(PLLS["ecp5"].setting(25, 62.49).output) == pytest.approx(61.538, abs=1e-3)


@pytest.mark.parametrize("family, source, wanted, text", [
    ("ice40", 12, 5, r"A core clock of 5 MHz cannot be made: the PLL of this part gives 16.\d+ to 27\d MHz from the "
                     r"board's oscillator of 12 MHz. Choose another --clock."),
    ("ecp5", 25, 500, "A core clock of 500 MHz cannot be made: the PLL of this part gives 3.125 to 400 MHz"),
])
def test_a_clock_out_of_reach_is_refused(family, source, wanted, text):
    with pytest.raises(InputError, match=text):
        PLLS[family].setting(source, wanted)


def parameters(family, source, wanted):
    """Return the parameters of the primitive of a setting."""
    setting = PLLS[family].setting(source, wanted)
    instance = PLLS[family].instance(setting, Signal(), Signal(), Signal())[0]
    return instance.type, {name: getattr(value, "value", value) for name, value in instance.parameters.items()}


def test_the_primitives_say_the_dividers_as_their_documents_do():
    kind, p = parameters("ecp5", 25, 62.5)
    assert kind == "EHXPLLL" and (p["CLKI_DIV"], p["CLKFB_DIV"], p["CLKOP_DIV"], p["CLKOS_DIV"]) == (1, 1, 30, 12)
    assert p["FEEDBK_PATH"] == "CLKOP"
    kind, p = parameters("ice40", 12, 24)
    assert kind == "SB_PLL40_PAD" and (p["DIVR"], p["DIVF"], p["DIVQ"], p["FILTER_RANGE"]) == (0, 63, 5, 1)
    kind, p = parameters("gw1n", 27, 54)
    assert kind == "rPLL" and (p["IDIV_SEL"], p["FBDIV_SEL"], p["ODIV_SEL"]) == (0, 1, 16)
    assert (p["FCLKIN"], p["DEVICE"]) == ("27", "GW1NR-9C")
    assert parameters("gw2a", 27, 54)[1]["DEVICE"] == "GW2AR-18C"
    kind, p = parameters("xilinx7", 100, 80)
    assert kind == "MMCME2_BASE" and (p["DIVCLK_DIVIDE"], p["CLKFBOUT_MULT_F"], p["CLKOUT0_DIVIDE_F"]) == (1, 12, 15)
    assert p["CLKIN1_PERIOD"] == 10


def late(family, source, wanted, step):
    """Return the parameters of the primitive with a second output, and its name."""
    setting = PLLS[family].setting(source, wanted)
    instance = PLLS[family].instance(setting, Signal(), Signal(), Signal(), output := Signal(), step)[0]
    name = next(name for name, (value, _) in instance.ports.items() if value is output)
    return name, {name: getattr(value, "value", value) for name, value in instance.parameters.items()}


def test_a_second_output_is_the_first_one_late():
    """Of an ECP5 in eighths of the VCO's cycle, behind the phase of the first output; of Gowin's in sixteenths."""
    name, p = late("ecp5", 25, 96, 35)  # VCO 575, of 48 steps
    assert name == "CLKOS2" and PLLS["ecp5"].steps(PLLS["ecp5"].setting(25, 96)) == 48
    assert (p["CLKOS_DIV"], p["CLKOS_CPHASE"], p["CLKOS_FPHASE"]) == (6, 5, 0)
    assert (p["CLKOS2_DIV"], p["CLKOS2_CPHASE"], p["CLKOS2_FPHASE"], p["CLKOS2_ENABLE"]) == (6, 5 + 4, 3, "ENABLED")
    name, p = late("gw2a", 27, 108, 11)
    assert name == "CLKOUTP" and PLLS["gw2a"].steps(PLLS["gw2a"].setting(27, 108)) == 16
    assert (p["PSDA_SEL"], p["DUTYDA_SEL"]) == ("1011", "1000")
    assert "CLKOS2_DIV" not in parameters("ecp5", 25, 96)[1] and parameters("gw2a", 27, 108)[1]["PSDA_SEL"] == "0000"
    assert PLLS["ice40"].steps is PLLS["xilinx7"].steps is None
