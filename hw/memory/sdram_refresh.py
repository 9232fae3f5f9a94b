"""When an SDRAM wants to be refreshed, and when it is up."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gen.errors import InputError
from hw.memory.sdram_part import SdramTiming

__all__ = ["RefreshPlan", "RefreshTimer"]

AT_POWER_UP = 8  # refreshes before the mode register is set
POSTPONED = 8  # at most: JEDEC's bound for SDRAM, where a data sheet names none
SLACK = 64  # cycles from when a refresh must come until it does: a word is moved, all rows are closed


class RefreshPlan:
    """How often to refresh, and how many refreshes may wait.

    A row that is refreshed at once and then as late as allowed still has its refresh in time, a reset of the controller
    in between included. A row that stays open from one round of refreshes to the next is not open for too long.

    Parameters
    ----------
    timing : SdramTiming
    refreshes : int
        Of the part, within ``timing.retention``.

    Attributes
    ----------
    interval : int
        Cycles from one refresh to the next.
    postponed : int
        How many may wait.

    Raises
    ------
    InputError
        Where the clock is too slow to refresh the part.
    """

    def __init__(self, timing: SdramTiming, refreshes: int):
        for postponed in range(POSTPONED, 0, -1):
            interval = (timing.retention - timing.power_up - SLACK) // (refreshes + postponed + 1)
            if interval > SLACK + postponed * timing.rfc and (postponed + 1) * interval + SLACK <= timing.ras_max:
                self.interval, self.postponed = interval, postponed
                return
        raise InputError(
            f"An SDRAM that wants {refreshes} refreshes in {timing.retention} cycles would hardly do anything else: "
            "ask for a faster clock of the core."
        )


class RefreshTimer(wiring.Component):
    """Count the refreshes that are due; from reset count the time until the part takes commands, and those at power-up.

    Members
    -------
    done : In(1)
        A refresh was sent.
    due : Out(1)
        One is wanted; a cycle after ``done`` at the latest it is up to date.
    must : Out(1)
        As many wait as may; high until none does.
    """

    def __init__(self, timing, refreshes):
        self._timing, self._plan = timing, RefreshPlan(timing, refreshes)
        super().__init__({"done": In(1), "due": Out(1), "must": Out(1)})

    def elaborate(self, platform):
        m = Module()
        interval, most = self._plan.interval, self._plan.postponed
        turns = -(-self._timing.power_up // interval) + 1
        clock, tick, powered = Signal(range(interval)), Signal(), Signal()
        turn, waiting = Signal(range(turns)), Signal(range(max(most, AT_POWER_UP) + 2))
        m.d.sync += [clock.eq(clock + 1), tick.eq(0)]
        with m.If(clock == interval - 1):
            m.d.sync += [clock.eq(0), tick.eq(1)]
        m.d.comb += self.due.eq(waiting != 0)
        with m.If(~powered):
            with m.If(tick):
                m.d.sync += turn.eq(turn + 1)
                with m.If(turn == turns - 1):
                    m.d.sync += [powered.eq(1), waiting.eq(AT_POWER_UP), self.must.eq(1)]
        with m.Else():
            with m.If(tick & ~self.done):
                m.d.sync += waiting.eq(waiting + 1)
                with m.If(waiting >= most - 1):
                    m.d.sync += self.must.eq(1)
            with m.Elif(~tick & self.done):
                m.d.sync += waiting.eq(waiting - 1)
            with m.If(~self.due):
                m.d.sync += self.must.eq(0)
        return m
