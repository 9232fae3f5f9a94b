"""Walks the tiles of a pass and asks all groups for the words that each of them gathers."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.core.line_walker import LineWalker
from hw.core.pass_reader import PassReader
from hw.core.tap_walker import TapWalker
from hw.core.tile_cursor import TileCursor
from hw.core.tile_loops import TileLoops
from hw.core.word_walker import WordWalker

__all__ = ["Walker"]

ROW_SETTLES = 8  # cycles in which a word that was asked for has been read (`hw.core.fetch.LATENCY`), and more


class Walker(wiring.Component):
    """One walker for all groups: `PassReader` makes a tile while `LineWalker` and `TapWalker` send the one before.

    Without windows `WordWalker` stands in the place of both.

    A tile of one synapse costs its words, at least four cycles, or two with ``params.quick``, and one for an end that
    does not come with the last of them (`LineWalker`); of several synapses, each costs at least six and the words of
    its block. The first word follows ``go`` by six cycles.

    Members
    -------
    program_address, program : Out, In(32)
        The word comes two cycles after its address.
    prepare, pass_address : In
        Strobe: read the pass at this address ahead, as soon as the one in force is ``done``.
    prepared, next_pass, next_readout, next_fetched : Out
        Until ``go``; the address of the pass behind the one read ahead; the one read ahead makes an output; it waits
        for a block of weights (only with ``params.outside``).
    go : In(1)
        Strobe, only while ``prepared``; the pass becomes ``layer`` a cycle later.
    done : Out(1)
        Every tile has been sent.
    first_step, stop : In(1)
        Timestep 1; begin no further tile (one that is made already is still sent whole).
    room : In(1)
        When low, at most two more requests come.
    frame : In
        Only with ``params.replay``, of `hw.core.sequencer.Sequencer`.
    row_ready, row_begins, row_freed : In, Out, Out
        Only with ``params.rowwise``: the next row may begin; strobes: it does; all words of rows before it were read.
    layer : Out(pass_block)
    tile_valid, tile, request_valid, request : Out
        A tile comes with its first request. Its last request is its ``end``.
    """

    def __init__(self, params):
        self._params = p = params
        address = payloads.pass_block(p).members["next"]
        super().__init__({
            "program_address": Out(range(max(2, p.program))), "program": In(WORD_BITS),
            "prepare": In(1), "pass_address": In(address), "prepared": Out(1), "next_pass": Out(address),
            "next_readout": Out(1),
            **({"next_fetched": Out(1)} if p.outside else {}),
            "go": In(1), "done": Out(1), "first_step": In(1), "stop": In(1), "room": In(1),
            "layer": Out(payloads.pass_block(p)), "tile_valid": Out(1), "tile": Out(payloads.tile(p)),
            "request_valid": Out(1), "request": Out(payloads.request(p)),
            **({"frame": In(payloads.header(p).members["frame_words"])} if p.replay else {}),
            **({"row_ready": In(1), "row_begins": Out(1), "row_freed": Out(1)} if p.rowwise else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        m.submodules.reader = reader = PassReader(p)
        m.submodules.loops = loops = TileLoops(p)
        m.submodules.cursor = cursor = TileCursor(p)
        if p.windows:
            m.submodules.lines = front = LineWalker(p)
            m.submodules.taps = back = TapWalker(p)
        else:
            m.submodules.words = front = back = WordWalker(p)
        for name in ("prepare", "pass_address", "go", "stop", "program"):
            m.d.comb += getattr(reader, name).eq(getattr(self, name))
        fetched = ["next_fetched"] * (p.outside > 0)
        for name in ("program_address", "prepared", "next_pass", "next_readout", "layer", *fetched):
            m.d.comb += getattr(self, name).eq(getattr(reader, name))
        for name in ("begins", "step", "block", "add_output", "load", "add", "carry", "index"):
            m.d.comb += getattr(cursor, name).eq(getattr(reader, name))
        if p.quick:
            m.d.comb += [
                cursor.quick.eq(reader.quick), cursor.made_level.eq(reader.made_level), cursor.level.eq(loops.level),
            ]
        if p.replay:
            m.d.comb += cursor.frame.eq(self.frame)
        m.d.comb += [
            reader.over.eq(cursor.over), reader.level.eq(loops.level), reader.pass_end.eq(loops.pass_end),
            loops.layer.eq(self.layer), loops.restart.eq(reader.restart), loops.advance.eq(reader.advance),
            loops.keep.eq(reader.keep),
            reader.done.eq(self.done),
        ]
        done = ~reader.running & front.empty
        m.d.comb += self.done.eq(done & ~back.walking & ~back.request_valid if p.windows else done)

        first = self.first_step & loops.first_step
        takes, block = front.i_valid & front.i_ready, reader.block
        if p.synapses > 1:  # the reader goes on to the next one's; else the block stays until all has been sent
            block = Signal(payloads.synapse_block(p), reset_less=True)
            with m.If(takes):
                m.d.sync += block.eq(reader.block)
        described = Signal(data.StructLayout({
            "tile": payloads.tile(p), "active": back.active.shape()}), reset_less=True)
        with m.If(takes):
            m.d.sync += [
                described.tile.eq(loops.tile), described.tile.first.eq(first),
                described.tile.address.eq(cursor.address), described.tile.parameter.eq(cursor.parameter),
                described.active.eq(Mux(loops.tile.last_tile, reader.block.active_last, reader.block.active)),
            ]
            with m.If(reader.block.once & ~first):
                m.d.sync += described.active.eq(0)
        if p.windows:  # the next tile is taken while the last line of this one is sent
            sending = Signal.like(described, name="sending", reset_less=True)
            with m.If(front.o_valid & back.i_ready):
                m.d.sync += sending.eq(described)
            described = sending
        m.d.comb += [self.tile.eq(described.tile), back.active.eq(described.active)]
        goes = self._row(m, reader, loops, front, back) if p.rowwise else Const(1)
        m.d.comb += [
            front.i_valid.eq(reader.o_valid & goes), reader.o_ready.eq(front.i_ready & goes),
            front.place.eq(cursor.place),
            front.first.eq(reader.o_first), front.last.eq(reader.o_last),
            front.gathers.eq((self.layer.synapses != 0) & (~self.layer.keep | first)),
            front.block.eq(block),
        ]
        if p.windows:
            m.d.comb += [
                front.next_block.eq(reader.block), front.walking.eq(back.walking),
                front.single.eq(self.layer.synapses < 2 if p.synapses > 1 else 1),
                back.i_valid.eq(front.o_valid), front.o_ready.eq(back.i_ready),
                back.i.eq(front.o), back.block.eq(block),
                back.alone.eq(self.layer.positions == 0 if p.groups > 1 else Const(1)),
            ]
        m.d.comb += [
            back.room.eq(self.room),
            self.tile_valid.eq(back.tile_valid), self.request_valid.eq(back.request_valid),
            self.request.eq(back.request),
        ]
        return m

    def _row(self, m, reader, loops, front, back):
        """Let the first tile of a row wait until the row is ready; return whether a synapse may go."""
        opens, begun = Signal(name="row_opens"), Signal(name="row_begun")
        m.d.comb += [
            opens.eq(self.layer.rowwise & loops.row_begins & reader.o_first),
            self.row_begins.eq(opens & front.i_valid & front.i_ready),
        ]
        # Once the first tile of a row is sent, the words of all tiles before it have been asked for.
        passed, leaves = Signal(name="row_passed"), Signal(ROW_SETTLES)
        m.d.comb += [passed.eq(begun & back.tile_valid), self.row_freed.eq(leaves[-1])]
        m.d.sync += [begun.eq(self.row_begins | (begun & ~passed)), leaves.eq(Cat(passed, leaves))]
        return ~opens | self.row_ready
