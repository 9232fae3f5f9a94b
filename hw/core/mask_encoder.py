"""Finds the lowest set bit of a mask."""

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["MaskEncoder", "at_least"]


class MaskEncoder(wiring.Component):
    """Split a mask into its lowest set bit and the rest; combinational, three levels of look-up tables at 16 bits.

    Parameters
    ----------
    width : int
        Bits of the mask, two or more.

    Members
    -------
    mask : In(width)
    index : Out(range(width))
        Number of the lowest set bit; 0 of an empty mask.
    rest : Out(width)
        The mask without that bit.
    ends : Out(1)
        ``rest`` has one bit or none.
    """

    def __init__(self, width):
        self._width = width
        super().__init__({"mask": In(width), "index": Out(range(width)), "rest": Out(width), "ends": Out(1)})

    def elaborate(self, platform):
        m = Module()
        below = Cat(self.mask[:lane].any() for lane in range(self._width))
        m.d.comb += [self.rest.eq(self.mask & below), self.ends.eq(~at_least(self.mask, 3)[3])]
        lowest = self.mask & ~below
        for bit in range(len(self.index)):
            m.d.comb += self.index[bit].eq(Cat(lowest[lane] for lane in range(self._width) if lane >> bit & 1).any())
        return m


def at_least(mask, most):
    """Return, for each number from 0 to ``most``, whether the mask has so many bits set."""
    if len(mask) == 1:
        return [Const(1), mask, *[Const(0)] * (most - 1)]
    low, high = at_least(mask[: len(mask) // 2], most), at_least(mask[len(mask) // 2 :], most)
    return [Cat(low[i] & high[count - i] for i in range(count + 1)).any() for count in range(most + 1)]
