"""The register bank behind a bus: what the design is, which network it holds, what it has counted."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.regmap import COUNTERS, IDENTITY, MAGIC, PROTOCOL, WRITABLE, register

__all__ = ["Registers"]

WORD = 32


class Registers(wiring.Component):
    """Registers `IDENTITY` and `COUNTERS` of `hw.regmap`; other addresses read as 0.

    Parameters
    ----------
    values : dict
        Name to value of the read-only registers of IDENTITY, and what the writable ones hold at first; MAGIC,
        VERSION and registers left out need none (0).

    Members
    -------
    address : In
        Word index (`hw.regmap.register`).
    data : Out(32)
        The register at ``address``, one cycle later.
    write, write_data : In
        Write the register at ``address``, if it is writable.
    network, input_size, input_low, input_bytes : Out
        The writable registers; like the memories that they describe, they outlive a reset, and so does LOADED.
    load, load_word : In(1), In(32)
        A word is on its way to the memories: LOADED holds the last one, of a whole load its digest.
    counted : In
        One bit for each of COUNTERS: count this cycle.
    clear : In(1)
        Counters to 0.
    """

    def __init__(self, values):
        self._values = {"MAGIC": MAGIC, "VERSION": PROTOCOL, **values}
        first = {name: self._values.get(name, 0) for name in ("NETWORK", "INPUT_SIZE", "INPUT_LOW", "INPUT_BYTES")}
        super().__init__({
            "address": In(range(register("CONTROL"))), "data": Out(WORD), "write": In(1), "write_data": In(WORD),
            "network": Out(WORD, init=first["NETWORK"]), "input_size": Out(WORD, init=first["INPUT_SIZE"]),
            "input_low": Out(signed(WORD), init=first["INPUT_LOW"]), "input_bytes": Out(2, init=first["INPUT_BYTES"]),
            "load": In(1), "load_word": In(WORD), "counted": In(len(COUNTERS)), "clear": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        counts = [Signal(WORD, name=entry.name.lower()) for entry in COUNTERS]
        for count, counted in zip(counts, self.counted):
            m.d.sync += count.eq(count + counted)
        with m.If(self.clear):
            m.d.sync += [count.eq(0) for count in counts]
        kept = {entry.name: Signal.like(getattr(self, entry.name.lower()), reset_less=True) for entry in WRITABLE}
        m.d.comb += [getattr(self, name.lower()).eq(held) for name, held in kept.items()]
        loaded = Signal(WORD, init=self._values.get("LOADED", 0), reset_less=True)
        with m.If(self.load):
            m.d.sync += loaded.eq(self.load_word)
        m.d.sync += self.data.eq(0)
        with m.Switch(self.address):
            for entry in IDENTITY:
                with m.Case(register(entry.name)):
                    if entry.name == "LOADED":
                        m.d.sync += self.data.eq(loaded)
                    elif entry.access == "ro":
                        m.d.sync += self.data.eq(self._values.get(entry.name, 0))
                    else:
                        m.d.sync += self.data.eq(kept[entry.name])
                        with m.If(self.write):
                            m.d.sync += kept[entry.name].eq(self.write_data)
            for entry, count in zip(COUNTERS, counts):
                with m.Case(register(entry.name)):
                    m.d.sync += self.data.eq(count)
        return m
