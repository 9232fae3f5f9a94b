"""From a component to the RTLIL that is synthesized."""

from amaranth.back import rtlil

__all__ = ["RELAXED", "netlist"]

STRICT, LOOSE = "COLLISION_X_MASK 1'0", "COLLISION_X_MASK 1'1"
RELAXED = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:COLLISION_X_MASK=1'0 %i r:CLK_ENABLE=1 %i *crossing*/t:* %d"
"""The same as a command of Yosys, for flows that write the RTLIL themselves; before ``synth``. Reads without a clock
have no such cycle, nor have those of another clock than the write's (`hw.memory.crossing`), of which Yosys may not be
told so."""


def netlist(component, name):
    """Return the RTLIL text of ``component``, its memories free in what a read gives in the cycle of its write.

    Amaranth promises the old word there, and Yosys builds that promise out of registers and comparators where
    block RAM does not keep it (iCE40, ECP5, Gowin). No component uses such a word (tests/sim/test_collisions.py).
    """
    return rtlil.convert(component, name=name, emit_src=False).replace(STRICT, LOOSE)
