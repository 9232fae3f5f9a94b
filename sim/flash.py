"""A serial flash for simulation: it keeps the times of its part, and spoils the data where they are broken."""
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false
# Ports are attributes that Amaranth makes from a component's signature; the stubs do not know all that is a value.

from math import ceil

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.memory.flash import FlashPart, FlashStart, flash_pins

__all__ = ["RULES", "FlashModel", "FlashedTop"]

RULES = {
    "clock": "the clock high or low for too short",
    "mode": "selected or let go while the clock is high: it is mode 0",
    "select": "a rising edge too soon after the flash was selected",
    "deselect": "selected too soon after it was let go",
    "setup": "a bit that changed too shortly before the rising edge",
    "hold": "a bit that changed too soon after the rising edge",
    "command": "a command other than 03h, or one that was cut off",
}
BYTE, ADDRESS_BITS = 8, 24
COMMAND_BITS = BYTE + ADDRESS_BITS
ERASED = 0xFF
LONG = 15  # cycles that are counted


class FlashModel(wiring.Component):
    """A flash that is read by 03h, clocked by its pins, which are looked at in every cycle of ``sync``.

    What is not in ``contents`` is erased. An address that runs over the end begins anew. A bit is there some time
    after the falling edge, and inverted until then. Once a rule was broken, every bit is inverted.

    Parameters
    ----------
    part : FlashPart
    clock_hz : float
        Of ``sync``: the times of the part are counted in its cycles.
    contents : bytes
    start : int
        The address of the first of them.
    address_bits : int
        Bytes of the flash, as a power of two.

    Members
    -------
    pins : In(flash_pins)
    broken : Out
        A bit for each of `RULES`, for good.
    bits : Out(32)
        Bits read.
    """

    def __init__(self, part: FlashPart, clock_hz: float, contents: bytes, start: int, *, address_bits: int = 24):
        self._part, self._clock_hz, self._contents, self._start = part, clock_hz, contents, start
        self._address_bits = address_bits
        super().__init__({
            "pins": In(flash_pins()), "broken": Out(data.StructLayout(dict.fromkeys(RULES, 1))), "bits": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        pins, part = self.pins, self._part
        before = {name: Signal(name=f"{name}_before") for name in ("clk", "copi", "cs")}
        m.d.sync += [signal.eq(getattr(pins, name)) for name, signal in before.items()]
        rises, falls = pins.clk & ~before["clk"], ~pins.clk & before["clk"]
        selected, let_go = pins.cs & ~before["cs"], ~pins.cs & before["cs"]
        changes = pins.copi != before["copi"]
        half = self._cycles(5e8 / part.read_hz)
        edge, bit_age, risen, fallen, chosen, free = (self._age(m, name, event) for name, event in (
            ("edge", rises | falls), ("bit_age", changes), ("risen", rises), ("fallen", falls), ("chosen", selected),
            ("free", let_go)))
        told, place = Signal(COMMAND_BITS), Signal(range(COMMAND_BITS + 1))
        breaks = {
            "clock": (rises | falls) & (edge < half), "mode": (selected | let_go) & pins.clk,
            "select": rises & pins.cs & (selected | (chosen < self._cycles(part.select_ns))),
            "deselect": selected & (free < self._cycles(part.deselect_ns)),
            "setup": rises & pins.cs & (changes | (bit_age < self._cycles(part.setup_ns))),
            "hold": changes & pins.cs & ~rises & (risen < self._cycles(part.hold_ns)),
            "command": ((place == BYTE) & (told[:BYTE] != 0x03)) | (let_go & (place != COMMAND_BITS)),
        }
        m.d.sync += [self.broken[rule].eq(self.broken[rule] | broken) for rule, broken in breaks.items()]
        late = falls | (fallen < self._cycles(part.valid_ns))
        self._read(m, rises & pins.cs, falls & pins.cs, late, told, place)
        with m.If(~pins.cs):
            m.d.sync += place.eq(0)
        return m

    def _cycles(self, nanoseconds):
        return ceil(nanoseconds * 1e-9 * self._clock_hz - 1e-9)

    def _age(self, m, name, event):
        """Return how many cycles ago an event was, up to `LONG`."""
        age = Signal(range(LONG + 1), name=name, init=LONG)
        m.d.sync += age.eq(Mux(event, 1, Mux(age == LONG, LONG, age + 1)))
        return age

    def _read(self, m, rises, falls, late, told, place):
        """Take command and address, then show bit after bit, the highest of a byte first."""
        size = 1 << self._address_bits
        m.submodules.memory = memory = Memory(shape=BYTE, depth=max(2, len(self._contents)), init=self._contents)
        read = memory.read_port(domain="comb")
        address, bit, shown = Signal(self._address_bits), Signal(range(BYTE)), Signal(init=1)
        at, byte = Signal(self._address_bits), Signal(BYTE)
        m.d.comb += [
            at.eq(address - self._start % size), read.addr.eq(at),
            byte.eq(Mux(at < len(self._contents), read.data, ERASED)),
            self.pins.cipo.eq(shown ^ self.broken.as_value().any() ^ late),
        ]
        with m.If(rises):
            with m.If(place != COMMAND_BITS):
                m.d.sync += [told.eq(Cat(self.pins.copi, told)), place.eq(place + 1), bit.eq(0)]
                m.d.sync += address.eq(Cat(self.pins.copi, told))
            with m.Else():
                m.d.sync += self.bits.eq(self.bits + 1)
        with m.If(falls & (place == COMMAND_BITS)):
            m.d.sync += [shown.eq(byte.bit_select(~bit, 1)), bit.eq(bit + 1)]
            with m.If(bit == BYTE - 1):
                m.d.sync += address.eq(address + 1)


class FlashedTop(wiring.Component):
    """A design (`hw.link.uart_top.UartTop`) with the model at its ``flash``; its other members are those of the design.

    Parameters
    ----------
    top : UartTop
    start : FlashStart
        Of its link.
    clock_hz : float
    contents : bytes
        What lies there.
    """

    def __init__(self, top, start: FlashStart, clock_hz: float, contents: bytes):
        self._top, self._model = top, FlashModel(start.part, clock_hz, contents, start.address)
        super().__init__({name: member for name, member in top.signature.members.items() if name != "flash"})

    def elaborate(self, platform):
        m = Module()
        m.submodules.top, m.submodules.model = top, model = self._top, self._model
        wiring.connect(m, top.flash, model.pins)
        m.d.comb += [top.rx.eq(self.rx), self.tx.eq(top.tx), self.active.eq(top.active)]
        if "memory" in self.signature.members:
            wiring.connect(m, top.memory, wiring.flipped(self.memory))
        return m
