"""The places of a tile: where it is stored, and where each of its synapses begins to read."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from gen.plan.program import cursor_fields, output_fields, words_of
from hw.core import payloads

__all__ = ["TileCursor", "place"]


def place(p):
    """Where a synapse reads: first word, row and column of a window, kernel row or tap, and its weights.

    Without windows there is neither row nor column. A remainder has a bit to spare, for a sum of two.
    """
    phases = dict.fromkeys(("row_phase", "column_phase"), unsigned(p.phase_bits + 1)) if p.phase_bits else {}
    window = dict.fromkeys(("row", "column"), signed(p.place_bits)) if p.windows else {}
    return data.StructLayout({
        "address": signed(p.address_bits), **window, "weight": unsigned(p.weight_address_bits), **phases,
    })


class TileCursor(wiring.Component):
    """Add steps to the cursors of the output and of up to ``p.synapses`` synapses (kept in a small memory).

    With ``params.quick`` another small memory keeps the step of each level that was added last.

    Members
    -------
    begins : In(1)
        The pass's first tile: cursors count from 0, those of the input from ``frame``.
    frame : In
        Only with ``params.replay``: where the frame looked at begins.
    step : In
        As `PassReader` gives it.
    add_output, load, add, carry, index : In
    quick, made_level, level : In
        Only with ``params.quick``; ``quick`` comes two cycles behind whatever was added before, and not with ``add``.
    block : In(synapse_block)
        Of the synapse.
    address, parameter : Out
        Of the output, a cycle after ``add_output`` or ``quick``.
    place : Out(place)
        A cycle after ``add`` or ``quick``.
    over : Out(1)
        A remainder of ``place`` has reached its factor.
    """

    def __init__(self, params):
        self._params = p = params
        tile = payloads.tile(p).members
        words = words_of(output_fields(p)) + words_of(cursor_fields(p))
        super().__init__({
            "begins": In(1), "step": In(WORD_BITS * words), "block": In(payloads.synapse_block(p)),
            "add_output": In(1), "load": In(1), "add": In(1), "carry": In(1), "index": In(range(max(2, p.synapses))),
            "address": Out(tile["address"]), "parameter": Out(tile["parameter"]), "place": Out(place(p)),
            "over": Out(1),
            **({"frame": In(payloads.header(p).members["frame_words"])} if p.replay else {}),
            **({"quick": In(1), **dict.fromkeys(("made_level", "level"), In(range(len(p.levels) + 1)))}
               if p.quick else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        output, step = (Signal(_struct(fields), name=name) for name, fields in (
            ("output_step", output_fields(p)), ("place_step", cursor_fields(p))))
        behind = WORD_BITS * words_of(output_fields(p))
        m.d.comb += [output.eq(self.step[:behind]), step.eq(self.step[behind:])]
        adds, adds_output = self.add, self.add_output
        if p.quick:
            output, step = self._kept(m, output, step)
            adds, adds_output = adds | self.quick, adds_output | self.quick
        for name in ("address", "parameter"):
            total = Signal.like(getattr(self, name), reset_less=True)
            m.d.comb += getattr(self, name).eq(total)
            with m.If(adds_output):
                m.d.sync += total.eq(Mux(self.begins, 0, total) + output[name])

        before, now = Signal(place(p), reset_less=True), Signal(place(p), reset_less=True)
        kept = now
        m.d.comb += self.place.eq(now)
        if p.synapses > 1:
            m.submodules.places = places = Memory(shape=place(p), depth=p.synapses, init=[])
            write, read = places.write_port(), places.read_port(domain="comb")
            kept, made = read.data, Signal()
            m.d.sync += made.eq(adds)
            m.d.comb += [
                write.en.eq(made), write.addr.eq(self.index), write.data.eq(now), read.addr.eq(self.index),
            ]
        operand = {name: step[name] for name, _ in place(p)}
        if p.quick:
            m.d.sync += before.eq(now)
        with m.If(self.load):
            m.d.sync += before.eq(kept)
            with m.If(self.begins & ~self.carry):
                m.d.sync += before.eq(0)
                if p.replay:
                    m.d.sync += before.address.eq(Mux(self.block.image, self.frame, 0))
        if p.phase_bits:
            self._carry(m, operand)
        with m.If(adds):
            m.d.sync += [now[name].eq(before[name] + value) for name, value in operand.items()]
        return m

    def _kept(self, m, output, step):
        """Keep the steps that are added; return those to add, of ``add`` the ones that come, else those kept."""
        came = data.StructLayout({"output": output.shape(), "step": step.shape()})
        m.submodules.steps = steps = Memory(shape=came, depth=len(self._params.levels) + 1, init=[])
        write, read = steps.write_port(), steps.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.add & ~self.carry), write.addr.eq(self.made_level), read.addr.eq(self.level),
            write.data.output.eq(output), write.data.step.eq(step),
        ]
        added = Signal(came, name="added")
        m.d.comb += added.eq(Mux(self.add, write.data.as_value(), read.data.as_value()))
        return added.output, added.step

    def _carry(self, m, operand):
        """Let a remainder that has reached its factor carry: rows first, then columns."""
        block = self.block
        rows, columns = (Signal(name=name) for name in ("rows_carry", "columns_carry"))
        m.d.sync += [
            rows.eq(self.place.row_phase >= block.row_factor),
            columns.eq(self.place.column_phase >= block.column_factor),
        ]
        m.d.comb += self.over.eq(
            (self.place.row_phase >= block.row_factor) | (self.place.column_phase >= block.column_factor))
        changes = {
            "address": Mux(rows, block.row_pitch, block.column_pitch), "row": rows, "column": ~rows & columns,
            "weight": 0,
            "row_phase": Mux(rows, -block.row_factor, 0), "column_phase": Mux(~rows & columns, -block.column_factor, 0),
        }
        for name, change in changes.items():
            operand[name] = Mux(self.carry, change, operand[name])


def _struct(fields):
    return data.StructLayout({name: signed(bits) if is_signed else bits for name, (bits, is_signed) in fields.items()})
