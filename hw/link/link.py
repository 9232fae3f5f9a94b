"""The UART link: pins on one side, the core on the other."""

from dataclasses import dataclass

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import InputError
from hw.link.blackbox import core_signature
from hw.link.endpoint import Endpoint
from hw.link.power_up import PowerUp
from hw.link.uart import LEAST_DIVISOR, Receiver, Transmitter
from hw.memory.flash import FlashReader, FlashStart, flash_pins
from hw.regmap import COMMIT, FRAME_OVERHEAD, LONGEST_PAYLOAD

__all__ = ["Link", "LinkParams"]

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
                f"{self.baud} baud cannot be made from a clock of {self.clock_hz} Hz: the nearest is "
                f"{actual:.0f}, more than {BAUD_ERROR:.0%} off. Choose that one or another baud rate."
            )
        if self.rx_bytes & (self.rx_bytes - 1) or self.rx_bytes < self.max_payload + FRAME_OVERHEAD:
            raise InputError(
                f"A receive buffer of {self.rx_bytes} bytes: it must be a power of two and hold at least a frame "
                f"with the longest payload, {self.max_payload} + {FRAME_OVERHEAD} bytes."
            )
        if not COMMIT.size <= self.max_payload <= LONGEST_PAYLOAD:
            raise InputError(
                f"The longest payload must have {COMMIT.size} to {LONGEST_PAYLOAD} bytes, not {self.max_payload}."
            )

    @property
    def divisor(self):
        """Clock cycles a bit."""
        return round(self.clock_hz / self.baud)

    @property
    def registers(self):
        """What the link adds to the registers."""
        return {
            "CLOCK_HZ": self.clock_hz, "BAUD": self.baud,
            "RX_BYTES": self.rx_bytes, "MAX_PAYLOAD": self.max_payload,
        }


class Link(wiring.Component):
    """Everything between the pins of the UART and the core.

    Parameters
    ----------
    core_params : CoreParams
    link_params : LinkParams
    values : dict
        As of `hw.link.registers.Registers`; the link's own are added.
    flash : FlashStart or None
        What the core is loaded from at power-up, if nobody else does.

    Members
    -------
    rx, tx : In(1), Out(1)
        Idle high; ``rx`` is asynchronous.
    core : In(core_signature)
        To the core.
    flash : Out(flash_pins)
        Only with ``flash``.
    """

    def __init__(self, core_params, link_params, values, flash: FlashStart | None = None):
        self._params, self._link, self._flash = core_params, link_params, flash
        self._values = {**values, **link_params.registers}
        super().__init__({
            "rx": In(1, init=1), "tx": Out(1, init=1), "core": In(core_signature(core_params)),
            **({"flash": Out(flash_pins())} if flash else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(self._link.divisor)
        m.submodules.endpoint = endpoint = Endpoint(self._params, self._values)
        m.submodules.transmitter = transmitter = Transmitter(self._link.divisor)
        if self._flash:
            self._power_up(m, self._flash, receiver, endpoint, transmitter)
        else:
            wiring.connect(m, receiver.o, endpoint.i)
            wiring.connect(m, endpoint.o, transmitter.i)
        wiring.connect(m, endpoint.core, wiring.flipped(self.core))
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        return m

    def _power_up(self, m, start, receiver, endpoint, transmitter):
        """Put between line and endpoint who plays the flash into it."""
        m.submodules.flash = flash = FlashReader(start.part, self._link.clock_hz, start.address)
        m.submodules.power_up = power_up = PowerUp(start.header, self._link.max_payload)
        for source, sink in (
            (flash.o, power_up.stored), (receiver.o, power_up.heard), (power_up.requests, endpoint.i),
            (endpoint.o, power_up.replies), (power_up.said, transmitter.i), (flash.pins, wiring.flipped(self.flash)),
        ):
            wiring.connect(m, source, sink)
        m.d.comb += flash.stop.eq(power_up.done)
