"""A memory of wide words, cut into columns that each fill one block RAM."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["WideMemory"]

# Widths of an 18 kbit block at its depths: no column needs a multiplexer behind its read port.
COLUMNS = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
SMALL, NARROW = 32, 32


class WideMemory(wiring.Component):
    """One write port, one read port with the word one cycle after its address.

    A word read in the cycle in which it is written is undefined once synthesized (`hw.board.netlist`). Memories of 32
    words or fewer stay whole, they go into look-up tables; so do words of 32 bits or fewer, which the tools
    divide well.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words.
    init : list of int
        Initial contents.
    """

    def __init__(self, width, *, depth, init=()):
        self._width, self._depth, self._init = width, depth, init
        address = range(max(2, depth))
        super().__init__({
            "write_enable": In(1), "write_address": In(address), "write_data": In(width),
            "read_enable": In(1, init=1), "address": In(address), "data": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        column = next((bits for depth, bits in COLUMNS if self._depth <= depth), 1)
        column = self._width if self._depth <= SMALL or self._width <= NARROW else column
        for low in range(0, self._width, column):
            high = min(low + column, self._width)
            words = [(word >> low) & ((1 << (high - low)) - 1) for word in self._init]
            m.submodules[f"bits_{low}"] = memory = Memory(shape=high - low, depth=self._depth, init=words)
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(self.write_enable), write.addr.eq(self.write_address),
                write.data.eq(self.write_data[low:high]), read.en.eq(self.read_enable), read.addr.eq(self.address),
                self.data[low:high].eq(read.data),
            ]
        return m
