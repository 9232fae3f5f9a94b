"""The one bus to the memory outside the FPGA: bursts of words, requests queued, data in their order."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LENGTH_BITS", "LONGEST", "WIDTHS", "MemoryBus", "connect_wider", "memory_request"]

LENGTH_BITS = 8
LONGEST = 2**LENGTH_BITS  # words of a burst, at most
WIDTHS = (16, 32, 64, 128)


def memory_request(address_bits):
    """Shape of a request: ``address`` of the first word, ``length``, ``write``.

    ``address`` counts words of the bus, not bytes. ``length`` is the words of the burst less one, 0 to 255.
    ``write`` is 1 for a burst of writes, 0 for one of reads.
    """
    return data.StructLayout({"address": address_bits, "length": LENGTH_BITS, "write": 1})


class MemoryBus(wiring.Signature):
    """A memory of ``2 ** address_bits`` words of ``width`` bits, seen from the one that asks.

    A request asks for a burst: so many words at rising addresses. A burst may begin at any address and have any length;
    it does not run over the end of the memory. Whoever answers cuts it where rows or pages of the memory end.

    - All streams keep the rule of streams: what was offered stays, unchanged, until it is taken.
    - Requests are taken while earlier bursts still deliver, at least one, so that bursts run back to back. They are
      done in the order in which they were taken: a burst reads what the bursts before it wrote.
    - ``write`` carries the words of the bursts of writes, in the order of the requests, each word whole. The words of
      a burst may be offered before its request, with it or later, with gaps. They may wait for their request: a
      request must not wait until its words are taken.
    - ``read`` carries the words of the bursts of reads, in the order of the requests. The taker may hold them back for
      any time; nothing is lost, the memory waits. Then a request may wait too, writes included: to take words that
      were asked for must not depend on a later request being taken.
    - Nothing says that a write is done. A later read sees it, and that is all that can be seen.
    - ``fault`` rises when the memory did not come up, answered with an error or broke its rules, and stays until
      reset. Requests go on being taken and every word that was asked for comes, but contents mean nothing.
    - A reset gives up whatever is under way; the memory keeps what was written, but for the bursts under way.

    Latency is that of the memory, and differs from burst to burst: refresh, rows to be opened, other masters. Before a
    memory is up (an SDRAM takes some 200 us after reset) the first requests wait.

    Parameters
    ----------
    address_bits : int
    width : int
        Bits of a word: 16, 32, 64 or 128.

    Members
    -------
    request : Out(stream(memory_request))
    write : Out(stream(width))
    read : In(stream(width))
    fault : In(1)
    """

    def __init__(self, address_bits, width):
        if width not in WIDTHS:
            raise ValueError(f"the width of a memory bus must be one of {WIDTHS}, not {width!r}")
        if address_bits < 1:
            raise ValueError(f"a memory bus needs at least one bit of address, not {address_bits!r}")
        self.address_bits, self.width = address_bits, width
        super().__init__({
            "request": Out(stream.Signature(memory_request(address_bits))), "write": Out(stream.Signature(width)),
            "read": In(stream.Signature(width)), "fault": In(1),
        })

    def __repr__(self):
        return f"MemoryBus({self.address_bits}, {self.width})"


def connect_wider(m, asks, answers, failed=0):
    """Join the bus of who ``asks`` to that of who ``answers``, which may have more bits of address.

    ``failed``: raises the fault too.
    """
    request, asked = answers.request.payload, asks.request.payload
    m.d.comb += [
        *(request[name].eq(asked[name]) for name in ("address", "length", "write")),
        answers.write.payload.eq(asks.write.payload), asks.read.payload.eq(answers.read.payload),
        *(way.eq(back) for name in ("request", "write") for way, back in (
            (getattr(answers, name).valid, getattr(asks, name).valid),
            (getattr(asks, name).ready, getattr(answers, name).ready))),
        asks.read.valid.eq(answers.read.valid), answers.read.ready.eq(asks.read.ready),
        asks.fault.eq(answers.fault | failed),
    ]
