"""The core's Verilog compiled into a library: thousands of images a minute, every bit visible."""

import ctypes
import re
from pathlib import Path

import numpy as np

from gen.device import Progress
from gen.errors import AdafireError
from gen.layout.image import load_stream, memory_image
from gen.inputs import input_stream
from gen.intnet import IntegerNetwork
from gen.generated import VERILOG, GeneratedFolder
from gen.result import Result
from gen.layout.schedule import build_schedule
from sim.verilate import compile_verilog

__all__ = ["CompiledCore", "compile_core", "without_contents"]

HARNESS = Path(__file__).with_name("harness.cpp")
RESULT_HEADER = 6
WRITTEN = re.compile(r"^ +(\S+)\[[^\n]*\] <= ", re.MULTILINE)
CONTENTS = re.compile(
    r"^  initial begin\n    (\S+)\[\d+\] = [^\n]*;\n(?:    \1\[\d+\] = [^\n]*;\n)*  end\n", re.MULTILINE
)


def without_contents(verilog):
    """Return a core's Verilog without what its writable memories hold at power-up, a line for every word.

    A `CompiledCore` loads its network through the load port. So cores of the same parameters are compiled once, and a
    large one in a minute instead of never. Tables that nothing writes stay.
    """
    return "endmodule\n".join(map(_emptied, verilog.split("endmodule\n")))


def _emptied(module):
    written = set(WRITTEN.findall(module))
    return CONTENTS.sub(lambda found: "" if found[1] in written else found[0], module)


def compile_core(verilog, params, progress=None):
    """Compile Verilog text to a shared library; return its path. Cached by content."""
    widths = [f"-DLANES={params.lanes}", f"-DVALUE_BITS={params.value_bits}", f"-DACC_BITS={params.acc_bits}"]
    return compile_verilog("adafire_core", [without_contents(verilog)], HARNESS, widths, progress=progress)


class CompiledCore:
    """A compiled core holding one network; the same ``run(x)`` as every device.

    Parameters
    ----------
    library : path of a compiled core (`compile_core`)
    schedule : Schedule
        The network laid out for this core's parameters.
    stalls : float
        Chance, 0..0.9, that the input or the output pauses in a cycle.
    seed : int
        Of the stalls.
    """

    def __init__(self, library, schedule, *, stalls=0.0, seed=0):
        self._library = ctypes.CDLL(str(library))
        self._library.core_create.restype = ctypes.c_void_p
        self._library.core_probe_data.restype = ctypes.POINTER(ctypes.c_int32)
        self._library.core_probe_size.restype = ctypes.c_int64
        self._core = ctypes.c_void_p(self._library.core_create())
        self.stalls, self.seed = stalls, seed
        self.load(schedule)

    @classmethod
    def for_network(cls, network, lanes=16, progress=None, **stalls):
        """Generate and compile the smallest core for ``network``."""
        return cls.for_schedule(build_schedule(network, lanes), progress=progress, **stalls)

    @classmethod
    def for_schedule(cls, schedule, progress=None, **stalls):
        """Generate and compile the core that ``schedule`` was made for."""
        from hw.verilog import core_verilog

        return cls(compile_core(core_verilog(schedule), schedule.params, progress), schedule, **stalls)

    @classmethod
    def from_folder(cls, folder, progress=None, **stalls):
        """Compile the Verilog that `generate` wrote into ``folder``."""
        found = GeneratedFolder.open(folder, VERILOG)
        return cls(compile_core(found.verilog, found.params, progress), found.schedule, **stalls)

    @property
    def lanes(self) -> int:
        """Lanes of the core."""
        return self.schedule.params.lanes

    @property
    def network(self) -> IntegerNetwork:
        """The network loaded."""
        return self.schedule.network

    def load(self, schedule):
        """Load another network, laid out for the same parameters, through the load port."""
        self.schedule = schedule
        stream = load_stream(memory_image(schedule), schedule.params)
        pointer = stream.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))
        words, limit = ctypes.c_int64(len(stream)), ctypes.c_int64(4 * len(stream) + 1000)
        if self._library.core_load(self._core, pointer, words, limit):
            raise AdafireError("the core did not take its memory image: it never became idle")

    def run(self, x: np.ndarray, progress: Progress | None = None) -> Result:
        """Run images uint8 [N, C, H, W] or [N, H, W]; return a `Result` with cycle counts."""
        words = input_stream(self.network, x)
        rows = []
        for n in range(len(words)):
            rows.append(self._run_one(n, words[n]))
            if progress:
                progress(n + 1, len(words))
        rows = np.array(rows, np.int64).reshape(len(words), RESULT_HEADER + self.network.classes)
        counters = rows[:, 2:RESULT_HEADER] & 0xFFFFFFFF
        return Result(
            classes=rows[:, 0], exit_steps=rows[:, 1], logits=rows[:, RESULT_HEADER:],
            cycles=counters[:, 0], busy_cycles=counters[:, 1], events=counters[:, 2], synaptic_ops=counters[:, 3],
        )

    def abort(self, image, cycle):
        """Begin one image and give it up ``cycle`` cycles later; return whether a result came all the same."""
        return len(self._run_one(0, input_stream(self.network, image[None])[0], abort_at=cycle)) > 0

    def probe(self, x):
        """Run images; return (Result, int32 [tiles, 2 + 2 * lanes]): image, pass, counts, states."""
        self._library.core_probe(self._core, 1)
        result = self.run(x)
        shape = self._library.core_probe_size(self._core) // (2 + 2 * self.lanes), 2 + 2 * self.lanes
        table = np.ctypeslib.as_array(self._library.core_probe_data(self._core), shape).copy()
        self._library.core_probe(self._core, 0)
        return result, table

    def _run_one(self, number, words, abort_at=-1):
        room = RESULT_HEADER + self.network.classes
        result = np.zeros(room, np.int32)
        as_int32 = ctypes.POINTER(ctypes.c_int32)
        received = self._library.core_run(
            self._core, number, words.ctypes.data_as(as_int32), ctypes.c_int64(len(words)),
            ctypes.c_uint32(int(256 * self.stalls)), ctypes.c_uint32(self.seed * 65537 + number),
            ctypes.c_int64(abort_at), ctypes.c_int64(self._cycle_limit()), result.ctypes.data_as(as_int32),
            ctypes.c_int64(room),
        )
        if received < 0:
            raise AdafireError(f"image {number}: the core gave no result within {self._cycle_limit()} cycles")
        return result[:received] if abort_at >= 0 else result

    def _cycle_limit(self):
        taps = sum(
            p.runs * (2 + sum(s.weight[0].size * s.groups for s in p.synapses)) for p in self.schedule.passes
        )
        busy = 4 * taps * self.schedule.rounds + 4 * np.prod(self.network.source.shape)
        return int((10000 + busy) / (1 - self.stalls))

    def __del__(self):
        if getattr(self, "_core", None):
            self._library.core_destroy(self._core)
