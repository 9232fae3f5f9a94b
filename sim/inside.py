"""The inside of a core's Verilog: which components and signals it has, and how a simulator reaches them."""

import re

from gen.errors import AdafireError

__all__ = ["CORE", "KEYWORDS", "Inside"]

CORE = "adafire_core"
MODULE = re.compile(rf"^module (?:\\{CORE}\.(\S+)|{CORE}) ?\(.*?\);\n.*?^endmodule", re.MULTILINE | re.DOTALL)
SIGNAL = re.compile(r"^  (?:wire|reg) (?:\[(\d+):0\] )?(\\\S+|\w+)(?= |;)(?: +\[\d+:0\])?", re.MULTILINE)
PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\\\S+|\w+) ?;", re.MULTILINE)
ODD = re.compile(r"[^\w$]+")
KEYWORDS = {"begin", "end", "event", "force", "input", "output", "release", "table", "wait"}  # of Verilog
OPEN = "/*verilator public_flat_rd*/"


class Inside:
    """The components of one core, named from the top: ``group_0.gather``, or "" for the core itself.

    A part of a signal is named like a signal, ``write_enable`` for ``write.enable``, whether or not the Verilog's own
    names have been made plain (`hw.names.plain_names`).

    Parameters
    ----------
    verilog : text, as `hw.verilog.core_verilog` writes it
    """

    def __init__(self, verilog):
        self._verilog = verilog
        self._modules = {_plain(found[1] or ""): found for found in MODULE.finditer(verilog)}
        self._signals = {}

    @property
    def ports(self):
        """Of the core: list of (``input`` or ``output``, bits, name)."""
        return [(kind, int(high or 0) + 1, name) for kind, high, name in PORT.findall(self._modules[""][0])]

    @property
    def components(self):
        """Names of all components."""
        return list(self._modules)

    def signals(self, component):
        """Return {name: bits} of the signals of a component."""
        if component not in self._signals:
            text = self._modules[component][0] if component in self._modules else ""
            self._signals[component] = {
                ODD.sub("_", name).strip("_$"): (name.removeprefix("\\"), int(high or 0) + 1)
                for high, name in SIGNAL.findall(text)
            }
        return {name: bits for name, (_, bits) in self._signals[component].items()}

    def has(self, component, signal):
        """Return whether there is such a signal."""
        return signal in self.signals(component)

    def path(self, component, signal):
        """Return the Verilog name of a signal below an instance of the core; `AdafireError` if there is none."""
        if not self.has(component, signal):
            raise AdafireError(
                f"The Verilog of the core has no signal {component}.{signal}, which shows what it does: it is of "
                "another version of adafire, generate it again."
            )
        own, _ = self._signals[component][signal]
        parts = [*filter(None, (self._modules[component][1] or "").split(".")), own]
        return ".".join(f"\\{part} " if part in KEYWORDS or not part.isidentifier() else part for part in parts)

    def opened(self, signals):
        """Return the Verilog with signals open to C++, and what C++ calls each of them in Verilator's root.

        ``signals`` is {name: (component, signal)}; the result's dict has the same names.
        """
        names, places = {}, {}
        for name, (component, signal) in signals.items():
            self.path(component, signal)
            text, (signal, _) = self._modules[component], self._signals[component][signal]
            for declared in re.finditer(rf"\n  (?:wire|reg) (?:\[\d+:0\] )?\\?{re.escape(signal)}(?= |;)", text[0]):
                places[text.start() + declared.end()] = f" {OPEN} "
            parts = [CORE, *filter(None, (text[1] or "").split(".")), signal]
            names[name] = "__DOT__".join(map(_mangled, parts))
        verilog, before = [], 0
        for place in sorted(places):
            verilog += [self._verilog[before:place], places[place]]
            before = place
        return "".join([*verilog, self._verilog[before:]]), names


def _plain(module):
    """Return a component's name without the numbers that set it off from a signal of the same name."""
    return re.sub(r"\$\d+(?=\.|$)", "", module)


def _mangled(name):
    """Return what Verilator calls a name in C++."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"__0{ord(found[0]):02x}", name.replace("__", "___05F"))
