"""From a plan to Verilog text, the same text every time."""

import gc
from contextlib import contextmanager

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal, Value

from gen.generated import VERILOG
from hw.core.contents import ContentFiles, ram_verilog
from hw.core.core import Core
from hw.link.axi import VIVADO, AxiTop
from hw.link.blackbox import CoreBox
from hw.link.link import Link
from hw.link.uart_top import UartTop
from hw.link.wishbone import WishboneTop
from hw.names import plain_names
from hw.parts import lean_parts

__all__ = ["AXI", "TOP", "UART", "WISHBONE", "axi_verilog", "component_verilog", "core_files", "core_verilog",
           "design_verilog", "uart_verilog", "wishbone_verilog"]

TOP, AXI, WISHBONE, UART = "adafire_core", "adafire_axi", "adafire_wishbone", "adafire_uart"


def core_files(plan):
    """Return {file name: text} of the core of a ``plan``: `VERILOG`, and what its memories hold, a file for each.

    The files are read as the simulation begins, or by synthesis: `hw.core.contents` says from where.
    """
    files = ContentFiles()
    core = component_verilog(Core(plan.params, plan.initial_contents), TOP, platform=files)
    return {VERILOG: ram_verilog() + "\n" + plain_names(lean_parts(core)), **files.texts}


def core_verilog(plan):
    """Return the Verilog of the core of a ``plan``, without what its memories hold."""
    return core_files(plan)[VERILOG]


def axi_verilog(params, values):
    """Return the Verilog of `AXI`, an `AxiTop` around the module `TOP`, its ports named as Vivado infers them."""
    m, top = Module(), AxiTop(params, values)
    m.submodules.top, m.domains.sync = top, ClockDomain("sync")
    interfaces = ":".join(name for name in top.signature.members if name != "interrupt")
    said = {name: {kind: text.format(interfaces=interfaces) for kind, text in VIVADO[name].items()}
            for name in ("aclk", "aresetn")}
    clock = {name: Signal(name=name, attrs=attributes) for name, attributes in said.items()}
    m.d.comb += [ClockSignal().eq(clock["aclk"]), ResetSignal().eq(~clock["aresetn"])]
    top.interrupt.attrs.update(VIVADO["interrupt"])
    ports = {name: (signal, None) for name, signal in clock.items()}
    return component_verilog(m, AXI, ports=ports | _ports(top))


def wishbone_verilog(params, values):
    """Return the Verilog of `WISHBONE`, a `WishboneTop` around the module `TOP`."""
    top = WishboneTop(params, values)
    return component_verilog(top, WISHBONE, ports=_ports(top))


def uart_verilog(params, link_params, values):
    """Return the Verilog of `UART`, a `UartTop` around the module `TOP`."""
    return design_verilog(UartTop(params, CoreBox(params), Link(params, link_params, values)))


def design_verilog(top):
    """Return the Verilog of `UART` that is ``top``: a `UartTop`, or a component around one."""
    return component_verilog(top, UART, ports=_ports(top))


def component_verilog(component, name, *, ports=None, platform=None):
    """Return the Verilog of a component, its outermost module called ``name``; ``platform`` may be a `ContentFiles`."""
    with _uncollected():
        return verilog.convert(component, name=name, ports=ports, platform=platform, emit_src=False)


def _ports(component):
    """Return the ports of a component, the members of its interfaces named with one underscore."""
    flat = component.signature.flatten(component)
    return {"_".join(path): (Value.cast(signal), None) for path, _, signal in flat}


@contextmanager
def _uncollected():
    """Do without the search for garbage: all that a netlist is made of lives until it is text, and a quarter of the
    time would go into looking at it again and again.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
