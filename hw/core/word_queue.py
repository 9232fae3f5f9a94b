"""The words that wait to be gathered."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.contents import add_ram
from hw.core.fetch import LATENCY

__all__ = ["DEPTH", "WordQueue"]

DEPTH = 16
UNDER_WAY = LATENCY + 3  # entries that come once `room` has fallen: one held back, those in `Fetch`, two more requests
UNCOUNTED = 1  # that have come
MARKS = ("mask", "dense", "last")  # which of a word's events are left, and what its last one ends


class WordQueue(wiring.Component):
    """Queue words that have events; the last one of a tile says so.

    A word is held back until it is known whether the tile ends with it. Words without events vanish; a tile without
    events leaves one entry whose mask is empty. The queue lies in look-up-table RAM with a register behind it; with
    ``params.spare_blocks`` in block RAM, but for what says at once whether a word has several events.

    Members
    -------
    i_valid, i : In(1), In(word_entry)
        A tile ends with an entry that is ``last``, be it a word or none.
    o : Out(stream(word_entry))
        Three cycles later at the earliest, one a cycle.
    room : Out(1)
        All requests under way will find room, and the two that follow once ``room`` falls.
    """

    def __init__(self, params):
        shape = payloads.word_entry(params)
        self._shape, self._block = shape, bool(params.spare_blocks)
        super().__init__({
            "i_valid": In(1), "i": In(shape), "o": Out(stream.Signature(shape)), "room": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        word, end, push, pull, waits = (Signal(name=name) for name in ("word", "end", "push", "pull", "waits"))
        closes, joins = Signal(name="closes"), Signal(name="joins")
        held = Signal(self._shape, reset_less=True)
        mask = Signal.like(self.i.mask)  # of ``held``, empty after a reset: the first tile may be
        m.d.comb += [
            word.eq(self.i_valid & self.i.mask.any()), end.eq(self.i_valid & self.i.last),
            joins.eq(end & ~word & waits & ~closes), push.eq(waits & (closes | word | end)),
        ]
        m.d.sync += waits.eq(((word | end) & ~joins) | (waits & ~push))
        with m.If(word | end):
            m.d.sync += [held.eq(self.i), mask.eq(self.i.mask), closes.eq(self.i.last)]

        written, taken, level = (Signal(range(size), name=name)
                                 for name, size in (("written", DEPTH), ("taken", DEPTH), ("level", 2 * DEPTH)))
        filled, turns, pushed, pulled = (Signal(name=name) for name in ("filled", "turns", "pushed", "pulled"))
        further = Signal.like(taken)
        m.d.comb += [
            further.eq(taken + 1), turns.eq(~self.o.valid | self.o.ready),
            self.room.eq(level < DEPTH - UNDER_WAY - UNCOUNTED),
            pull.eq(filled & turns),
        ]
        coming = {**{name: held[name] for name, _ in self._shape}, "mask": mask, "last": closes | ~word}
        for name, fields in (("marks", MARKS), ("words", set(coming) - {*MARKS})):
            self._keep(m, platform, name, {field: value for field, value in coming.items() if field in fields},
                       block=self._block and name == "words", enable=waits, written=written, taken=taken, turns=turns)
        m.d.sync += [  # both who pushes and who pulls are late in the cycle, so they are counted in the next one
            written.eq(written + push), taken.eq(Mux(pull, further, taken)), pushed.eq(push), pulled.eq(pull),
            filled.eq(push | Mux(pull, further != written, filled)),
        ]
        with m.If(pushed != pulled):
            m.d.sync += level.eq(level + Mux(pushed, 1, -1))
        with m.If(turns):
            m.d.sync += self.o.valid.eq(filled)
        return m

    def _keep(self, m, platform, name, coming, *, block, enable, written, taken, turns):
        """Add a memory of fields of the entries, which gives them to `o` in the cycle after ``turns``.

        There is always room, so an entry is written as long as it is held; what is not pushed is replaced.
        """
        shape = data.StructLayout({field: self._shape.members[field] for field in coming})
        entry, comes = Signal(shape, name=f"{name}_entry", reset_less=True), Signal(shape, name=f"{name}_comes")
        m.d.comb += [comes[field].eq(value) for field, value in coming.items()]
        m.d.comb += [self.o.payload[field].eq(entry[field]) for field in coming]
        if block:
            add_ram(m, platform, name, file=name, depth=DEPTH, init=[], block=True, enable=enable,
                    write_address=written, word=comes.as_value(), address=taken, data=entry.as_value(),
                    read_enable=turns)
            return
        m.submodules[name] = memory = Memory(shape=shape, depth=DEPTH, init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [write.en.eq(enable), write.addr.eq(written), write.data.eq(comes), read.addr.eq(taken)]
        with m.If(turns):  # a port's own register would begin undefined in Icarus
            m.d.sync += entry.eq(read.data)
