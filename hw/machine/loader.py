"""The load port: fills the program, weight, parameter and limit memories from one stream of words."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.layout.program import MEMORIES, WORD_BITS, memory_shapes
from hw.machine import payloads
from hw.machine.wide_memory import WideMemory

__all__ = ["LoadableMemory", "Loader"]


class Loader(wiring.Component):
    """Decode load blocks ``[memory << 24 | address, words, data...]`` (`gen.layout.image.load_stream`).

    Members
    -------
    i : In(stream(32))
        Taken only while ``enable`` is high, one word a cycle.
    enable : In(1)
        The core is idle.
    busy : Out(1)
        A block has begun that has not ended.
    o : Out(load_port)
        Every `LoadableMemory` listens to it.
    """

    def __init__(self, params):
        self._shapes = memory_shapes(params).values()
        self._beats = [-(-bits // WORD_BITS) for _, bits in self._shapes]
        super().__init__({
            "i": In(stream.Signature(WORD_BITS)),
            "enable": In(1),
            "busy": Out(1),
            "o": Out(payloads.load_port(params)),
        })

    def elaborate(self, platform):
        m = Module()
        count = len(self.o.data) // WORD_BITS
        words = Signal(range(max(depth for depth, _ in self._shapes) + 1))
        memory = Signal(range(len(MEMORIES)))
        beat = Signal(range(count + 1))
        beats = Signal(range(count + 1))
        m.d.sync += self.o.write.eq(0)
        with m.If(self.o.write.any()):
            m.d.sync += self.o.address.eq(self.o.address + 1)
        arrived, word = Signal(), Signal(WORD_BITS)
        m.d.comb += self.i.ready.eq(self.enable)
        m.d.sync += [arrived.eq(self.i.valid & self.i.ready), word.eq(self.i.payload)]
        with m.If(arrived):
            with m.FSM() as fsm:
                with m.State("ADDRESS"):
                    m.d.sync += [self.o.address.eq(word), memory.eq(word[24:])]
                    m.next = "LENGTH"
                with m.State("LENGTH"):
                    m.d.sync += [words.eq(word), beat.eq(0)]
                    with m.Switch(memory):
                        for code, needed in enumerate(self._beats):
                            with m.Case(code):
                                m.d.sync += beats.eq(needed - 1)
                    with m.If(word != 0):
                        m.next = "DATA"
                    with m.Else():
                        m.next = "ADDRESS"
                with m.State("DATA"):
                    with m.Switch(beat):
                        for i in range(count):
                            with m.Case(i):
                                m.d.sync += self.o.data.word_select(i, WORD_BITS).eq(word)
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(beat == beats):
                        m.d.sync += [beat.eq(0), words.eq(words - 1), self.o.write.eq(1 << memory)]
                        with m.If(words == 1):
                            m.next = "ADDRESS"
        m.d.comb += self.busy.eq(arrived | self.o.write.any() | ~fsm.ongoing("ADDRESS"))
        return m


class LoadableMemory(wiring.Component):
    """A memory with one read port that the load port fills; initialised in the bitstream.

    Parameters
    ----------
    params : CoreParams
    name : str
        One of `gen.layout.program.MEMORIES`.
    words : list of int
        Initial contents.
    latency : int
        Cycles from address to data: 1, or 2 with a register behind the block RAM.

    Members
    -------
    load : In(load_port)
    address : In
    data : Out
        The word at ``address``, ``latency`` cycles later.
    """

    def __init__(self, params, name, words, *, latency=1):
        self._latency = latency
        self._code, self._words = MEMORIES.index(name), words
        self._depth, self._bits = memory_shapes(params)[name]
        super().__init__({
            "load": In(payloads.load_port(params)), "address": In(range(max(2, self._depth))),
            "data": Out(self._bits),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = WideMemory(self._bits, depth=self._depth, init=self._words)
        m.d.comb += [
            memory.write_enable.eq(self.load.write[self._code]), memory.write_address.eq(self.load.address),
            memory.write_data.eq(self.load.data), memory.address.eq(self.address),
        ]
        domain = m.d.comb if self._latency == 1 else m.d.sync
        domain += self.data.eq(memory.data)
        return m
