"""Starts a DDR3 behind LiteDRAM's controller without a processor: mode registers, then the read leveling of an ECP5.

`hw.memory.litedram_program` is the list of accesses to LiteDRAM's registers, in parts; here is a small machine that
runs the parts in the order that what was read asks for.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.memory.litedram_program import DELAYS, LANES, SLIPS, Op, Part, entries, word_address

__all__ = ["LiteDramStart", "control_bus"]

def control_bus():
    """Return the signature of the Wishbone bus to LiteDRAM's registers, as the master sees it; addresses of words."""
    return wiring.Signature({
        "cyc": Out(1), "stb": Out(1), "we": Out(1), "sel": Out(4), "adr": Out(30), "dat_w": Out(32), "dat_r": In(32),
        "ack": In(1),
    })


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
            self._entries += entries(part, clock_hz)
        super().__init__({"bus": Out(control_bus()), "done": Out(1), "failed": Out(1)})

    def elaborate(self, platform):
        m = Module()
        layout = data.StructLayout({"op": Op, "address": 12, "data": 32})
        rom = [{"op": op, "address": word_address(register), "data": value} for op, register, value in self._entries]
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
