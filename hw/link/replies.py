"""What the link answers: one frame after the other, from whoever has something to say."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.core import payloads
from hw.link.framing import piece
from hw.link.result_buffer import ResultBuffer
from hw.regmap import COUNTERS, ERROR_REPLY, IDENTITY, PIECE_WORDS, PROTOCOL, REPLY, Command, Fault, register

__all__ = ["NO_FAULT", "POSITION_BITS", "Replies", "answer"]

POSITION_BITS = 32
NO_FAULT = 0
BYTE, WORD = 8, 32
WORD_BYTES = WORD // BYTE
INDEX_BITS = (register("CONTROL") - 1).bit_length()
RESULTS = (Command.PART, Command.RESULT)
HEADER, FIRST, SECOND, OTHER = range(4)  # words of a frame


def answer():
    """What to answer a request: ``fault`` is `NO_FAULT` or a `Fault`, ``position`` that of the next piece."""
    return data.StructLayout({
        "command": BYTE, "sequence": BYTE, "fault": range(max(Fault) + 1), "position": POSITION_BITS,
    })


class Replies(wiring.Component):
    """Send answers, errors and results, header and payload; a result goes in pieces, each of which waits for its turn.

    Parameters
    ----------
    max_payload, rx_bytes : int
        What the errors LENGTH and OVERRUN say.
    result_words : int
        Of the longest result.
    piece_words : int
        Words of a result in a frame, a power of two.

    Members
    -------
    i : In(stream(answer))
        Of the commands from the ring; taken when it has been sent.
    urgent : In(stream(answer))
        Of those obeyed at once; taken when it begins to be sent. It has no position.
    faulty, damage : In(1), In(answer)
        A frame is refused; of several that come while another frame is being sent only the last one is reported.
    tags, results : In(stream(8)), In(stream(output_word))
        Sequence numbers of images, their results.
    clear : In(1)
        Drop the results that are not being sent yet.
    reading, granted, stolen, address, data : Out(1), In(1), In(1), Out, In(8)
        To `hw.link.register_file.RegisterFile`; a byte is written in this cycle, so none can be read.
    given : Out(1)
        High for one cycle: the last piece of a result begins to be sent.
    o : Out(stream(piece))
    """

    def __init__(self, *, max_payload, rx_bytes, result_words, piece_words=PIECE_WORDS):
        self._piece_words, self._pieces = piece_words, -(-result_words // piece_words)
        self._expected = {Fault.LENGTH: max_payload, Fault.COMMAND: PROTOCOL, Fault.OVERRUN: rx_bytes}
        super().__init__({
            "i": In(stream.Signature(answer())), "urgent": In(stream.Signature(answer())),
            "faulty": In(1), "damage": In(answer()),
            "tags": In(stream.Signature(BYTE)), "results": In(stream.Signature(payloads.output_word())),
            "clear": In(1), "reading": Out(1), "granted": In(1), "stolen": In(1), "data": In(BYTE),
            "address": Out(range(WORD_BYTES * register("CONTROL"))), "given": Out(1),
            "o": Out(stream.Signature(piece())),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = ResultBuffer(self._piece_words)
        wiring.connect(m, wiring.flipped(self.results), buffer.i)
        now = {name: Signal.like(self.damage[name], name=name) for name in ("command", "sequence", "fault")}
        pending, damage, ours = Signal(), Signal(answer()), Signal()
        part, place, word = Signal(range(OTHER + 1)), Signal(range(WORD_BYTES)), Signal(WORD)
        words = Signal(range(max(len(IDENTITY) + 1, 3 + 2 ** len(buffer.word))))
        left, index = Signal.like(words), Signal(max(INDEX_BITS, len(buffer.word)))
        number = Signal(range(max(2, self._pieces)))  # of the piece being sent
        upcoming = Signal.like(number)  # of the one after it
        faulty = now["fault"] != NO_FAULT
        result = now["command"].matches(*RESULTS) & ~faulty
        last = place == WORD_BYTES - 1
        byte = self._byte(m, now, part, place, words, faulty, result, number, buffer)
        m.d.comb += [
            self.address.eq(Cat(place, index)), buffer.word.eq(index), buffer.byte.eq(place),
            buffer.clear.eq(self.clear), self.o.payload.data.eq(word), self.o.payload.last.eq(last & (left == 0)),
        ]
        self._count(m, now["command"], faulty, buffer.length, words)

        def choose(command, sequence, fault=NO_FAULT):
            m.d.sync += [now["command"].eq(command), now["sequence"].eq(sequence), now["fault"].eq(fault)]
            m.next = "BEGIN"

        with m.FSM():
            with m.State("CHOOSE"):
                m.d.sync += ours.eq(0)
                with m.If(self.urgent.valid):
                    m.d.comb += self.urgent.ready.eq(1)
                    choose(self.urgent.payload.command, self.urgent.payload.sequence)
                with m.Elif(pending):
                    m.d.sync += pending.eq(0)
                    choose(damage.command, damage.sequence, damage.fault)
                with m.Elif(buffer.whole & self.tags.valid & ~self.clear):
                    m.d.comb += [
                        self.tags.ready.eq(buffer.final), buffer.begin.eq(1), self.given.eq(buffer.final),
                    ]
                    m.d.sync += [number.eq(upcoming), upcoming.eq(Mux(buffer.final, 0, upcoming + 1))]
                    choose(Mux(buffer.final, Command.RESULT, Command.PART), self.tags.payload)
                with m.Elif(self.i.valid):
                    m.d.sync += ours.eq(1)
                    choose(self.i.payload.command, self.i.payload.sequence, self.i.payload.fault)
            with m.State("BEGIN"):
                m.d.sync += [left.eq(words), part.eq(HEADER), place.eq(0)]
                m.next = "ADDRESS"
            with m.State("ADDRESS"):  # the byte of a result comes two cycles later
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.reading.eq(1)
                with m.If(self.granted & ~self.stolen):
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += self.reading.eq(1)
                m.d.sync += [word.eq(Cat(word[BYTE:], byte)), place.eq(place + 1)]
                m.next = "ADDRESS"
                with m.If(last):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [word.eq(Cat(word[BYTE:], byte)), place.eq(place + 1)]
                    with m.If(last):
                        self._go_on(m, now["command"], part, index, result)
                        m.d.sync += left.eq(left - 1)
                        m.next = "ADDRESS"
                        with m.If(left == 0):
                            m.d.comb += [buffer.end.eq(result), self.i.ready.eq(ours)]
                            m.next = "CHOOSE"
        with m.If(self.clear):
            m.d.sync += upcoming.eq(0)
        with m.If(self.faulty):
            m.d.sync += [pending.eq(1), damage.eq(self.damage)]
        return m

    def _count(self, m, command, faulty, result, words):
        """Count the words of the payload."""
        with m.If(faulty):
            m.d.comb += words.eq(2)
        with m.Else():
            with m.Switch(command):
                with m.Case(Command.IDENTIFY):
                    m.d.comb += words.eq(len(IDENTITY))
                with m.Case(Command.COUNTERS):
                    m.d.comb += words.eq(len(COUNTERS))
                with m.Case(Command.LOAD, Command.INPUT):
                    m.d.comb += words.eq(1)
                with m.Case(*RESULTS):
                    m.d.comb += words.eq(2 + result)

    def _go_on(self, m, command, part, index, result):
        """Go on to the next word: its place in the frame, and in the registers or the result."""
        m.d.sync += index.eq(index + 1)
        with m.Switch(part):
            with m.Case(HEADER):
                m.d.sync += [part.eq(FIRST), index.eq(0)]
                with m.Switch(command):
                    with m.Case(Command.COUNTERS):
                        m.d.sync += index.eq(register(COUNTERS[0].name))
                    with m.Case(*RESULTS):
                        m.d.sync += index.eq(register("NETWORK"))
            with m.Case(FIRST):
                m.d.sync += part.eq(Mux(result, SECOND, OTHER))
            with m.Case(SECOND):
                m.d.sync += [part.eq(OTHER), index.eq(0)]

    def _byte(self, m, now, part, place, words, faulty, result, piece_number, buffer):
        """Return byte ``place`` of the word."""
        number, byte, result_byte = Signal(WORD), Signal(BYTE), Signal(BYTE, reset_less=True)
        m.d.sync += result_byte.eq(buffer.data)
        m.d.comb += [number.eq(self.i.payload.position), byte.eq(number.word_select(place, BYTE))]
        with m.If(part == HEADER):
            command = Mux(faulty, ERROR_REPLY, REPLY | now["command"])
            m.d.comb += number.eq(Cat(command, now["sequence"], Const(0, 2), words))
        with m.Elif(faulty & (part == FIRST)):
            m.d.comb += number.eq(Cat(now["fault"], Const(0, BYTE - len(now["fault"])), now["command"]))
        with m.Elif(faulty & (now["fault"] != Fault.SEQUENCE)):
            m.d.comb += number.eq(0)
            with m.Switch(now["fault"]):
                for fault, expected in self._expected.items():
                    with m.Case(fault):
                        m.d.comb += number.eq(expected)
        with m.Elif(part == SECOND):
            m.d.comb += number.eq(Cat(Const(0, len(buffer.word)), piece_number))
        with m.Elif(result & (part == OTHER)):
            m.d.comb += byte.eq(result_byte)
        with m.Elif(~faulty & ~now["command"].matches(Command.LOAD, Command.INPUT)):
            m.d.comb += byte.eq(self.data)
        return byte
