"""The link: frames on a UART in, words for the core out, and back.

::

    rx -> receiver -> deframer -> ring -> commands -> load, values -> core
                         |         ^         | ^ registers             | results
                         |         |         v |                       v
                         +-----> urgent -> replies <- tags, result buffer
                                             |
                          tx <- transmitter <- framer
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import InputError
from hw.blackbox import core_signature
from hw.commands import Commands
from hw.frame_ring import FrameRing
from hw.framing import Deframer, Framer
from hw.queue import Queue
from hw.registers import Registers
from hw.regmap import COMMIT, COUNTERS, FRAME_OVERHEAD, RESULT_WORDS, Fault
from hw.replies import Replies
from hw.uart import LEAST_DIVISOR, Receiver, Transmitter
from hw.urgent import Urgent

__all__ = ["Link", "LinkParams"]

TAGS = 2  # images handed to the core whose results have not begun to be sent: more than a UART brings in that time
BAUD_ERROR = 0.02


@dataclass(frozen=True, kw_only=True)
class LinkParams:
    """How fast and how large a link is.

    Raises
    ------
    InputError : for a baud rate that the clock cannot make, or sizes that do not fit together.
    """

    clock_hz: int
    baud: int
    rx_bytes: int = 2048      # a power of two
    max_payload: int = 1024

    def __post_init__(self):
        if self.clock_hz < LEAST_DIVISOR * self.baud or self.baud < 1:
            raise InputError(
                f"{self.baud} baud cannot be made from a clock of {self.clock_hz} Hz, a bit takes at least "
                f"{LEAST_DIVISOR} clock cycles: choose 1 to {self.clock_hz // LEAST_DIVISOR} baud."
            )
        actual = self.clock_hz / self.divisor
        if abs(actual / self.baud - 1) > BAUD_ERROR:
            raise InputError(
                f"{self.baud} baud cannot be made from a clock of {self.clock_hz} Hz: the nearest is {actual:.0f}, more "
                f"than {BAUD_ERROR:.0%} off. Choose that one or another baud rate."
            )
        if self.rx_bytes & (self.rx_bytes - 1) or self.rx_bytes < self.max_payload + FRAME_OVERHEAD:
            raise InputError(
                f"a receive buffer of {self.rx_bytes} bytes: it must be a power of two and hold at least a frame with the "
                f"longest payload, {self.max_payload} + {FRAME_OVERHEAD} bytes."
            )
        if self.max_payload < COMMIT.size:
            raise InputError(f"the longest payload must have at least {COMMIT.size} bytes, not {self.max_payload}.")

    @property
    def divisor(self):
        """Clock cycles a bit."""
        return round(self.clock_hz / self.baud)

    @property
    def registers(self):
        """What the link adds to the registers."""
        return {"CLOCK_HZ": self.clock_hz, "BAUD": self.baud, "RX_BYTES": self.rx_bytes, "MAX_PAYLOAD": self.max_payload}


class Link(wiring.Component):
    """Everything between the pins of the UART and the core.

    Parameters
    ----------
    core_params : CoreParams
    link_params : LinkParams
    values : dict
        As of `hw.registers.Registers`; the link's own are added.

    Members
    -------
    rx, tx : In(1), Out(1)
        Idle high.
    core : In(core_signature)
        To the core.
    """

    def __init__(self, core_params, link_params, values):
        self._core, self._link = core_params, link_params
        self._values = {**values, **link_params.registers}
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "core": In(core_signature(core_params))})

    def elaborate(self, platform):
        m = Module()
        link, core = self._link, wiring.flipped(self.core)
        m.submodules.receiver = receiver = Receiver(link.divisor)
        m.submodules.deframer = deframer = Deframer(link.max_payload)
        m.submodules.ring = ring = FrameRing(link.rx_bytes)
        m.submodules.commands = commands = Commands(self._core, link.max_payload)
        m.submodules.urgent = urgent = Urgent()
        m.submodules.registers = registers = Registers(self._values)
        m.submodules.tags = tags = ResetInserter(urgent.clear)(Queue(8, depth=TAGS))
        m.submodules.replies = replies = Replies(
            len(RESULT_WORDS) + self._core.classes, max_payload=link.max_payload, rx_bytes=link.rx_bytes)
        m.submodules.framer = framer = Framer()
        m.submodules.transmitter = transmitter = Transmitter(link.divisor)

        for source, sink in (
            (receiver.o, deframer.i), (ring.o, commands.i), (commands.tags, tags.i), (tags.o, replies.tags),
            (commands.o, replies.i), (urgent.o, replies.urgent), (replies.o, framer.i), (framer.o, transmitter.i),
            (core.o, replies.results), (commands.load, core.load), (commands.values, core.i),
        ):
            wiring.connect(m, source, sink)
        m.d.comb += [
            receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx),
            ring.i.eq(deframer.data), ring.write.eq(deframer.write), ring.commit.eq(deframer.commit),
            ring.rollback.eq(deframer.rollback), deframer.lost.eq(ring.lost), ring.flush.eq(urgent.flush),
            urgent.urgent.eq(deframer.urgent), urgent.command.eq(deframer.command),
            urgent.sequence.eq(deframer.sequence),
            replies.faulty.eq(deframer.faulty), replies.damage.fault.eq(deframer.fault),
        ]
        with m.If(deframer.fault != Fault.DAMAGED):
            m.d.comb += [replies.damage.command.eq(deframer.command), replies.damage.sequence.eq(deframer.sequence)]
        m.d.comb += [
            commands.stop.eq(urgent.stop), commands.reset.eq(urgent.reset), urgent.stopped.eq(commands.stopped),
            urgent.restart.eq(commands.restart), commands.restarted.eq(urgent.restarted),
            replies.clear.eq(urgent.clear), core.abort.eq(urgent.abort), core.reset.eq(urgent.core_reset),
            urgent.idle.eq(core.idle),
        ]
        self._registers(m, registers, receiver, deframer, commands, urgent, replies)
        return m

    def _registers(self, m, registers, receiver, deframer, commands, urgent, replies):
        m.d.comb += [
            registers.address.eq(Mux(commands.write, commands.address, replies.address)),
            registers.write.eq(commands.write), registers.write_data.eq(commands.write_data),
            replies.stolen.eq(commands.write), replies.data.eq(registers.data), registers.hold.eq(replies.hold),
            registers.clear.eq(urgent.flush & urgent.reset),
        ]
        for name in ("network", "input_size", "input_low", "input_bytes"):
            m.d.comb += getattr(commands, name).eq(getattr(registers, name))
        damaged = (deframer.fault == Fault.DAMAGED) | (deframer.fault == Fault.LENGTH)
        refused = commands.o.valid & commands.o.ready & commands.refused
        counted = {
            "RESULTS": replies.given, "FRAMES": deframer.commit | deframer.urgent,
            "DAMAGED": deframer.faulty & damaged,
            "REFUSED": refused | deframer.faulty & (deframer.fault == Fault.PAYLOAD),
            "OVERRUNS": deframer.faulty & (deframer.fault == Fault.OVERRUN),
            "UART_ERRORS": receiver.o.valid & receiver.o.payload.broken, "BUSY": ~self.core.idle,
        }
        m.d.sync += registers.counted.eq(Cat(counted[register.name] for register in COUNTERS))
