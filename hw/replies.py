"""What the link answers: one frame after the other, from whoever has something to say."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw import payloads
from hw.framing import piece
from hw.regmap import COUNTERS, ERROR_REPLY, IDENTITY, PROTOCOL, REPLY, Command, Fault, register
from hw.result_buffer import ResultBuffer

__all__ = ["POSITION_BITS", "Replies", "answer"]

POSITION_BITS = 24  # of the 32 on the wire: 16 million words or values are more than any board here can hold
NO_FAULT, FAULT_BITS = 0, 3
WORD, BYTE = 32, 8


def answer():
    """What to answer a request: ``fault`` is 0 or a `Fault`, ``position`` that of the piece expected next."""
    return data.StructLayout({"command": BYTE, "sequence": BYTE, "fault": FAULT_BITS, "position": POSITION_BITS})


class Replies(wiring.Component):
    """Send answers, errors and results, header and payload; results are kept until their turn comes.

    Parameters
    ----------
    result_words : int
        Of the longest result.
    max_payload, rx_bytes : int
        What the errors LENGTH and OVERRUN say.

    Members
    -------
    i : In(stream(answer))
        Of the commands from the ring.
    urgent : In(stream(answer))
        Of those obeyed at once.
    faulty, damage : In(1), In(answer)
        A frame is refused; of several that come while another frame is being sent only the last one is reported.
    tags, results : In(stream(8)), In(stream(output_word))
        Sequence numbers of images, their results.
    clear : In(1)
        Drop the results that are not being sent yet.
    address, data, stolen : Out, In(32), In(1)
        To the registers; somebody else has the address in this cycle.
    given : Out(1)
        High for one cycle: a result is being sent.
    o : Out(stream(piece))
    """

    def __init__(self, result_words, *, max_payload, rx_bytes):
        self._words = result_words
        self._expected = {Fault.LENGTH: max_payload, Fault.COMMAND: PROTOCOL, Fault.OVERRUN: rx_bytes}
        super().__init__({
            "i": In(stream.Signature(answer())), "urgent": In(stream.Signature(answer())),
            "faulty": In(1), "damage": In(answer()),
            "tags": In(stream.Signature(BYTE)), "results": In(stream.Signature(payloads.output_word())),
            "clear": In(1), "address": Out(range(register("CONTROL"))), "data": In(WORD), "stolen": In(1),
            "given": Out(1), "o": Out(stream.Signature(piece())),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = ResultBuffer(self._words)
        now, pending, damage = Signal(answer()), Signal(), Signal(answer())
        word, place = Signal(WORD), Signal(range(WORD // BYTE))
        words = Signal(range(max(len(IDENTITY), 2 + 2 ** len(buffer.address))))
        left, first = Signal(words.shape()), Signal()
        wiring.connect(m, wiring.flipped(self.results), buffer.i)
        m.d.comb += [
            buffer.clear.eq(self.clear), self.o.payload.data.eq(word),
            self.o.payload.last.eq((place == WORD // BYTE - 1) & (left == 0)),
        ]
        with m.FSM():
            with m.State("CHOOSE"):
                m.d.sync += place.eq(0)
                with m.If(self.urgent.valid):
                    m.d.comb += self.urgent.ready.eq(1)
                    m.d.sync += now.eq(self.urgent.payload)
                    m.next = "HEADER"
                with m.Elif(pending):
                    m.d.sync += [now.eq(damage), pending.eq(0)]
                    m.next = "HEADER"
                with m.Elif(buffer.whole & self.tags.valid & ~self.clear):
                    m.d.comb += [self.tags.ready.eq(1), buffer.begin.eq(1), self.given.eq(1)]
                    m.d.sync += now.eq(Cat(Const(Command.RESULT, BYTE), self.tags.payload))
                    m.next = "HEADER"
                with m.Elif(self.i.valid):
                    m.d.comb += self.i.ready.eq(1)
                    m.d.sync += now.eq(self.i.payload)
                    m.next = "HEADER"
            with m.State("HEADER"):
                self._begin(m, now, buffer, words)
                head = Mux(now.fault != NO_FAULT, ERROR_REPLY, REPLY | now.command)
                m.d.sync += [word.eq(Cat(head, now.sequence, Const(0, 2), words)), left.eq(words), first.eq(1)]
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [word.eq(word >> BYTE), place.eq(place + 1)]
                    with m.If(place == WORD // BYTE - 1):
                        m.next = "FETCH"
                        with m.If(left == 0):
                            m.d.comb += buffer.end.eq(now.command == Command.RESULT)
                            m.next = "CHOOSE"
            with m.State("FETCH"):
                with m.If(~self.stolen):
                    m.next = "NEXT"
            with m.State("NEXT"):
                self._next(m, now, buffer, word, first)
                m.d.sync += [left.eq(left - 1), first.eq(0)]
                m.next = "SEND"
        with m.If(self.faulty):
            m.d.sync += [pending.eq(1), damage.eq(self.damage)]
        return m

    def _begin(self, m, now, buffer, words):
        """Count the words of the payload and find the first one."""
        m.d.sync += [self.address.eq(0), buffer.address.eq(0)]
        with m.If(now.fault != NO_FAULT):
            m.d.comb += words.eq(2)
        with m.Else():
            with m.Switch(now.command):
                with m.Case(Command.IDENTIFY):
                    m.d.comb += words.eq(len(IDENTITY))
                with m.Case(Command.COUNTERS):
                    m.d.comb += words.eq(len(COUNTERS))
                    m.d.sync += self.address.eq(register(COUNTERS[0].name))
                with m.Case(Command.LOAD, Command.INPUT):
                    m.d.comb += words.eq(1)
                with m.Case(Command.RESULT):
                    m.d.comb += words.eq(1 + buffer.length)
                    m.d.sync += self.address.eq(register("NETWORK"))

    def _next(self, m, now, buffer, word, first):
        """Take the next word of the payload."""
        with m.If(now.fault != NO_FAULT):
            m.d.sync += word.eq(Cat(now.fault, Const(0, BYTE - FAULT_BITS), now.command))
            with m.If(~first):
                m.d.sync += word.eq(0)
                with m.Switch(now.fault):
                    with m.Case(Fault.SEQUENCE):
                        m.d.sync += word.eq(now.position)
                    for fault, expected in self._expected.items():
                        with m.Case(fault):
                            m.d.sync += word.eq(expected)
        with m.Elif(now.command.matches(Command.LOAD, Command.INPUT)):
            m.d.sync += word.eq(now.position)
        with m.Elif((now.command == Command.RESULT) & ~first):
            m.d.sync += [word.eq(buffer.data), buffer.address.eq(buffer.address + 1)]
        with m.Else():
            m.d.sync += [word.eq(self.data), self.address.eq(self.address + 1)]
