"""Reads the program: a pass's block, then for each tile the steps of its cursors."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from gen.plan.program import (
    cursor_fields, cursor_words, idle_fields, output_fields, pass_fields, synapse_fields, words_of,
)
from hw.core import payloads

__all__ = ["PassReader"]

LATENCY = 2  # cycles from an address of the program to its word


class PassReader(wiring.Component):
    """Read a pass and its first tile ahead; after ``go`` make tile after tile, synapse after synapse.

    Words are shifted into the block that they belong to, those of steps into `step` before its last one. A tile of one
    synapse is made in four cycles, each of several in eleven: of a single synapse the next tile's words are read while
    the one made waits. A block is read again only where the pass has several synapses.

    With ``params.quick`` `TileCursor` keeps the steps that a pass of one synapse has read. A tile whose step is kept is
    made in two cycles, without the program: one in which all is added up, one in which it is taken.

    Members
    -------
    prepare, pass_address : In
        Read the pass at this address ahead, as soon as the one in force has been sent. One that is read ahead is given
        up, whatever words came for it: who gives up an image may read the program meanwhile.
    prepared, next_pass, next_readout, next_fetched : Out
        Until ``go``; the address of the pass behind the one read ahead; the one read ahead makes an output; it waits
        for a block of weights (only with ``params.outside``).
    go : In(1)
        Only while ``prepared``.
    stop : In(1)
        Give the pass up at the next tile.
    done : In(1)
        All that was made has been sent.
    running : Out(1)
        Tiles of the pass in force are still to be made.
    layer, block : Out
        Blocks of the pass in force and of the synapse made.
    step : Out
        Words of the output's start or step, then of the synapse's, at the top the last one, which comes in this cycle
        alone.
    level, pass_end : In
    restart, advance, keep : Out(1)
        To `TileLoops`.
    begins, index : Out
        The tile being made is the pass's first; the synapse being made.
    add_output, load, add, carry : Out(1)
        Add its part of `step` to the output's cursor; fetch the synapse's place, then add the other part to it or, with
        ``carry``, what a remainder carries.
    over : In(1)
        A remainder has reached its factor.
    quick, made_level : Out
        Only with ``params.quick``. Strobe: add the steps that are kept of `level`, to both cursors; the level of those
        that ``add`` adds in a pass of one synapse.
    o_valid, o_ready, o_first, o_last : Out, In, Out, Out
        A synapse of a tile is made; it is the tile's first, the tile's last.
    """

    def __init__(self, params):
        self._params = p = params
        address = range(max(2, p.program))
        self._step_words = words_of(output_fields(p)) + words_of(cursor_fields(p))
        super().__init__({
            "program_address": Out(address), "program": In(WORD_BITS),
            "prepare": In(1), "pass_address": In(payloads.pass_block(p).members["next"]), "prepared": Out(1),
            "next_pass": Out(payloads.pass_block(p).members["next"]), "next_readout": Out(1),
            **({"next_fetched": Out(1)} if p.outside else {}),
            "go": In(1), "stop": In(1), "done": In(1),
            "running": Out(1), "layer": Out(payloads.pass_block(p)), "block": Out(payloads.synapse_block(p)),
            "step": Out(WORD_BITS * self._step_words), "level": In(range(len(p.levels) + 1)), "pass_end": In(1),
            "restart": Out(1), "advance": Out(1), "keep": Out(1), "begins": Out(1),
            "index": Out(range(max(2, p.synapses))),
            "add_output": Out(1), "load": Out(1), "add": Out(1), "carry": Out(1), "over": In(1),
            **({"quick": Out(1), "made_level": Out(range(len(p.levels) + 1))} if p.quick else {}),
            "o_valid": Out(1), "o_ready": In(1), "o_first": Out(1), "o_last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        pass_words, block_words = words_of(pass_fields(p)), words_of(synapse_fields(p))
        output_words, place_words = words_of(output_fields(p)), words_of(cursor_fields(p))
        at, output, section = (Signal.like(self.program_address, name=name, reset_less=True)
                               for name in ("at", "output", "section"))
        wanted, wants = Signal.like(self.pass_address, reset_less=True), Signal()
        word = Signal(range(max(pass_words, block_words, self._step_words)))
        ahead = Signal(WORD_BITS * pass_words, reset_less=True)
        ahead_block = Signal(payloads.pass_block(p))
        block, step = (Signal(WORD_BITS * words, name=name, reset_less=True)
                       for words, name in ((block_words, "block"), (self._step_words - 1, "step")))
        layer = Signal(payloads.pass_block(p), reset_less=True)
        several = layer.synapses > 1 if p.synapses > 1 else Const(0)
        m.d.comb += [
            self.program_address.eq(at), ahead_block.eq(ahead), self.next_pass.eq(ahead_block.next),
            self.next_readout.eq(ahead_block.readout),
            *([self.next_fetched.eq(ahead_block.fetched)] if p.outside else []),
            self.block.eq(block),
            self.layer.eq(layer), self.step.eq(Cat(step, self.program)), self.o_first.eq(self.index == 0),
            self.o_last.eq(~several | (self.index + 1 == layer.synapses)),
        ]
        asks = {}
        for name, register in (("pass", ahead), ("block", block), ("step", step)):
            asks[name], arrives = Signal(name=f"asks_{name}"), Signal(LATENCY, name=f"{name}_arrives")
            m.d.sync += arrives.eq(Cat(asks[name], arrives))
            with m.If(arrives[-1]):
                m.d.sync += register.eq(Cat(register, self.program)[WORD_BITS:])

        def read(count, name):
            """Ask for the words of one block or step; return whether this is the last."""
            last = word == count - 1
            m.d.comb += asks[name].eq(1)
            m.d.sync += [at.eq(at + 1), word.eq(Mux(last, 0, word + 1))]
            return last

        place = section + block_words + self.level * place_words
        empty, starts, taken, given_up = (Signal(name=name) for name in ("empty", "starts", "taken", "given_up"))
        if p.quick:
            kept, knows = Signal(len(p.levels) + 1, name="kept_levels"), Signal(name="knows")
            known = kept.bit_select(self.level, 1)
            m.d.sync += knows.eq(known)  # a cycle late, so that the loops wait for no choice: then a tile is being made
        with m.If(self.prepare):
            m.d.sync += [wants.eq(1), wanted.eq(self.pass_address)]
        with m.FSM(name="reads"):
            with m.State("IDLE"):
                m.d.sync += [at.eq(wanted), word.eq(0), self.begins.eq(1), given_up.eq(0)]
                m.d.comb += self.restart.eq(1)
                if p.quick:
                    m.d.sync += kept.eq(0)
                with m.If(wants & self.done):
                    m.d.sync += wants.eq(self.prepare)
                    m.next = "PASS"
            with m.State("PASS"), m.If(read(pass_words, "pass")):
                m.d.sync += output.eq(at + 1)
                m.next = "TURN"
            with m.State("TURN"):
                m.d.sync += [
                    at.eq(output + self.level * output_words), section.eq(output + cursor_words(p, output_fields(p))),
                    self.index.eq(0),
                ]
                m.next = "OUTPUT"
                if p.quick:
                    self._make_quickly(m, known, knows, empty, given_up)
            with m.State("OUTPUT"), m.If(read(output_words, "step")):
                with m.If(self.begins | several):
                    m.d.sync += at.eq(section)
                    m.next = "BLOCK"
                with m.Else():
                    m.d.sync += at.eq(place)
                    m.next = "CURSOR"
            with m.State("BLOCK"), m.If(read(block_words, "block")):
                m.d.sync += at.eq(place)
                m.next = "BLOCK COMES" if p.replay and place_words < LATENCY else "CURSOR"
            with m.State("BLOCK COMES"):  # `TileCursor` asks when it loads whether the synapse reads the input
                m.next = "CURSOR"
            with m.State("CURSOR"):  # the last word comes when it is added: not before the synapse made is taken
                with m.If(given_up):
                    m.next = "IDLE"
                with m.Elif(empty | (word != place_words - 1)), m.If(read(place_words, "step")):
                    m.d.comb += starts.eq(1)
                    m.next = "WAIT"
                    with m.If(~self.begins & ~several):
                        m.d.comb += self.advance.eq(1)
                        if p.quick:
                            m.d.sync += [kept.bit_select(self.level, 1).eq(1), self.made_level.eq(self.level)]
                        m.next = "TURN"
                        with m.If(self.pass_end):
                            m.next = "END"
            with m.State("WAIT"):  # the block read next would take the place of this one; or the pass has not begun
                with m.If(given_up):
                    m.next = "IDLE"
                with m.Elif(taken):
                    if p.synapses > 1:
                        m.next = "SYNAPSE"
                    with m.If(self.o_last):
                        m.next = "MOVE"
            with m.State("MOVE"):
                m.d.comb += self.advance.eq(1)
                m.d.sync += self.begins.eq(0)
                m.next = "TURN"
                with m.If(self.pass_end):
                    m.next = "END"
            with m.State("END"), m.If(empty):
                m.d.sync += self.running.eq(0)
                m.next = "IDLE"
            if p.synapses > 1:
                with m.State("SYNAPSE"):
                    m.d.sync += [section.eq(section + block_words + cursor_words(p, cursor_fields(p))),
                                 self.index.eq(self.index + 1)]
                    m.next = "NEXT"
                with m.State("NEXT"):
                    m.d.sync += at.eq(section)
                    m.next = "BLOCK"
        self._make(m, ahead_block, layer, wants, empty, starts, taken, given_up)
        return m

    def _make_quickly(self, m, known, knows, empty, given_up):
        """Make the tile in hand of the steps that are kept, as soon as the one before has been taken."""
        with m.If(known):
            m.next = "TURN"
        with m.If(given_up):
            m.next = "IDLE"
        with m.Elif(knows & empty):
            m.d.comb += [self.quick.eq(1), self.keep.eq(1), self.advance.eq(1)]
            with m.If(self.pass_end):
                m.next = "END"

    def _make(self, m, ahead_block, layer, wants, empty, starts, taken, given_up):
        """Add up the words of a synapse as they come, and offer it until it is taken; begin the pass, or give it up."""
        p = self._params
        waits = self.begins & ~self.running  # what is made was read ahead
        made = "CARRY" if p.phase_bits else "MADE"
        with m.FSM(name="makes"):
            with m.State("EMPTY"):
                m.d.comb += empty.eq(1)
                with m.If(starts):
                    m.next = "ARRIVE"
                if p.quick:
                    with m.If(self.quick):
                        m.next = made
            with m.State("ARRIVE"):
                m.d.comb += [self.load.eq(1), self.keep.eq(1)]
                m.next = "ADD"
            with m.State("ADD"):
                m.d.comb += [self.add.eq(1), self.add_output.eq(self.o_first)]
                m.next = made
            if p.phase_bits:
                with m.State("CARRY"):
                    m.next = "MADE"
                    # Without synapses the block is none, nor is it one if someone else read the program meanwhile.
                    with m.If(self.over & (ahead_block.synapses != 0) & ~(waits & wants)):
                        m.next = "AGAIN"
                with m.State("AGAIN"):
                    m.d.comb += [self.load.eq(1), self.carry.eq(1)]
                    m.next = "ADD CARRY"
                with m.State("ADD CARRY"):
                    m.d.comb += [self.add.eq(1), self.carry.eq(1)]
                    m.next = "CARRY"
            with m.State("MADE"):
                with m.If(waits):
                    m.d.comb += self.prepared.eq(~wants)
                    with m.If(wants):
                        m.d.sync += given_up.eq(1)
                        m.next = "EMPTY"
                    with m.Elif(self.go):
                        m.d.sync += [self.running.eq(1), layer.eq(ahead_block), *(
                            layer[name].eq(0) for name in idle_fields(p, pass_fields(p)))]
                        m.next = "BEGIN"
                with m.Elif(self.stop & self.o_first):
                    m.d.sync += [self.running.eq(0), given_up.eq(1)]
                    m.next = "EMPTY"
                with m.Else():
                    m.d.comb += [self.o_valid.eq(1), taken.eq(self.o_ready)]
                    with m.If(self.o_ready):
                        m.next = "EMPTY"
            with m.State("BEGIN"):  # the loops compare their turns with those of the pass
                m.next = "KEEP"
            with m.State("KEEP"):
                m.d.comb += self.keep.eq(1)
                m.next = "MADE"
