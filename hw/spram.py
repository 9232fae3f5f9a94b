"""The weights in single-port RAM of 256 kbit a block (Lattice SB_SPRAM256KA), which no tool infers."""

from amaranth.hdl import Array, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.program import MEMORIES, SPRAM_BITS, SPRAM_WORDS, memory_shapes
from hw import payloads

__all__ = ["SinglePortMemory"]

CELL = "SB_SPRAM256KA"


class SinglePortMemory(wiring.Component):
    """A `hw.loader.LoadableMemory` of latency 2 that begins without contents; a word loaded takes the read port.

    Blocks side by side make a word wider, banks of them make the memory deeper
    (Lattice FPGA-TN-02022, "Memory Usage Guide for iCE40 Devices").

    Parameters
    ----------
    params : CoreParams
    name : str
        One of `gen.program.MEMORIES`.

    Members
    -------
    load : In(load_port)
        Only while nothing is read.
    address : In
    data : Out
        The word at ``address``, two cycles later.
    """

    def __init__(self, params, name):
        self._code = MEMORIES.index(name)
        self._depth, self._bits = memory_shapes(params)[name]
        super().__init__({
            "load": In(payloads.load_port(params)), "address": In(range(max(2, self._depth))),
            "data": Out(self._bits),
        })

    def elaborate(self, platform):
        m = Module()
        write = self.load.write[self._code]
        address = Signal(range(max(SPRAM_WORDS, self._depth)))
        bank = address[SPRAM_WORDS.bit_length() - 1:]
        read_bank = Signal.like(bank)
        m.d.comb += address.eq(self.address)
        with m.If(write):
            m.d.comb += address.eq(self.load.address)
        m.d.sync += read_bank.eq(bank)
        words = []
        for number in range(-(-self._depth // SPRAM_WORDS)):
            word = Signal(SPRAM_BITS * -(-self._bits // SPRAM_BITS), name=f"word_{number}")
            for low in range(0, self._bits, SPRAM_BITS):
                m.submodules[f"block_{number}_{low}"] = Instance(
                    CELL, i_CLOCK=ClockSignal(), i_ADDRESS=address[: SPRAM_WORDS.bit_length() - 1],
                    i_DATAIN=Const(0, SPRAM_BITS) | self.load.data[low : low + SPRAM_BITS], i_MASKWREN=Const(15, 4),
                    i_WREN=write & (bank == number), i_CHIPSELECT=Const(1), i_STANDBY=Const(0), i_SLEEP=Const(0),
                    i_POWEROFF=Const(1), o_DATAOUT=word[low : low + SPRAM_BITS],
                )
            words.append(word)
        m.d.sync += self.data.eq(Array(words)[read_bank] if len(words) > 1 else words[0])
        return m
