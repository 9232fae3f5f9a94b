"""A core's Verilog as it is compiled: without what its memories hold, and never reset."""

import re

from gen.errors import AdafireError
from gen.plan.memories import loadable_memories
from sim.inside import CORE

__all__ = ["core_sources", "empty_core", "without_contents"]

WRITTEN = re.compile(r"^ +([^\s\[]+)\[[^\n]*\] <= ", re.MULTILINE)
CONTENTS = re.compile(
    r"^  initial begin\n    (\S+)\[\d+\] = [^\n]*;\n(?:    \1\[\d+\] = [^\n]*;\n)*  end\n", re.MULTILINE
)
FILE = re.compile(r'\.FILE\("(\w+?)(?:_from_\d+)?(?:_bits_\d+)?\.hex"\)')


def without_contents(verilog, params):
    """Return a core's Verilog without what its loadable memories hold at power-up, in the text or in files beside it.

    A `CompiledCore` loads its network through the load port. So cores of the same parameters are compiled once, and a
    large one in a minute instead of never. Tables that nothing writes stay.
    """
    loadable = loadable_memories(params)
    verilog = FILE.sub(lambda found: '.FILE("")' if found[1] in loadable else found[0], verilog)
    return "endmodule\n".join(map(_emptied, verilog.split("endmodule\n")))


def _emptied(module):
    written = set(WRITTEN.findall(module))
    return CONTENTS.sub(lambda found: "" if found[1] in written else found[0], module)


def without_reset(verilog):
    """Return a core's Verilog that is never reset: it begins as it would after one.

    Verilator looks in every cycle at what the inputs reach without a register, and a reset reaches every register.
    """
    found = re.search(rf"^module {CORE}\((.*?)\);\n.*?(  input rst;\n  wire rst;\n)", verilog, re.MULTILINE | re.DOTALL)
    if not found:
        raise AdafireError(f"The Verilog of the core has no module {CORE} with a reset: generate it again.")
    ports = ", ".join(port for port in found[1].split(", ") if port != "rst")
    return "".join([
        verilog[: found.start(1)], ports, verilog[found.end(1) : found.start(2)], "  wire rst = 1'h0;\n",
        verilog[found.end(2) :],
    ])


def core_sources(verilog, params):
    """Return the Verilog texts to compile of a core's."""
    from hw.core.contents import RAM_MODULE, ram_verilog

    texts = [without_reset(without_contents(verilog, params))]
    return texts if f"module {RAM_MODULE}" in verilog or RAM_MODULE not in verilog else [*texts, ram_verilog()]


def empty_core(params):
    """Return the Verilog of a core of these parameters that holds no network."""
    from hw.core.contents import ContentFiles
    from hw.core.core import Core
    from hw.verilog import component_verilog

    return component_verilog(Core(params, {}), CORE, platform=ContentFiles())
