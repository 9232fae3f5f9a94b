"""The core's memories, each from its `MemorySpec`: block RAM in columns, look-up tables or single-port RAM."""

import numpy as np
from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.memories import BLOCK, SINGLE_PORT, loadable_memories
from hw.core import payloads
from hw.core.choice import choice
from hw.core.contents import add_ram
from hw.core.single_port import SinglePort

__all__ = ["CoreMemory", "write_port"]


def write_port(width, depth):
    """Shape of a write into a memory of ``depth`` words of ``width`` bits."""
    return data.StructLayout({"enable": 1, "address": range(max(2, depth)), "data": width})


class CoreMemory(wiring.Component):
    """One write port, one read port, the word ``spec.latency`` cycles after its address.

    A word that is read in the cycle in which it is written is undefined. In single-port RAM, a cycle that writes does
    not read, and there are no initial contents.

    Parameters
    ----------
    spec : MemorySpec
    init : list of int
        Initial contents.
    params : CoreParams
        Of the core whose load port fills the memory; needed where ``spec.loadable``.

    Members
    -------
    address : In(range(depth))
    data : Out(width)
    write : In(write_port)
        Only where not ``spec.loadable``.
    load : In(load_port)
        Only where ``spec.loadable``; nothing is read meanwhile.
    """

    def __init__(self, spec, init=(), *, params=None):
        if spec.latency not in (1, 2):
            raise ValueError(f"the latency of memory {spec.name} must be 1 or 2, not {spec.latency!r}")
        self._spec, self._init = spec, init
        if spec.loadable:
            self._code = list(loadable_memories(params)).index(spec.name)
            filled = {"load": In(payloads.load_port(params))}
        else:
            filled = {"write": In(write_port(spec.width, spec.depth))}
        super().__init__({"address": In(range(max(2, spec.depth))), "data": Out(spec.width), **filled})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        if spec.loadable:
            enable, address, word = self.load.write[self._code], self.load.address, self.load.data[: spec.width]
        else:
            enable, address, word = self.write.enable, self.write.address, self.write.data
        found = Signal(spec.width)
        if spec.kind == SINGLE_PORT:
            m.submodules.cells = cells = SinglePort(spec.width, depth=spec.depth)
            m.d.comb += [
                cells.write_enable.eq(enable), cells.write_address.eq(address), cells.write_data.eq(word),
                cells.address.eq(self.address), found.eq(cells.data),
            ]
        else:
            banks = [found]
            if len(firsts := sorted({piece.first for piece in spec.pieces})) > 1:
                banks = [Signal(spec.width, name=f"found_{first}") for first in firsts]
                m.d.comb += found.eq(choice(banks, self._late_bank(m, firsts)))
            bits = _bits(self._init, spec.width)
            for first, bank in zip(firsts, banks):
                written = enable if len(banks) == 1 else Signal(name=f"write_{first}")
                if len(banks) > 1:
                    m.d.comb += written.eq(enable & (self._bank(address, firsts) == firsts.index(first)))
                for piece in spec.pieces:
                    if piece.first == first:
                        self._ram(m, platform, piece, bits, bank, written, address, word)
        if spec.latency == 1:
            m.d.comb += self.data.eq(found)
        else:
            behind = Signal(spec.width, reset_less=True)
            m.d.sync += behind.eq(found)
            m.d.comb += self.data.eq(behind)
        return m

    def _ram(self, m, platform, piece, bits, found, enable, address, word):
        """Add the RAM of a piece of the memory; its bits of a word read are those of ``found``."""
        spec, (low, high, first, words) = self._spec, piece
        from_first, column = f"_from_{first}" * (first > 0), slice(low, high)
        file = spec.name + from_first + f"_bits_{low}" * (high - low < spec.width)
        add_ram(
            m, platform, f"bits_{low}{from_first}", file=file, depth=words,
            init=_words(bits[first : first + words, column]), block=spec.kind == BLOCK and not spec.small,
            enable=enable, write_address=address, word=word[column], address=self.address, data=found[column],
        )

    def _bank(self, address, firsts):
        """Return which bank an address lies in."""
        return sum((address >= first for first in firsts[1:]), Const(0))

    def _late_bank(self, m, firsts):
        """Return the bank of the word that is being read, a cycle after its address."""
        bank = Signal(range(len(firsts)), reset_less=True)
        m.d.sync += bank.eq(self._bank(self.address, firsts))
        return bank


def _bits(words, width):
    """Return the bits of words, uint8 [words, width], the lowest first: a word at a time takes five times as long."""
    size = -(-width // 8)
    packed = np.frombuffer(b"".join(int(word).to_bytes(size, "little") for word in words), np.uint8)
    return np.unpackbits(packed.reshape(-1, size), axis=1, count=width, bitorder="little")


def _words(bits):
    """Return the words whose bits these are, a list of int."""
    width = bits.shape[1]
    return (bits @ (1 << np.arange(width, dtype=np.int64 if width < 63 else object))).tolist()
