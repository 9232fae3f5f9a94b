"""From a schedule to Verilog text, the same text every time."""

from amaranth.back import rtlil, verilog

from gen.image import memory_image
from hw.core import Core

__all__ = ["TOP", "core_rtlil", "core_verilog"]

TOP = "adafire_core"


def core_verilog(schedule):
    """Return the Verilog of the core for ``schedule``, its memories initialised."""
    return verilog.convert(Core(schedule.params, memory_image(schedule)), name=TOP, emit_src=False)


def core_rtlil(schedule):
    """Return the same core as RTLIL, what Yosys reads fastest."""
    return rtlil.convert(Core(schedule.params, memory_image(schedule)), name=TOP, emit_src=False)
