"""Parts of words in Verilog that Amaranth wrote: each named once, in a line.

A word with fields is a vector, and beside it Amaranth declares and assigns a wire for every field, in every module that
the word passes through. Nothing reads them but people and waveforms, and they are a third of the text.
"""

import re
from collections import Counter

__all__ = ["lean_parts"]

FEW = 4  # parts of a word that are named in every module that it passes through
MODULE = re.compile(r"^module .*?^endmodule\n", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"\\\S+")
REGISTER = re.compile(r"^  reg (?:\[\d+:0\] )?\\?(\S+?)(?= |;)", re.MULTILINE)
WIRE = re.compile(r"^  wire ((?:\[\d+:0\] )?)(\\\S+) ;\n", re.MULTILINE)
PART = re.compile(r"^  assign (\\([^\s.\[]+)[.\[]\S+)  = (.+;)\n", re.MULTILINE)


def lean_parts(text):
    """Return the text with the parts of words that nothing reads declared where they are assigned.

    A longer word keeps them only where it is a register.
    """
    return MODULE.sub(lambda found: _lean(found[0]), text)


def _lean(module):
    wires, uses = {name: width for width, name in WIRE.findall(module)}, Counter(NAME.findall(module))
    own = {name: word for name, word, _ in PART.findall(module) if name in wires and uses[name] == 2}
    parts, registers = Counter(own.values()), set(REGISTER.findall(module))

    def declared(found):
        name, word, value = found.groups()
        if name not in own:
            return found[0]
        return f"  wire {wires[name]}{name}  = {value}\n" if word in registers or parts[word] <= FEW else ""

    module = WIRE.sub(lambda found: "" if found[2] in own else found[0], module)
    return PART.sub(declared, module)
