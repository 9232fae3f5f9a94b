"""Fetches blocks of weights from the memory outside the chip, and writes there what is loaded."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.memory.bus import LONGEST, MemoryBus

__all__ = ["Outside"]

COUNT_BITS = 24  # of the words of a block


class Outside(wiring.Component):
    """Read block after block of a stage (`gen.plan.outside`), one ahead of the pass that computes.

    ::

        start    block 1 comes ... ready   take    block 2 comes ... ready   take
                                           pass of block 1 computes          pass of block 2 ...

    A block that is coming when the stage is started again is read to its end and forgotten: the memory owes its words.

    Members
    -------
    start, address : In
        Strobe: a round begins, its first block is at this address.
    take : In(1)
        Strobe, only while ``ready``: the pass that waits for the block begins, the one before has ended.
    ready : Out(1)
        The next block is in its half of the buffer.
    fetching, writing : Out(1)
        A block is coming, or will at once; a word is being written.
    o_valid, o : Out
        A word of a block's runs.
    spoiled : Out(1)
        Strobe: the digest of a block was wrong, or the memory has a fault.
    write, write_address, word : In
        Strobe, only while neither ``fetching`` nor ``writing``, and no image is computed: write a word.
    bus : Out(MemoryBus)
    """

    def __init__(self, params):
        bits = params.outside_bits
        super().__init__({
            "start": In(1), "address": In(bits), "take": In(1), "ready": Out(1), "fetching": Out(1), "writing": Out(1),
            "o_valid": Out(1), "o": Out(WORD_BITS), "spoiled": Out(1),
            "write": In(1), "write_address": In(bits), "word": In(WORD_BITS), "bus": Out(MemoryBus(bits, WORD_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        request, bus = self.bus.request.payload, self.bus
        place, first = Signal.like(self.address, reset_less=True), Signal.like(self.address, reset_less=True)
        ask, left = Signal(COUNT_BITS, reset_less=True), Signal(COUNT_BITS, reset_less=True)
        word, digest = Signal(WORD_BITS, reset_less=True), Signal(WORD_BITS, reset_less=True)
        wanted, asks, gives, come, follows = (
            Signal(name=name) for name in ("wanted", "asks", "gives", "come", "follows"))
        burst = Signal(range(LONGEST + 1))
        m.d.comb += [
            burst.eq(Mux(ask > LONGEST, LONGEST, ask)), request.address.eq(place), request.length.eq(burst - 1),
            bus.write.payload.eq(word), bus.read.ready.eq(1), bus.request.valid.eq(asks), self.o.eq(word),
        ]
        m.d.sync += come.eq(bus.read.valid)
        with m.If(bus.read.valid):
            m.d.sync += word.eq(bus.read.payload)
        with m.If(bus.request.valid & bus.request.ready & ~request.write):
            m.d.sync += [place.eq(place + burst), ask.eq(ask - burst), asks.eq(ask > LONGEST)]
        with m.If(self.take):
            m.d.sync += self.ready.eq(0)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.write):
                    m.d.sync += [place.eq(self.write_address), word.eq(self.word), ask.eq(1), asks.eq(1)]
                    m.d.sync += [gives.eq(1), follows.eq(0)]
                    m.next = "WRITE"
                with m.Elif(wanted | (follows & self.take)):
                    m.d.sync += [wanted.eq(0), ask.eq(1), asks.eq(1)]
                    with m.If(wanted):
                        m.d.sync += place.eq(first)
                    m.next = "HEAD"
            with m.State("WRITE"):
                m.d.comb += [request.write.eq(1), bus.write.valid.eq(gives)]
                with m.If(bus.request.ready):
                    m.d.sync += asks.eq(0)
                with m.If(bus.write.ready):
                    m.d.sync += gives.eq(0)
                with m.If(~asks & ~gives):
                    m.next = "IDLE"
            with m.State("HEAD"), m.If(come):
                m.d.sync += [left.eq(word), ask.eq(word), follows.eq(word[-1]), digest.eq(word)]
                with m.If(word[:COUNT_BITS] == 0):  # no block is as short: nothing would come that has a digest
                    m.d.comb += self.spoiled.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += asks.eq(1)
                    m.next = "BODY"
            with m.State("BODY"):
                with m.If(come):
                    m.d.comb += self.o_valid.eq(left != 1)
                    m.d.sync += [left.eq(left - 1), digest.eq(digest.rotate_left(1) + word)]
                    with m.If(left == 1):
                        m.d.comb += self.spoiled.eq((digest != word) | bus.fault)
                        m.d.sync += self.ready.eq(~wanted & ~self.spoiled)
                        m.next = "IDLE"
            m.d.comb += [
                self.fetching.eq(fsm.ongoing("HEAD") | fsm.ongoing("BODY") | wanted),
                self.writing.eq(fsm.ongoing("WRITE")),
            ]
        with m.If(self.start):
            m.d.sync += [wanted.eq(1), first.eq(self.address), self.ready.eq(0)]
        return m
