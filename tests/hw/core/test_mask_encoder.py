"""`hw.core.mask_encoder`: every mask of 4, 8 and 16 bits, proved; a planted fault is found."""

import pytest
from amaranth.hdl import Assert, Const, Module, Mux, Signal

from hw.core.mask_encoder import MaskEncoder, at_least
from tests.kit.proof import Disproved, prove


def claims_of(encoder, width):
    """Return the claims: arithmetic says the same of the mask as the encoder does."""
    def claims(m):
        running = Signal()  # the solver wants a register
        m.d.sync += running.eq(1)
        mask, rest = encoder.mask, encoder.rest
        without = mask & (mask - 1)[:width]
        m.d.comb += [
            Assert(rest == without), Assert(encoder.ends == ((without & (without - 1)[:width]) == 0)),
            Assert(Mux(mask == 0, encoder.index == 0, (Const(1, width) << encoder.index)[:width] == (mask ^ without))),
        ]
    return claims


@pytest.mark.parametrize("width", [4, 8, 16])
def test_lowest_bit_and_rest_of_every_mask_proved(width):
    encoder = MaskEncoder(width)
    prove(encoder, claims_of(encoder, width), steps=1)


def test_a_planted_fault_is_found():
    class Faulty(MaskEncoder):
        def elaborate(self, platform):
            m = Module()
            m.submodules.right = right = MaskEncoder(8)
            m.d.comb += [
                right.mask.eq(self.mask), self.rest.eq(right.rest), self.index.eq(right.index),
                self.ends.eq(right.ends & (self.mask != 0x88)),
            ]
            return m

    encoder = Faulty(8)
    with pytest.raises(Disproved):
        prove(encoder, claims_of(encoder, 8), steps=1)


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_at_least_counts_bits_proved(most):
    encoder = MaskEncoder(8)

    def claims(m):
        running = Signal()
        m.d.sync += running.eq(1)
        for count, reached in enumerate(at_least(encoder.mask, most)):
            m.d.comb += Assert(reached == (sum(encoder.mask) >= count))

    prove(encoder, claims, steps=1)
