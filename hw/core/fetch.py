"""Reads the words that the walker asks for, each group those of its own tile."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads

__all__ = ["LATENCY", "Fetch"]

LATENCY = 5  # cycles from a request to its entry, at most


class Fetch(wiring.Component):
    """Turn requests into words with masks.

    A request becomes that of the group: it moves by the group's position and part (`gen.plan.program.pass_fields`).
    Words off the map vanish (without windows none is), but for the end of a tile that comes with one, and everything
    while the group sits a tile out. Of the lanes that do work it counts those of its own tile: the last part may have
    fewer than the others. One request a cycle::

        cycle 0 request  (1 moved, with several groups)  1 address  2-3 word  4 mask, entry

    Parameters
    ----------
    params : CoreParams
    number : int
        Of the group, from 0.

    Members
    -------
    layer, slot : In
        The pass in force; which slot of the input is read.
    tile_valid, tile : In
        Before the requests of a tile, or with its first one.
    request_valid, request : In
    map_address, map_word, wide_word : Out, In, In
        The word comes two cycles after its address; with ``params.wide`` the other bits of its counts too.
    image_address, image_word : Out, In
        So does the input's; the lowest bits of the address are the slot.
    o_valid, o : Out(1), Out(word_entry)
        An entry that is no word has an empty mask and is ``last``.
    """

    def __init__(self, params, number):
        self._params = p = params
        self._number = number
        super().__init__({
            "layer": In(payloads.pass_block(p)), "slot": In(range(max(2, p.image_slots))),
            "tile_valid": In(1), "tile": In(payloads.tile(p)),
            "request_valid": In(1), "request": In(payloads.request(p)),
            "map_address": Out(payloads.map_write(p).members["address"]), "map_word": In(payloads.narrow_word(p)),
            **({"wide_word": In(payloads.wide_word(p))} if p.wide else {}),
            "image_address": Out(payloads.image_address(p)), "image_word": In(payloads.image_word(p)),
            "o_valid": Out(1), "o": Out(payloads.word_entry(p)),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        valid, asked, address, column = self._moved(m) if p.groups > 1 else (
            self.request_valid, self.request, self.request.address, self.request.column if p.windows else None)
        members = payloads.request(p).members
        names = ("word", "end", "image", "dense", "weight", "active", *["wide"] * (p.wide > 0))
        kept = data.StructLayout({name: members[name] for name in names})
        at_address, at_block, at_word = (Signal(kept, name=f"at_{name}", reset_less=True)
                                         for name in ("address", "block", "word"))
        sent, found, come = (Signal(name=name) for name in ("sent", "found", "come"))
        place = Signal(signed(max(p.address_bits, p.ring_bits + 1)), reset_less=True)
        on_map = at_address.word & (self._on_map(m, asked, column) if p.windows else 1)
        if p.rowwise:  # the words of a ring lie one behind the other, again and again
            address = Cat((address[: p.ring_bits] & asked.ring_mask) | asked.ring_base, Const(0)).as_signed()
        m.d.sync += [
            sent.eq(valid), place.eq(address), *(at_address[name].eq(asked[name]) for name, _ in kept),
            found.eq(sent & (on_map | at_address.end)), at_block.eq(at_address), at_block.word.eq(on_map),
            come.eq(found), at_word.eq(at_block),
        ]
        m.d.comb += [self.map_address.eq(place), self.image_address.eq(
            Cat(self.slot, place) if p.image_slots > 1 and not p.image_ring else place)]
        self._entry(m, come, at_word)
        return m

    def _on_map(self, m, asked, column):
        """Return, in the next cycle, whether the word is on the map."""
        hit = Signal(reset_less=True)
        own, columns = (
            Signal(self._params.place_bits, name=name, reset_less=True) for name in ("own_column", "columns"))
        m.d.sync += [hit.eq(asked.hit), own.eq(column), columns.eq(asked.columns)]
        return hit & (own < columns)  # without sign: below 0 is far to the right

    def _moved(self, m):
        """Return the request as it is for the group, a cycle later."""
        p, asked, layer = self._params, self.request, self.layer
        away, valid, short = (Signal(name=name) for name in ("away", "valid", "short"))
        moved, own = Signal.like(asked, reset_less=True), Signal.like(asked)
        offset = Signal(signed(p.address_bits), reset_less=True)
        column = None
        m.d.sync += [
            valid.eq(self.request_valid), moved.eq(asked),
            offset.eq(self._sum(m, "address", asked.position_step if p.windows else Const(0), asked.part_step)),
        ]
        if p.windows:
            columns = Signal(signed(p.place_bits), reset_less=True)
            m.d.sync += columns.eq(self._sum(m, "column", asked.position_columns, Const(0)))
            column = moved.column + columns
        with m.If(self.tile_valid), m.Switch(layer.part_bits):
            for part_bits in self._splits():
                position, part = self._number >> part_bits, self._number % (1 << part_bits)
                with m.Case(part_bits):
                    m.d.sync += [
                        away.eq(self._beyond(position) | (self.tile.last_tile & (layer.last_parts < part))),
                        short.eq(self.tile.last_tile & (layer.last_parts == part)),
                    ]
        m.d.comb += own.eq(moved)
        with m.If(short & (moved.active > layer.lanes_last)):
            m.d.comb += own.active.eq(layer.lanes_last + 1)
        return valid & ~away, own, (moved.address + offset)[: p.address_bits].as_signed(), column

    def _beyond(self, position):
        """Return whether the pass, or its last columns, have fewer positions."""
        layer = self.layer
        if not self._params.windows:
            return Const(position > 0)
        return (layer.positions < position) | (self.tile.last_column & (layer.last_positions < position))

    def _sum(self, m, name, position_step, part_step):
        """Return the group's position times the one step plus its part times the other: a term for each bit set."""
        terms, bits = [], max(len(position_step), len(part_step))
        for bit in range(self._number.bit_length()):
            if self._number >> bit & 1:
                term = Signal(signed(bits + 1), name=f"{name}_term_{bit}")
                with m.Switch(self.layer.part_bits):
                    for part_bits in self._splits():
                        with m.Case(part_bits):
                            m.d.comb += term.eq(part_step << bit if bit < part_bits
                                                else position_step << bit - part_bits)
                terms.append(term)
        return sum(terms, Const(0))

    def _splits(self):
        return range((self._params.groups - 1).bit_length() + 1)

    def _entry(self, m, valid, kept):
        """Join the word and its mask to what was asked."""
        p = self._params
        entry = Signal.like(self.o, reset_less=True)
        m.d.comb += self.o.eq(entry)
        map_word = self._whole(m, kept) if p.wide else self.map_word
        lanes = Mux(kept.image, _nonzero(self.image_word), _nonzero(map_word))
        image, maps = _planes(self.image_word), _planes(map_word)
        both = min(len(image), len(maps))
        if p.dense and p.maximum and p.signed:  # zeros take part in the maximum of counts of both signs
            lanes = lanes | (kept.dense & self.layer.maximum).replicate(p.width)
        m.d.sync += [
            self.o_valid.eq(valid), entry.mask.eq(Mux(kept.word, lanes, 0)),
            entry.word.eq(Cat(Mux(kept.image, image[:both], maps[:both]), image[both:], maps[both:])),
            entry.dense.eq(kept.dense & kept.word), entry.last.eq(kept.end),
            *(entry[name].eq(kept[name]) for name in ("image", "weight", "active")),
        ]

    def _whole(self, m, kept):
        """Return the word with all bits of its counts; those that the memory of maps has not are signs elsewhere."""
        p = self._params
        word = Signal(payloads.map_word(p), name="whole_word")
        for lane in range(p.width):
            low, high = self.map_word[lane], self.wide_word[lane]
            sign = low[-1] if p.signed else Const(0)
            bits = Signal(p.count_bits, name=f"whole_{lane}")
            m.d.comb += [bits.eq(Cat(low, Mux(kept.wide, high, sign.replicate(len(high))))), word[lane].eq(bits)]
        return word


def _planes(word):
    """Return the lowest bits of all lanes, then the next bits of all lanes, and so on."""
    return Cat(*zip(*word))


def _nonzero(word):
    """Return which lanes are not zero."""
    return Cat(lane.any() for lane in word)
