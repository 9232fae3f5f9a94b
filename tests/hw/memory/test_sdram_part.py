"""`hw.memory.sdram_part`: sizes, cycles at a clock, the slowest of several parts."""

import pytest

from gen.errors import InputError
from hw.memory.sdram_part import (
    COLORLIGHT_I5, IS42S16160G_7, M12L64322A_7, MT48LC16M16A2_75, ULX3S, W9825G6KH_6, SdramTiming, slowest,
)


def test_sizes():
    assert {part.title: part.megabytes for part in (W9825G6KH_6, IS42S16160G_7, MT48LC16M16A2_75, M12L64322A_7)} == {
        "W9825G6KH-6": 32, "IS42S16160G-7": 32, "MT48LC16M16A2-75": 32, "M12L64322A-7": 8,
    }
    assert ULX3S.megabytes == 32 and COLORLIGHT_I5.megabytes == 8
    assert ULX3S.address_bits == 24 and COLORLIGHT_I5.address_bits == 21


def test_cycles_are_whole_and_never_too_few():
    assert W9825G6KH_6.timing(100e6) == SdramTiming(
        cas=2, rcd=2, rp=2, ras=5, ras_max=10_000, rc=6, rrd=2, wr=2, rfc=6, mrd=2, retention=6_400_000,
        power_up=20_000,
    )
    assert W9825G6KH_6.timing(100.1e6).cas == 3
    fast = MT48LC16M16A2_75.timing(133.333e6)
    assert (fast.cas, fast.rcd, fast.rp, fast.ras, fast.rc, fast.rrd, fast.wr, fast.rfc) == (3, 3, 3, 6, 9, 2, 2, 9)
    slow = MT48LC16M16A2_75.timing(10e6)
    assert (slow.rcd, slow.rrd, slow.wr, slow.mrd) == (1, 2, 2, 2)


def test_a_time_that_is_whole_in_cycles_is_not_one_more():
    assert IS42S16160G_7.timing(1e9 / 7).rrd == 2 and IS42S16160G_7.timing(1e9 / 7).rc == 9


def test_a_clock_faster_than_the_part_is_refused():
    with pytest.raises(InputError, match="M12L64322A-7 runs at 143 MHz at most, .* is 150 MHz: ask for a slower"):
        M12L64322A_7.timing(150e6)


def test_the_slowest_of_several():
    assert (ULX3S.clock_ns, ULX3S.rcd_ns, ULX3S.rfc_ns, ULX3S.hold_ns) == ((10.0, 7.5), 20, 70, 2.5)
    with pytest.raises(ValueError, match="the parts of both differ in width: \\[16, 32\\]"):
        slowest("both", W9825G6KH_6, M12L64322A_7)
