"""Is a piece of a load or an image the next one, and does it end where it must?"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.link.replies import POSITION_BITS

__all__ = ["PieceOrder"]

BYTE, WORD = 8, 32


class PieceOrder(wiring.Component):
    """Compare two numbers of 32 bits, a byte a cycle, the lowest one first.

    Either the position that a frame brings with the one expected, or, when ``measuring``, the size of the image in
    bytes with the end of the piece, ``position`` + ``left``.

    Members
    -------
    place, enable : In
        Number of the byte, 0 to 3; compare it.
    byte, position : In
        Of the position that the frame brings; the position expected.
    measuring, left, size, wide : In
        Bytes of the piece; values of the image; a value takes two bytes.
    same, before, zero : Out
        Two cycles after byte 3: the first number is the second, is smaller than it; ``byte`` was 0 every time.
    """

    def __init__(self, left):
        super().__init__({
            "place": In(range(WORD // BYTE)), "enable": In(1), "byte": In(BYTE), "position": In(POSITION_BITS),
            "measuring": In(1), "left": In(left), "size": In(POSITION_BITS), "wide": In(1),
            "same": Out(1), "before": Out(1), "zero": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        carry, top = Signal(), Signal()
        found, position, length = (Signal(BYTE, name=name, reset_less=True) for name in ("found", "position", "length"))
        begun, carries, compares = Signal(reset_less=True), Signal(reset_less=True), Signal()

        def slice_of(number):
            return Cat(number, Const(0, WORD - len(number))).word_select(self.place, BYTE)

        size, expected = slice_of(self.size), Signal(BYTE + 1)
        doubled = Cat(top & (self.place != 0), size[:-1])
        m.d.sync += [
            compares.eq(self.enable), begun.eq(self.place != 0), carries.eq(self.measuring),
            found.eq(Mux(self.measuring, Mux(self.wide, doubled, size), self.byte)),
            position.eq(slice_of(self.position)), length.eq(Mux(self.measuring, slice_of(self.left), 0)),
        ]
        with m.If(self.enable):
            m.d.sync += top.eq(size[-1])
        m.d.comb += expected.eq(position + length + (carry & begun))
        equal = found == expected[:BYTE]
        with m.If(compares):
            m.d.sync += [
                self.same.eq(equal & (self.same | ~begun)),
                self.before.eq((found < expected[:BYTE]) | (equal & self.before & begun)),
                self.zero.eq((found == 0) & (self.zero | ~begun)), carry.eq(expected[BYTE] & carries),
            ]
        return m
