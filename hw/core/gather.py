"""Takes the events out of the words of a tile, one a cycle, and fetches their weights."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.core.mask_encoder import MaskEncoder, at_least

__all__ = ["Gather"]


class Gather(wiring.Component):
    """Turn words into events in step with their weights.

    An event is a lane of the word that its mask names, lowest first, or a whole ``dense`` word; an empty mask is an
    event that adds nothing. The next word follows without a gap, and so does the next tile. The last event of a tile
    waits until the last one of the tile before was ``layer.spacing`` + 1 cycles ago, and for ``room``; nothing else
    ever stalls::

        cycle 0 lane chosen   1 value, address made   2 weight address   3 event at the lanes   4 its weights

    Members
    -------
    layer : In
        The pass in force.
    i : In(stream(word_entry))
    room : In(1)
        Only with ``params.parked``: a tile may end (`hw.core.state_stream`).
    weight_address : Out
        The weights come two cycles later, at the lanes, a cycle behind their event.
    upper : Out(1)
        In a narrow layer, addresses count halves of memory words: which half, one cycle after ``weight_address``
        (`hw.core.halves`). Only where ``params.narrow``.
    busy, active : Out
        An event was taken two cycles ago; the lanes that do work for it: as many as its word says, of a dense word
        those whose count is not zero, if its word says any.
    o : Out(event)
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "layer": In(payloads.pass_block(p)), "i": In(stream.Signature(payloads.word_entry(p))),
            "weight_address": Out(range(max(2, p.weights))), "busy": Out(1), "active": Out(range(p.width + 1)),
            "o": Out(payloads.event(p)), **({"upper": Out(1)} if p.narrow else {}),
            **({"room": In(1)} if p.parked else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        m.submodules.encoder = encoder = MaskEncoder(p.width)
        held = Signal(payloads.word_entry(p), reset_less=True)
        opens = Signal(init=1)
        full, single, issue = (Signal(name=name) for name in ("full", "single", "issue"))
        ends, spaced = Signal(name="ends"), Signal(name="spaced")
        waits = held.last & ~spaced  # its last event, that is
        m.d.comb += [
            encoder.mask.eq(held.mask), self.i.ready.eq(~full | (single & ~waits)),
            issue.eq(full & ~(single & waits)), ends.eq(full & single & held.last & spaced),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                held.eq(self.i.payload), full.eq(self.i.valid),
                single.eq(self._dense(self.i.payload) | ~at_least(self.i.payload.mask, 2)[2]),
            ]
        with m.Elif(~single):
            m.d.sync += [held.mask.eq(encoder.rest), single.eq(encoder.ends)]
        with m.If(issue):
            m.d.sync += opens.eq(ends)
        self._keep_apart(m, ends, spaced)

        word = Signal.like(held, reset_less=True)
        index = Signal.like(encoder.index, reset_less=True)
        marks = [Signal(data.StructLayout({"event": 1, "first": 1, "last": 1}), name=f"marks_{i}") for i in (1, 2)]
        m.d.sync += [
            word.eq(held), index.eq(Mux(self._dense(held), 0, encoder.index)),
            marks[0].event.eq(issue & held.mask.any()), marks[0].first.eq(issue & opens), marks[0].last.eq(ends),
            marks[1].eq(marks[0]), self.o.first.eq(marks[1].first), self.o.last.eq(marks[1].last),
            self.busy.eq(marks[0].event),
        ]
        self._values(m, word, index, marks[0].event)
        self._count_lanes(m, held.mask, word, marks[0].event)
        self._weight_address(m, word.weight + index)
        return m

    def _dense(self, entry):
        return entry.dense if self._params.dense else 0

    def _keep_apart(self, m, ends, spaced):
        """Count down from the end of a tile to the cycle in which the next may end."""
        rest = Signal(signed(len(self.layer.spacing) + 1), init=-1)
        counted = spaced
        if self._params.parked:
            counted = Signal()
            m.d.comb += spaced.eq(counted & self.room)
        m.d.comb += counted.eq(rest < 0)
        with m.If(ends | ~counted):
            m.d.sync += rest.eq(Mux(counted, self.layer.spacing, rest) - 1)

    def _values(self, m, word, index, event):
        """Choose the lane's value, and bring it to the lanes with its weights."""
        p = self._params
        counts, values = _planes(word.word, p.width, p.count_bits), _planes(word.word, p.image_tile, p.image_bits)
        place = index[: (p.image_tile - 1).bit_length()]
        count, value = (Cat(plane.bit_select(at, 1) for plane in planes)
                        for planes, at in ((counts, index), (values, place)))
        value, count = value.as_signed() if p.value_signed else value, count.as_signed() if p.signed else count
        chosen = Mux(word.image, value, count)
        at_address, at_block = (Signal(payloads.event(p), name=f"event_at_{name}", reset_less=True)
                                for name in ("address", "block"))
        m.d.sync += at_address.value.eq(Mux(event, chosen, 0))
        moved = ["value"]
        if p.dense:
            m.d.sync += [at_address.dense.eq(word.dense & event), at_address.word.eq(Cat(*zip(*counts)))]
            moved += ["dense", "word"]
        for name in moved:
            m.d.sync += at_block[name].eq(at_address[name])
            m.d.comb += self.o[name].eq(at_block[name])

    def _count_lanes(self, m, mask, word, event):
        """Say how many lanes do work for an event."""
        active = word.active
        if self._params.dense:
            nonzero = Signal.like(self.active, reset_less=True)
            m.d.sync += nonzero.eq(_ones(mask))
            active = Mux(word.dense & (word.active != 0), nonzero, word.active)
        m.d.sync += self.active.eq(Mux(event, active, 0))

    def _weight_address(self, m, at):
        address = Signal.like(self.weight_address, reset_less=True)
        odd = Signal(reset_less=True)
        m.d.comb += self.weight_address.eq(address)
        if not self._params.narrow:
            m.d.sync += address.eq(at)
        else:
            m.d.sync += [address.eq(Mux(self.layer.narrow, at >> 1, at)), odd.eq(at[0]), self.upper.eq(odd)]


def _planes(word, lanes, bits):
    """Return, for each bit, that bit of all lanes (`hw.core.fetch`)."""
    return [word[bit * lanes : (bit + 1) * lanes] for bit in range(bits)]


def _ones(mask):
    """Return how many bits of the mask are set, as a balanced tree of sums."""
    if len(mask) == 1:
        return mask
    return _ones(mask[: len(mask) // 2]) + _ones(mask[len(mask) // 2 :])
