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
    moved : In
        Per loop: it, a loop outside it, or ``begin`` advances in this cycle.
    steps : In
        What the address gains when a moving loop advances.
    o : Out(signed(width))
    """

    def __init__(self, *, width, loops, moves):
        if not moves or not set(moves) <= set(loops):
            raise ValueError(f"Nest moves must be some of its loops {loops!r}, not {moves!r}")
        self._width, self._loops, self._moves = width, tuple(loops), tuple(moves)
        super().__init__({
            "begin": In(1), "start": In(signed(width)),
            "advance": In(data.StructLayout(dict.fromkeys(loops, 1))),
            "moved": In(data.StructLayout(dict.fromkeys(loops, 1))),
            "steps": In(data.StructLayout(dict.fromkeys(moves, signed(width)))),
            "o": Out(signed(width)),
        })

    def elaborate(self, platform):
        m = Module()
        turns = {loop: Signal(signed(self._width), name=loop) for loop in self._moves}
        base, step = _when(self.begin, self.start), 0
        for i, loop in enumerate(self._loops):
            strobe = self.advance[loop]
            outer = [own for own in self._moves if own in self._loops[: i + 1]]
            base = base | _when(strobe, turns[outer[-1]] if outer else self.start)
            if loop in self._moves:
                step = step | _when(strobe, self.steps[loop])
        address = Signal(signed(self._width))
        m.d.comb += [address.eq(base + step), self.o.eq(turns[self._moves[-1]])]
        # A loop's register changes with every loop out to it and in to the next loop that moves the address.
        following = [self._loops.index(loop) for loop in self._moves[1:]] + [len(self._loops)]
        for loop, end in zip(self._moves, following):
            with m.If(self.moved[self._loops[end - 1]]):
                m.d.sync += turns[loop].eq(address)
        return m


def _when(strobe, value):
    """Return ``value`` while ``strobe`` is high, else zero: strobes are one-hot, so choices are joined by or."""
    return value & strobe.replicate(len(value))
