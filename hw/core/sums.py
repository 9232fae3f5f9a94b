"""Sums in the form in which one carry chain makes them."""

from amaranth.hdl import Cat, Const, Mux

__all__ = ["loaded_or_moved", "plus_or_minus", "spread", "sum_with_carry"]


def loaded_or_moved(load, value, place, step=1):
    """Return ``value`` where ``load``, else ``place + step``: what is chosen before an adder lies in its chain."""
    return Mux(load, value, place) + Mux(load, 0, step)


def plus_or_minus(a, b, minus):
    """Return ``a - b`` where ``minus``, else ``a + b``, a signed number with room for both."""
    bits = max(len(a), len(b)) + 2
    return sum_with_carry(a, _signed(b) ^ spread(minus, bits), minus)[:bits].as_signed()


def sum_with_carry(a, b, carry):
    """Return ``a + b + carry`` as one adder."""
    return (_behind(Const(1, 1), a) + _behind(carry, b)) >> 1


def spread(bit, width):
    """Return the signed number all of whose bits are ``bit``."""
    return bit.replicate(width).as_signed()


def _behind(bit, value):
    """Return ``2 * value + bit``."""
    return Cat(bit, value).as_signed() if value.shape().signed else Cat(bit, value)


def _signed(value):
    return value if value.shape().signed else Cat(value, Const(0, 1)).as_signed()
