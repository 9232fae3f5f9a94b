"""Writes the input, one map ahead of the one that is computed."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["ImageWriter"]


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
        p, header, beat = self._params, self.header, self.i.payload
        values = payloads.input_values(beat)
        whole = (p.input_values - 1).bit_length()  # low bits of a number of values that whole beats have no need of
        last_channel, top = header.image_channels[whole:], header.image_tile[whole:]
        in_strips = header.strips if p.strips else Const(0)
        slots = Signal(range(p.image_slots + 1))  # full ones
        into = Signal.like(self.slot)
        channel, position = Signal(max(1, len(last_channel))), Signal(header.image_positions.shape())
        places, starts = self._places()
        lane = Signal(range(max(2, p.image_tile // p.input_values)))
        begun, later = Signal(), Signal()  # a map is under way; what comes is a later frame of an image
        last, alone = Signal(), header.image_positions == 0  # the position is the map's last one; its only one
        takes, begins, anew, opens, held, blocked, fills, amid, may = (Signal(name=name) for name in (
            "takes", "begins", "anew", "opens", "held", "blocked", "fills", "amid", "may"))
        word = self.store.p if p.image_ring else self.write
        kept = self._rows_of_windows(m) if p.image_rows > 1 else word.word
        m.d.comb += [
            begins.eq(self.i.valid & beat.first & ~fills),  # the map before may wait for nothing but zeros
            self.restart.eq(begins & later), anew.eq(begins & begun & ~later),
            amid.eq(begun | later), may.eq(self.enable & (slots != p.image_slots) & ~blocked & ~fills),
            self.i.ready.eq(self.clear | (may & ~(self.i.valid & beat.first & amid))),  # no restart, nothing anew
            takes.eq(~self.clear & Mux(fills, ~blocked, self.i.valid & may & (beat.first ^ amid))),
            self.full.eq(slots != 0), self.idle.eq((slots == 0) & ~begun & ~held),
        ]
        if p.image_ring:
            m.d.comb += [self.store.valid.eq(held), blocked.eq(held & ~self.store.ready)]
        else:
            m.d.comb += self.write.enable.eq(held)
        ends_position, ends_word, ends_map = Signal(), Signal(), Signal()
        later_word, last_lane = Signal(), top  # a word of the row has been made
        if p.strips:
            step, at_first, arrives = (
                value[whole:] for value in (header.strip_step, header.strip_first, header.row_values))
            last_lane = Mux(in_strips, Mux(later_word, step, at_first), top)
            beyond = self._beyond(m, position, last, takes & ends_position) if p.image_rows > 1 else 0
            with m.If(takes):
                m.d.sync += [
                    later_word.eq(~ends_position & (later_word | ends_word)),
                    fills.eq(in_strips & Mux(ends_position, beyond, fills | (channel == arrives))),
                ]
        m.d.comb += [
            ends_position.eq(channel == last_channel),
            ends_word.eq((ends_position & ~in_strips) | (lane == last_lane)),
            opens.eq(~blocked & Mux(in_strips, channel == 0, lane == 0)),
            ends_map.eq(takes & ends_position & last),
        ]
        m.d.sync += held.eq((takes & ends_word) | blocked)
        with m.If(~begun):
            m.d.sync += last.eq(alone)
            if p.image_rows > 1:
                m.d.sync += [place.eq(start) for place, start in zip(places, starts)]
        with m.If(takes & ends_position):
            m.d.sync += last.eq(position + 1 == header.image_positions)
        with m.If(takes):
            m.d.sync += [
                begun.eq(1), lane.eq(Mux(ends_word | ends_position, 0, lane + 1)),
                *(place.eq(self._behind(place, ends_word)) for place in places),
                channel.eq(Mux(ends_position, 0, channel + 1)), position.eq(position + ends_position),
                word.address.eq(Cat(Cat(into, place) if p.image_slots > 1 else place for place in places)),
            ]
        # The first beat of a word clears the other lanes. What no one takes is written too: the next beat replaces it.
        chunks = p.image_tile // p.input_values
        for number in range(chunks):
            for n, value in enumerate(values):
                own = kept[number * len(values) + n]
                with m.If(in_strips):
                    above = kept[(number + 1) * len(values) + n] if number + 1 < chunks else 0
                    with m.If(takes):
                        m.d.sync += own.eq(Mux(top == number, Mux(fills, 0, value), Mux(opens, 0, above)))
                with m.Elif(opens):
                    m.d.sync += own.eq(0 if number else value)
                with m.Elif(~blocked & (lane == number)):
                    m.d.sync += own.eq(value)
        more = self._more(m, ends_map)
        with m.If(ends_map):
            m.d.sync += [begun.eq(0), later.eq(more), position.eq(0), into.eq(into + 1), last.eq(alone)]
            m.d.sync += [place.eq(start) for place, start in zip(places, starts)]
        m.d.sync += [slots.eq(slots + ends_map - self.release), self.slot.eq(self.slot + self.release)]
        with m.If(self.clear | self.ends):
            m.d.sync += [slots.eq(0), later.eq(0), self.slot.eq(into + ends_map)]
        with m.If(self.clear | self.ends | anew):
            m.d.sync += [begun.eq(0), position.eq(0), channel.eq(0), lane.eq(0), last.eq(alone)]
            m.d.sync += [place.eq(start) for place, start in zip(places, starts)]
            m.d.sync += [fills.eq(0), later_word.eq(0)]
        return m

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
