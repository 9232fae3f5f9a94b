"""Starts a DDR3 behind LiteDRAM's controller without a processor: mode registers, then the read leveling of an ECP5.

LiteDRAM leaves both to software on a CPU (``sdram_init`` of litex/soc/software/liblitedram/sdram.c, BSD-2, release
2024.12). The steps here are the same, in gateware: a list of accesses to LiteDRAM's registers, in parts, and a small
machine that runs the parts in the order that what was read asks for.
"""

from collections.abc import Iterator
from enum import IntEnum

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["CAS_LATENCY", "CAS_WRITE_LATENCY", "LANES", "LiteDramStart", "MODE_REGISTERS", "REGISTERS", "control_bus"]

# Byte addresses that a core of two byte lanes and two phases has, made for no CPU; its csr.csv must say the same.
REGISTERS = {
    "ddrctrl_init_done": 0x0000, "ddrphy_dly_sel": 0x0800, "ddrphy_rdly_dq_rst": 0x0804, "ddrphy_rdly_dq_inc": 0x0808,
    "ddrphy_rdly_dq_bitslip_rst": 0x080C, "ddrphy_rdly_dq_bitslip": 0x0810, "ddrphy_burstdet_clr": 0x0814,
    "ddrphy_burstdet_seen": 0x0818, "sdram_dfii_control": 0x1000,
    **{f"sdram_dfii_pi{phase}_{name}": 0x1004 + 0x20 * phase + offset for phase in (0, 1) for name, offset in {
        "command": 0x00, "command_issue": 0x04, "address": 0x08, "baddress": 0x0C, "wrdata": 0x10, "rddata": 0x18,
    }.items()},
}
LANES, SLIPS, DELAYS = 2, 4, 8  # byte lanes; positions of a lane's words, and of its strobe, each of which wraps
READ_PHASE, WRITE_PHASE = 0, 1
HARDWARE, CKE, ODT, RESET_N = 1, 2, 4, 8  # of sdram_dfii_control
CS, WE, CAS, RAS, WRITES, READS = 1, 2, 4, 8, 16, 32  # of a command

# JEDEC JESD79-3F, 3.4.3, at the slowest clocks of a DDR3. Output drivers of 34 ohms, terminations of 60.
CAS_LATENCY, CAS_WRITE_LATENCY = 6, 5
MODE_REGISTERS = {
    2: 0b01 << 9,                                   # RTT_WR of RZQ/4; CAS write latency 5
    3: 0,
    1: 1 << 1 | 1 << 2,                             # drivers of RZQ/7; RTT_NOM of RZQ/4; the DLL is on
    0: (CAS_LATENCY - 4) << 4 | 1 << 8 | 0b001 << 9,  # bursts of 8; reset of the DLL; write recovery of 5 cycles
}
LONG_CALIBRATION = 1 << 10  # A10 with ZQCL
RESET_NS, CKE_NS = 200_000, 500_000  # JESD79-3F, 3.3.1: reset held low, then until CKE
SETTLE_NS = 20_000  # tXPR, tDLLK (512 cycles) and tZQinit are shorter at any clock here
PAUSE = 16  # cycles: between commands of a test

# What is written and read: binary digits of pi, words of 32 bits, four to a burst.
PATTERNS = (
    (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0, 0x082EFA98, 0xEC4E6C89),
    (0x452821E6, 0x38D01377, 0xBE5466CF, 0x34E90C6C),
)


class Op(IntEnum):
    """What an entry does."""

    WRITE, SELECT, CHECK, SEEN, WAIT, END = range(6)  # SELECT writes the lanes that are turned, SEEN checks a bit each


class Part(IntEnum):
    """What is run in one go."""

    BEGIN, TEST, LATER, SLIP, FINISH = range(5)


def control_bus():
    """Return the signature of the Wishbone bus to LiteDRAM's registers, as the master sees it; addresses of words."""
    return wiring.Signature({
        "cyc": Out(1), "stb": Out(1), "we": Out(1), "sel": Out(4), "adr": Out(30), "dat_w": Out(32), "dat_r": In(32),
        "ack": In(1),
    })


def _entries(part: Part, clock_hz: float) -> Iterator[tuple[Op, str, int]]:
    """Yield (operation, register, data) of a part."""
    def wait(nanoseconds):
        return Op.WAIT, "", max(PAUSE, round(nanoseconds * clock_hz / 1e9))

    def command(phase, bits, address=0, bank=0):
        pins = f"sdram_dfii_pi{phase}_"
        return [(Op.WRITE, pins + name, value) for name, value in (
            ("address", address), ("baddress", bank), ("command", bits), ("command_issue", 1))]

    def turned(*registers):  # all lanes paused and released together afterwards, or their pointers differ
        yield Op.SELECT, "ddrphy_dly_sel", 0
        yield from ((Op.WRITE, register, 1) for register in registers)
        yield from ((Op.WRITE, "ddrphy_dly_sel", value) for value in (0, 2**LANES - 1, 0))

    if part is Part.BEGIN:
        yield Op.WRITE, "ddrctrl_init_done", 0
        for level, nanoseconds in ((0, RESET_NS), (ODT | RESET_N, CKE_NS), (CKE | ODT | RESET_N, SETTLE_NS)):
            yield Op.WRITE, "sdram_dfii_control", level
            yield wait(nanoseconds)
        for bank, value in MODE_REGISTERS.items():
            yield from command(0, RAS | CAS | WE | CS, value, bank)
            yield wait(0)
        yield wait(SETTLE_NS)
        yield from command(0, WE | CS, LONG_CALIBRATION)
        yield wait(SETTLE_NS)
        yield from turned("ddrphy_rdly_dq_rst", "ddrphy_rdly_dq_bitslip_rst")
    elif part is Part.TEST:
        places = [(phase, 4 * half) for phase in (0, 1) for half in (0, 1)]
        for pattern in PATTERNS:
            yield from command(0, RAS | CS)
            yield wait(0)
            yield from ((Op.WRITE, f"sdram_dfii_pi{phase}_wrdata+{offset}", word)
                        for (phase, offset), word in zip(places, pattern))
            yield from command(WRITE_PHASE, CAS | WE | CS | WRITES)
            yield wait(0)
            yield Op.WRITE, "ddrphy_burstdet_clr", 1
            yield from command(READ_PHASE, CAS | CS | READS)
            yield wait(0)
            yield from command(0, RAS | WE | CS)
            yield wait(0)
            yield from ((Op.CHECK, f"sdram_dfii_pi{phase}_rddata+{offset}", word)
                        for (phase, offset), word in zip(places, pattern))
            yield Op.SEEN, "ddrphy_burstdet_seen", 0
    elif part is Part.LATER:
        yield from turned("ddrphy_rdly_dq_inc")
    elif part is Part.SLIP:
        yield from turned("ddrphy_rdly_dq_bitslip")
    else:
        yield Op.WRITE, "sdram_dfii_control", HARDWARE
        yield Op.WRITE, "ddrctrl_init_done", 1
    yield Op.END, "", 0


def _word(register):
    """Return the address of a word; ``register`` may have an offset in bytes behind a ``+``."""
    name, _, offset = register.partition("+")
    return (REGISTERS[name] + int(offset or 0)) // 4 if name else 0


class Window(wiring.Component):
    """Find the longest run of settings that worked for one lane, and the middle of it.

    Members
    -------
    tried, worked, slip, delay : In
        Strobe: the setting ``slip``, ``delay`` was tried, and ``worked``. Delays rise from 0 for each slip.
    found : Out(1)
        Some setting worked.
    best_slip, best_delay : Out
    """

    def __init__(self):
        super().__init__({
            "tried": In(1), "worked": In(1), "slip": In(range(SLIPS)), "delay": In(range(DELAYS)), "found": Out(1),
            "best_slip": Out(range(SLIPS)), "best_delay": Out(range(DELAYS)),
        })

    def elaborate(self, platform):
        m = Module()
        run, best, now = (Signal(range(DELAYS + 1), name=name) for name in ("run", "best", "now"))
        m.d.comb += [now.eq(Mux(self.worked, run + 1, 0)), self.found.eq(best != 0)]
        with m.If(self.tried):
            m.d.sync += run.eq(Mux(self.delay == DELAYS - 1, 0, now))
            with m.If(now > best):
                m.d.sync += [best.eq(now), self.best_slip.eq(self.slip), self.best_delay.eq(self.delay - (now >> 1))]
        return m


class LiteDramStart(wiring.Component):
    """Bring the memory up after reset, then give it to LiteDRAM's controller.

    All settings of both lanes are tried, 4 slips with 8 delays each, with three bursts; each lane gets the middle of
    its longest run of delays that worked, and what it got is tried once more. Where that fails, the controller still
    gets the memory, so that nobody waits for ever, and ``failed`` says so.

    Parameters
    ----------
    clock_hz : float
        Of the domain.

    Members
    -------
    bus : Out(control_bus)
    done, failed : Out(1)
    """

    def __init__(self, clock_hz: float):
        self._entries, self._starts = [], {}
        for part in Part:
            self._starts[part] = len(self._entries)
            self._entries += _entries(part, clock_hz)
        super().__init__({"bus": Out(control_bus()), "done": Out(1), "failed": Out(1)})

    def elaborate(self, platform):
        m = Module()
        layout = data.StructLayout({"op": Op, "address": 12, "data": 32})
        rom = [{"op": op, "address": _word(register), "data": value} for op, register, value in self._entries]
        m.submodules.rom = memory = Memory(shape=layout, depth=len(rom), init=rom)
        port, place, entry = memory.read_port(), Signal(range(len(rom))), Signal(layout)
        bus, lanes, wrong, left = self.bus, Signal(LANES), Signal(LANES), Signal(32)
        m.d.comb += [
            port.addr.eq(place), entry.eq(port.data), bus.stb.eq(bus.cyc), bus.sel.eq(0xF), bus.adr.eq(entry.address),
            bus.we.eq((entry.op == Op.WRITE) | (entry.op == Op.SELECT)),
            bus.dat_w.eq(Mux(entry.op == Op.SELECT, lanes, entry.data)),
        ]
        differs, ended, goes = bus.dat_r ^ entry.data, Signal(), Signal()
        with m.FSM():
            with m.State("READ"):  # the entry comes from the memory
                m.next = "DO"
            with m.State("DO"):
                with m.If(entry.op == Op.WAIT):
                    m.d.sync += left.eq(entry.data)
                    m.next = "WAIT"
                with m.Elif(entry.op == Op.END):
                    m.d.comb += ended.eq(1)
                    m.next = "REST"
                    with m.If(goes):
                        m.next = "READ"
                with m.Else():
                    m.d.sync += bus.cyc.eq(1)
                    m.next = "ACCESS"
            with m.State("ACCESS"), m.If(bus.ack):
                with m.If(entry.op == Op.CHECK):
                    m.d.sync += wrong.eq(wrong | Cat(
                        Cat(differs.word_select(lane, 8), differs.word_select(lane + LANES, 8)).any()
                        for lane in range(LANES)))
                with m.If(entry.op == Op.SEEN):
                    m.d.sync += wrong.eq(wrong | ~bus.dat_r[:LANES])
                m.d.sync += [bus.cyc.eq(0), place.eq(place + 1)]
                m.next = "READ"
            with m.State("WAIT"):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.d.sync += place.eq(place + 1)
                    m.next = "READ"
            with m.State("REST"), m.If(goes):
                m.next = "READ"
        self._order(m, ended, goes, place, lanes, wrong)
        return m

    def _order(self, m, ended, goes, place, lanes, wrong):
        """Say which part follows where one has ``ended``; it ``goes`` at once or later."""
        slip, delay, lane, turned = Signal(range(SLIPS)), Signal(range(DELAYS)), Signal(range(LANES)), Signal(4)
        windows = [Window() for _ in range(LANES)]
        tried = Signal()
        for number, window in enumerate(windows):
            m.submodules[f"window_{number}"] = window
            m.d.comb += [
                window.tried.eq(tried), window.worked.eq(~wrong[number]), window.slip.eq(slip), window.delay.eq(delay),
            ]
        slips = Mux(lane == 0, windows[0].best_slip, windows[1].best_slip)
        delays = Mux(lane == 0, windows[0].best_delay, windows[1].best_delay)

        def run(part):
            m.d.comb += goes.eq(1)
            m.d.sync += place.eq(self._starts[part])
            if part is Part.TEST:
                m.d.sync += wrong.eq(0)

        with m.FSM(name="order"):
            with m.State("BEGIN"):
                m.d.comb += lanes.eq(2**LANES - 1)
                with m.If(ended):
                    run(Part.TEST)
                    m.next = "TRIED"
            with m.State("TRIED"), m.If(ended):
                m.d.comb += tried.eq(1)
                run(Part.LATER)
                m.next = "LATER"
            with m.State("LATER"):
                m.d.comb += lanes.eq(2**LANES - 1)
                with m.If(ended):
                    m.d.sync += delay.eq(delay + 1)
                    with m.If(delay == DELAYS - 1):
                        run(Part.SLIP)
                        m.next = "SLIP"
                    with m.Else():
                        run(Part.TEST)
                        m.next = "TRIED"
            with m.State("SLIP"):
                m.d.comb += lanes.eq(2**LANES - 1)
                with m.If(ended):
                    m.d.sync += slip.eq(slip + 1)
                    with m.If(slip == SLIPS - 1):  # slips and delays have wrapped, and are 0 again
                        m.next = "SET SLIPS"
                    with m.Else():
                        run(Part.TEST)
                        m.next = "TRIED"
            with m.State("SET SLIPS"):
                with m.If(turned == slips):
                    m.d.sync += turned.eq(0)
                    m.next = "SET DELAYS"
                with m.Else():
                    m.d.sync += turned.eq(turned + 1)
                    run(Part.SLIP)
                    m.next = "SLIPS"
            with m.State("SLIPS"):
                m.d.comb += lanes.eq(1 << lane)
                with m.If(ended):
                    m.next = "SET SLIPS"
            with m.State("SET DELAYS"):
                with m.If(turned == delays):
                    m.d.sync += [turned.eq(0), lane.eq(lane + 1)]
                    m.next = "SET SLIPS"
                    with m.If(lane == LANES - 1):
                        run(Part.TEST)
                        m.next = "AGAIN"
                with m.Else():
                    m.d.sync += turned.eq(turned + 1)
                    run(Part.LATER)
                    m.next = "DELAYS"
            with m.State("DELAYS"):
                m.d.comb += lanes.eq(1 << lane)
                with m.If(ended):
                    m.next = "SET DELAYS"
            with m.State("AGAIN"), m.If(ended):
                found = Cat(window.found for window in windows).all()
                m.d.sync += self.failed.eq(wrong.any() | ~found)
                run(Part.FINISH)
                m.next = "FINISH"
            with m.State("FINISH"), m.If(ended):
                m.d.sync += self.done.eq(1)
                m.next = "DONE"
            with m.State("DONE"):
                pass
