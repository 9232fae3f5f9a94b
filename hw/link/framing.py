"""Frames on the wire: flags, stuffing and CRC taken off, and put on."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from hw.link.uart import received
from hw.regmap import ESCAPE, FLAG, FRAME_OVERHEAD, HEADER, STUFF, Command, Fault

__all__ = ["DIGEST_CYCLES", "Deframer", "Framer", "piece"]

BYTE = 8
CRC_BYTES = FRAME_OVERHEAD - HEADER.size
DIGEST_CYCLES = BYTE + 2  # from one byte to the next: a CRC of a bit a cycle is a third the size of one of bytes
URGENT = (Command.ABORT, Command.RESET)


def piece():
    """A byte of a frame to be sent, header or payload; ``last`` marks the end of the payload."""
    return data.StructLayout({"data": BYTE, "last": 1})


class Deframer(wiring.Component):
    """Unstuff frames, check them, and say at the closing flag what each one is worth.

    A frame's header and payload are written to the ring as they come; exactly one of ``commit`` and ``rollback``
    follows. A frame with a broken byte, an escape before a flag or an escape, fewer than 8 bytes or a wrong CRC is
    `Fault.DAMAGED`: no byte of it can be trusted, the command and the sequence number neither.

    Parameters
    ----------
    max_payload : int
        Longer frames are refused.

    Members
    -------
    i : In(stream(received), always ready)
        At most one byte in `DIGEST_CYCLES`.
    data, write, commit, rollback : Out
        To the ring.
    lost : In(1)
        The ring had no room for all of this frame.
    command, sequence, urgent : Out
        Of the header; high for one cycle: it is a good frame to be obeyed at once, rolled back already.
    fault, faulty : Out
        High for one cycle: the frame ``command``, ``sequence`` is refused for this reason.
    """

    def __init__(self, max_payload):
        self._max_payload = max_payload
        super().__init__({
            "i": In(stream.Signature(received(), always_ready=True)),
            "data": Out(BYTE), "write": Out(1), "commit": Out(1), "rollback": Out(1), "lost": In(1),
            "command": Out(BYTE), "sequence": Out(BYTE), "urgent": Out(1),
            "fault": Out(range(max(Fault) + 1)), "faulty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=1).create()
        byte, bit = Signal(BYTE), Signal(range(BYTE))
        damaged, escaped = Signal(), Signal()
        place = Signal(range(FRAME_OVERHEAD + 1))              # bytes so far, `FRAME_OVERHEAD` for as many or more
        left = Signal(range(self._max_payload + CRC_BYTES + 1))  # bytes to come, by the header
        length = Cat(left[:BYTE], byte)
        misfit, payload = Signal(), Signal()                   # not the length of the header; any payload has come
        arrived = self.i.payload
        m.d.comb += [crc.data.eq(byte[0]), self.data.eq(byte)]
        with m.FSM():
            with m.State("WAIT"):
                with m.If(self.i.valid):
                    m.d.sync += [byte.eq(arrived.data ^ Mux(escaped, STUFF, 0)), bit.eq(0)]
                    with m.If(arrived.broken):
                        m.d.sync += damaged.eq(1)
                    with m.Elif(arrived.data == FLAG):
                        m.next = "CLOSE"
                    with m.Elif(arrived.data == ESCAPE):
                        m.d.sync += [escaped.eq(1), damaged.eq(damaged | escaped)]
                    with m.Else():
                        m.d.sync += escaped.eq(0)
                        m.next = "DIGEST"
            with m.State("DIGEST"):
                m.d.comb += crc.valid.eq(1)
                m.d.sync += [byte.eq(byte.rotate_right(1)), bit.eq(bit + 1)]
                with m.If(bit == BYTE - 1):
                    m.next = "STORE"
            with m.State("STORE"):
                m.next = "WAIT"
                with m.If(place != FRAME_OVERHEAD):
                    m.d.sync += place.eq(place + 1)
                with m.If(place < HEADER.size):
                    m.d.comb += self.write.eq(1)
                with m.Else():
                    m.d.comb += self.write.eq((left > CRC_BYTES) & ~misfit)
                    m.d.sync += [left.eq(left - 1), payload.eq(payload | self.write)]
                    with m.If(left == 0):
                        m.d.sync += misfit.eq(1)
                with m.Switch(place):
                    with m.Case(0):
                        m.d.sync += self.command.eq(byte)
                    with m.Case(1):
                        m.d.sync += self.sequence.eq(byte)
                    with m.Case(2):
                        m.d.sync += left.eq(byte)
                    with m.Case(3):
                        m.d.sync += [left.eq(length + CRC_BYTES), misfit.eq(length > self._max_payload)]
            with m.State("CLOSE"):
                whole = crc.match_detected & ~damaged & ~escaped & (place == FRAME_OVERHEAD)
                with m.If((place != 0) | damaged | escaped):
                    self._judge(m, whole, misfit | (left != 0), payload)
                m.d.comb += [crc.start.eq(1), self.rollback.eq(~self.commit)]
                m.d.sync += [damaged.eq(0), escaped.eq(0), place.eq(0), misfit.eq(0), payload.eq(0)]
                m.next = "WAIT"
        return m

    def _judge(self, m, whole, misfit, payload):
        m.d.comb += self.faulty.eq(1)
        with m.If(~whole):
            m.d.comb += self.fault.eq(Fault.DAMAGED)
        with m.Elif(misfit):
            m.d.comb += self.fault.eq(Fault.LENGTH)
        with m.Elif(self.command.matches(*URGENT)):
            m.d.comb += [self.fault.eq(Fault.PAYLOAD), self.faulty.eq(payload), self.urgent.eq(~payload)]
        with m.Elif(self.lost):
            m.d.comb += self.fault.eq(Fault.OVERRUN)
        with m.Else():
            m.d.comb += [self.faulty.eq(0), self.commit.eq(1)]


class Framer(wiring.Component):
    """Put CRC, stuffing and flags around header and payload.

    Members
    -------
    i : In(stream(piece))
    o : Out(stream(8))
    """

    def __init__(self):
        super().__init__({"i": In(stream.Signature(piece())), "o": Out(stream.Signature(BYTE))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=1).create()
        byte, bit = Signal(BYTE), Signal(range(BYTE))
        last, escaped, checked = Signal(), Signal(), Signal(range(CRC_BYTES + 1))
        special = byte.matches(FLAG, ESCAPE) & ~escaped
        m.d.comb += [crc.data.eq(byte[0]), self.o.payload.eq(FLAG)]
        with m.FSM():
            with m.State("OPEN"):
                m.d.comb += [crc.start.eq(1), self.o.valid.eq(self.i.valid)]
                m.d.sync += checked.eq(0)
                with m.If(self.o.valid & self.o.ready):
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [byte.eq(self.i.payload.data), last.eq(self.i.payload.last), bit.eq(0)]
                with m.If(self.i.valid):
                    m.next = "DIGEST"
            with m.State("DIGEST"):
                m.d.comb += crc.valid.eq(1)
                m.d.sync += [byte.eq(byte.rotate_right(1)), bit.eq(bit + 1)]
                with m.If(bit == BYTE - 1):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(byte)]
                with m.If(special):
                    m.d.comb += self.o.payload.eq(ESCAPE)
                with m.If(self.o.ready):
                    m.d.sync += [escaped.eq(special), byte.eq(byte ^ STUFF)]
                    with m.If(~special):
                        m.next = "TAKE"
                        with m.If(last):
                            m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [byte.eq(crc.crc.word_select(checked[:2], BYTE)), checked.eq(checked + 1)]
                m.next = "SEND"
                with m.If(checked == CRC_BYTES):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "OPEN"
        return m
