"""Memories in single-port RAM of 256 kbit a block (Lattice SB_SPRAM256KA), which no tool infers."""

from amaranth.hdl import Array, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.layout.program import MEMORIES, SPRAM_BITS, SPRAM_WORDS, memory_shapes
from hw.machine import payloads

__all__ = ["CELL", "LoadableSinglePort", "SinglePort"]

CELL = "SB_SPRAM256KA"


class SinglePort(wiring.Component):
    """The interface of `hw.machine.wide_memory.WideMemory`, but a cycle that writes does not read; no initial contents.

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
        address = Signal(range(max(SPRAM_WORDS, self._depth)))
        bank = address[SPRAM_WORDS.bit_length() - 1 :]
        read_bank, words = Signal.like(bank), []
        m.d.comb += address.eq(self.address)
        with m.If(self.write_enable):
            m.d.comb += address.eq(self.write_address)
        m.d.sync += read_bank.eq(bank)
        for number in range(-(-self._depth // SPRAM_WORDS)):
            word = Signal(SPRAM_BITS * -(-self._width // SPRAM_BITS), name=f"word_{number}")
            for low in range(0, self._width, SPRAM_BITS):
                m.submodules[f"block_{number}_{low}"] = Instance(
                    CELL, i_CLOCK=ClockSignal(), i_ADDRESS=address[: SPRAM_WORDS.bit_length() - 1],
                    i_DATAIN=Const(0, SPRAM_BITS) | self.write_data[low : low + SPRAM_BITS], i_MASKWREN=Const(15, 4),
                    i_WREN=self.write_enable & (bank == number), i_CHIPSELECT=Const(1), i_STANDBY=Const(0),
                    i_SLEEP=Const(0), i_POWEROFF=Const(1), o_DATAOUT=word[low : low + SPRAM_BITS],
                )
            words.append(word)
        m.d.comb += self.data.eq(Array(words)[read_bank] if len(words) > 1 else words[0])
        return m


class LoadableSinglePort(wiring.Component):
    """A `LoadableMemory` that begins without contents; what is loaded takes the read port.

    Members
    -------
    load : In(load_port)
        Only while nothing is read.
    address : In
    data : Out
        The word at ``address``, ``latency`` cycles later.
    """

    def __init__(self, params, name, *, latency=1):
        self._latency = latency
        self._code = MEMORIES.index(name)
        self._depth, self._bits = memory_shapes(params)[name]
        super().__init__({
            "load": In(payloads.load_port(params)), "address": In(range(max(2, self._depth))),
            "data": Out(self._bits),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = SinglePort(self._bits, depth=self._depth)
        m.d.comb += [
            memory.write_enable.eq(self.load.write[self._code]), memory.write_address.eq(self.load.address),
            memory.write_data.eq(self.load.data), memory.address.eq(self.address),
        ]
        domain = m.d.comb if self._latency == 1 else m.d.sync
        domain += self.data.eq(memory.data)
        return m
