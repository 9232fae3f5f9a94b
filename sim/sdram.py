"""An SDR SDRAM for simulation: it keeps the times of its part, and spoils the data where they are broken."""
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false
# Ports are attributes that Amaranth makes from a component's signature; the stubs do not know all that is a value.

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.core.contents import add_ram
from hw.memory.sdram_part import BANK_BITS, SdramPart
from hw.memory.sdram_pins import ALL_BANKS, Command, sdram_pins

__all__ = ["RULES", "SdramModel", "connect_pins"]

RULES = {
    "power_up": "a command before the part is up, or out of the order of its initialisation",
    "mode": "a mode register with a CAS latency too short for the clock, or that this model does not know",
    "mrd": "a command too soon after the mode register was set",
    "state": "a row opened in an open bank, a read or write of a closed one, a refresh or a mode with banks open",
    "rcd": "a read or write too soon after its row was opened",
    "rp": "a row opened or a refresh too soon after its bank was closed",
    "ras": "a row closed too soon",
    "ras_max": "a row open for too long",
    "rc": "a row opened too soon after the last one of its bank",
    "rrd": "a row opened too soon after one of another bank",
    "wr": "a row closed too soon after a word was written",
    "rfc": "a command too soon after a refresh",
    "retention": "a row refreshed too late",
    "bus": "data driven from both sides, or without a cycle between",
}
REFRESHES_AT_POWER_UP = 8


def connect_pins(m, pins, part, cycles: int):
    """Connect a controller's ``pins`` with those of a ``part``, so many registers between: the first on the way there.

    With ``cycles`` of `hw.memory.sdram_timing.PinTiming` (``edges``) a cycle of the model is one of the board.
    """
    there = min(cycles, 1)
    for name, member in pins.signature.members.items():
        near, far = getattr(pins, name), getattr(part, name)
        level, end, stages = (near, far, there) if member.flow is Out else (far, near, cycles - there)
        for stage in range(stages):
            m.d.sync += (after := Signal.like(level, name=f"{name}_{stage}")).eq(level)
            level = after
        m.d.comb += end.eq(level)


class SdramModel(wiring.Component):
    """Four banks of rows, bursts of 1, 2, 4 or 8 words, CAS latency 2 or 3; a command takes effect at the clock's edge.

    The clock is that of ``sync``: data read are at ``dq_i`` the CAS latency after the cycle of the command, and the
    controller has them in a register at the end of that cycle. Once a rule was broken, every word is read inverted.
    Bursts that are cut short by another read or write, or by closing their bank, end. Single-word writes, automatic
    precharge, burst stop and self refresh are not modelled: they break ``mode`` or ``state``. ``dqm`` holds back
    whole words.

    Parameters
    ----------
    part : SdramPart
    clock_hz : float
        Of ``sync``: the times of the part are counted in its cycles.
    file : str
        Name of the RAM's file where Verilog is emitted with contents.

    Members
    -------
    pins : In(sdram_pins)
    broken : Out
        A bit for each of `RULES`, for good.
    violations : Out(16)
        Cycles in which a rule was broken.
    words : Out(32)
        Words read and written.
    """

    def __init__(self, part: SdramPart, clock_hz: float, *, file: str = "sdram"):
        self._part, self._timing, self._file = part, part.timing(clock_hz), file
        super().__init__({
            "pins": In(sdram_pins(part)), "broken": Out(data.StructLayout(dict.fromkeys(RULES, 1))),
            "violations": Out(16), "words": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        pins = self.pins
        command = Signal(Command)
        m.d.comb += command.eq(Cat(pins.ras, pins.cas, pins.we))
        is_ = {name: Signal(name=f"is_{name.name.lower()}") for name in Command}
        m.d.comb += [signal.eq(command == name) for name, signal in is_.items()]
        breaks = {rule: Signal(name=f"breaks_{rule}") for rule in RULES}
        some, spoiled, wrote = Signal(), Signal(), Signal(2**BANK_BITS)
        m.d.comb += some.eq(Cat(breaks.values()).any())
        m.d.sync += [
            *(self.broken[rule].eq(self.broken[rule] | signal) for rule, signal in breaks.items()),
            spoiled.eq(spoiled | some), self.violations.eq(self.violations + (some & ~self.violations.all())),
        ]
        up, burst, cas = self._initialise(m, is_, breaks)
        opened, row = self._banks(m, is_, breaks, wrote)
        self._refreshes(m, is_, breaks, up)
        self._data(m, platform, is_, breaks, burst, cas, opened, row, wrote, some | spoiled)
        return m

    def _age(self, m, name, event, limit):
        """Return the cycles since ``event``, at most ``limit``; ``limit`` before the first one."""
        age = Signal(range(limit + 1), name=name, init=limit)
        with m.If(event):
            m.d.sync += age.eq(1)
        with m.Elif(age != limit):
            m.d.sync += age.eq(age + 1)
        return age

    def _initialise(self, m, is_, breaks):
        """Return whether the part is up, the words of a burst and the CAS latency of its mode register."""
        pins, t = self.pins, self._timing
        up, closed, refreshed, mode = Signal(), Signal(), Signal(4), Signal(7)
        cycles = Signal(range(t.power_up + 1))
        early, burst, cas = Signal(), Signal(4), Signal(3)
        m.d.comb += [early.eq(cycles != t.power_up), burst.eq(1 << mode[:2]), cas.eq(mode[4:7])]
        m.d.sync += cycles.eq(cycles + early)
        set_, some = is_[Command.MODE], ~is_[Command.NOP]
        sets = Signal(7)
        m.d.comb += sets.eq(pins.a[:7])
        m.d.comb += breaks["mode"].eq(set_ & (
            sets[2:4].any() | (sets[4:7] < t.cas) | (sets[4:7] > 3) | pins.a[7:].any() | pins.ba.any()
        ))
        with m.If(is_[Command.PRECHARGE] & pins.a[ALL_BANKS]):
            m.d.sync += closed.eq(1)
        with m.If(is_[Command.REFRESH] & (refreshed != REFRESHES_AT_POWER_UP)):
            m.d.sync += refreshed.eq(refreshed + 1)
        with m.If(set_ & closed & (refreshed == REFRESHES_AT_POWER_UP)):
            m.d.sync += [up.eq(1), mode.eq(sets)]
        unready = is_[Command.ACTIVE] | is_[Command.READ] | is_[Command.WRITE]
        m.d.comb += breaks["power_up"].eq(
            (some & early) | (unready & ~up) | (is_[Command.REFRESH] & ~closed)
            | (set_ & (~closed | (refreshed != REFRESHES_AT_POWER_UP)))
        )
        m.d.comb += breaks["mrd"].eq(some & (self._age(m, "since_mode", set_, t.mrd) < t.mrd))
        return up, burst, cas

    def _banks(self, m, is_, breaks, wrote):
        """Keep the state of the banks, of which ``wrote`` takes a word; return which are open, and their rows."""
        pins, t, part = self.pins, self._timing, self._part
        banks = range(2**BANK_BITS)
        opened, opens, closes = (Signal(len(banks), name=name) for name in ("opened", "opens", "closes"))
        rows = [Signal(part.row_bits, name=f"row_{bank}") for bank in banks]
        for bank in banks:
            named = pins.ba == bank
            m.d.comb += [
                opens[bank].eq(is_[Command.ACTIVE] & named),
                closes[bank].eq(is_[Command.PRECHARGE] & (named | pins.a[ALL_BANKS]) & opened[bank]),
            ]
            with m.If(opens[bank]):
                m.d.sync += [opened[bank].eq(1), rows[bank].eq(pins.a)]
            with m.If(closes[bank]):
                m.d.sync += opened[bank].eq(0)
        open_for, closed_for, written_for = ([
            self._age(m, f"{name}_{bank}", event[bank], limit) for bank in banks
        ] for name, event, limit in (
            ("open_for", opens, max(t.ras_max, t.rc)), ("closed_for", closes, t.rp), ("written_for", wrote, t.wr),
        ))
        accesses, rests = is_[Command.READ] | is_[Command.WRITE], is_[Command.REFRESH] | is_[Command.MODE]
        is_open = opened.bit_select(pins.ba, 1)

        def young(ages, limit):
            return Array(ages)[pins.ba] < limit

        m.d.comb += [
            breaks["state"].eq(
                (is_[Command.ACTIVE] & is_open) | (accesses & (~is_open | pins.a[ALL_BANKS]))
                | (rests & opened.any()) | is_[Command.STOP]
            ),
            breaks["rcd"].eq(accesses & young(open_for, t.rcd)),
            breaks["rp"].eq(
                (is_[Command.ACTIVE] & young(closed_for, t.rp)) | (rests & Cat(age < t.rp for age in closed_for).any())
            ),
            breaks["ras"].eq(Cat(closes[bank] & (open_for[bank] < t.ras) for bank in banks).any()),
            breaks["ras_max"].eq(Cat(opened[bank] & (open_for[bank] == t.ras_max) for bank in banks).any()),
            breaks["rc"].eq(is_[Command.ACTIVE] & young(open_for, t.rc)),
            breaks["rrd"].eq(is_[Command.ACTIVE] & (self._age(m, "since_open", is_[Command.ACTIVE], t.rrd) < t.rrd)),
            breaks["wr"].eq(Cat(closes[bank] & (written_for[bank] < t.wr) for bank in banks).any()),
        ]
        return opened, Array(rows)

    def _refreshes(self, m, is_, breaks, up):
        """Keep when each row was refreshed: the next one is the one that has waited longest."""
        t, turns, refresh = self._timing, self._part.refreshes, is_[Command.REFRESH]
        m.submodules.stamps = stamps = Memory(shape=32, depth=turns, init=[])
        write, read = stamps.write_port(), stamps.read_port(domain="comb")
        now, turn = Signal(32), Signal(range(turns))
        m.d.comb += [
            write.addr.eq(turn), write.data.eq(now), write.en.eq(refresh), read.addr.eq(turn),
            breaks["rfc"].eq(~is_[Command.NOP] & (self._age(m, "since_refresh", refresh, t.rfc) < t.rfc)),
            breaks["retention"].eq(up & ((now - read.data)[:32] == t.retention)),
        ]
        m.d.sync += now.eq(Mux(up, now + 1, 0))
        with m.If(~up):
            m.d.sync += turn.eq(0)
        with m.Elif(refresh):
            m.d.sync += turn.eq(Mux(turn == turns - 1, 0, turn + 1))

    def _data(self, m, platform, is_, breaks, burst, cas, opened, row, wrote, spoiled):
        """Move the words of bursts between the pins and the RAM; ``wrote``: of which bank a word is written."""
        pins, part = self.pins, self._part
        begins, goes_on, left = is_[Command.READ] | is_[Command.WRITE], Signal(), Signal(3)
        bank, column, writes = Signal(BANK_BITS), Signal(part.column_bits), Signal()  # of the word that comes next
        at_bank, at_column, written, moves = Signal.like(bank), Signal.like(column), Signal(), Signal()
        m.d.comb += [
            goes_on.eq(
                (left != 0) & opened.bit_select(bank, 1)
                & ~(is_[Command.PRECHARGE] & ((pins.ba == bank) | pins.a[ALL_BANKS]))
            ),
            moves.eq(begins | goes_on), at_bank.eq(Mux(begins, pins.ba, bank)),
            at_column.eq(Mux(begins, pins.a[: part.column_bits], column)),
            written.eq(moves & Mux(begins, is_[Command.WRITE], writes)), wrote.eq(written << at_bank),
        ]
        inside, following = Signal(3), Signal(3)  # a burst's columns go around within its block
        m.d.comb += [inside.eq(burst - 1), following.eq(at_column[:3] + 1)]
        m.d.sync += [
            bank.eq(at_bank), writes.eq(written), self.words.eq(self.words + moves),
            left.eq(Mux(begins, burst - 1, Mux(goes_on, left - 1, 0))),
            column.eq(Cat((following & inside) | (at_column[:3] & ~inside), at_column[3:])),
        ]
        found, word, late = (Signal(part.width, name=name) for name in ("found", "word", "late"))
        place = Signal(part.address_bits)
        m.d.comb += place.eq(Cat(at_column, at_bank, row[at_bank]))
        add_ram(
            m, platform, "cells", file=self._file, depth=2**part.address_bits, init=[], block=True,
            enable=written & ~pins.dqm, write_address=place, word=pins.dq_o, address=place, data=found,
        )
        comes = [moves & ~written, *(Signal(name=f"comes_{cycles}") for cycles in (1, 2, 3))]
        m.d.sync += [after.eq(before) for before, after in zip(comes, comes[1:])]
        drives, drove = Signal(), Signal()
        m.d.sync += [word.eq(found ^ spoiled.replicate(part.width)), late.eq(word), drove.eq(drives)]
        m.d.comb += [
            drives.eq(Mux(cas == 3, comes[3], comes[2])),
            pins.dq_i.eq(Mux(drives, Mux(cas == 3, late, word), ~late)),  # what floats is no word of the burst
            breaks["bus"].eq((pins.dq_oe & (drives | drove)) | (written & ~pins.dq_oe)),
        ]
