"""Single-port RAM in blocks of 256 kbit (Lattice SB_SPRAM256KA), which no tool infers."""

from amaranth.hdl import Array, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CELL", "SinglePort"]

CELL = "SB_SPRAM256KA"
CELL_BITS, CELL_WORDS = 16, 16384


class SinglePort(wiring.Component):
    """A memory with the word one cycle after its address; a cycle that writes does not read; no initial contents.

    Blocks side by side make a word wider, banks of them make the memory deeper
    (Lattice FPGA-TN-02022, "Memory Usage Guide for iCE40 Devices").

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words.
    """

    def __init__(self, width, *, depth):
        self._width, self._depth = width, depth
        address = range(max(2, depth))
        super().__init__({
            "write_enable": In(1), "write_address": In(address), "write_data": In(width),
            "address": In(address), "data": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        place_bits = (CELL_WORDS - 1).bit_length()
        address = Signal(range(max(CELL_WORDS, self._depth)))
        bank = address[place_bits:]
        read_bank = Signal.like(bank, reset_less=True)
        words = []
        m.d.comb += address.eq(self.address)
        with m.If(self.write_enable):
            m.d.comb += address.eq(self.write_address)
        m.d.sync += read_bank.eq(bank)
        for number in range(-(-self._depth // CELL_WORDS)):
            word = Signal(CELL_BITS * -(-self._width // CELL_BITS), name=f"word_{number}")
            for low in range(0, self._width, CELL_BITS):
                m.submodules[f"block_{number}_{low}"] = Instance(
                    CELL, i_CLOCK=ClockSignal(), i_ADDRESS=address[:place_bits],
                    i_DATAIN=Const(0, CELL_BITS) | self.write_data[low : low + CELL_BITS], i_MASKWREN=Const(15, 4),
                    i_WREN=self.write_enable & (bank == number), i_CHIPSELECT=Const(1), i_STANDBY=Const(0),
                    i_SLEEP=Const(0), i_POWEROFF=Const(1), o_DATAOUT=word[low : low + CELL_BITS],
                )
            words.append(word)
        m.d.comb += self.data.eq(Array(words)[read_bank] if len(words) > 1 else words[0])
        return m
