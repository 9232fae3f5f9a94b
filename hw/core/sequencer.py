"""Steps the machine through an image: stages, rounds, passes, decisions, result."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from gen.plan.program import header_fields, idle_fields, stage_fields, words_of
from hw.core import payloads

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Read the program's header, then run every image through its stages.

    A round is a run through the passes of a stage: a timestep, or all of them. Each pass is read ahead while the one
    before ends, and goes when all groups are idle; with ``params.staged`` the first one of the next round, or of the
    next image, while the last one ends. With ``params.batch`` an image ends with a stage that says so, and nothing is
    decided before the last stage, which needs no input, has ended.

    Members
    -------
    program_address, program, reads : Out, In, Out
        The program's word comes two cycles later; only while ``reads``.
    loading : In(1)
        The memories are being filled, or hold what is damaged: no image begins, and the header is read anew.
    header, stage, known : Out
        Blocks in force; the header is.
    abort : In(1)
        Give up the image under way, and what has come of the next.
    idle : Out(1)
        No image is under way, and the header is known, or awaits the end of a load.
    loadable : Out(1)
        The memories may be filled: no image is under way, or the header awaits the end of a load.
    full, restart, release, ends, clear : In, In, Out, Out, Out
        `hw.core.image_writer.ImageWriter`.
    prepare, pass_address, prepared, next_pass, next_readout, go, first_step, stop : Out, Out, In, In, In, Out, Out, Out
        `hw.core.walker.Walker`.
    drained : In(1)
        The pass in force is done: all its tiles have been sent, fired and stored.
    running : Out
        Index of the pass in force.
    decide, step, decided, exits : Out, Out, In, In
        `hw.core.decision.Decision`; the round, from 0.
    answers, answering, heading : Out, In, In
        `hw.core.result_reader.ResultReader`: begin; a result is being sent; its first words are.
    begins, counts : Out(1)
        An image begins; its cycles count.
    next_fetched, ready, fetch, take : In, In, Out, Out
        Only with ``params.outside``: the pass read ahead waits for a block of weights; it has come. Strobes: a round
        begins, fetch the first block of `stage`; the pass goes that has waited.
    last_step : Out(1)
        Only with ``params.parked``: the last round of the stage, if none exits before.
    timesteps : Out
        Of the image, so far.
    frame : Out
        Only with ``params.replay``: where the round's frame begins among the frames of the image.
    """

    def __init__(self, params):
        self._params = p = params
        address = payloads.pass_block(p).members["next"]
        super().__init__({
            "program_address": Out(range(max(2, p.program))), "program": In(WORD_BITS), "reads": Out(1),
            "loading": In(1), "header": Out(payloads.header(p)), "stage": Out(payloads.stage(p)), "known": Out(1),
            "abort": In(1), "idle": Out(1), "loadable": Out(1),
            "full": In(1), "restart": In(1), "release": Out(1), "ends": Out(1), "clear": Out(1),
            "prepare": Out(1), "pass_address": Out(address), "prepared": In(1), "next_pass": In(address),
            "next_readout": In(1), "go": Out(1), "first_step": Out(1), "stop": Out(1), "drained": In(1),
            "running": Out(range(max(2, p.passes))),
            "decide": Out(1), "step": Out(range(p.timesteps)), "decided": In(1), "exits": In(1),
            "answers": Out(1), "answering": In(1), "heading": In(1), "begins": Out(1), "counts": Out(1),
            "timesteps": Out(p.timestep_bits),
            **({"next_fetched": In(1), "ready": In(1), "fetch": Out(1), "take": Out(1)} if p.outside else {}),
            **({"last_step": Out(1)} if p.parked else {}),
            **({"frame": Out(payloads.header(p).members["frame_words"])} if p.replay else {}),
        })

    def elaborate(self, platform):
        m = Module()
        p = self._params
        header_words, stage_words = words_of(header_fields(p)), words_of(stage_fields(p))
        header, stage = Signal(WORD_BITS * header_words), Signal(WORD_BITS * stage_words, reset_less=True)
        place, left = Signal.like(self.program_address), Signal(range(max(header_words, stage_words) + 2))
        stage_index, passes_left = Signal(range(max(2, p.stages))), Signal(range(max(2, p.passes)))
        first_pass, steps = Signal.like(self.running), self.timesteps
        stopping, works = Signal(), Signal()
        m.d.comb += [
            self.header.eq(header), self.stage.eq(stage), self.program_address.eq(place),
            self.stop.eq(stopping), self.first_step.eq(self.step == 0),
            *(self.stage[name].eq(0) for name in idle_fields(p, stage_fields(p))),
        ]
        come = self.ready | ~self.next_fetched if p.outside else 1
        staged, ahead = Signal(name="staged"), Signal(name="ahead")
        # A cycle later than they are known: half the core waits for them.
        drops = Signal()
        m.d.comb += self.ends.eq(drops)
        m.d.sync += [self.go.eq(0), *([self.take.eq(0)] if p.outside else []), self.release.eq(0), drops.eq(0)]
        last_round, last_stage = Signal(), Signal()
        m.d.comb += [last_round.eq(self.step == self.stage.rounds), last_stage.eq(stage_index == self.header.stages)]
        if p.parked:
            m.d.comb += self.last_step.eq(last_round)

        with m.FSM() as fsm:
            m.d.comb += [
                self.idle.eq(fsm.ongoing("IDLE") | (fsm.ongoing("BOOT") & self.loading)),
                works.eq(~fsm.ongoing("IDLE") & self.known),
                self.counts.eq(works & ~fsm.ongoing("ANSWER") & ~fsm.ongoing("HEADING")),
                self.loadable.eq(fsm.ongoing("IDLE") | fsm.ongoing("BOOT")),
                self.reads.eq(Cat(fsm.ongoing(state) for state in ("HEAD", "HEADER", "PLACE", "STAGE")).any()),
            ]
            with m.State("BOOT"):
                m.d.sync += [self.known.eq(0), place.eq(0), staged.eq(0), ahead.eq(0)]
                with m.If(~self.loading):
                    m.next = "HEAD"
            with m.State("HEAD"):
                m.d.sync += [place.eq(place + 1), left.eq(header_words + 1)]
                m.next = "HEADER"
            with m.State("HEADER"):
                m.d.sync += [  # what is shifted in before the first word is shifted out again
                    header.eq(Cat(header, self.program)[WORD_BITS:]), place.eq(place + 1), left.eq(left - 1),
                ]
                with m.If(left == 1):
                    m.d.sync += self.known.eq(1)
                    m.next = "IDLE"
            with m.State("IDLE"):
                m.d.sync += [stopping.eq(0), place.eq(header_words), stage_index.eq(0), steps.eq(0), first_pass.eq(0)]
                with m.If(self.loading):
                    m.d.sync += drops.eq(1)
                    m.next = "BOOT"
                with m.Elif(self.full & ~self.abort):
                    m.d.comb += self.begins.eq(1)
                    m.next = "PLACE"
                    with m.If(staged):
                        m.d.sync += self.step.eq(0)
                        m.next = "ROUND"
            with m.State("PLACE"):
                m.d.sync += [left.eq(stage_words + 1), place.eq(place + 1), self.step.eq(0)]
                if p.replay:
                    m.d.sync += self.frame.eq(0)
                m.next = "STAGE"
            with m.State("STAGE"):
                m.d.sync += [stage.eq(Cat(stage, self.program)[WORD_BITS:]), left.eq(left - 1)]
                with m.If(left == 1):
                    m.d.sync += staged.eq(p.staged)
                    m.next = "ROUND"
                with m.If(left > 2):
                    m.d.sync += place.eq(place + 1)
            with m.State("ROUND"):
                m.d.sync += [
                    passes_left.eq(self.stage.passes), self.pass_address.eq(self.stage.first_pass),
                    self.prepare.eq(~ahead), self.running.eq(first_pass - 1),
                ]
                with m.If(self.full | last_stage if p.batch > 1 else self.full):
                    if p.outside:
                        m.d.comb += self.fetch.eq(self.stage.fetches)
                    m.next = "SETTLE"
                with m.Else():  # the next frame is still to come
                    m.d.sync += self.prepare.eq(0)
                    with m.If(self.restart | stopping):
                        m.next = "DROP"
            with m.State("SETTLE"):
                m.d.sync += [self.prepare.eq(0), ahead.eq(0)]
                m.next = "PASS"
            with m.State("PASS"):
                with m.If(stopping):
                    with m.If(self.drained):
                        m.next = "DROP"
                with m.Elif(self.prepared & self.drained & ~(self.next_readout & self.answering) & come):
                    m.d.sync += [
                        self.go.eq(1), *([self.take.eq(self.next_fetched)] if p.outside else []),
                        passes_left.eq(passes_left - 1), self.pass_address.eq(self.next_pass),
                        self.prepare.eq(p.staged | (passes_left != 0)), self.running.eq(self.running + 1),
                    ]
                    m.next = "SETTLE"
                    with m.If(passes_left == 0):
                        if p.staged:
                            m.d.sync += self.pass_address.eq(self.stage.first_pass)
                        m.next = "LAST"
            with m.State("LAST"):
                m.d.sync += [self.prepare.eq(0), ahead.eq(p.staged)]
                m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(self.drained):
                    m.d.comb += self.decide.eq(~stopping)
                    m.next = "DECIDE"
                    with m.If(stopping):
                        m.next = "DROP"
                    if p.batch > 1:
                        with m.Elif(~last_stage):
                            m.d.comb += self.decide.eq(0)
                            m.d.sync += [steps.eq(steps + self.stage.ends), self.release.eq(self.stage.ends)]
                            self._next_stage(m, stage_index, first_pass)
            with m.State("DECIDE"):
                with m.If(self.decided):
                    if p.batch == 1:
                        m.d.sync += steps.eq(steps + Mux(self.stage.whole, self.stage.timesteps + 1, 1))
                    with m.If(stopping):
                        m.next = "DROP"
                    with m.Elif(self.exits | (last_round & last_stage)):
                        m.d.sync += [self.release.eq(p.batch == 1), drops.eq(self.header.frames)]
                        m.next = "ANSWER"
                    with m.Elif(last_round):
                        self._next_stage(m, stage_index, first_pass)
                    with m.Else():
                        m.d.sync += self.step.eq(self.step + 1)
                        m.d.sync += self.release.eq(self.header.frames)
                        if p.replay:
                            m.d.sync += self.frame.eq(self.frame + self.header.frame_words)
                        m.next = "NEXT ROUND"
            with m.State("NEXT ROUND"):
                m.next = "ROUND"
            with m.State("ANSWER"):
                with m.If(stopping):
                    m.next = "DROP"
                with m.Elif(~self.answering):
                    m.d.comb += self.answers.eq(1)
                    m.next = "HEADING"
            with m.State("HEADING"):
                with m.If(~self.heading):
                    m.next = "IDLE"
            with m.State("DROP"):
                m.d.sync += drops.eq(~stopping)
                m.next = "DROPPED"
            with m.State("DROPPED"):
                m.next = "IDLE"
        with m.If(self.abort):  # at once, not when the work has come to rest: what follows is another image
            m.d.comb += self.clear.eq(1)
            m.d.sync += [self.release.eq(0), drops.eq(0)]  # of maps that are dropped now, not of those that come next
            with m.If(works):
                m.d.sync += stopping.eq(1)
        return m

    def _next_stage(self, m, stage_index, first_pass):
        m.d.sync += [stage_index.eq(stage_index + 1), first_pass.eq(first_pass + self.stage.passes + 1)]
        m.next = "PLACE"
