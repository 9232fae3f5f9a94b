"""The registers of `hw.regmap` as bytes in one block RAM: small, and fast enough for a link of bytes."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.link.replies import POSITION_BITS
from hw.regmap import COUNTERS, IDENTITY, MAGIC, PROTOCOL, REGISTERS, register

__all__ = ["RegisterFile"]

BYTE, WORD_BYTES = 8, 4
BYTES = WORD_BYTES * register("CONTROL")
FIRST = COUNTERS[0].offset
BUSY = COUNTERS.index(REGISTERS["BUSY"])


class RegisterFile(wiring.Component):
    """Registers `IDENTITY` and `COUNTERS`, read and written by bytes; a reset clears the counters only.

    What is counted waits until there is time to add it to the counter in memory, some ten cycles. BUSY, which may
    count in every cycle, has its lowest byte in a register, stored whenever a word is to be read.

    Parameters
    ----------
    values : dict
        As of `hw.link.registers.Registers`.

    Members
    -------
    reading, granted : In(1), Out(1)
        Ask for the memory; the counters stand still while it is granted.
    address, data : In, Out(8)
        A byte, one cycle later, if ``granted``; undefined if one was written in the cycle of the address.
    write, write_address, write_data : In
        A byte of a writable register.
    loaded, input_size, input_low, wide : Out
        NETWORK is not 0, and the three registers after it have been written since; the lowest bits of INPUT_SIZE
        and INPUT_LOW; INPUT_BYTES is 2. They outlive a reset, like the memory and the network that they are about.
    counted : In
        One bit for each of COUNTERS: count this cycle.
    clear : In(1)
        Counters to 0.
    """

    def __init__(self, values):
        self._values = {"MAGIC": MAGIC, "VERSION": PROTOCOL, **values}
        super().__init__({
            "reading": In(1), "granted": Out(1), "address": In(range(BYTES)), "data": Out(BYTE),
            "write": In(1), "write_address": In(range(BYTES)), "write_data": In(BYTE),
            "loaded": Out(1), "input_size": Out(POSITION_BITS), "input_low": Out(signed(2 * BYTE)), "wide": Out(1),
            "counted": In(len(COUNTERS)), "clear": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        first = {entry.name: self._values.get(entry.name, 0) & 0xFFFFFFFF for entry in IDENTITY}
        init = b"".join(word.to_bytes(WORD_BYTES, "little") for word in first.values())
        m.submodules.memory = memory = Memory(shape=BYTE, depth=BYTES, init=init)
        into, out = memory.write_port(), memory.read_port()
        at, byte, store = Signal(range(WORD_BYTES * len(COUNTERS))), Signal(BYTE + 1), Signal()
        m.d.comb += [
            out.addr.eq(Mux(self.granted, self.address, FIRST + at)), self.data.eq(out.data),
            into.en.eq(self.write | store), into.addr.eq(FIRST + at), into.data.eq(byte),
        ]
        with m.If(self.write):
            m.d.comb += [into.addr.eq(self.write_address), into.data.eq(self.write_data)]
        self._count(m, at, byte, store, out.data)
        self._keep(m, first)
        return m

    def _count(self, m, at, byte, store, stored):
        """Add 1 to the counters that are due, a byte at a time as far as the carry goes."""
        due, left, low = Signal(len(COUNTERS)), Signal(len(COUNTERS)), Signal(BYTE)
        clearing, cleared = Signal(), Signal()
        now = Signal.like(due)
        m.d.comb += [now.eq(self.counted), now[BUSY].eq(self.counted[BUSY] & low.all()), left.eq(due)]
        m.d.sync += low.eq(low + self.counted[BUSY])
        with m.FSM(init="CLEAR"):
            with m.State("CLEAR"):
                m.d.comb += store.eq(1)
                with m.If(~self.write):
                    m.d.sync += at.eq(at + 1)
                    with m.If(at == WORD_BYTES * len(COUNTERS) - 1):
                        m.next = "IDLE"
            with m.State("IDLE"):
                m.d.sync += byte.eq(0)
                with m.If(clearing):
                    m.d.comb += [cleared.eq(1), left.eq(0)]
                    m.d.sync += [at.eq(0), low.eq(0)]
                    m.next = "CLEAR"
                with m.Elif(due.any()):
                    for counter in reversed(range(len(COUNTERS))):
                        with m.If(due[counter]):
                            m.d.sync += at.eq(WORD_BYTES * counter + (counter == BUSY))
                    m.d.comb += left.eq(due & (due - 1))
                    m.next = "READ"
                with m.Elif(self.reading):
                    m.d.sync += [at.eq(WORD_BYTES * BUSY), byte.eq(low)]
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += store.eq(1)
                with m.If(~self.write):
                    m.next = "GRANT"
            with m.State("GRANT"):
                m.d.comb += self.granted.eq(1)
                with m.If(~self.reading):
                    m.next = "IDLE"
            with m.State("READ"):
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += byte.eq(stored + 1)
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += store.eq(1)
                with m.If(~self.write):
                    m.d.sync += at.eq(at + 1)
                    m.next = "IDLE"
                    with m.If(byte[BYTE] & ~at[:2].all()):
                        m.next = "READ"
        m.d.sync += [due.eq(left | now), clearing.eq(self.clear | clearing & ~cleared)]

    def _keep(self, m, first):
        """Copy what the link itself needs of the writable registers."""
        init = {
            "named": first["NETWORK"] != 0, "loaded": first["NETWORK"] != 0, "input_size": first["INPUT_SIZE"],
            "input_low": first["INPUT_LOW"], "wide": first["INPUT_BYTES"] >> 1,
        }
        bits = {"named": 1} | {name: len(getattr(self, name)) for name in init if name != "named"}
        kept = {
            name: Signal(bits[name], name=name, init=value & (1 << bits[name]) - 1, reset_less=True)
            for name, value in init.items()
        }
        m.d.comb += [getattr(self, name).eq(held) for name, held in kept.items() if name != "named"]
        with m.If(self.write):
            with m.Switch(self.write_address):
                for place in range(WORD_BYTES):
                    with m.Case(REGISTERS["NETWORK"].offset + place):
                        before = kept["named"] if place else 0
                        m.d.sync += [kept["named"].eq(before | (self.write_data != 0)), kept["loaded"].eq(0)]
                for name in ("input_size", "input_low"):
                    for place in range(len(kept[name]) // BYTE):
                        with m.Case(REGISTERS[name.upper()].offset + place):
                            m.d.sync += kept[name].word_select(place, BYTE).eq(self.write_data)
                with m.Case(REGISTERS["INPUT_BYTES"].offset):
                    m.d.sync += kept["wide"].eq(self.write_data[1])
                with m.Case(REGISTERS["INPUT_BYTES"].offset + WORD_BYTES - 1):
                    m.d.sync += kept["loaded"].eq(kept["named"])
