"""Finds the lowest set bit of a mask."""

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["MaskEncoder", "at_least"]


class MaskEncoder(wiring.Component):
    """Split a mask into its lowest set bit and the rest; combinational, by fours so that it is not deep.

    Parameters
    ----------
    width : int
        Bits of the mask: 4, 8 or 16.

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
        quads = [self.mask[low : low + 4] for low in range(0, self._width, 4)]
        found = Signal(len(quads))
        m.d.comb += [found.eq(Cat(quad.any() for quad in quads)), self.ends.eq(~at_least(self.mask, 3)[3])]
        places = []
        for number, quad in enumerate(quads):
            for lane in range(4):
                m.d.comb += self.rest[4 * number + lane].eq(quad[lane] & (found[:number].any() | quad[:lane].any()))
            places.append(_lowest(quad))
        chosen = _lowest(Cat(found, Const(0, 4 - len(quads))))
        m.d.comb += self.index.eq(Cat(Array(places)[chosen] if len(quads) > 1 else places[0], chosen))
        return m


def _lowest(quad):
    """Return the place of the lowest of four bits; without a bit 0."""
    return Cat(~quad[0] & (quad[1] | (~quad[2] & quad[3])), ~quad[0] & ~quad[1] & (quad[2] | quad[3]))


def at_least(mask, most):
    """Return, for each number from 0 to ``most`` or to the bits of the mask, whether so many bits are set."""
    if len(mask) == 1:
        return [Const(1), mask]
    half = len(mask) // 2
    low, high = at_least(mask[:half], most), at_least(mask[half:], most)
    ways = [[] for _ in range(min(most, len(mask)) + 1)]
    for one, first in enumerate(low):
        for other, second in enumerate(high):
            if 0 < one + other < len(ways):
                ways[one + other].append(first & second if one and other else first if one else second)
    return [Const(1), *(Cat(each).any() for each in ways[1:])]
