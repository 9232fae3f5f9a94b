"""Products with constants: Yosys would take a multiplier for them."""

from amaranth.hdl import Const

__all__ = ["times"]


def times(value, factor):
    """Return the product with an integer as a sum of shifted values."""
    return sum((value << bit for bit in range(factor.bit_length()) if factor >> bit & 1), Const(0))
