"""A ring of bytes into which frames are written on approval."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["FrameRing"]

BYTE = 8


class FrameRing(wiring.Component):
    """Bytes become visible with ``commit``; ``rollback`` takes back what was written since.

    Parameters
    ----------
    depth : int
        Bytes, a power of two.

    Members
    -------
    i, write : In(8), In(1)
        A byte to keep; without room it is dropped and ``lost`` is high until the next commit or rollback.
    commit, rollback : In(1)
        Never together, nor with ``write``.
    flush : In(1)
        Drop what has been committed before; ``o`` withdraws its byte.
    lost : Out(1)
    o : Out(stream(8))
        A byte every three cycles.
    """

    def __init__(self, depth):
        self._depth = depth
        super().__init__({
            "i": In(BYTE), "write": In(1), "commit": In(1), "rollback": In(1), "flush": In(1), "lost": Out(1),
            "o": Out(stream.Signature(BYTE)),
        })

    def elaborate(self, platform):
        m = Module()
        bits = exact_log2(self._depth) + 1  # one more, to tell full from empty
        m.submodules.memory = memory = Memory(shape=BYTE, depth=self._depth, init=[])
        into, out = memory.write_port(), memory.read_port()
        head, good, tail = (Signal(bits, name=name) for name in ("head", "good", "tail"))
        fetched, full = Signal(), Signal()
        m.d.comb += [
            into.addr.eq(head), into.data.eq(self.i), into.en.eq(self.write & ~full), out.addr.eq(tail),
            full.eq((head ^ tail) == self._depth),
        ]
        with m.If(self.write):
            m.d.sync += [head.eq(head + ~full), self.lost.eq(self.lost | full)]
        with m.If(self.commit):
            m.d.sync += [good.eq(head), self.lost.eq(0)]
        with m.If(self.rollback):
            m.d.sync += [head.eq(good), self.lost.eq(0)]

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += fetched.eq((tail != good) & ~self.o.valid & ~fetched)
        with m.If(fetched):
            m.d.sync += [self.o.payload.eq(out.data), self.o.valid.eq(1), tail.eq(tail + 1)]
        with m.If(self.flush):
            m.d.sync += [tail.eq(good), fetched.eq(0), self.o.valid.eq(0)]
        return m
