"""`hw.core.pass_reader`: when a tile is made of steps that are kept, proved for every program."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal

from hw.core.pass_reader import PassReader
from tests.kit.proof import Disproved, prove

STEPS = 29  # cycles: a pass read ahead and begun, three of its tiles
RESTS = 2  # from one tile to the next, at least
SIZES = {"windows": 0, "synapses": 2, "quick": 1, "program": 16, "turns_bits": 1, "address_bits": 4, "place_bits": 2,
         "weights": 8, "parameters": 4}


def quick_claims(reader, rests=RESTS, read=0):
    """Claim that a step is added that was read for the pass in force, ``rests`` cycles behind whatever went before.

    ``read``: levels of which it is known that nothing was.
    """
    def claims(m: Module):
        level, moved, late = Signal.like(reader.level), Signal(), Signal.like(reader.level)
        goes, adds = reader.restart | reader.advance, reader.add | reader.quick
        m.d.sync += [level.eq(reader.level), moved.eq(goes)]
        with m.If(~moved):
            m.d.comb += Assume(reader.level == level)
        since, summed = (Signal(range(rests + 1), name=name) for name in ("since", "summed"))
        for age, strobe in ((since, goes), (summed, adds)):
            m.d.sync += age.eq(Mux(strobe, 1, age + (age != rests)))
        added, single = Signal(1 << len(reader.level)), reader.layer.synapses <= 1
        with m.If(reader.advance):
            m.d.sync += late.eq(reader.level)
        with m.If(reader.restart):
            m.d.sync += added.eq(0)
        with m.Elif(reader.add & reader.running & single):
            m.d.sync += added.eq(added | (1 << late))
        with m.If(reader.quick):
            m.d.comb += [
                Assert(reader.advance & reader.keep & ~reader.add & ~reader.o_valid & reader.running & ~reader.begins),
                Assert((since == rests) & (summed == rests)), Assert(single),
                Assert((added & ~read).bit_select(reader.level, 1)),
            ]
    return claims


def test_a_step_that_is_kept_is_the_pass_s_own_and_comes_in_time_proved(sizes):
    reader = PassReader(sizes(**SIZES))
    prove(reader, quick_claims(reader), steps=STEPS, bounded=True)


@pytest.mark.parametrize("fault", [{"rests": RESTS + 1}, {"read": 0b10}], ids=["early", "never read"])
def test_a_step_that_should_not_be_taken_is_found(sizes, fault):
    reader = PassReader(sizes(**SIZES))
    with pytest.raises(Disproved, match="claims about PassReader"):
        prove(reader, quick_claims(reader, **fault), steps=STEPS, bounded=True)
