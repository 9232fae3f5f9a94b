"""The states of one neuron on their way from outside the chip, and back."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from gen.plan.parking import DEPTH, DIGIT, DIGITS

__all__ = ["StateQueue"]


class StateQueue(wiring.Component):
    """Cut states out of the words that have come, and make words of those that the neuron leaves (`gen.plan.parking`).

    Nobody here knows how many there are: who lets a tile end sees to it that nothing runs over or dry.

    Members
    -------
    begin, digits : In
        A pass begins, and what is there is forgotten; the groups of four bits that each of its states takes.
    i : In(stream(32))
        A word that comes, taken at once.
    takes, state : In(1), Out
        The neuron takes its next state, which is there a cycle later.
    leaves, new_state, flush : In
        It leaves a state; what it has left is to be written, though it fills no word.
    took, kept : Out(1)
        Strobes: a word that has come is used up; one goes among those to be written.
    o : Out(stream(32))
        Words to be written.
    came, left : Out
        How many words are there of both kinds.
    """

    def __init__(self, params):
        word, level = signed(params.state_bits), range(DEPTH + 1)
        self._most = -(-params.state_bits // DIGIT)
        super().__init__({
            "begin": In(1), "digits": In(range(DIGITS + 1)), "i": In(stream.Signature(WORD_BITS, always_ready=True)),
            "takes": In(1), "state": Out(word), "leaves": In(1), "new_state": In(word), "flush": In(1),
            "took": Out(1), "kept": Out(1), "o": Out(stream.Signature(WORD_BITS)), "came": Out(level),
            "left": Out(level),
        })

    def elaborate(self, platform):
        m = Module()
        come, left = (SyncFIFOBuffered(width=WORD_BITS, depth=DEPTH) for _ in range(2))
        m.submodules.words_come, m.submodules.words_left = (ResetInserter(self.begin)(part) for part in (come, left))
        m.d.comb += [
            come.w_data.eq(self.i.payload), come.w_en.eq(self.i.valid), self.came.eq(come.level),
            come.r_en.eq(self.took), self.left.eq(left.level),
            self.o.valid.eq(left.r_rdy), self.o.payload.eq(left.r_data), left.w_en.eq(self.kept),
            left.r_en.eq(self.o.ready),
        ]
        self._cut(m, come.r_data)
        self._join(m, left.w_data)
        return m

    def _joined(self, m, name, rest, count, more):
        """Return ``more`` behind the ``count`` groups of four bits of ``rest``."""
        joined = Signal(2 * WORD_BITS - DIGIT, name=name)
        m.d.comb += joined.eq(rest | more << Cat(Const(0, (DIGIT - 1).bit_length()), count))
        return joined

    def _cut(self, m, word):
        """Hand out the next state of the word that is there, and of what is left of the one before."""
        rest, count = Signal(WORD_BITS - DIGIT, reset_less=True), Signal(range(DIGITS))
        state, behind, short = Signal.like(self.state, name="next_state"), Signal.like(rest), Signal()
        m.d.comb += [short.eq(count < self.digits), self.took.eq(self.takes & short)]
        joined = self._joined(m, "joined_come", rest, count, Mux(short, word, 0))
        with m.Switch(self.digits):
            for digits in range(1, self._most + 1):
                with m.Case(digits):
                    own, others = joined[: digits * DIGIT], joined[digits * DIGIT :]
                    m.d.comb += [state.eq(own.as_signed()), behind.eq(others)]
        with m.If(self.begin):
            m.d.sync += [rest.eq(0), count.eq(0)]
        with m.Elif(self.takes):
            m.d.sync += [self.state.eq(state), rest.eq(behind), count.eq(count - self.digits)]  # modulo a word

    def _join(self, m, word):
        """Add a state to those that have not filled a word."""
        rest, count = Signal(WORD_BITS - DIGIT, reset_less=True), Signal(range(DIGITS))
        new, own, total, full = Signal(signed(WORD_BITS)), Signal(WORD_BITS), Signal(range(2 * DIGITS)), Signal()
        m.d.comb += [new.eq(self.new_state), total.eq(count + self.digits), full.eq(total >= DIGITS)]
        with m.Switch(self.digits):
            for digits in range(1, self._most + 1):
                with m.Case(digits):
                    m.d.comb += own.eq(new[: digits * DIGIT])
        joined = self._joined(m, "joined_left", rest, count, own)
        flushes = self.flush & (count != 0)
        m.d.sync += [self.kept.eq((self.leaves & full) | flushes), word.eq(Mux(flushes, rest, joined))]
        with m.If(self.begin | flushes):
            m.d.sync += [rest.eq(0), count.eq(0)]
        with m.Elif(self.leaves):
            m.d.sync += [rest.eq(Mux(full, joined[WORD_BITS:], joined)), count.eq(total)]
