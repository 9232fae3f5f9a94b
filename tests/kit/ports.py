"""What the memory ports of a compiled core really do, counted cycle by cycle: the check of `sim.traffic`."""

import ctypes
import hashlib
from pathlib import Path

import numpy as np

from gen.inputs import input_stream
from gen.result import result_words
from sim.compiled_core import HARNESS, CompiledCore, core_defines
from sim.emptied import core_sources, empty_core
from sim.inside import Inside
from sim.patience import cycle_limit
from sim.verilate import compile_verilog

__all__ = ["COLUMNS", "PortCounter"]

COUNTER = Path(__file__).with_name("ports.cpp")
GROUP = {  # name in C++ to component and signal of every group
    "EVENT": ("gather", "busy"), "COME": ("fetch", "come"), "WORD": ("fetch", "at_word_word"),
    "IMAGE": ("fetch", "at_word_image"), "BEAT": ("firing.state_store_0", "beat_2_valid"),
    "POOL": ("firing.state_store_0", "layer_pool"), "READOUT": ("firing.state_store_0", "layer_readout"),
    "FIRST": ("firing.state_store_0", "beat_2_first"), "STORED": ("firing.word_writer", "takes"),
}
OPTIONAL = {  # of cores that have the memory
    "STATE_STORED": ("firing.state_store_0.states", "write_enable"),
    "CURRENT_READ": ("firing.state_store_0", "use_kept"),
    "CURRENT_STORED": ("firing.state_store_0.currents", "write_enable"),
    "RESUMES": ("firing.state_store_0", "layer_resumes"),
}
# What is counted of each memory: words read, words written; the copies of all groups take what is stored.
COLUMNS = ("weights", "image", "maps", "parameters", "states", "currents", "outputs")


class PortCounter(CompiledCore):
    """A compiled core that counts the words its memories read, where the machine takes them, and write."""

    @classmethod
    def for_plan(cls, plan, progress=None):
        """Generate and compile the core that ``plan`` was made for."""
        inside, params = Inside(empty_core(plan.params)), plan.params
        groups, signals, lists = range(params.groups), {}, {}
        for name, (component, signal) in (GROUP | OPTIONAL).items():
            present = [g for g in groups if name in GROUP or inside.has(f"group_{g}.{component}", signal)]
            signals |= {f"{name}_{g}": (f"group_{g}.{component}", signal) for g in present}
            lists[name] = [f"{name}_{g}" for g in present]
        verilog, names = inside.opened(signals)
        defines = core_defines(params) | {
            name: ",".join(f"core.{names[each]}" for each in each_group) or ",".join("0" for _ in groups)
            for name, each_group in lists.items()
        } | {
            "COLUMNS": ",".join(COLUMNS), "HARNESS": f'\\"{HARNESS.name}\\"',
            "INCLUDED": hashlib.sha256(HARNESS.read_bytes()).hexdigest(),
        }
        options = [f"-D{name}={value}" for name, value in defines.items()] + [f"-I{HARNESS.parent}"]
        library = compile_verilog("adafire_core", core_sources(verilog, params), COUNTER, options, progress=progress)
        return cls(library, plan)

    def count(self, x):
        """Run images uint8 [N, C, H, W] or [N, H, W]; return {memory: int64 [2, N]}, words read and written.

        Of `outputs`, what readouts read; of `image`, nothing is counted as written.
        """
        words, limit = input_stream(self.network, x), ctypes.c_int64(cycle_limit(self.plan))
        table = np.zeros((len(words), len(COLUMNS), 2), np.int64)
        row = np.zeros(result_words(self.network), np.int32)
        for n, counted in enumerate(table):
            self._begin(words[n : n + 1])
            received = self._library.core_ports(
                self._core, ctypes.c_void_p(counted.ctypes.data), ctypes.c_void_p(row.ctypes.data), len(row), limit,
            )
            self._library.core_end(self._core)
            assert received == len(row), f"image {n}: {received} words of a result"
        return {memory: table[:, i].T for i, memory in enumerate(COLUMNS)}
