"""The core's Verilog compiled into a library: thousands of images a minute, every bit visible."""

import ctypes
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gen.device import Progress
from gen.errors import AdafireError
from gen.inputs import input_stream
from gen.intnet import Network
from gen.plan.estimate import expected_cycles
from gen.plan.image import load_stream
from gen.plan.plan import make_plan
from gen.result import Result, result_words, results_of
from sim.bench.folder import board_of, core_text, read_folder
from sim.emptied import core_sources, empty_core
from sim.inside import CORE
from sim.outside import HEADERS, check_rules, linked
from sim.patience import cycle_limit
from sim.verilate import compile_verilog

__all__ = ["LOAD_CYCLES", "CompiledCore", "Probe", "compile_core", "core_defines"]

HARNESS = Path(__file__).with_name("compiled_core.cpp")
LOAD_CYCLES = 40  # the loader needs for a word at most, its digest included
SLICE = 1_000_000  # cycles, a second or two
LOAD_FAULTS = {
    1: "the core did not take its memory image: it never became idle",
    2: "the core found its memory image damaged",
}


class Probe(NamedTuple):
    """The neurons of some images in the order in which they fired; int arrays [fired].

    ``group`` fired a neuron in the pass ``index`` (of all stages); ``count`` before a fused pool, ``state`` after it
    was written back, of a readout the output's value. See `sim.compare`.
    """

    image: np.ndarray
    index: np.ndarray
    group: np.ndarray
    count: np.ndarray
    state: np.ndarray

    def chosen(self, which):
        """Return those that a mask or an array of numbers chooses."""
        return Probe(*(column[which] for column in self))

    def of_image(self, number):
        """Return those of one image."""
        return self.chosen(self.image == number)

    def by_group(self):
        """Return them group by group: how the groups lie in time is nobody's business."""
        return self.chosen(np.argsort(self.group, kind="stable"))


def core_defines(params):
    """Return {name: value}: what a harness must know of the widths of a core's ports."""
    return {
        "GROUPS": params.groups, "NEURONS": params.neurons, "INPUT_VALUES": params.input_values, "BATCH": params.batch,
        "VALUE_BITS": params.value_bits, "COUNT_BITS": params.signed_count_bits, "STATE_BITS": params.acc_bits,
    }


def compile_core(verilog, params, progress=None, board=None):
    """Compile Verilog text to a shared library; return its path. Cached by content.

    What lies outside the chip is in the memory of ``board`` (`sim.outside`).
    """
    outside = linked(params, board)
    defines = [f"-D{name}={value}" for name, value in core_defines(params).items()] + outside.defines
    return compile_verilog(
        CORE, core_sources(verilog, params), HARNESS, defines, headers=HEADERS, objects=outside.objects,
        progress=progress)


class CompiledCore:
    """A compiled core holding one network; the same ``run(x)`` as every device.

    Parameters
    ----------
    library : path of a compiled core (`compile_core`)
    plan : gen.plan.plan.Plan
        The network on this core.
    stalls : float
        Chance, 0..0.9, that the input or the output pauses in a cycle.
    seed : int
        Of the pauses.

    Attributes
    ----------
    plan : of the network loaded
    cycles : clock cycles of the last `run`, from the first word offered to the last one taken; None before
    """

    def __init__(self, library, plan, *, stalls=0.0, seed=0):
        self._library = _opened(library)
        self._core = ctypes.c_void_p(self._library.core_create())
        self.stalls, self.seed, self.cycles = stalls, seed, None
        self.load(plan)

    @classmethod
    def for_network(cls, network, lanes=16, progress=None, **stalls):
        """Generate and compile the smallest core for ``network``."""
        return cls.for_plan(make_plan(network, lanes), progress=progress, **stalls)

    @classmethod
    def for_plan(cls, plan, progress=None, board=None, **stalls):
        """Generate and compile the core that ``plan`` was made for, beside the memory of ``board``."""
        return cls(compile_core(empty_core(plan.params), plan.params, progress, board), plan, **stalls)

    @classmethod
    def from_folder(cls, folder, progress=None, **stalls):
        """Compile the Verilog that `generate` wrote into ``folder``."""
        plan, board = read_folder(folder), board_of(folder)
        return cls(compile_core(core_text(folder), plan.params, progress, board), plan, **stalls)

    @property
    def lanes(self) -> int:
        """Lanes of the core."""
        return self.plan.params.lanes

    @property
    def network(self) -> Network:
        """The network loaded."""
        return self.plan.network

    def load(self, plan):
        """Load another network, planned for the same parameters, through the load port.

        What lies outside the chip is put there at once; `load_stream` of all of the plan takes 40 cycles a word.
        """
        inside = dict(plan.contents)
        if plan.params.outside:
            self.fill(inside.pop("outside"))
        self.load_stream(load_stream(inside, plan.memories))
        self.plan = plan
        vars(self).pop("_expected", None)

    def fill(self, words):
        """Put uint32 words outside the chip, from address 0 on, without the load port."""
        words = np.ascontiguousarray(words, np.uint32)
        self._library.core_fill(self._core, words.ctypes.data, len(words))

    def load_stream(self, stream):
        """Send words to the load port; `AdafireError` if the core does not take them or finds them damaged."""
        stream = np.ascontiguousarray(stream, np.uint32)
        limit = LOAD_CYCLES * len(stream) + 1000
        fault = self._library.core_load(self._core, stream.ctypes.data, len(stream), limit)
        self._check()
        if fault:
            raise AdafireError(LOAD_FAULTS[fault])

    def run(self, x: np.ndarray, progress: Progress | None = None) -> Result:
        """Run images uint8 [N, C, H, W] or [N, H, W], each behind the other; return a `Result` with cycle counts.

        Of an image of many cycles ``progress`` is told in between, too.
        """
        images = self.plan.layout.images
        words = input_stream(self.network, x, images)
        rows = np.zeros((len(words), result_words(self.network, images)), np.int32)
        limit = cycle_limit(self.plan, self.stalls)
        before = self._library.core_cycles(self._core)
        self._begin(words)
        try:
            for number, row in enumerate(rows):
                heard = progress and (lambda share, n=number: progress(min(len(x), images * (n + share)), len(x)))
                received = self._result(row, limit, heard)
                if received < 0:
                    raise AdafireError(f"image {number}: the core gave no result within {limit} cycles")
                if received != len(row):
                    raise AdafireError(f"image {number}: the core's result has {received} words, not {len(row)}")
                if heard:
                    heard(1)
        finally:
            self._library.core_end(self._core)
        self.cycles = self._library.core_cycles(self._core) - before
        return results_of(self.network, rows, images).first(len(x))

    @property
    def moved(self) -> int:
        """Words of 32 bits that have moved to and from the memory outside the chip."""
        return self._library.core_moved(self._core) if self.plan.params.outside else 0

    def spoil(self, address: int, bits: int):
        """Turn ``bits`` of a word in the memory outside the chip, as a fault of it would."""
        self._library.core_spoil(self._core, address, bits)

    def abort(self, images, cycle) -> int:
        """Offer images, give them all up ``cycle`` cycles later; return how many results came all the same.

        Returns when the core is idle again.
        """
        words = input_stream(self.network, images, self.plan.layout.images)
        limit = cycle_limit(self.plan, self.stalls)
        self._begin(words)
        results = 0
        for before in range(0, cycle, SLICE):
            results += self._library.core_go(self._core, min(SLICE, cycle - before))
            self._check()
        last = self._library.core_abort(self._core, limit)
        self._check()
        if last < 0:
            raise AdafireError(f"given up after {cycle} cycles, the core was not idle within {limit} more")
        return results + last

    def probe(self, work):
        """Return (what ``work()`` returns, `Probe` of what it made the core do); ``lambda: core.run(x)``, for one."""
        self._library.core_probe(self._core, 1)
        answer = work()
        shape = self._library.core_probe_size(self._core), len(Probe._fields)
        seen = np.ctypeslib.as_array(self._library.core_probe_data(self._core), shape).copy() if shape[0] else (
            np.zeros(shape, np.int32)
        )
        self._library.core_probe(self._core, 0)
        return answer, Probe(*seen.T)

    def _result(self, row, limit, heard=None):
        """Run to the next result; return its words, or -1 when it has not ended after ``limit`` cycles.

        Python is back every `SLICE` cycles: someone may want to interrupt it, ``heard`` tells the share that is done,
        and a memory that breaks its rules gives no image an end.
        """
        for done in range(0, limit, SLICE):
            if heard and done:
                heard(min(done / self._expected, 0.99))
            received = self._library.core_next(self._core, row.ctypes.data, len(row), min(SLICE, limit - done))
            self._check()
            if received >= 0:
                return received
        return -1

    @cached_property
    def _expected(self):
        """Cycles of a mean image, or of all that are run together."""
        return self.plan.layout.images * expected_cycles(self.plan).interval

    def _check(self):
        check_rules(self._library.core_broken(self._core))

    def _begin(self, words):
        stalls, seed = int(256 * self.stalls), self.seed & 0xFFFFFFFF
        self._library.core_begin(self._core, words.ctypes.data, *words.shape, stalls, seed)

    def __del__(self):
        if getattr(self, "_core", None):
            self._library.core_destroy(self._core)


def _opened(library):
    """Return the library with the types of its functions told."""
    opened = ctypes.CDLL(str(library))
    pointer, integer, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
    for name, result, arguments in (
        ("core_create", pointer, ()), ("core_destroy", None, (pointer,)),
        ("core_load", ctypes.c_int, (pointer, pointer, integer, integer)),
        ("core_begin", None, (pointer, pointer, integer, integer, number, number)),
        ("core_next", integer, (pointer, pointer, integer, integer)), ("core_end", None, (pointer,)),
        ("core_go", integer, (pointer, integer)), ("core_abort", integer, (pointer, integer)),
        ("core_probe", None, (pointer, ctypes.c_int)),
        ("core_probe_size", integer, (pointer,)),
        ("core_probe_data", ctypes.POINTER(ctypes.c_int32), (pointer,)), ("core_cycles", ctypes.c_uint64, (pointer,)),
        ("core_moved", ctypes.c_uint64, (pointer,)), ("core_fill", None, (pointer, pointer, integer)),
        ("core_spoil", None, (pointer, integer, number)), ("core_broken", number, (pointer,)),
    ):
        function = getattr(opened, name)
        function.restype, function.argtypes = result, arguments
    return opened
