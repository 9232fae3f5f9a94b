"""Opens the row of the burst that comes next."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.memory.sdram_part import BANK_BITS

__all__ = ["RowKeeper"]


class RowKeeper(wiring.Component):
    """Know which row of each bank is open; say what the bank of a coming burst still needs.

    A burst is looked up in the cycle in which it comes, and from the next one ``opens``, ``closes`` or ``ready`` says
    what it needs: its row opened, another row closed before, nothing.

    Parameters
    ----------
    row_bits : int

    Members
    -------
    valid, row, bank : In
        The burst that comes.
    forget : In(1)
        It is taken, or nothing is looked up in this cycle.
    opens, closes, ready : Out(1)
    opened, closed : In(1)
        What was needed is sent.
    closed_all : In(1)
        All banks are closed; together with ``forget``.
    open_bank : In(2)
    open_row, reopened : In
        A row is opened without a burst that comes; together with ``forget``.
    """

    def __init__(self, row_bits):
        self._row_bits = row_bits
        super().__init__({
            "valid": In(1), "row": In(row_bits), "bank": In(BANK_BITS), "forget": In(1),
            "opens": Out(1), "closes": Out(1), "ready": Out(1), "opened": In(1), "closed": In(1),
            "closed_all": In(1), "reopened": In(1), "open_bank": In(BANK_BITS), "open_row": In(row_bits),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = Memory(shape=self._row_bits, depth=2**BANK_BITS, init=[])
        write, read = rows.write_port(), rows.read_port(domain="comb")
        is_open, same = Signal(2**BANK_BITS), Signal()
        m.d.comb += [
            read.addr.eq(self.bank), same.eq(read.data == self.row),
            write.en.eq(self.opened | self.reopened), write.addr.eq(self.bank), write.data.eq(self.row),
        ]
        with m.If(self.reopened):
            m.d.comb += [write.addr.eq(self.open_bank), write.data.eq(self.open_row)]
        here = is_open.bit_select(self.bank, 1)
        known = Signal()
        m.d.sync += known.eq(self.valid & ~self.forget)
        with m.If(~known):
            m.d.sync += [self.opens.eq(~here & self.valid), self.closes.eq(here & ~same & self.valid),
                         self.ready.eq(here & same & self.valid)]
        with m.If(self.opened):
            m.d.sync += [self.opens.eq(0), self.ready.eq(1), is_open.bit_select(self.bank, 1).eq(1)]
        with m.If(self.closed):
            m.d.sync += [self.closes.eq(0), self.opens.eq(1), is_open.bit_select(self.bank, 1).eq(0)]
        with m.If(self.forget):
            m.d.sync += [self.opens.eq(0), self.closes.eq(0), self.ready.eq(0)]
        with m.If(self.reopened):
            m.d.sync += is_open.bit_select(self.open_bank, 1).eq(1)
        with m.If(self.closed_all):
            m.d.sync += is_open.eq(0)
        return m
