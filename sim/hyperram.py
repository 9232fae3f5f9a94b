"""HyperRAM for simulation: it keeps the times of its part, and spoils the data where they are broken."""
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false
# Ports are attributes that Amaranth makes from a component's signature; the stubs do not know all that is a value.

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.core.contents import add_ram
from hw.memory.hyperram_part import CA_CLOCKS, LATENCY_CODES, HyperRamPart, hyperram_pins

__all__ = ["RULES", "HyperRamModel"]

RULES = {
    "power_up": "selected before the part is up",
    "clock": "a clock without the part being selected, or in the cycle in which it is",
    "command": "a command that nobody drives, or that this model does not know",
    "latency": "a latency that is too short for the clock, or not always twice",
    "recovery": "selected too soon after the last time",
    "select": "selected for too long",
    "bus": "a word written that is not driven, masked, or driven while the part drives",
}
REGISTER_WRITE = 0x6000_0100_0000


class HyperRamModel(wiring.Component):
    """Dies side by side; a transaction is command and address, twice the latency, then a word a clock.

    Once a rule was broken, every word is read inverted. Only linear bursts and writes of configuration register 0 are
    modelled; bytes are not masked.

    Parameters
    ----------
    part : HyperRamPart
    clock_hz : float
        Of ``sync``.
    delay : int
        Cycles from a clock to its word at the pins, 1 or more.
    crossed : bool
        Words come half a cycle later: a word's first half in the second half of a cycle.
    file : str
        Name of the RAM's file where Verilog is emitted with contents.

    Members
    -------
    pins : In(hyperram_pins)
    dead : In(1)
        The part does not answer.
    broken : Out
        A bit for each of `RULES`, for good.
    violations : Out(16)
    words : Out(32)
        Words read and written.
    """

    def __init__(self, part: HyperRamPart, clock_hz: float, *, delay: int = 2, crossed: bool = False,
                 file: str = "hyperram"):
        self._part, self._timing, self._file = part, part.timing(clock_hz), file
        self._delay, self._crossed = delay, crossed
        super().__init__({
            "pins": In(hyperram_pins(part)), "dead": In(1),
            "broken": Out(data.StructLayout(dict.fromkeys(RULES, 1))), "violations": Out(16), "words": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        part, pins, t = self._part, self.pins, self._timing
        breaks = {rule: Signal(name=f"breaks_{rule}") for rule in RULES}
        some, spoiled = Signal(), Signal()
        m.d.comb += some.eq(Cat(breaks.values()).any())
        m.d.sync += [
            *(self.broken[rule].eq(self.broken[rule] | signal) for rule, signal in breaks.items()),
            spoiled.eq(spoiled | some), self.violations.eq(self.violations + (some & ~self.violations.all())),
        ]
        selected, rested, powered = Signal(range(t.select + 2)), Signal(range(t.recovery + 1), init=t.recovery), Signal(
            range(t.power_up + 1))
        was_selected = Signal()
        m.d.sync += was_selected.eq(pins.cs)
        with m.If(pins.reset):
            m.d.sync += powered.eq(0)
        with m.Elif(powered != t.power_up):
            m.d.sync += powered.eq(powered + 1)
        with m.If(pins.cs):
            m.d.sync += [selected.eq(selected + (selected != t.select + 1)), rested.eq(0)]
        with m.Else():
            m.d.sync += [selected.eq(0), rested.eq(rested + (rested != t.recovery))]

        clock, ca, latency = Signal(16), Signal(48), Signal(4, init=LATENCY_CODES[6])
        fixed, clocked = Signal(init=1), Signal()
        m.d.comb += clocked.eq(pins.cs & pins.ck & was_selected)
        first, second = pins.dq_o[:8], pins.dq_o[part.width // 2 :][:8]
        with m.If(~pins.cs):
            m.d.sync += clock.eq(0)
        with m.Elif(clocked):
            m.d.sync += clock.eq(clock + 1)
            with m.If(clock < CA_CLOCKS):
                m.d.sync += ca.eq(Cat(second, first, ca))
        reads, registers = ca[47], ca == REGISTER_WRITE
        waits = Signal(5)
        for clocks, code in LATENCY_CODES.items():
            with m.If(latency == code):
                m.d.comb += waits.eq(clocks)
        begins = Signal(16)
        m.d.comb += begins.eq(Mux(registers, CA_CLOCKS, CA_CLOCKS - 1 + 2 * waits))
        moves, told = Signal(), clocked & (clock == CA_CLOCKS)
        m.d.comb += moves.eq(clocked & (clock >= begins) & (clock >= CA_CLOCKS))
        sets = moves & registers
        with m.If(sets & (clock == CA_CLOCKS)):
            m.d.sync += [latency.eq(second[4:8]), fixed.eq(second[3])]
        m.d.comb += [
            breaks["power_up"].eq(pins.cs & (powered != t.power_up)),
            breaks["clock"].eq(pins.ck & ~(pins.cs & was_selected)),
            breaks["command"].eq(
                (clocked & (clock < CA_CLOCKS) & ~pins.dq_oe) | (told & ~registers & (ca[45:47] != 1))
                | (told & ca[3:16].any())
            ),
            breaks["latency"].eq(told & ~registers & (~fixed | (waits < t.latency))),
            breaks["recovery"].eq(pins.cs & ~was_selected & (rested != t.recovery)),
            breaks["select"].eq(selected == t.select),
            breaks["bus"].eq(Mux(
                reads, (clock >= CA_CLOCKS) & (pins.dq_oe | pins.rwds_oe),
                moves & (~pins.dq_oe | (~registers & (~pins.rwds_oe | pins.rwds_o))),
            ) & pins.cs),
        ]

        place, found = Signal(part.address_bits), Signal(part.width)
        passed = Signal(16)
        m.d.comb += [passed.eq(clock - begins), place.eq(Cat(ca[:3], ca[16:45]) + passed)]
        written = moves & ~reads & ~registers
        add_ram(
            m, platform, "cells", file=self._file, depth=2**part.address_bits, init=[], block=True, enable=written,
            write_address=place, word=pins.dq_o, address=place, data=found,
        )
        m.d.sync += self.words.eq(self.words + (moves & ~registers))
        self._answers(m, moves & reads & ~self.dead, found ^ (spoiled | some).replicate(part.width), clock)
        return m

    def _answers(self, m, moves, word, clock):
        """Send the words that are read, a cycle after their clock and ``delay`` cycles less one later."""
        pins, half = self.pins, self._part.width // 2
        comes = Signal()
        m.d.sync += comes.eq(moves)
        commanded = Signal()
        m.d.comb += commanded.eq(pins.cs & (clock < CA_CLOCKS) & ~self.dead)  # the strobe is high: twice the latency
        stages = [(comes, word, commanded)]
        for stage in range(1, self._delay):
            late = tuple(Signal(len(Cat(signal)), name=f"{name}_{stage}") for name, signal in zip(
                ("comes", "word", "commanded"), stages[-1]))
            m.d.sync += [after.eq(before) for before, after in zip(stages[-1], late)]
            stages.append(late)
        comes, word, commanded = stages[-1]
        if not self._crossed:
            m.d.comb += [pins.rwds_i.eq(Mux(commanded, 3, comes)), pins.dq_i.eq(Mux(comes, word, 0))]
            return
        before = Signal(half)
        m.d.sync += before.eq(word[half:])
        m.d.comb += [
            pins.rwds_i.eq(Mux(commanded, 3, Cat(Const(0, 1), comes))), pins.dq_i.eq(Cat(before, word[:half])),
        ]
