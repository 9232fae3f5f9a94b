"""From the board's oscillator to the core's clock, and the reset that holds until clock and memories are ready."""

from amaranth.hdl import Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Clocking", "Startup"]

# The block RAMs of an iCE40 read as zero until about this long after configuration; the other parts do not mind.
STARTUP_SECONDS = 15e-6


class Clocking(wiring.Component):
    """The PLL behind the oscillator's pin.

    Parameters
    ----------
    pll : hw.board.plls.Pll
    setting : hw.board.plls.Setting
    pin : amaranth.lib.io port of the oscillator
    step : int or None
        By how many steps (`hw.board.plls.Pll.steps`) ``late`` is late; None: it is not made.

    Members
    -------
    clk : Out(1)
        The core's clock.
    late : Out(1)
        The same clock behind it.
    locked : Out(1)
        It is stable; belongs to no clock domain.
    oscillator : Out(1)
        That of the board, but where the PLL takes the pin.
    """

    clk: Out(1)
    late: Out(1)
    locked: Out(1)
    oscillator: Out(1)

    def __init__(self, pll, setting, pin, step=None):
        self._pll, self._setting, self._pin, self._step = pll, setting, pin, step
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        if self._pll.takes_pin:
            source = self._pin.io
        else:
            m.submodules.buffer = buffer = io.Buffer(io.Direction.Input, self._pin)
            source = self.oscillator
            m.d.comb += source.eq(buffer.i)
        second = () if self._step is None else (self.late, self._step)
        for instance in self._pll.instance(self._setting, source, self.clk, self.locked, *second):
            m.submodules[instance.type.lower()] = instance
        return m


class Startup(wiring.Component):
    """Hold the reset for `STARTUP_SECONDS` of the clock after the PLL has locked.

    Runs in a domain without reset, on the clock of the domain that it resets.

    Members
    -------
    locked : In(1)
        Asynchronous.
    reset : Out(1)
        From a register.
    """

    locked: In(1)
    reset: Out(1, init=1)

    def __init__(self, clock_mhz):
        self._cycles = round(clock_mhz * 1e6 * STARTUP_SECONDS)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        locked, left = Signal(), Signal(range(self._cycles + 1), init=self._cycles)
        m.submodules.synchronizer = FFSynchronizer(self.locked, locked)
        m.d.sync += self.reset.eq(left.any())
        with m.If(~locked):
            m.d.sync += left.eq(self._cycles)
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        return m
