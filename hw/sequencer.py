"""Runs the layer program: input, passes, timesteps, exit, result."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gen.intnet import MAX_TIMESTEPS
from gen.program import WORD_BITS, header_fields, layer_fields, synapse_fields, words_of
from hw import payloads
from hw.loader import LoadableMemory

__all__ = ["COUNTERS", "Sequencer"]

COUNTERS = ("cycles", "busy_cycles", "events", "synaptic_ops")


class Sequencer(wiring.Component):
    """Fetch the program from its memory and step every other component through one image.

    A result is the words class, timesteps executed, `COUNTERS`, then the logits (`EarlyExit`).

    Members
    -------
    wanted, restart : In(1)
        A word that begins an image waits at the input; one has come in the middle of another image.
    abort : In(1)
        Give up the image under way, without a result.
    idle : Out(1)
        No image is under way: memories may be loaded.
    header, layer, synapses : Out
        The program's blocks in force.
    ingest, ingested, begin_pass, pass_done, decide, decided, exits, class_ : Out and In
        Start a component; it has finished.
    stop : Out(1)
        Finish the pass with the tile in hand.
    running, first_step, gather, step : Out
        Index of the pass; this is timestep 1; the pass gathers events; the timestep less one.
    counters : In
        One 32-bit word each.
    answering, answer, answered, o : Out, Out, In, Out
        A result is being sent; ask for the logits; their last one is taken; the words before them.
    """

    def __init__(self, params, image):
        self._params, self._image = params, image
        p = params
        super().__init__({
            "load": In(payloads.load_port(p)),
            "wanted": In(1), "restart": In(1), "abort": In(1), "idle": Out(1),
            "header": Out(payloads.header(p)), "layer": Out(payloads.layer_block(p)),
            "synapses": Out(payloads.synapse_blocks(p)),
            "ingest": Out(1), "ingested": In(1), "begin_pass": Out(1), "pass_done": In(1),
            "decide": Out(1), "decided": In(1), "exits": In(1), "class_": In(range(max(2, p.classes))),
            "stop": Out(1), "running": Out(range(max(2, p.layers))), "first_step": Out(1), "gather": Out(1), "step": Out(range(MAX_TIMESTEPS)),
            "counters": In(data.ArrayLayout(WORD_BITS, len(COUNTERS))),
            "answering": Out(1), "answer": Out(1), "answered": In(1), "o": Out(stream.Signature(payloads.output_word())),
        })

    def elaborate(self, platform):
        m = Module()
        p, header = self._params, self.header
        header_words, layer_words = words_of(header_fields(p)), words_of(layer_fields(p))
        record = layer_words + p.synapses * words_of(synapse_fields(p))
        m.submodules.program = program = LoadableMemory(p, "program", self._image["program"])
        header_bits, record_bits = Signal(WORD_BITS * header_words), Signal(WORD_BITS * record)
        address, left = Signal(range(max(2, p.program + 1))), Signal(range(max(header_words, record)))
        in_header = Signal()
        word = Signal(range(2 + len(COUNTERS)))
        outputs = Array([self.class_, self.step + 1, *(self.counters[i] for i in range(len(COUNTERS)))])
        m.d.comb += [
            program.load.eq(self.load), program.address.eq(address),
            header.eq(header_bits), self.layer.eq(record_bits),
            self.first_step.eq(self.step == 0), self.gather.eq(~self.layer.keep | self.first_step),
            self.o.payload.data.eq(outputs[word]),
        ]
        offset = WORD_BITS * layer_words
        for i in range(p.synapses):
            block = self.synapses[i].as_value()
            m.d.comb += block.eq(record_bits[offset : offset + len(block)])
            offset += WORD_BITS * words_of(synapse_fields(p))

        with m.If(self.abort & ~self.idle & ~self.answering):
            m.d.sync += self.stop.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += [address.eq(0), self.step.eq(0), self.stop.eq(0)]
                with m.If(self.wanted):
                    m.d.sync += [in_header.eq(1), left.eq(header_words - 1)]
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.sync += address.eq(address + 1)
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += left.eq(left - 1)
                with m.If(in_header):
                    m.d.sync += header_bits.eq(Cat(header_bits, program.data)[WORD_BITS:])
                with m.Else():
                    m.d.sync += record_bits.eq(Cat(record_bits, program.data)[WORD_BITS:])
                with m.If(left != 0):
                    m.d.sync += address.eq(address + 1)
                with m.Elif(in_header):
                    m.next = "TIMESTEP"
                with m.Else():
                    m.next = "BEGIN"
            with m.State("TIMESTEP"):
                m.d.sync += [self.running.eq(0), address.eq(header_words), in_header.eq(0)]
                with m.If(self.first_step | header.frames):
                    m.d.comb += self.ingest.eq(1)
                    m.next = "INGEST"
                with m.Else():
                    m.next = "PASS"
            with m.State("INGEST"):
                with m.If(self.stop | self.restart):
                    m.next = "IDLE"
                with m.Elif(self.ingested):
                    m.next = "PASS"
            with m.State("PASS"):
                m.d.sync += left.eq(record - 1)
                m.next = "ADDRESS"
            with m.State("BEGIN"):
                m.d.comb += self.begin_pass.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.pass_done):
                    m.d.sync += self.running.eq(self.running + 1)
                    m.next = "PASS"
                    with m.If(self.running == header.layers):
                        m.next = "DECIDE"
                    with m.If(self.stop):
                        m.next = "IDLE"
            with m.State("DECIDE"):
                m.d.comb += self.decide.eq(1)
                m.next = "DECIDING"
            with m.State("DECIDING"):
                with m.If(self.decided):
                    m.d.sync += self.step.eq(self.step + 1)
                    m.next = "TIMESTEP"
                    with m.If(self.exits | (self.step == header.timesteps)):
                        m.d.sync += [self.step.eq(self.step), word.eq(0)]
                        m.next = "RESULT"
                    with m.If(self.stop):
                        m.next = "IDLE"
            with m.State("RESULT"):
                m.d.comb += [self.o.valid.eq(1), self.answering.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += word.eq(word + 1)
                    with m.If(word == len(outputs) - 1):
                        m.d.comb += self.answer.eq(1)
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.answering.eq(1)
                with m.If(self.answered):
                    m.next = "IDLE"
        return m
