"""The words of an SDRAM's bursts on their way between bus and pins."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.link.queue import Queue

__all__ = ["QUEUED", "SdramWords"]

QUEUED = 17  # words read that wait for their taker or are under way: a RAM of 16 and the register behind it


class SdramWords(wiring.Component):
    """Send words to the pins and collect them from there; a word is one or several beats, lowest bits first.

    The command goes to the pins through a register, as the words do: what is decided in cycle ``t`` is at the pins in
    cycle ``t + 1``. A word that is read there has its first beat at the pins in cycle ``t + 1 + latency``.

    Parameters
    ----------
    pins, beats : int
        Bits of a beat, beats of a word.
    latency : int
        CAS latency, and what the pins add to it.

    Members
    -------
    write : In(stream(pins * beats))
    read : Out(stream(pins * beats))
    word : Out(1)
        A word to be written waits.
    room : Out(1)
        There is room for another word that is read.
    writes, reads : In(1)
        The command for a word is decided; only where ``word``, ``room``, and a word's beats after the last one.
    dq_o, dq_oe, dq_i
        Of the pins.
    """

    def __init__(self, pins, beats, latency):
        self._pins, self._beats, self._latency = pins, beats, latency
        width = pins * beats
        super().__init__({
            "write": In(stream.Signature(width)), "read": Out(stream.Signature(width)),
            "word": Out(1), "room": Out(1, init=1), "writes": In(1), "reads": In(1),
            "dq_o": Out(pins), "dq_oe": Out(1), "dq_i": In(pins),
        })

    def elaborate(self, platform):
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m):
        pins, beats = self._pins, self._beats
        word = Signal(pins * beats, reset_less=True)
        # A word of several beats leaves time to take the next one: who decides is late in the cycle.
        m.d.comb += self.write.ready.eq(~self.word | self.writes if beats == 1 else ~self.word)
        with m.If(self.writes):
            m.d.sync += self.word.eq(0)
        with m.If(self.write.ready):
            m.d.sync += [self.word.eq(self.write.valid), word.eq(self.write.payload)]
        m.d.sync += self.dq_oe.eq(self.writes)
        if beats == 1:
            m.d.sync += self.dq_o.eq(word)
            return
        rest, left = Signal(pins * (beats - 1), reset_less=True), Signal(range(beats))
        with m.If(left != 0):
            m.d.sync += [Cat(self.dq_o, rest).eq(rest), left.eq(left - 1), self.dq_oe.eq(1)]
        with m.Else():
            m.d.sync += Cat(self.dq_o, rest).eq(word)
            with m.If(self.writes):
                m.d.sync += left.eq(beats - 1)

    def _read(self, m):
        pins, beats = self._pins, self._beats
        m.submodules.queue = queue = Queue(pins * beats, depth=QUEUED)
        wiring.connect(m, queue.o, wiring.flipped(self.read))
        under_way = Signal(self._latency + 1 + beats)
        seen = Signal(pins * beats, reset_less=True)
        free = Signal(range(QUEUED + 1), init=QUEUED)
        m.d.sync += [under_way.eq(Cat(self.reads, under_way)), seen.eq(Cat(seen[pins:], self.dq_i))]
        m.d.comb += [
            queue.i.payload.eq(seen), queue.i.valid.eq(under_way[-1]),
        ]
        taken = Signal()
        m.d.comb += taken.eq(self.read.valid & self.read.ready)
        with m.If(self.reads & ~taken):
            m.d.sync += [free.eq(free - 1), self.room.eq(free != 1)]
        with m.Elif(taken & ~self.reads):
            m.d.sync += [free.eq(free + 1), self.room.eq(1)]
