"""At power-up a host of its own: it plays what lies in a flash into the link, as a host would send it.

What lies there is that of `hw.flash_file`: a header, then frames. So all checks are those of the link: a CRC for each
frame, positions, the digest of the whole load. While it plays, the line is neither heard nor answered, but for a flag:
from then on the line has the link.
"""

from functools import partial

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.link.breakable import breakable
from hw.link.framing import DIGEST_CYCLES
from hw.link.uart import received
from hw.regmap import FLAG, FRAME_OVERHEAD, REPLY, Command

__all__ = ["PowerUp"]

BYTE = 8


class PowerUp(wiring.Component):
    """Stand between the line and the link: play the frames of a flash, then join the two.

    A frame goes when the one before is answered. It ends, and the line has the link, where the header is not ours; with
    any answer but that to a LOAD; and with a flag from the line, which it hands to the link behind what was under way.
    A frame that is longer than any ends there: what is erased is answered by an error too.

    Parameters
    ----------
    header : bytes
        What must stand before the frames.
    max_payload : int
        Of a frame.

    Members
    -------
    stored : In(stream(8))
        What lies in the flash.
    done : Out(1)
        Nothing more is wanted of it.
    heard, said : In(stream(received), always ready), Out(stream(8))
        The line.
    requests, replies : Out(stream(received), always ready), In(stream(8))
        The link: of `hw.link.endpoint.Endpoint`.
    """

    def __init__(self, header: bytes, max_payload: int):
        self._header, self._max_payload = header, max_payload
        line = stream.Signature(received(), always_ready=True)
        super().__init__({
            "stored": In(stream.Signature(BYTE)), "done": Out(1), "requests": Out(line), "heard": In(line),
            "replies": In(stream.Signature(BYTE)), "said": Out(stream.Signature(BYTE)),
        })

    def elaborate(self, platform):
        m = Module()
        stored, heard, replies, request = self.stored, self.heard, self.replies, self.requests.payload
        longest = ceil_log2(2 * (self._max_payload + FRAME_OVERHEAD) + 1)  # bits; every byte of a frame may be stuffed
        count = Signal(longest + 1)  # bytes of the header, or of a frame; cycles in YIELD
        counts, clears, takes, fed, last, flag, answered = (Signal(name=name) for name in (
            "counts", "clears", "takes", "fed", "last", "flag", "answered"))
        some, muted = Signal(), Signal(init=1)  # bytes of a frame have gone
        begins, ends = Signal(init=1), Signal()  # the reply's last byte was a flag; nothing goes on behind this reply
        index = ceil_log2(len(self._header))
        expected = Const(int.from_bytes(self._header, "little"), BYTE << index).word_select(count[:index], BYTE)
        m.d.comb += [
            takes.eq(heard.valid & ~heard.payload.broken & (heard.payload.data == FLAG)),
            flag.eq(replies.payload == FLAG), last.eq((stored.payload == FLAG) | count[longest]),
            answered.eq(replies.valid & flag & ~begins),
            self.said.payload.eq(replies.payload), self.said.valid.eq(replies.valid & ~muted),
            replies.ready.eq(self.said.ready | muted),
        ]
        with m.If(replies.valid & replies.ready):
            m.d.sync += begins.eq(flag)
            with m.If(begins & ~flag):
                m.d.sync += ends.eq(replies.payload != Command.LOAD | REPLY)
        m.d.sync += self.requests.valid.eq(fed)
        with m.FSM():
            state = partial(breakable, m, event=takes, target="YIELD")
            with state("HEADER"):
                m.d.comb += [stored.ready.eq(1), counts.eq(stored.valid)]
                with m.If(stored.valid):
                    with m.If(count == len(self._header) - 1):
                        m.d.comb += clears.eq(1)
                        m.next = "FRAME"
                    with m.If(stored.payload != expected):
                        m.next = "LINE"
            with state("FRAME"):
                m.d.comb += [stored.ready.eq(~heard.valid), fed.eq(stored.valid & ~heard.valid), counts.eq(fed)]
                with m.If(fed):
                    m.d.sync += some.eq(~last)
                    m.d.comb += clears.eq(last)
                    with m.If(last & some):  # no frame is answered that has nothing in it
                        m.next = "REPLY"
            with state("REPLY"), m.If(answered):
                m.next = "FRAME"
                with m.If(ends):
                    m.next = "LINE"
            with m.State("YIELD"):
                m.d.comb += counts.eq(1)
                with m.If(count[ceil_log2(DIGEST_CYCLES)]):  # the link takes a byte in so many cycles
                    m.d.sync += self.requests.valid.eq(1)
                    m.next = "LINE"
            with m.State("LINE"):
                m.d.comb += self.done.eq(1)
                m.d.sync += self.requests.valid.eq(heard.valid)
                with m.If(begins):  # a reply that was under way is not heard either
                    m.d.sync += muted.eq(0)
        with m.If(clears | takes):
            m.d.sync += count.eq(0)
        with m.Elif(counts):
            m.d.sync += count.eq(count + 1)
        with m.If(heard.valid | fed):
            m.d.sync += [
                request.data.eq(Mux(heard.valid, heard.payload.data, Mux(last, FLAG, stored.payload))),
                request.broken.eq(heard.valid & heard.payload.broken),
            ]
        return m
