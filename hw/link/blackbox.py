"""The core as a module of its own Verilog file, for designs that stand around it."""

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core import payloads
from hw.memory.bus import MemoryBus
from hw.memory.guard import BusGuard

__all__ = ["CORE", "CoreBox", "add_memory", "connect_core", "core_signature", "memory_port",
           "outer_memory"]

CORE = "adafire_core"


def core_signature(params):
    """Return the signature of a core as designs around it see it: `Core` without probe, with ``reset``.

    ``fault`` is high from the first word of a load to its right digest, and outlives a reset, as the memories do.
    ``idle`` is low while a word of a load or of a result is in the core. The values of an image are taken, if only to
    be dropped, while its result waits.
    """
    return wiring.Signature({
        "load": In(stream.Signature(WORD_BITS)), "i": In(stream.Signature(payloads.input_word(params))),
        "o": Out(stream.Signature(payloads.output_word())), "abort": In(1), "idle": Out(1), "fault": Out(1),
        "reset": In(1),
    })


def memory_port(params):
    """Return the further member that a core with something outside the chip has, {name: member}; others have none."""
    return {"memory": Out(MemoryBus(params.outside_bits, WORD_BITS))} if params.outside else {}


def outer_memory(top):
    """Return the `memory_port` of ``top`` as it is joined from within; None where it has none."""
    return wiring.flipped(top.memory) if "memory" in top.signature.members else None


def add_memory(m, params, bus, outer, reset):
    """Join the ``bus`` of a core, which has a ``reset`` of its own, to the one that leads out."""
    m.submodules.guard = guard = BusGuard(params.outside_bits, WORD_BITS)
    wiring.connect(m, bus, guard.i)
    wiring.connect(m, guard.o, wiring.flipped(outer))
    m.d.comb += guard.reset.eq(reset)


def connect_core(m, params, host, core, memory):
    """Join a ``core`` to the ``host`` that drives it, and what it asks of a memory outside to the bus ``memory``.

    ``memory`` is the bus as it is answered; None where all is inside.
    """
    wiring.connect(m, host, _HostSide(core, params))
    if params.outside:
        wiring.connect(m, core.memory, memory)


class _HostSide:
    """Those members of a core that a host connects to: all but its memory."""

    def __init__(self, core, params):
        self.signature = core_signature(params)
        for name in self.signature.members:
            setattr(self, name, getattr(core, name))


class CoreBox(wiring.Component):
    """An instance of the module `CORE` that `hw.verilog.core_verilog` writes, its probe left open.

    Parameters
    ----------
    params : CoreParams
        Sizes that the Verilog was made with.

    Members
    -------
    load, i, o, abort, idle, fault
        As of `hw.core.core.Core`.
    reset : In(1)
        Reset the core alone; its memories stay.
    memory : Out(MemoryBus)
        Only with ``params.outside``; it keeps its promises through a reset of the core.
    """

    def __init__(self, params):
        self._params = params
        super().__init__({**core_signature(params).members, **memory_port(params)})

    def elaborate(self, platform):
        m = Module()
        ports = {"i_clk": ClockSignal(), "i_rst": ResetSignal() | self.reset}
        members = [*core_signature(self._params).flatten(_HostSide(self, self._params))]
        if self._params.outside:
            bus = memory_port(self._params)["memory"].signature.create(path=("core_memory",))
            members += [(("memory", *path), member, value) for path, member, value in bus.signature.flatten(bus)]
            add_memory(m, self._params, bus, self.memory, self.reset)
        for path, member, value in members:
            if path != ("reset",):
                ports[f"{'i' if member.flow is In else 'o'}_{'__'.join(path)}"] = Value.cast(value)
        m.submodules.core = Instance(CORE, **ports)
        return m
