"""Writes the input, one map ahead of the one that is computed."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["ImageWriter"]


class _Place(NamedTuple):
    """Where the next beat goes."""

    slots: Signal        # how many are full
    into: Signal         # the slot that is written
    begun: Signal        # a map is under way
    later: Signal        # what comes is a later frame of an image
    position: Signal     # positions of the map that have come
    last: Signal         # the one that comes is the map's last one
    alone: Value         # the map has a single one
    channel: Signal      # beats of the position that have come
    lane: Signal         # beats of the word that have come
    later_word: Signal   # in strips: a word of the row has been made
    words: list[Signal]  # where the next word goes, in whole windows of each row
    starts: list[Value]  # where the first one of a map goes


class _Beat(NamedTuple):
    """What becomes of the beat in hand, a bit each: one of zeros while ``fills``, else the one at the input."""

    takes: Signal          # it goes into the map
    begins: Signal         # one that begins an image stands at the input
    anew: Signal           # and does so amid the image's first map, which begins anew
    opens: Signal          # it is the first of a word, in strips the first of a row
    held: Signal           # the beat before has made a word whole: it stands at ``write`` or ``store``
    blocked: Signal        # it stays there another cycle, since nobody takes it: nothing moves
    fills: Signal          # zeros come instead of the input, which waits
    ends_position: Signal
    ends_word: Signal
    ends_map: Signal       # and is taken


class ImageWriter(wiring.Component):
    """Take values in raster order, channels innermost; write words of them into a free slot.

    Values come in beats of ``params.input_values``, a beat a cycle. A word ends with ``header.image_tile`` + 1 values
    or with its position; both are whole beats. A beat marked ``first`` begins an image; beats before any are dropped;
    one amid a map takes a cycle more. With ``header.frames`` the maps of an image follow one another, with
    ``params.batch`` so many of them as if they were one image.

    In strips (``header.strips``, `gen.plan.strips`) values move down a lane with every beat, a position is a row, and
    what a row has not is made of zeros, a beat a cycle. In whole windows (``header.windows``) so are rows of zeros; a
    word of a row goes to the words of all windows that it is a row of.

    Members
    -------
    header : In
        Of the program, from the cycle before ``enable`` on.
    i : In(stream(input_word))
    enable, clear : In(1)
        The header is known, and stays; drop all maps, the one under way, and what stands at the input.
    ends : In(1)
        Drop all maps and the one under way; what stands at the input begins another image, or is dropped.
    full, slot, release : Out, Out, In
        A map is there; where; it is not needed any more.
    restart : Out(1)
        A beat marked ``first`` stands in place of a later frame: the image under way is given up. Until ``ends``.
    idle : Out(1)
        No map is there or under way.
    write : Out(image_write)
        Without ``params.image_ring``.
    store : Out(stream(image_store))
        With it instead: a word for the outside of the chip.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "header": In(payloads.header(p)), "i": In(stream.Signature(payloads.input_word(p))), "enable": In(1),
            "clear": In(1), "ends": In(1), "full": Out(1), "slot": Out(range(max(2, p.image_slots))), "release": In(1),
            "restart": Out(1), "idle": Out(1),
            **({"store": Out(stream.Signature(payloads.image_store(p)))} if p.image_ring else
               {"write": Out(payloads.image_write(p))}),
        })

    def elaborate(self, platform):
        m = Module()
        p, header = self._params, self.header
        words, starts = self._places()
        at = _Place(
            slots=Signal(range(p.image_slots + 1), name="slots"), into=Signal.like(self.slot, name="into"),
            begun=Signal(), later=Signal(name="later"),
            position=Signal(header.image_positions.shape(), name="position"), last=Signal(),
            alone=header.image_positions == 0, channel=Signal(max(1, len(self._beats(header.image_channels)))),
            lane=Signal(range(max(2, p.image_tile // p.input_values)), name="lane"),
            later_word=Signal(name="last_lane"),  # as it is called in Verilog
            words=words, starts=starts,
        )
        named = ("takes", "begins", "anew", "opens", "held", "blocked", "fills")
        beat = _Beat(
            **{name: Signal(name=name) for name in named},
            ends_position=Signal(), ends_word=Signal(), ends_map=Signal(),
        )
        word = self.store.p if p.image_ring else self.write
        lanes = self._rows_of_windows(m) if p.image_rows > 1 else word.word
        self._shake_hands(m, at, beat)
        self._find_ends(m, at, beat)
        self._count(m, at, beat, word)
        self._fill_lanes(m, at, beat, lanes)
        self._end_map(m, at, beat)
        return m

    def _beats(self, values):
        """Return a number of values less one as one of whole beats: without the low bits that these have no need of."""
        return values[(self._params.input_values - 1).bit_length():]

    @property
    def _in_strips(self):
        return self.header.strips if self._params.strips else Const(0)

    def _shake_hands(self, m, at, beat):
        """Say what is taken from the input, and what is offered."""
        p, i, first = self._params, self.i, self.i.payload.first
        amid = Signal(name="amid")  # an image is under way: a beat marked ``first`` does not continue it
        may = Signal(name="may")    # a beat of the input has a place to go
        m.d.comb += [
            beat.begins.eq(i.valid & first & ~beat.fills),  # the map before may wait for nothing but zeros
            self.restart.eq(beat.begins & at.later), beat.anew.eq(beat.begins & at.begun & ~at.later),
            amid.eq(at.begun | at.later),
            may.eq(self.enable & (at.slots != p.image_slots) & ~beat.blocked & ~beat.fills),
            i.ready.eq(self.clear | (may & ~(i.valid & first & amid))),  # no restart, nothing anew
            # What is ready, is not first and finds no image under way is dropped.
            beat.takes.eq(~self.clear & Mux(beat.fills, ~beat.blocked, i.valid & may & (first ^ amid))),
            self.full.eq(at.slots != 0), self.idle.eq((at.slots == 0) & ~at.begun & ~beat.held),
        ]
        if p.image_ring:
            m.d.comb += [self.store.valid.eq(beat.held), beat.blocked.eq(beat.held & ~self.store.ready)]
        else:
            m.d.comb += self.write.enable.eq(beat.held)

    def _find_ends(self, m, at, beat):
        """Say whether the beat begins a word, and whether it ends a word, its position and the map."""
        p, header, in_strips = self._params, self.header, self._in_strips
        last_lane = self._beats(header.image_tile)
        if p.strips:
            step, at_first, arrives = (
                self._beats(value) for value in (header.strip_step, header.strip_first, header.row_values))
            last_lane = Mux(in_strips, Mux(at.later_word, step, at_first), last_lane)
            beyond = self._beyond(m, at.position, at.last, beat.takes & beat.ends_position) if p.image_rows > 1 else 0
            with m.If(beat.takes):
                m.d.sync += [
                    at.later_word.eq(~beat.ends_position & (at.later_word | beat.ends_word)),
                    beat.fills.eq(in_strips & Mux(beat.ends_position, beyond, beat.fills | (at.channel == arrives))),
                ]
        m.d.comb += [
            beat.ends_position.eq(at.channel == self._beats(header.image_channels)),
            beat.ends_word.eq((beat.ends_position & ~in_strips) | (at.lane == last_lane)),
            beat.opens.eq(~beat.blocked & Mux(in_strips, at.channel == 0, at.lane == 0)),
            beat.ends_map.eq(beat.takes & beat.ends_position & at.last),
        ]
        m.d.sync += beat.held.eq((beat.takes & beat.ends_word) | beat.blocked)

    def _count(self, m, at, beat, word):
        """Move on by the beat that is taken, and address the word that it belongs to."""
        p = self._params
        with m.If(~at.begun):
            m.d.sync += at.last.eq(at.alone)
            if p.image_rows > 1:
                m.d.sync += self._to_start(at)
        with m.If(beat.takes & beat.ends_position):
            m.d.sync += at.last.eq(at.position + 1 == self.header.image_positions)
        with m.If(beat.takes):
            m.d.sync += [
                at.begun.eq(1), at.lane.eq(Mux(beat.ends_word | beat.ends_position, 0, at.lane + 1)),
                *(place.eq(self._behind(place, beat.ends_word)) for place in at.words),
                at.channel.eq(Mux(beat.ends_position, 0, at.channel + 1)),
                at.position.eq(at.position + beat.ends_position),
                word.address.eq(Cat(Cat(at.into, place) if p.image_slots > 1 else place for place in at.words)),
            ]

    def _fill_lanes(self, m, at, beat, lanes):
        """Put the beat's values into the lanes of a word.

        The first beat of a word clears the other lanes. What no one takes is written too: the next beat replaces it.
        """
        top, values = self._beats(self.header.image_tile), payloads.input_values(self.i.payload)
        chunks = self._params.image_tile // self._params.input_values
        for number in range(chunks):
            for n, value in enumerate(values):
                own = lanes[number * len(values) + n]
                with m.If(self._in_strips):  # values move down from the top
                    above = lanes[(number + 1) * len(values) + n] if number + 1 < chunks else 0
                    with m.If(beat.takes):
                        m.d.sync += own.eq(
                            Mux(top == number, Mux(beat.fills, 0, value), Mux(beat.opens, 0, above)))
                with m.Elif(beat.opens):
                    m.d.sync += own.eq(0 if number else value)
                with m.Elif(~beat.blocked & (at.lane == number)):
                    m.d.sync += own.eq(value)

    def _end_map(self, m, at, beat):
        """Go on to the next map when one has come, and free those that are read; drop what is given up."""
        more = self._more(m, beat.ends_map)
        with m.If(beat.ends_map):
            m.d.sync += [
                at.begun.eq(0), at.later.eq(more), at.position.eq(0), at.into.eq(at.into + 1), at.last.eq(at.alone)]
            m.d.sync += self._to_start(at)
        m.d.sync += [at.slots.eq(at.slots + beat.ends_map - self.release), self.slot.eq(self.slot + self.release)]
        with m.If(self.clear | self.ends):
            m.d.sync += [at.slots.eq(0), at.later.eq(0), self.slot.eq(at.into + beat.ends_map)]
        with m.If(self.clear | self.ends | beat.anew):
            m.d.sync += [at.begun.eq(0), at.position.eq(0), at.channel.eq(0), at.lane.eq(0), at.last.eq(at.alone)]
            m.d.sync += self._to_start(at)
            m.d.sync += [beat.fills.eq(0), at.later_word.eq(0)]

    def _to_start(self, at):
        return [place.eq(start) for place, start in zip(at.words, at.starts)]

    def _places(self):
        """Return where the next word goes, in whole windows of each row, and where the first one of a map goes."""
        p, size = self._params, range(max(2, self._params.image_words))
        if p.image_rows == 1:
            return [Signal(size, name="place")], [Const(0)]
        rows = range(p.image_rows)
        return [Signal(size, name=f"place_{row}") for row in rows], [self.header[f"first_word_{row}"] for row in rows]

    def _behind(self, place, moves):
        """Return the place, or the next one if it ``moves``; behind the last one the first comes again."""
        if self._params.image_rows == 1:
            return place + moves
        return Mux(moves, Mux(place == self.header.last_word, 0, place + 1), place)

    def _rows_of_windows(self, m):
        """Return the lanes that values come into: of whole windows those of a row are written for every row."""
        p = self._params
        lanes = Signal(payloads.image_word(p), name="lanes", reset_less=True)
        for number in range(p.image_tile):
            m.d.comb += self.write.word[number].eq(
                Mux(self.header.windows, lanes[number % p.image_row_lanes], lanes[number]))
        return lanes

    def _beyond(self, m, position, last, ends):
        """Return whether the row of whole windows behind this one, which ``ends`` with a beat, is one of zeros."""
        before, beyond = Signal(name="before"), Signal(name="beyond")
        m.d.comb += beyond.eq(self.header.windows & ~last & (before | (position == self.header.given)))
        with m.If(ends):
            m.d.sync += before.eq(beyond)
        with m.If(self.clear | self.ends):
            m.d.sync += before.eq(0)
        return beyond

    def _more(self, m, ends_map):
        """Return whether another map of the image follows the one that ends."""
        images = self._params.batch
        if images == 1:
            return self.header.frames
        number = Signal(range(images))
        with m.If(self.clear | self.ends):
            m.d.sync += number.eq(0)
        with m.Elif(ends_map):
            m.d.sync += number.eq(Mux(number == images - 1, 0, number + 1))
        return number != images - 1
