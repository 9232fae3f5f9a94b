"""Sums in the form in which one carry chain makes them."""

from amaranth.hdl import Cat, Const, Mux

__all__ = ["loaded_or_moved", "spread", "sum_with_carry"]


def loaded_or_moved(load, value, place, step=1):
    """Return ``value`` where ``load``, else ``place + step``: what is chosen before an adder lies in its chain."""
    return Mux(load, value, place) + Mux(load, 0, step)


def sum_with_carry(a, b, carry):
    """Return ``a + b + carry`` as one adder."""
    return (_behind(Const(1, 1), a) + _behind(carry, b)) >> 1


def spread(bit, width):
    """Return the signed number all of whose bits are ``bit``."""
    return bit.replicate(width).as_signed()


def _behind(bit, value):
    """Return ``2 * value + bit``."""
    return Cat(bit, value).as_signed() if value.shape().signed else Cat(bit, value)
