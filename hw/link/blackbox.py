"""The core as a module of its own Verilog file, for designs that stand around it."""

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gen.plan.params import WORD_BITS
from hw.core import payloads

__all__ = ["CORE", "CoreBox", "core_signature"]

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
    """

    def __init__(self, params):
        super().__init__(core_signature(params))

    def elaborate(self, platform):
        m = Module()
        ports = {"i_clk": ClockSignal(), "i_rst": ResetSignal() | self.reset}
        for path, member, value in self.signature.flatten(self):
            if path != ("reset",):
                ports[f"{'i' if member.flow is In else 'o'}_{'__'.join(path)}"] = Value.cast(value)
        m.submodules.core = Instance(CORE, **ports)
        return m
