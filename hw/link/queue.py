"""A first-in first-out queue of any payload."""

from amaranth.hdl import Module, Shape, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

__all__ = ["Queue"]


class Queue(wiring.Component):
    """Queue of ``depth`` words with its fill level; output registered, one word a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Payload.
    depth : int
        Words held.

    Members
    -------
    i : In(stream)
    o : Out(stream)
    level : Out(range(depth + 1))
    """

    def __init__(self, shape, *, depth):
        if depth < 2:
            raise ValueError(f"Queue depth must be at least 2, not {depth!r}")
        self._shape, self._depth = shape, depth
        super().__init__({
            "i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "level": Out(range(depth + 1)),
        })

    @property
    def depth(self):
        """Words held."""
        return self._depth

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=Shape.cast(self._shape).width, depth=self._depth)
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            Value.cast(self.o.payload).eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
            self.level.eq(fifo.level),
        ]
        return m
