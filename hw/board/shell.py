"""A shell of four pins around the core, or around another component, to place and route it by itself."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Shell"]


class Shell(wiring.Component):
    """Every input of the core comes from a shift register, every output is captured and shifted out.

    So all paths of the core run from register to register and nothing is optimised away but the probe,
    which no board connects either.

    Parameters
    ----------
    core : component
    whole : bool
        It is no core: all its ports are connected.

    Members
    -------
    clk, rst, serial_in : In(1)
    capture : In(1)
        Take the outputs in place of shifting them.
    serial_out : Out(1)
    """

    def __init__(self, core, *, whole=False):
        self._core, self._whole = core, whole
        super().__init__({
            "clk": In(1), "rst": In(1), "serial_in": In(1), "capture": In(1), "serial_out": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(self.rst)]
        m.submodules.core = core = self._core
        if self._whole:
            ports = [(member.flow, Value.cast(value)) for _, member, value in core.signature.flatten(core)]
            inputs, outputs = (Cat(value for flow, value in ports if flow is wanted) for wanted in (In, Out))
        else:
            inputs = Cat(core.load.payload, core.load.valid, core.i.payload, core.i.valid, core.o.ready, core.abort)
            outputs = Cat(core.load.ready, core.i.ready, core.o.payload, core.o.valid, core.idle, core.fault)
            if core.params.outside:
                inputs = Cat(inputs, core.memory.read.payload, core.memory.read.valid, core.memory.request.ready)
                inputs = Cat(inputs, core.memory.write.ready, core.memory.fault)
                outputs = Cat(outputs, core.memory.request.payload, core.memory.request.valid, core.memory.read.ready)
                outputs = Cat(outputs, core.memory.write.payload, core.memory.write.valid)
        incoming, outgoing = Signal(len(inputs)), Signal(len(outputs))
        m.d.comb += [inputs.eq(incoming), self.serial_out.eq(outgoing[0])]
        m.d.sync += [incoming.eq(Cat(incoming[1:], self.serial_in)), outgoing.eq(outgoing[1:])]
        with m.If(self.capture):
            m.d.sync += outgoing.eq(outputs)
        return m
