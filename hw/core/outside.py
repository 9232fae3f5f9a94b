"""Fetches blocks from outside the chip, carries their copies out, and writes there what is loaded or made."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.blocks import COPY_WORDS, FIELDS
from gen.plan.params import WORD_BITS
from hw.core.copier import Copier
from hw.core.times import times
from hw.core.write_behind import WriteBehind
from hw.memory.bus import LENGTH_BITS, LONGEST, MemoryBus, memory_request

__all__ = ["Outside"]


class Outside(wiring.Component):
    """Read block after block of a stage (`gen.plan.blocks`), ahead of the passes and rows that wait for them.

    ::

        start    block 1 comes ... ready   take    block 2 comes ... ready   take
                                           pass of block 1 computes          pass of block 2 ...

    A block that is coming when the stage is started again is read to its end and forgotten: the memory owes its words.
    The copies of a block follow its digest.

    Members
    -------
    start, address, stop : In
        Strobe: a round begins, its first block is at this address. Strobe: the round is given up.
    take : In(1)
        Strobe, only while ``ready``: the pass that waits for the block begins, the one before has ended.
    ready : Out(1)
        All that the next block brings is there.
    fetching, writing : Out(1)
        A block is coming, or will at once; words are being written or copied.
    o_valid, o : Out
        A word of a block's runs.
    spoiled : Out(1)
        Strobe: the digest of a block was wrong, or the memory has a fault.
    write, write_address, word : In
        Strobe, only while neither ``fetching`` nor ``writing``, and no image is computed: write a word.
    bus : Out(MemoryBus)
    take_row, free_row : In(1)
        Only with ``params.rowwise``, as the rest. Strobes: a row begins, only while ``ready``; no row before it is read
        any more.
    map_word, base, image, header, room : In, In, In, In, Out
        Of `hw.core.write_behind.WriteBehind`.
    slot, copied, copied_image : In, Out, Out
        Of `hw.core.copier.Copier`.
    """

    def __init__(self, params):
        self._params = p = params
        bits, rowwise = p.outside_bits, {}
        if p.rowwise:
            self._behind, self._copier = WriteBehind(p), Copier(p)
            behind, copier = (part.signature.members for part in (self._behind, self._copier))
            rowwise = {
                "take_row": In(1), "free_row": In(1),
                **{name: behind[name] for name in ("map_word", "base", "image", "header", "room")},
                "slot": copier["slot"], "copied": copier["maps"], "copied_image": copier["image"],
            }
        super().__init__({
            "start": In(1), "address": In(bits), "stop": In(1), "take": In(1), "ready": Out(1), "fetching": Out(1),
            "writing": Out(1), "o_valid": Out(1), "o": Out(WORD_BITS), "spoiled": Out(1), "write": In(1),
            "write_address": In(bits), "word": In(WORD_BITS), "bus": Out(MemoryBus(bits, WORD_BITS)), **rowwise,
        })

    def elaborate(self, platform):
        m = Module()
        p, bus = self._params, self.bus
        place, first = Signal.like(self.address, reset_less=True), Signal.like(self.address, reset_less=True)
        left, ask = Signal(FIELDS["words"], reset_less=True), Signal(FIELDS["words"], reset_less=True)
        more, rest, long = ask[LENGTH_BITS:], ask[:LENGTH_BITS], Signal(reset_less=True)  # first the longest bursts
        word, digest, wrong = Signal(WORD_BITS, reset_less=True), Signal(WORD_BITS, reset_less=True), Signal()
        listed = Signal(range(COPY_WORDS << FIELDS["copies"]), reset_less=True)
        wanted, asks, gives, come, follows, settles, begins, done = (Signal(name=name) for name in (
            "wanted", "asks", "gives", "come", "follows", "settles", "begins", "done"))
        request, in_block = Signal(memory_request(p.outside_bits)), Signal()
        head, ahead = data.View(data.StructLayout(FIELDS), word), Signal(FIELDS["ahead"])
        m.d.comb += [request.address.eq(place), request.length.eq(Mux(long, LONGEST - 1, rest - 1))]
        m.d.sync += [self.o.eq(word), self.o_valid.eq(0), self.spoiled.eq(0)]
        m.d.sync += come.eq(bus.read.valid)
        with m.If(bus.read.valid):
            m.d.sync += word.eq(bus.read.payload)
        loads, copies, given_up, judged = Signal(), Signal(), Signal(), Signal()
        taken = self._join(m, asks, request, loads, gives, word, copies, settles) if p.rowwise else (
            self._ask(m, asks, request, gives, word))
        with m.If(taken & ~request.write):
            m.d.sync += [
                place.eq(place + Cat(Mux(long, 0, rest), long)), more.eq(more - 1), long.eq(more > 1),
                asks.eq(long & ((more != 1) | rest.any())),
            ]
        due = self._count(m, wanted, begins, done, ahead)
        m.d.sync += judged.eq(0)
        with m.If(judged):  # a cycle later than the block has come: who waits knows of its copies by then
            m.d.sync += in_block.eq(0)
        with m.FSM() as fsm:
            m.d.sync += given_up.eq((given_up & ~fsm.ongoing("IDLE")) | self.stop)  # with the block that is coming
            with m.State("IDLE"):
                with m.If(self.write):
                    m.d.sync += [place.eq(self.write_address), word.eq(self.word), asks.eq(1)]
                    m.d.sync += [ask.eq(1), long.eq(0), gives.eq(1), follows.eq(0)]
                    m.d.sync += loads.eq(1)
                    m.next = "WRITE"
                with m.Elif(wanted | (follows & due)):
                    m.d.comb += begins.eq(1)
                    m.d.sync += [wanted.eq(0), in_block.eq(1), ask.eq(1), long.eq(0), asks.eq(1)]
                    with m.If(wanted):
                        m.d.sync += place.eq(first)
                    m.next = "HEAD"
            with m.State("WRITE"):
                m.d.comb += request.write.eq(1)
                with m.If(taken):
                    m.d.sync += asks.eq(0)
                with m.If(bus.write.ready):
                    m.d.sync += gives.eq(0)
                with m.If(~asks & ~gives):
                    m.d.sync += loads.eq(0)
                    m.next = "IDLE"
            with m.State("HEAD"), m.If(come):
                m.d.sync += [
                    left.eq(head.words), ask.eq(head.words), long.eq(head.words >= LONGEST), digest.eq(word),
                    listed.eq(times(head.copies, COPY_WORDS) if p.rowwise else 0),
                    follows.eq(head.follows & ~given_up), ahead.eq(head.ahead), settles.eq(head.settles), asks.eq(1),
                ]
                m.next = "BODY"
                with m.If(head.words == 0):  # no block is as short: nothing would come that has a digest
                    m.d.sync += [wrong.eq(1), asks.eq(0)]
                    m.next = "JUDGE"
            with m.State("BODY"), m.If(come):
                m.d.sync += self.o_valid.eq((left != 1) & (listed == 0))
                m.d.sync += [left.eq(left - 1), digest.eq(digest.rotate_left(1) + word)]
                with m.If(listed != 0):
                    m.d.sync += listed.eq(listed - 1)
                with m.If(left == 1):
                    m.d.sync += wrong.eq((digest != word) | bus.fault)
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.sync += [judged.eq(1), self.spoiled.eq(wrong)]
                m.next = "IDLE"
                with m.If(wrong):
                    m.d.sync += [wanted.eq(0), follows.eq(0)]
                if p.rowwise:
                    with m.Else():
                        m.d.sync += copies.eq(1)
                        m.next = "COPY"
                else:
                    m.d.comb += done.eq(~wrong)
            if p.rowwise:
                with m.State("COPY"), m.If(self._copier.done):
                    m.d.comb += done.eq(1)
                    m.d.sync += copies.eq(0)
                    m.next = "IDLE"
                m.d.comb += [
                    self._copier.clear.eq(fsm.ongoing("HEAD")), self._copier.list_word.eq(word),
                    self._copier.forget.eq(given_up),
                    self._copier.list_valid.eq(fsm.ongoing("BODY") & come & (listed != 0)),
                ]
            m.d.comb += [
                self.fetching.eq(in_block | wanted),
                self.writing.eq(loads | copies | (self._behind.busy if p.rowwise else 0)),
            ]
        with m.If(self.stop):
            m.d.sync += [wanted.eq(0), follows.eq(0)]
        with m.If(self.start):
            m.d.sync += [wanted.eq(1), first.eq(self.address)]
        return m

    def _count(self, m, wanted, begins, done, ahead):
        """Count blocks that have come, and those begun that are still needed; return whether the next may begin."""
        rowwise = self._params.rowwise
        came, needed = (Signal(len(ahead) + 1, name=name) for name in ("came", "needed"))
        due, begun, freed = Signal(), Signal(), Signal(2)  # no block begins within three cycles of another
        taken = self.take | self.take_row if rowwise else self.take
        arrived = came + done  # who takes waits for ``ready``: he is late in the cycle
        m.d.sync += [
            came.eq(Mux(taken, arrived - 1, arrived)), self.ready.eq(Mux(taken, arrived != 1, arrived != 0)),
            begun.eq(begins), freed.eq(self.take + self.free_row if rowwise else self.take),
            needed.eq(needed + begun - freed), due.eq(needed <= ahead),
        ]
        with m.If(self.start | wanted):  # what comes of another round is forgotten
            m.d.sync += [came.eq(0), self.ready.eq(0), freed.eq(0), needed.eq(0)]
        return due

    def _ask(self, m, asks, request, gives, word):
        """Give requests and words to the bus; return whether a request is taken."""
        bus = self.bus
        m.d.comb += [
            bus.request.valid.eq(asks), bus.request.payload.eq(request), bus.read.ready.eq(1),
            bus.write.valid.eq(gives), bus.write.payload.eq(word),
        ]
        return bus.request.ready & asks

    def _join(self, m, asks, request, loads, gives, word, copies, settles):
        """Share the bus with what is copied and what is written behind; return whether the own request is taken."""
        bus, behind, copier = self.bus, self._behind, self._copier
        m.submodules.behind, m.submodules.copier = behind, copier
        free, taken = Signal(), Signal()
        m.d.comb += [
            free.eq(~bus.request.valid | bus.request.ready), behind.request.ready.eq(free),
            taken.eq(free & asks & ~behind.request.valid),
            copier.request.ready.eq(free & ~asks & ~behind.request.valid),
        ]
        with m.If(free):
            m.d.sync += [
                bus.request.valid.eq(behind.request.valid | asks | copier.request.valid),
                bus.request.payload.eq(Mux(
                    behind.request.valid, behind.request.payload.as_value(),
                    Mux(asks, request.as_value(), copier.request.payload.as_value()),
                )),
            ]
        m.d.comb += [
            bus.write.valid.eq(Mux(loads, gives, behind.write.valid)), behind.write.ready.eq(bus.write.ready & ~loads),
            bus.write.payload.eq(Mux(loads, word, behind.write.payload)),
            bus.read.ready.eq(~copies | copier.i.ready), copier.i.valid.eq(bus.read.valid & copies),
            copier.i.payload.eq(bus.read.payload), copier.go.eq(copies), copier.settles.eq(settles),
            copier.settled.eq(~behind.busy), copier.slot.eq(self.slot),
            copier.header.eq(self.header), behind.header.eq(self.header), behind.base.eq(self.base),
            behind.map_word.eq(self.map_word), self.room.eq(behind.room), self.copied_image.eq(copier.image),
        ]
        wiring.connect(m, wiring.flipped(self.image), behind.image)
        wiring.connect(m, copier.maps, wiring.flipped(self.copied))
        return taken
