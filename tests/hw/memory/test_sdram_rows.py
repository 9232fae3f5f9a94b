# amaranth: UnusedElaboratable=no
"""`hw.memory.sdram_rows`: what it says of the coming burst is true of the banks, proved."""

import pytest
from amaranth.hdl import Array, Assert, Assume, Cat, Signal

from hw.memory.sdram_part import BANK_BITS
from hw.memory.sdram_rows import RowKeeper
from tests.kit.proof import Disproved, assume_constant, prove

ROW_BITS = 2


def claims_of(rows, *, skewed=False):
    """Claim that each answer fits the banks as the commands left them; ``skewed`` banks miss that all are closed."""
    def claims(m):
        banks = range(2**BANK_BITS)
        is_open = Signal(len(banks))
        row_of = Array(Signal(ROW_BITS, name=f"row_of_{bank}") for bank in banks)
        offered = Signal()
        m.d.comb += [
            Assume(~rows.opened | rows.opens), Assume(~rows.closed | rows.closes),
            Assume(~(rows.opened & rows.closed)), Assume(~(rows.forget & (rows.opened | rows.closed))),
            Assume(rows.forget | ~(rows.reopened | rows.closed_all)), Assume(~(rows.reopened & rows.closed_all)),
        ]
        m.d.sync += offered.eq(rows.valid & ~rows.forget)  # it stays until it is taken
        assume_constant(m, rows.row, rows.bank, while_=rows.valid & ~rows.forget)
        with m.If(offered):
            m.d.comb += Assume(rows.valid)
        with m.If(rows.opened):
            m.d.sync += [is_open.bit_select(rows.bank, 1).eq(1), row_of[rows.bank].eq(rows.row)]
        with m.If(rows.closed):
            m.d.sync += is_open.bit_select(rows.bank, 1).eq(0)
        with m.If(rows.reopened):
            m.d.sync += [is_open.bit_select(rows.open_bank, 1).eq(1), row_of[rows.open_bank].eq(rows.open_row)]
        with m.If(rows.closed_all & (not skewed)):
            m.d.sync += is_open.eq(0)
        here, same = is_open.bit_select(rows.bank, 1), row_of[rows.bank] == rows.row
        with m.If(rows.opens):
            m.d.comb += Assert(~here)
        with m.If(rows.closes):
            m.d.comb += Assert(here & ~same)
        with m.If(rows.ready):
            m.d.comb += Assert(here & same)
        m.d.comb += Assert(Cat(rows.opens, rows.closes, rows.ready).any() | ~offered)
        with m.If(~offered):
            m.d.comb += Assert(~Cat(rows.opens, rows.closes, rows.ready).any())

    return claims


def test_what_a_burst_needs_is_proved():
    """For 10 cycles from reset: banks opened, closed, all closed and opened again."""
    rows = RowKeeper(ROW_BITS)
    prove(rows, claims_of(rows), steps=10, bounded=True)


def test_banks_that_are_otherwise_are_found():
    rows = RowKeeper(ROW_BITS)
    with pytest.raises(Disproved):
        prove(rows, claims_of(rows, skewed=True), steps=10, bounded=True)
