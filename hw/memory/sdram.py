"""Controller of an SDR SDRAM: bursts of the bus become commands, rows of the next burst are opened ahead."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.memory.bus import LENGTH_BITS, MemoryBus
from hw.memory.cutter import Cutter
from hw.memory.sdram_part import BANK_BITS, SdramPart
from hw.memory.sdram_pins import ALL_BANKS, Command, mode_register, sdram_pins
from hw.memory.sdram_refresh import RefreshTimer
from hw.memory.sdram_rows import RowKeeper
from hw.memory.sdram_words import SdramWords

__all__ = ["SdramController"]


class SdramController(wiring.Component):
    """Answer a memory bus from an SDRAM, one beat a cycle.

    ::

        bus.request -> Cutter -> RowKeeper: open the row of the next burst -> under way: a command for each word -> pins
        bus.write, bus.read <-> SdramWords <-> pins                        RefreshTimer: due, must

    A word of the bus has ``width / part.width`` beats, and the part's bursts are as long: each word has its own
    command, and may wait for its taker or its giver before it. The lowest bits of an address are the column, then comes
    the bank, then the row. While a burst is under way, the row of the next one is opened, if it lies in another bank;
    where a word is one beat, that takes a beat's place.

    Refreshes wait until nothing is asked for, or until as many wait as may; then the burst under way is interrupted.
    After reset the part is brought up, and the first requests wait. ``bus.fault`` stays 0: an SDRAM cannot say that it
    does not work.

    Parameters
    ----------
    part : SdramPart
    clock_hz : float
        Of ``sync``, which is the part's clock as well.
    width : int or None
        Of the bus: 1, 2, 4 or 8 times ``part.width``; None: as wide as the pins.
    pin_cycles : int
        Cycles that registers at the pins add. Without any, the first beat for a command that is at the pins in cycle
        ``t`` is in ``dq_i`` at the end of cycle ``t`` plus the CAS latency.

    Members
    -------
    bus : In(MemoryBus)
    pins : Out(sdram_pins)

    Raises
    ------
    InputError
        Where the clock is faster than the part, or too slow to refresh it.
    ValueError
        Where the width is none of these.
    """

    def __init__(self, part: SdramPart, clock_hz: float, *, width: int | None = None, pin_cycles: int = 0):
        width = width or part.width
        self._beats = beats = width // part.width
        if beats * part.width != width or beats not in (1, 2, 4, 8):
            raise ValueError(f"a bus before {part.title} is 1, 2, 4 or 8 times {part.width} bits wide, not {width}")
        self._part, self._timing, self._pin_cycles = part, part.timing(clock_hz), pin_cycles
        self._refresh = RefreshTimer(self._timing, part.refreshes)
        self._whole = beats.bit_length() - 1  # bits of a column that name the beat of a word
        self._address_bits = part.address_bits - self._whole
        super().__init__({"bus": In(MemoryBus(self._address_bits, width)), "pins": Out(sdram_pins(part))})

    def elaborate(self, platform):
        m = Module()
        part, t, beats, bus, pins = self._part, self._timing, self._beats, self.bus, self.pins
        columns = part.column_bits - self._whole
        place = data.StructLayout({"column": columns, "bank": BANK_BITS, "row": part.row_bits})
        m.submodules.cutter = cutter = Cutter(self._address_bits, columns)
        m.submodules.refresh = refresh = self._refresh
        m.submodules.rows = rows = RowKeeper(part.row_bits)
        m.submodules.words = words = SdramWords(part.width, beats, t.cas + self._pin_cycles)
        for port, inside in ((bus.request, cutter.i), (bus.write, words.write), (bus.read, words.read)):
            wiring.connect(m, wiring.flipped(port), inside)

        coming = cutter.o.payload
        comes = place(coming.address)
        busy, last = Signal(), Signal(reset_less=True)  # a burst is under way; one word of it is left
        now, left, write = Signal(place, reset_less=True), Signal(LENGTH_BITS, reset_less=True), Signal(reset_less=True)
        run, could, goes, take = Signal(), Signal(), Signal(), Signal()

        # What has to wait for time to pass: each counts down to 0.
        settles = Timer(m, "settles", max(t.rcd, t.rrd, t.rp, t.rfc, t.mrd, t.wr + beats - 1))
        rests = Timer(m, "rests", max(t.ras, t.rc - t.rp))  # since a row was opened
        recovers = Timer(m, "recovers", t.wr + beats - 1)  # since a burst's last word
        turns = Timer(m, "turns", t.cas + beats + 1)  # from a read to a write
        beat = Timer(m, "beat", beats)

        free = Const(1) if beats == 1 else ~busy | ~beat.over
        opens, closes = Signal(), Signal()
        m.d.comb += [
            rows.valid.eq(cutter.o.valid), rows.row.eq(comes.row), rows.bank.eq(comes.bank),
            opens.eq(run & rows.opens & settles.over & free),
            closes.eq(run & rows.closes & recovers.over & rests.over & ~(busy & (now.bank == comes.bank)) & free),
            rows.opened.eq(opens), rows.closed.eq(closes),
            rows.forget.eq(~run | take), rows.open_bank.eq(now.bank), rows.open_row.eq(now.row),
            could.eq(run & busy & beat.over & Mux(write, words.word & turns.over, words.room)),
            goes.eq(could & ~opens & ~closes), words.reads.eq(goes & ~write), words.writes.eq(goes & write),
            # While a burst is ready, no row is opened or closed for it: the word that could go goes.
            take.eq(run & rows.ready & settles.over & (~busy | (could & last))), cutter.o.ready.eq(take),
        ]
        with m.If(goes):
            m.d.sync += [now.column.eq(now.column + 1), left.eq(left - 1), last.eq(left == 1)]
            beat.start(m, beats)
            with m.If(~write):
                turns.start(m, t.cas + beats + 1)
            with m.If(last):
                m.d.sync += busy.eq(0)
                recovers.start(m, Mux(write, t.wr + beats - 1, beats))
        with m.If(take):
            m.d.sync += [
                now.eq(comes), left.eq(coming.length), last.eq(coming.length == 0), write.eq(coming.write), busy.eq(1),
            ]
        with m.If(opens):  # the burst is taken a cycle before its first word, another is looked up two cycles later
            settles.start(m, max(1, t.rcd - 1, t.rrd - 2))
            rests.start(m, max(t.ras, t.rc - t.rp))
        with m.If(closes):
            settles.start(m, t.rp)

        up, closes_all, refreshes, sets, reopens = self._rounds(
            m, run, settles, rests, busy=busy, waits=cutter.o.valid, due=refresh.due, must=refresh.must)
        m.d.comb += [
            refresh.done.eq(refreshes), rows.closed_all.eq(closes_all), rows.reopened.eq(reopens),
            pins.dq_o.eq(words.dq_o), pins.dq_oe.eq(words.dq_oe), words.dq_i.eq(pins.dq_i), bus.fault.eq(0),
        ]

        # To the pins through registers; nothing says NOP.
        command, address = Signal(3), Signal.like(pins.a)
        for signal, code in (
            (opens | reopens, Command.ACTIVE), (closes | closes_all, Command.PRECHARGE), (words.reads, Command.READ),
            (words.writes, Command.WRITE), (refreshes, Command.REFRESH), (sets, Command.MODE),
        ):
            with m.If(signal):
                m.d.comb += command.eq(code)
        m.d.comb += address.eq(Mux(goes, now.column << self._whole, Mux(run, comes.row, now.row)))
        with m.If(goes | closes | closes_all):
            m.d.comb += address[ALL_BANKS].eq(closes_all)
        with m.If(sets):
            m.d.comb += address.eq(mode_register(beats, t.cas))
        m.d.sync += [
            Cat(pins.ras, pins.cas, pins.we).eq(command), pins.a.eq(address), pins.dqm.eq(~up),
            pins.ba.eq(Mux(goes | reopens, now.bank, Mux(sets, 0, comes.bank))),
        ]
        return m

    def _rounds(self, m, run, settles, rests, *, busy, waits, due, must):
        """Bring the part up, and refresh it round by round; between two rounds bursts ``run``.

        Return (the part is up, close all banks, refresh, set the mode register, open the row of the burst under way).
        """
        t, beats = self._timing, self._beats

        def runs():
            m.d.sync += run.eq(1)
            m.next = "RUN"

        up, closes_all, refreshes, sets, reopens = (
            Signal(name=name) for name in ("up", "closes_all", "refreshes", "sets", "reopens"))
        with m.FSM(init="REST"):
            with m.State("REST"):  # until the part is powered up
                with m.If(must):
                    m.next = "CLOSE"
            with m.State("RUN"):
                with m.If(must | (~busy & ~waits & due)):  # a last command may go in this cycle
                    m.d.sync += run.eq(0)
                    settles.start(m, t.wr + beats - 1)
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                with m.If(settles.over & rests.over):
                    m.d.comb += closes_all.eq(1)
                    settles.start(m, t.rp)
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                with m.If(settles.over):
                    m.d.comb += refreshes.eq(1)
                    settles.start(m, t.rfc)
                    m.next = "AGAIN"
            with m.State("AGAIN"):
                with m.If(settles.over):
                    with m.If(must & due):
                        m.next = "REFRESH"
                    with m.Elif(~up):
                        m.d.comb += sets.eq(1)
                        m.d.sync += up.eq(1)
                        settles.start(m, t.mrd)
                        runs()
                    with m.Elif(busy):
                        m.d.comb += reopens.eq(1)
                        settles.start(m, max(1, t.rcd - 1, t.rrd - 2))
                        rests.start(m, max(t.ras, t.rc - t.rp))
                        m.next = "REOPEN"
                    with m.Else():
                        runs()
            with m.State("REOPEN"):
                with m.If(settles.over):
                    runs()
        return up, closes_all, refreshes, sets, reopens


class Timer:
    """Counts the cycles that have to pass between commands.

    A command that starts it with ``cycles`` is at least so many cycles before the one that waits until it is ``over``.
    """

    def __init__(self, m, name, most):
        self._left, self.over = Signal(range(max(2, most)), name=name), Signal(name=f"{name}_over", init=1)
        with m.If(~self.over):
            m.d.sync += [self._left.eq(self._left - 1), self.over.eq(self._left == 1)]

    def start(self, m, cycles):
        """Start it where the module's conditions hold."""
        m.d.sync += [self._left.eq(cycles - 1), self.over.eq(cycles == 1)]
