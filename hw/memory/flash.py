"""A serial flash (SPI NOR) read from one address onwards, byte after byte, and the part as data."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.errors import InputError

__all__ = ["IS25LP128_W25Q128", "FlashPart", "FlashReader", "FlashStart", "flash_pins"]

BYTE = 8
READ = 0x03  # followed by 24 bits of address; data come at once, for as long as the clock runs
ADDRESS_BITS = 24
COMMAND_BITS = BYTE + ADDRESS_BITS
LEAST_DIVISOR = 4  # cycles of a bit: half of them, and one more for the way back, are left for the data to come


@dataclass(frozen=True, kw_only=True)
class FlashPart:
    """One part, in mode 0, read by the command 03h.

    Parameters
    ----------
    title : str
    read_hz : float
        Fastest clock of the command 03h.
    valid_ns : float
        From the falling edge of the clock until the next bit is there.
    select_ns, deselect_ns : float
        Chip select low before the first rising edge; high between two commands.
    setup_ns, hold_ns : float
        Of a bit to the part, around the rising edge.
    """

    title: str
    read_hz: float
    valid_ns: float
    select_ns: float
    deselect_ns: float
    setup_ns: float
    hold_ns: float

    def divisor(self, clock_hz: float) -> int:
        """Return how many cycles of a clock a bit takes, a power of two.

        Raises
        ------
        InputError : there is none, since the clock is too fast.
        """
        divisor = LEAST_DIVISOR
        while clock_hz > divisor * self.read_hz * (1 + 1e-9):
            divisor *= 2
        if clock_hz * self.valid_ns * 1e-9 > divisor - 1:
            raise InputError(f"{self.title} cannot be read with a clock of {clock_hz / 1e6:g} MHz: choose a lower one.")
        return divisor


# At every time the slower of both, and of their older revisions: ISSI IS25LP128, Winbond W25Q128.
IS25LP128_W25Q128 = FlashPart(
    title="IS25LP128 or W25Q128", read_hz=33e6, valid_ns=8, select_ns=6, deselect_ns=50, setup_ns=2, hold_ns=3,
)


@dataclass(frozen=True, kw_only=True)
class FlashStart:
    """From where a design is loaded at power-up: the part, the address, and the ``header`` that must lie there."""

    part: FlashPart
    address: int
    header: bytes


def flash_pins() -> wiring.Signature:
    """Return the signature of the pins, seen from the reader.

    Members
    -------
    cs : Out(1)
        Asserted when 1; the pin is active low.
    clk, copi, cipo : Out(1), Out(1), In(1)
        Every output is a register.
    """
    return wiring.Signature({"cs": Out(1), "clk": Out(1), "copi": Out(1), "cipo": In(1)})


class FlashReader(wiring.Component):
    """Read a flash from ``address`` on, in mode 0; the clock rests while a byte waits to be taken.

    First the clock runs for `COMMAND_BITS` with the flash not selected: an ECP5 may lose edges as its configuration
    logic hands the pin over.

    ::

        clk    __--__--__--__--     high in the second half of a bit
        copi   <a ><b ><c >         changes as it falls
        cipo     <a ><b ><c >       changes behind the fall, and is taken at the next one

    Parameters
    ----------
    part : FlashPart
    clock_hz : float
        Of ``sync``.
    address : int

    Members
    -------
    o : Out(stream(8))
    stop : In(1)
        Nothing more is wanted: the flash is let go, for good.
    pins : Out(flash_pins)
    """

    def __init__(self, part: FlashPart, clock_hz: float, address: int):
        self._divisor, self._address = part.divisor(clock_hz), address
        super().__init__({"o": Out(stream.Signature(BYTE)), "stop": In(1), "pins": Out(flash_pins())})

    def elaborate(self, platform):
        m = Module()
        pins, byte = self.pins, Signal(BYTE, reset_less=True)
        phase, bit, came = Signal(range(self._divisor)), Signal(range(COMMAND_BITS)), Signal(reset_less=True)
        falls, whole = Signal(), Signal()
        told = READ << ADDRESS_BITS | self._address  # the first bit is a 0, which copi is before it changes
        told = Const(sum((told >> COMMAND_BITS - 2 - i & 1) << i for i in range(COMMAND_BITS - 1)), COMMAND_BITS)
        m.d.comb += [
            falls.eq(phase.all() & ~self.o.valid & ~self.stop), pins.clk.eq(phase[-1]), self.o.payload.eq(byte),
            whole.eq(bit[:3].all()),
        ]
        m.d.sync += came.eq(pins.cipo)
        with m.If(~self.o.valid & ~self.stop):
            m.d.sync += phase.eq(phase + 1)
        with m.If(falls):
            m.d.sync += [byte.eq(Cat(came, byte)), bit.eq(bit + 1)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("WAKE"), m.If(falls & bit.all()):
                m.d.sync += pins.cs.eq(1)
                m.next = "COMMAND"
            with m.State("COMMAND"), m.If(falls):
                m.d.sync += pins.copi.eq(told.bit_select(bit, 1))
                with m.If(bit.all()):
                    m.next = "READ"
            with m.State("READ"), m.If(falls & whole):
                m.d.sync += self.o.valid.eq(1)
        with m.If(self.stop):
            m.d.sync += pins.cs.eq(0)
        return m
