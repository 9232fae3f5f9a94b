"""What the memory ports of a compiled core really do, counted cycle by cycle: the check of `sim.traffic`."""

import ctypes
import hashlib

import numpy as np

from gen.inputs import input_stream
from hw.verilog import core_verilog
from sim.model import HARNESS, CompiledCore, without_contents
from sim.verilate import compile_verilog
from sim.profile import opened

__all__ = ["PortCounter"]

COUNTER = HARNESS.with_name("ports.cpp")
SIGNALS = {
    "EVENT_TAKEN": ("gather", "busy"), "WEIGHT_TAKEN": ("gather", "at_place.take"),
    "EVENT_STORED": ("event_store", "write.event_enable"), "POINTER_STORED": ("event_store", "write.pointer_enable"),
    "CANDIDATE": ("segments", "candidate.valid"), "INSIDE": ("segments", "inside"),
    "WORD": ("state_store", "read_2"), "INITIAL": ("state_store", "choose_v_init"),
    "STATE": ("state_store", "choose_states"), "LOGIT": ("state_store", "choose_logits"),
    "GATHERS": ("sequencer", "gather"),
    "STATE_STORED": ("state_store.states", "write_enable"), "CURRENT_STORED": ("state_store.currents", "write_enable"),
    "LOGIT_STORED": ("state_store.logits", "write_enable"),
    "PROGRAM": ("program", "fsm_state"), "DECISION": ("early_exit", "fsm_state"),
    "SCAN": ("early_exit.scan", "fsm_state"),
}
SEPARATED = {"UNBIASED": ("state_store", "layer.unbiased")}  # of cores that run two-phase networks
# Memory to what is counted of it: reads, writes. Both pointer memories read, and write, in the same cycles.
COUNTS = {
    "program": ("program", None), "weights": ("weights", None), "events": ("events", "events_stored"),
    "first_pointers": ("pointers", "pointers_stored"), "end_pointers": ("pointers", "pointers_stored"),
    "theta": ("theta", None), "bias": ("bias", None), "v_init": ("v_init", None),
    "states": ("states", "states_stored"), "currents": ("currents", "currents_stored"),
    "logits": ("logits", "logits_stored"), "limits": ("limits", None),
}
COLUMNS = tuple(dict.fromkeys(name for pair in COUNTS.values() for name in pair if name))


class PortCounter(CompiledCore):
    """A compiled core that counts the words its memories read, where the machine takes them, and write."""

    @classmethod
    def for_schedule(cls, schedule, progress=None):
        """Generate and compile the core that ``schedule`` was made for."""
        p = schedule.params
        verilog, names = opened(core_verilog(schedule), SIGNALS | (SEPARATED if p.separated else {}))
        defines = {
            "LANES": p.lanes, "VALUE_BITS": p.value_bits, "ACC_BITS": p.acc_bits, **names,
            "COLUMNS": ",".join(COLUMNS), "FETCH": 3 if p.shared else 2,
            "INCLUDED": hashlib.sha256(HARNESS.read_bytes()).hexdigest(),
        }
        options = [f"-D{name}={value}" for name, value in defines.items()]
        library = compile_verilog("adafire_core", [without_contents(verilog)], COUNTER, options, progress=progress)
        return cls(library, schedule)

    def count(self, x):
        """Run images uint8 [N, C, H, W] or [N, H, W]; return {memory: int64 [2, N]}, words read and written."""
        words = input_stream(self.network, x)
        table = np.zeros((len(words), len(COLUMNS)), np.int64)
        for row, image in zip(table, words):
            self._library.core_ports(
                self._core, image.ctypes, ctypes.c_int64(len(image)), ctypes.c_int64(self._cycle_limit()), row.ctypes,
            )
        columns = dict(zip(COLUMNS, table.T)) | {None: np.zeros(len(words), np.int64)}
        return {memory: np.stack([columns[name] for name in pair]) for memory, pair in COUNTS.items()}
