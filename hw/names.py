"""Names that every tool keeps, in RTLIL or Verilog that Amaranth wrote."""

import re

__all__ = ["plain_names"]

NAME = re.compile(r'\\([^\s"\\]+)')
MODULE = re.compile(r"^module \\(\S+)", re.MULTILINE)
PLAIN = re.compile(r"[A-Za-z_][\w$]*")
ODD = re.compile(r"[^\w$]+")


def plain_names(text):
    """Return the text with names of signals and ports of letters, digits, underscores and ``$``; no two become one.

    Amaranth writes dots into names of parts of words, and brackets into those of arrays. ABC9 stops at them wherever
    the hierarchy is kept (Yosys 0.70, ``synth_ecp5 -noflatten``). Modules keep their names, their places in the
    hierarchy.
    """
    names = set(NAME.findall(text))
    odd = [name for name in names.difference(MODULE.findall(text)) if ODD.search(name)]
    taken, given = names.difference(odd).union(PLAIN.findall(text)), {}  # in Verilog a plain name has no backslash
    for name in sorted(odd):
        plain = base = ODD.sub("_", name).strip("_$")
        number = 1
        while plain in taken:
            number += 1
            plain = f"{base}_{number}"
        taken.add(plain)
        given[name] = plain
    return NAME.sub(lambda found: f"\\{given.get(found[1], found[1])}", text)
