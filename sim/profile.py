"""Where the clock cycles of an image go: the core's own Verilog, compiled, with a look into it every cycle.

A cycle is of exactly one kind. The first six belong to a pass, the others to the machine:

busy : the lanes are given an event
empty : a tile without events passes
emission : the next tile may not begin, or the pass may not end, before counts are stored, one event a cycle
search : no segment of events is in hand, the next ones are being looked for
fill, drain : from the pass's beginning to its first segment; after its last one, while nothing is stored
input : values of the image are taken
control : the program is stepped on to the next pass
decision : the exit rule is computed

Their sum is the core's own cycle counter, `busy` its busy cycles; the lanes at work in these are its synaptic
operations.
"""

import ctypes
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gen.errors import AdafireError
from gen.inputs import input_stream
from gen.result import Result
from sim.bench.folder import VERILOG, read_folder
from sim.model import HARNESS, RESULT_HEADER, CompiledCore, without_contents
from sim.verilate import compile_verilog

__all__ = ["KINDS", "MACHINE_KINDS", "PASS_KINDS", "Profile", "ProfiledCore", "opened"]

PASS_KINDS = ("busy", "empty", "emission", "search", "fill", "drain")
MACHINE_KINDS = ("input", "control", "decision")
KINDS = PASS_KINDS + MACHINE_KINDS
WORK = ("lane_cycles", "events")  # beside the cycles: lanes at work, events stored
PROFILER = Path(__file__).with_name("profile.cpp")
SIGNALS = {
    "FULL": ("gather", "full"), "ISSUE": ("gather", "issue"), "BUSY": ("gather", "busy"),
    "ACTIVE": ("counters", "active"), "EVENT_ENABLE": ("compressor", "write.event_enable"),
    **{name.upper(): ("sequencer", name) for name in (
        "ingest", "ingested", "begin_pass", "pass_done", "decide", "decided", "answering",
    )},
}


@dataclass(frozen=True, eq=False)
class Profile:
    """What N images cost in a network of P passes that are run T times: its timesteps, but once if it is separated.

    result : gen.result.Result
    cycles : name of every kind to int64 [N, T, P + 1]; row P is the machine's, what was not run is 0
    lane_cycles : int64 [N, T, P], lanes at work summed over the cycles: the pass's synaptic operations
    events : int64 [N, T, P], nonzero counts stored
    """

    result: Result
    cycles: dict[str, np.ndarray]
    lane_cycles: np.ndarray
    events: np.ndarray


class ProfiledCore(CompiledCore):
    """The compiled core of a generated folder, whose cycles can be told apart."""

    @classmethod
    def from_folder(cls, folder, progress=None):
        """Compile the Verilog that `generate` wrote into ``folder``; a minute where it is not in the cache."""
        schedule = read_folder(folder)
        verilog, names = opened((Path(folder) / VERILOG).read_text(), SIGNALS)
        p = schedule.params
        defines = {
            "LANES": p.lanes, "VALUE_BITS": p.value_bits, "ACC_BITS": p.acc_bits, **names,
            "KINDS": ",".join((*KINDS, *WORK)), "INCLUDED": hashlib.sha256(HARNESS.read_bytes()).hexdigest(),
        }
        options = [f"-D{name}={value}" for name, value in defines.items()]
        library = compile_verilog("adafire_core", [without_contents(verilog)], PROFILER, options, progress=progress)
        return cls(library, schedule)

    def profile(self, x, progress=None):
        """Run images uint8 [N, C, H, W] or [N, H, W]; return their `Profile`."""
        words, passes = input_stream(self.network, x), len(self.schedule.passes)
        table = np.zeros((len(words), self.schedule.rounds, passes + 1, len(KINDS + WORK)), np.int64)
        rows = np.zeros((len(words), RESULT_HEADER + self.network.classes), np.int32)
        for n, row in enumerate(rows):
            received = self._library.core_profile(
                self._core, words[n].ctypes, ctypes.c_int64(words.shape[1]), ctypes.c_int64(self._cycle_limit()),
                passes, table[n].ctypes, row.ctypes, ctypes.c_int64(len(row)),
            )
            if received != len(row):
                raise AdafireError(f"Image {n}: the core gave no result within {self._cycle_limit()} cycles.")
            if progress:
                progress(n + 1, len(rows))
        cycles, busy, events, ops = (rows[:, 2:RESULT_HEADER].astype(np.int64) & 0xFFFFFFFF).T
        columns = dict(zip(KINDS + WORK, np.moveaxis(table, -1, 0)))
        whole = rows.astype(np.int64)
        result = Result(whole[:, 0], whole[:, 1], whole[:, RESULT_HEADER:], events, ops, cycles, busy)
        lane_cycles, stored = (columns[name][:, :, :-1] for name in WORK)
        return Profile(result, {kind: columns[kind] for kind in KINDS}, lane_cycles, stored)


def opened(verilog, signals):
    """Return the Verilog of a core with signals open to C++, and what C++ calls each of them.

    ``signals`` is {name: (component, signal)}; the result's dict maps the names to members of Verilator's root.
    """
    names = {}
    for name, (component, signal) in signals.items():
        found = re.search(
            rf"\nmodule \\adafire_core\.({re.escape(component)}(?:\$\d+)?) .*?\nendmodule", verilog, re.DOTALL
        )
        declared = rf"(\n  (?:wire|reg) (?:\[\d+:0\] )?\\?{re.escape(signal)})(?![\w.$])"
        body, hits = re.subn(declared, r"\1 /*verilator public_flat_rd*/", found.group() if found else "", count=1)
        if not found or not hits:
            raise AdafireError(
                f"The Verilog of the core has no signal {component}.{signal}, which shows what it does: it is of "
                "another version of adafire, generate it again."
            )
        instance = found.group(1).replace(".", "__DOT__")
        path = f"adafire_core__DOT__{instance}__DOT__" + signal.replace(".", "__02e")
        names[name] = path.replace("$", "__024")
        verilog = verilog[: found.start()] + body + verilog[found.end():]
    return verilog, names
