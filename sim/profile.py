"""Where the clock cycles of an image go: the core's own Verilog, compiled, with a look into it every cycle.

A cycle is of exactly one kind. The first five belong to a pass, the others to the machine:

busy : lanes of some group are given an event
spacing : no event, as the last one of a tile waits for the neurons of the tile before, or for states from outside
search : no event is in hand, the walker is still sending words
fill, drain : from the pass's beginning to its first event; after the last word was sent
input : a frame of the image is waited for
control : the program is stepped on to the next pass
decision : the exit rule is computed

Their sum is the core's own cycle counter. The lanes at work are the image's synaptic operations; the groups at work,
summed over the cycles, are the core's busy cycles.
"""

import ctypes
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gen.errors import AdafireError
from gen.inputs import input_stream
from gen.result import Result, result_words, results_of, shared_out
from sim.compiled_core import HARNESS, CompiledCore, core_defines
from sim.bench.folder import board_of, core_text, read_folder
from sim.emptied import core_sources, empty_core
from sim.inside import CORE, Inside
from sim.outside import HEADERS, linked
from sim.patience import cycle_limit
from sim.verilate import compile_verilog

__all__ = ["KINDS", "MACHINE_KINDS", "PASS_KINDS", "Profile", "ProfiledCore"]

PASS_KINDS = ("busy", "spacing", "search", "fill", "drain")
MACHINE_KINDS = ("input", "control", "decision")
KINDS = PASS_KINDS + MACHINE_KINDS
WORK = ("group_cycles", "lane_cycles", "events")  # beside the cycles: groups and lanes at work, events stored
PROFILER = Path(__file__).with_name("profile.cpp")
MACHINE = {  # name in C++ to component and signal
    "GO": ("walker", "go"), "SENT": ("walker", "done"), "FIRST": ("walker", "first_step"),
    "DECIDE": ("decision", "begin"), "DECIDED": ("decision", "done"),
    "RUNS": ("counters", "running"), "WAITING": ("sequencer", "fsm_state"),
}
GROUP = {
    "BUSY": ("gather", "busy"), "ACTIVE": ("gather", "active"), "FULL": ("gather", "full"),
    "ISSUE": ("gather", "issue"), "IDLE": ("firing", "idle"), "COUNTED": ("firing", "counted"),
}


@dataclass(frozen=True, eq=False)
class Profile:
    """What N images cost in a plan of P passes whose stages run up to T rounds.

    Of a batch a pass is in the row of its own image. What belongs to no pass is shared out to the images of a run, as
    the counters of ``result`` are; only the sums over a run are the core's.

    result : gen.result.Result
    cycles : name of every kind to int64 [N, T, P + 1]; row P is the machine's, what was not run is 0
    group_cycles, lane_cycles : int64 [N, T, P], groups and lanes at work summed over the cycles
    events : int64 [N, T, P], nonzero counts stored
    """

    result: Result
    cycles: dict[str, np.ndarray]
    group_cycles: np.ndarray
    lane_cycles: np.ndarray
    events: np.ndarray


def profiled_library(verilog, params, progress=None, board=None):
    """Compile a core's Verilog with a look inside; return the library's path."""
    signals = dict(MACHINE)
    for name, (component, signal) in GROUP.items():
        signals |= {f"{name}_{g}": (f"group_{g}.{component}", signal) for g in range(params.groups)}
    verilog, names = Inside(verilog).opened(signals)
    lists = {name: ",".join(f"core.{names[f'{name}_{g}']}" for g in range(params.groups)) for name in GROUP}
    defines = core_defines(params) | lists | {
        **{name: names[name] for name in MACHINE}, "KINDS": ",".join((*KINDS, *WORK)),
        "HARNESS": f'\\"{HARNESS.name}\\"', "INCLUDED": hashlib.sha256(HARNESS.read_bytes()).hexdigest(),
    }
    outside = linked(params, board)
    options = [f"-D{name}={value}" for name, value in defines.items()] + outside.defines
    return compile_verilog(
        CORE, core_sources(verilog, params), PROFILER, options, headers=HEADERS, objects=outside.objects,
        progress=progress)


class ProfiledCore(CompiledCore):
    """The compiled core of a generated folder, whose cycles can be told apart."""

    @classmethod
    def from_folder(cls, folder, progress=None):
        """Compile the Verilog that `generate` wrote into ``folder``; a minute where it is not in the cache."""
        plan = read_folder(folder)
        return cls(profiled_library(core_text(folder), plan.params, progress, board_of(folder)), plan)

    @classmethod
    def for_plan(cls, plan, progress=None, board=None):
        """Generate and compile the core that ``plan`` was made for, beside the memory of ``board``."""
        return cls(profiled_library(empty_core(plan.params), plan.params, progress, board), plan)

    def profile(self, x, progress=None):
        """Run images uint8 [N, C, H, W] or [N, H, W], one after the other; return their `Profile`."""
        images, passes = self.plan.layout.images, len(self.plan.passes)
        words = input_stream(self.network, x, images)
        rounds = max(stage.rounds for stage in self.plan.stages)
        firsts = {stage.passes[0].index for stage in self.plan.stages}
        begins = np.array([index in firsts for index in range(passes)], np.int32)
        table = np.zeros((len(words), rounds, passes + 1, len(KINDS + WORK)), np.int64)
        rows = np.zeros((len(words), result_words(self.network, images)), np.int32)
        limit = ctypes.c_int64(cycle_limit(self.plan))
        for n, row in enumerate(rows):
            self._begin(words[n : n + 1])
            received = self._library.core_profile(
                self._core, passes, ctypes.c_void_p(begins.ctypes.data), ctypes.c_void_p(table[n].ctypes.data),
                ctypes.c_void_p(row.ctypes.data), ctypes.c_int64(len(row)), limit,
            )
            self._library.core_end(self._core)
            self._check()
            if received != len(row):
                raise AdafireError(f"Image {n}: the core gave no result within {limit.value} cycles.")
            if progress:
                progress(min(images * (n + 1), len(x)), len(x))
        columns = dict(zip(KINDS + WORK, np.moveaxis(_image_by_image(self.plan, table)[: len(x)], -1, 0)))
        return Profile(
            results_of(self.network, rows, images).first(len(x)), {kind: columns[kind] for kind in KINDS},
            *(columns[name][:, :, :-1] for name in WORK),
        )


def _image_by_image(plan, table):
    """Return int64 [runs, T, P + 1, kinds] as [N, ...], rows of images as `Profile` has them."""
    images, rows = plan.layout.images, []
    of = np.array([p.image for p in plan.passes])
    for image, machine in enumerate(shared_out(table[:, :, -1:], images)):
        rows.append(np.concatenate([table[:, :, :-1] * (of == image)[:, None], machine], axis=2))
    return np.stack(rows, axis=1).reshape(-1, *table.shape[1:])
