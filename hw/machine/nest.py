"""An address that follows a loop nest by additions alone."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Nest"]


class Nest(wiring.Component):
    """One running address over nested loops.

    Each loop that moves the address keeps the address at which its present turn began. When a loop
    advances, its own register gains the step and every inner register starts again from there, so no
    address is ever multiplied out.

    Parameters
    ----------
    width : int
        Signed width of the address.
    loops : sequence of str
        Every loop of the nest, outermost first.
    moves : sequence of str
        The loops that move this address, outermost first.

    Members
    -------
    begin : In(1)
        Start from ``start``.
    advance : In
        One-hot strobes, one per loop.
    steps : In
        What the address gains when a moving loop advances.
    o : Out(signed(width))
        The address, two cycles after the strobe that led to it.
    """

    def __init__(self, *, width, loops, moves):
        if not moves or not set(moves) <= set(loops):
            raise ValueError(f"Nest moves must be some of its loops {loops!r}, not {moves!r}")
        self._width, self._loops, self._moves = width, tuple(loops), tuple(moves)
        super().__init__({
            "begin": In(1), "start": In(signed(width)),
            "advance": In(data.StructLayout(dict.fromkeys(loops, 1))),
            "steps": In(data.StructLayout(dict.fromkeys(moves, signed(width)))),
            "o": Out(signed(width)),
        })

    def elaborate(self, platform):
        m = Module()
        turns = {loop: Signal(signed(self._width), name=loop) for loop in self._moves}
        select = {loop: self.begin if loop is None else 0 for loop in (None, *self._moves)}
        write = dict.fromkeys(self._moves, self.begin)
        for i, loop in enumerate(self._loops):
            strobe = self.advance[loop]
            outer = [None, *(own for own in self._moves if own in self._loops[: i + 1])]
            select[outer[-1]] = select[outer[-1]] | strobe
            for own in self._moves[max(len(outer) - 2, 0):]:
                write[own] = write[own] | strobe
        # All strobes are registered, so that only choice and sum lie between an address and the next.
        base, step = 0, 0
        for loop, strobe in select.items():
            base = base | _when(_late(m, strobe), self.start if loop is None else turns[loop])
        for loop in self._moves:
            step = step | _when(_late(m, self.advance[loop]), self.steps[loop])
        address = Signal(signed(self._width))
        m.d.comb += [address.eq(base + step), self.o.eq(turns[self._moves[-1]])]
        for loop, strobe in write.items():
            with m.If(_late(m, strobe)):
                m.d.sync += turns[loop].eq(address)
        return m


def _late(m, strobe):
    """Return ``strobe`` one cycle later."""
    late = Signal()
    m.d.sync += late.eq(strobe)
    return late


def _when(strobe, value):
    """Return ``value`` while ``strobe`` is high, else zero: strobes are one-hot, so choices are joined by or."""
    return value & strobe.replicate(len(value))
