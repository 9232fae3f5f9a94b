"""Steps the machine through an image: input, passes, timesteps, exit, result."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gen.layout.program import CORE_TIMESTEPS, WORD_BITS
from hw.machine import payloads

__all__ = ["COUNTERS", "Sequencer"]

COUNTERS = ("cycles", "busy_cycles", "events", "synaptic_ops")


class Sequencer(wiring.Component):
    """Start every other component in its turn, image by image.

    The program of a separated network holds all its timesteps: it is run through once, as the last of them.

    A result is the words class, timesteps executed, `COUNTERS`, then the logits (`EarlyExit`).

    Members
    -------
    wanted, restart : In(1)
        A word that begins an image waits at the input; one has come in the middle of another image.
    abort : In(1)
        Give up the image under way, without a result.
    idle : Out(1)
        No image is under way: memories may be loaded.
    read, ready, advance, header, keep, last : Out and In
        `ProgramReader`'s begin; its handshake; the header; of the pass in force, whether its current is
        kept and whether it is the last.
    ingest, ingested, begin_pass, pass_done, decide, decided, exits, class_ : Out and In
        Start a component; it has finished.
    stop : Out(1)
        Finish the pass with the tile in hand.
    first_step, gather, step : Out
        This is timestep 1; the pass gathers events; the timestep less one.
    counters : In
        One 32-bit word each.
    answering, answer, answered, o : Out, Out, In, Out
        A result is being sent; ask for the logits; their last one is taken; the words before them.
    """

    def __init__(self, params):
        self._params = p = params
        super().__init__({
            "wanted": In(1), "restart": In(1), "abort": In(1), "idle": Out(1),
            "header": In(payloads.header(p)), "keep": In(1), "read": Out(1), "ready": In(1), "advance": Out(1),
            "last": In(1),
            "ingest": Out(1), "ingested": In(1), "begin_pass": Out(1), "pass_done": In(1),
            "decide": Out(1), "decided": In(1), "exits": In(1), "class_": In(range(max(2, p.classes))),
            "stop": Out(1), "first_step": Out(1), "gather": Out(1), "step": Out(range(CORE_TIMESTEPS)),
            "counters": In(data.ArrayLayout(WORD_BITS, len(COUNTERS))),
            "answering": Out(1), "answer": Out(1), "answered": In(1),
            "o": Out(stream.Signature(payloads.output_word())),
        })

    def elaborate(self, platform):
        m = Module()
        word = Signal(range(2 + len(COUNTERS)))
        exit_step = self.step
        if self._params.separated:
            exit_step = Mux(self.header.separated, self.header.timesteps, self.step)
        outputs = Array([self.class_, exit_step + 1, *(self.counters[i] for i in range(len(COUNTERS)))])
        m.d.comb += self.o.payload.data.eq(outputs[word])
        m.d.sync += [self.first_step.eq(self.step == 0), self.gather.eq(~self.keep | (self.step == 0))]
        with m.If(self.abort & ~self.idle & ~self.answering):
            m.d.sync += self.stop.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += [self.step.eq(0), self.stop.eq(0)]
                with m.If(self.wanted):
                    m.d.comb += self.read.eq(1)
                    m.next = "TIMESTEP"
            with m.State("TIMESTEP"):
                with m.If(self.ready):
                    m.next = "PASS"
                    with m.If((self.step == 0) | self.header.frames):
                        m.d.comb += self.ingest.eq(1)
                        m.next = "INGEST"
            with m.State("INGEST"):
                with m.If(self.stop | self.restart):
                    m.next = "IDLE"
                with m.Elif(self.ingested):
                    m.next = "PASS"
            with m.State("PASS"):
                with m.If(self.ready):
                    m.d.comb += self.advance.eq(1)
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += self.begin_pass.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.pass_done):
                    m.next = "PASS"
                    with m.If(self.last):
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
                    with m.If(self.exits | (exit_step == self.header.timesteps)):
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
