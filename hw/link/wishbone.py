"""The core behind a Wishbone B4 bus."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.link.blackbox import CoreBox, connect_core, memory_port, outer_memory
from hw.link.bus import ADDRESS_BITS, BusSide

__all__ = ["WishboneTop"]

BYTES = WORD_BITS // 8


class WishboneTop(wiring.Component):
    """A Wishbone slave of 32 bits; ``adr`` counts words.

    Every access takes two cycles and ends with ``ack``, or with ``err`` if `BusSide` refuses it or a write does
    not select all four bytes. Classic masters leave ``stall`` open; pipelined ones wait while it is high: it falls in
    the cycle of the answer.

    Parameters
    ----------
    params, values
        As of `BusSide`.
    core : component with `core_signature`, or None
        In place of a `CoreBox`.

    Members
    -------
    wb : In
        The bus.
    interrupt : Out(1)
        As of `BusSide`.
    memory : Out(MemoryBus)
        Only with ``params.outside``.
    """

    def __init__(self, params, values, core=None):
        self._params = params
        self._side, self._core = BusSide(params, values), core or CoreBox(params)
        bus = wiring.Signature({
            "cyc": Out(1), "stb": Out(1), "we": Out(1), "adr": Out(ADDRESS_BITS), "sel": Out(BYTES),
            "dat_w": Out(WORD_BITS), "dat_r": In(WORD_BITS), "ack": In(1), "err": In(1), "stall": In(1),
        })
        super().__init__({"wb": In(bus), "interrupt": Out(1), **memory_port(params)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.side, m.submodules.core = side, core = self._side, self._core
        connect_core(m, self._params, side.core, core, outer_memory(self))
        bus, access = self.wb, side.access
        wanted, whole = Signal(), Signal()
        answering, partial = Signal(), Signal()
        m.d.comb += [
            wanted.eq(bus.cyc & bus.stb), whole.eq(~bus.we | bus.sel.all()), self.interrupt.eq(side.interrupt),
            access.address.eq(bus.adr), access.write_data.eq(bus.dat_w), bus.dat_r.eq(access.data),
            access.read.eq(wanted & ~answering & ~bus.we),
            access.write.eq(wanted & ~answering & bus.we & whole),
            bus.ack.eq(wanted & answering & ~access.refused & ~partial),
            bus.err.eq(wanted & answering & (access.refused | partial)),
            bus.stall.eq(wanted & ~answering),
        ]
        m.d.sync += [answering.eq(wanted & ~answering), partial.eq(~whole)]
        return m
