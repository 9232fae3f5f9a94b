"""The far end of the host's cable: frames in, words for the core out, and back.

::

    i -> deframer -> ring -> commands -> load, values -> core         (values of a core that takes several: collector)
            |         ^        | ^ registers              | results
            |         |        v |                        v
            +-----> urgent -> replies <--- tags, result buffer
                                 |
                    o <------- framer
"""

from amaranth.hdl import Cat, Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.result import HEADER_WORDS
from hw.link.blackbox import core_signature
from hw.link.collector import Collector
from hw.link.commands import Commands
from hw.link.frame_ring import FrameRing
from hw.link.framing import Deframer, Framer
from hw.link.queue import Queue
from hw.link.register_file import RegisterFile
from hw.link.replies import Replies
from hw.link.uart import received
from hw.link.urgent import Urgent
from hw.regmap import COUNTERS, Fault

__all__ = ["Endpoint"]

BYTE = 8
TAGS = 2  # images handed to the core whose results have not begun to be sent


class Endpoint(wiring.Component):
    """All of the protocol, whatever carries the bytes.

    Parameters
    ----------
    params : CoreParams
    values : dict
        As of `hw.link.registers.Registers`, with RX_BYTES and MAX_PAYLOAD.

    Members
    -------
    i : In(stream(received), always ready)
        At most one byte in `hw.link.framing.DIGEST_CYCLES`.
    o : Out(stream(8))
    core : In(core_signature)
        To the core.
    """

    def __init__(self, params, values):
        self._params, self._values = params, values
        super().__init__({
            "i": In(stream.Signature(received(), always_ready=True)), "o": Out(stream.Signature(BYTE)),
            "core": In(core_signature(params)),
        })

    def elaborate(self, platform):
        m = Module()
        core = wiring.flipped(self.core)
        rx_bytes, max_payload = self._values["RX_BYTES"], self._values["MAX_PAYLOAD"]
        m.submodules.deframer = deframer = Deframer(max_payload)
        m.submodules.ring = ring = FrameRing(rx_bytes)
        m.submodules.commands = commands = Commands(self._params, max_payload)
        m.submodules.urgent = urgent = Urgent()
        m.submodules.registers = registers = RegisterFile(self._values)
        m.submodules.tags = tags = ResetInserter(urgent.clear)(Queue(BYTE, depth=TAGS))
        m.submodules.replies = replies = Replies(
            max_payload=max_payload, rx_bytes=rx_bytes, result_words=HEADER_WORDS + self._params.outputs)
        m.submodules.framer = framer = Framer()

        for source, sink in (
            (wiring.flipped(self.i), deframer.i), (ring.o, commands.i), (commands.tags, tags.i),
            (tags.o, replies.tags), (commands.o, replies.i), (urgent.o, replies.urgent), (replies.o, framer.i),
            (framer.o, wiring.flipped(self.o)), (core.o, replies.results), (commands.load, core.load),
            *self._values_to(m, core, commands.values),
        ):
            wiring.connect(m, source, sink)
        m.d.comb += [
            ring.i.eq(deframer.data), ring.write.eq(deframer.write), ring.commit.eq(deframer.commit),
            ring.rollback.eq(deframer.rollback), deframer.lost.eq(ring.lost), ring.flush.eq(urgent.flush),
            urgent.urgent.eq(deframer.urgent), urgent.command.eq(deframer.command),
            urgent.sequence.eq(deframer.sequence),
            commands.stop.eq(urgent.stop), commands.reset.eq(urgent.reset), urgent.stopped.eq(commands.stopped),
            urgent.restart.eq(commands.restart), commands.restarted.eq(urgent.restarted),
            replies.clear.eq(urgent.clear), core.abort.eq(urgent.abort), core.reset.eq(urgent.core_reset),
            urgent.idle.eq(core.idle), commands.unsound.eq(core.fault),
            replies.faulty.eq(deframer.faulty), replies.damage.fault.eq(deframer.fault),
        ]
        with m.If(deframer.fault != Fault.DAMAGED):
            m.d.comb += [
                replies.damage.command.eq(deframer.command), replies.damage.sequence.eq(deframer.sequence),
            ]
        self._registers(m, registers, deframer, commands, urgent, replies)
        return m

    def _values_to(self, m, core, values):
        """Return the connections that lead input values to the core."""
        if self._params.input_values == 1:
            return [(values, core.i)]
        m.submodules.collector = collector = ResetInserter(core.reset)(Collector(self._params))
        m.d.comb += collector.clear.eq(core.abort)
        return [(values, collector.i), (collector.o, core.i)]

    def _registers(self, m, registers, deframer, commands, urgent, replies):
        m.d.comb += [
            registers.write.eq(commands.write), registers.write_address.eq(commands.address),
            registers.write_data.eq(commands.write_data), registers.reading.eq(replies.reading),
            registers.address.eq(replies.address), replies.granted.eq(registers.granted),
            replies.stolen.eq(commands.write), replies.data.eq(registers.data),
            registers.clear.eq(urgent.flush & urgent.reset),
        ]
        for name in ("loaded", "input_size", "input_low", "wide"):
            m.d.comb += getattr(commands, name).eq(getattr(registers, name))
        damaged = (deframer.fault == Fault.DAMAGED) | (deframer.fault == Fault.LENGTH)
        refused = commands.o.valid & commands.o.ready & commands.refused
        counted = {
            "RESULTS": replies.given, "FRAMES": deframer.commit | deframer.urgent,
            "DAMAGED": deframer.faulty & damaged,
            "REFUSED": refused | deframer.faulty & (deframer.fault == Fault.PAYLOAD),
            "OVERRUNS": deframer.faulty & (deframer.fault == Fault.OVERRUN),
            "UART_ERRORS": self.i.valid & self.i.payload.broken, "BUSY": ~self.core.idle,
        }
        m.d.sync += registers.counted.eq(Cat(counted[register.name] for register in COUNTERS))
