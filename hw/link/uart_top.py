"""The design behind a serial port: a core and its link."""

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.link.blackbox import add_memory, connect_core, core_signature, memory_port, outer_memory

__all__ = ["ResettableCore", "UartTop"]


class ResettableCore(wiring.Component):
    """A `hw.core.core.Core` with the members that `CoreBox` has: with a reset of its own, without probe."""

    def __init__(self, core):
        self._core = core
        super().__init__({**core_signature(core.params).members, **memory_port(core.params)})

    def elaborate(self, platform):
        m = Module()
        core = self._core
        m.submodules.core = ResetInserter(self.reset)(core)
        wiring.connect(m, wiring.flipped(self.load), core.load)
        wiring.connect(m, wiring.flipped(self.i), core.i)
        wiring.connect(m, core.o, wiring.flipped(self.o))
        m.d.comb += [core.abort.eq(self.abort), self.idle.eq(core.idle), self.fault.eq(core.fault)]
        if core.params.outside:
            add_memory(m, core.params, core.memory, self.memory, self.reset)
        return m


class UartTop(wiring.Component):
    """What a board's pins connect to.

    Parameters
    ----------
    params : CoreParams
    core : hw.core.core.Core, or a component with the members of `CoreBox`
    link : hw.link.link.Link

    Members
    -------
    rx, tx : In(1), Out(1)
        Idle high; ``rx`` is asynchronous.
    active : Out(1)
        The core is busy, or a flash is read: for an LED.
    memory : Out(MemoryBus)
        Only with ``params.outside``.
    flash : Out(flash_pins)
        Only where the link has it.
    """

    def __init__(self, params, core, link):
        self._core = core if "reset" in core.signature.members else ResettableCore(core)
        self._params, self._link = params, link
        self._flash = {name: member for name, member in link.signature.members.items() if name == "flash"}
        super().__init__({
            "rx": In(1, init=1), "tx": Out(1, init=1), "active": Out(1), **memory_port(params), **self._flash,
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self._core
        m.submodules.link = link = self._link
        connect_core(m, self._params, link.core, core, outer_memory(self))
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]
        if self._flash:
            wiring.connect(m, link.flash, wiring.flipped(self.flash))
        m.d.sync += self.active.eq(~core.idle | self.flash.cs if self._flash else ~core.idle)
        return m
