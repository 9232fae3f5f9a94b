"""The core's Verilog compiled into a library: thousands of images a minute, every bit visible."""

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from gen.errors import AdafireError, InputError
from gen.image import load_stream, memory_image
from gen.inputs import input_values
from gen.netfile import load_network
from gen.program import CoreParams
from gen.result import Result
from gen.schedule import build_schedule, schedule_on
from sim.toolchain import cache_folder, choose_simulator, tool_environment, verilator_program

__all__ = ["CompiledCore", "compile_core", "input_stream"]

HARNESS = Path(__file__).with_name("harness.cpp")
RESULT_HEADER = 6
VERILATE = ("--cc", "--top-module", "adafire_core", "-O3", "--x-assign", "fast", "--x-initial", "fast",
            "--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--no-timing", "--output-split", "15000")
COMPILE = ("-std=gnu++17", "-O1", "-fPIC", "-w", "-DVL_THREADED=0")


def input_stream(network, x):
    """Return the input words [N, words] of images: every map in raster order, channels innermost."""
    values = input_values(network, x)
    if values.ndim == 4:
        values = values[:, None]
    return np.ascontiguousarray(values.transpose(0, 1, 3, 4, 2).reshape(len(values), -1), np.int32)


def compile_core(verilog, params, progress=None):
    """Compile Verilog text to a shared library; return its path. Cached by content."""
    choose_simulator("verilator")
    widths = [f"-DLANES={params.lanes}", f"-DVALUE_BITS={params.value_bits}", f"-DACC_BITS={params.acc_bits}"]
    environment = tool_environment()
    program = verilator_program()
    identity = [verilog, HARNESS.read_text(), program, *VERILATE, *COMPILE, *widths]
    key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:24]
    library = cache_folder() / "models" / f"{key}.so"
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    if progress:
        progress("compiling the core", 0.0)
    with tempfile.TemporaryDirectory(prefix="adafire-model-") as folder:
        work = Path(folder)
        (work / "core.v").write_text(verilog)
        _tool([program, *VERILATE, "--Mdir", "obj", "core.v"], work, environment)
        include = _verilator_include(program, environment)
        sources = [*sorted((work / "obj").glob("*.cpp")), HARNESS, include / "verilated.cpp"]
        threads = include / "verilated_threads.cpp"
        sources += [threads] if threads.exists() else []
        flags = [*COMPILE, *widths, f"-I{include}", f"-I{include / 'vltstd'}", "-Iobj"]
        objects = _make_objects(work, sources, flags, environment)
        _tool(["g++", "-shared", "-o", "core.so", *objects, "-pthread"], work, environment)
        partial = library.with_suffix(f".{os.getpid()}")
        shutil.copy(work / "core.so", partial)
        partial.rename(library)
    return library


def _make_objects(work, sources, flags, environment):
    objects = [f"{i}.o" for i in range(len(sources))]
    rules = ["all: " + " ".join(objects)]
    rules += [f"{i}.o:\n\tg++ {' '.join(flags)} -c -o $@ {source}" for i, source in enumerate(sources)]
    (work / "objects.mk").write_text("\n".join(rules) + "\n")
    _tool(["make", "-s", f"-j{os.cpu_count() or 1}", "-f", "objects.mk", "all"], work,
          {name: value for name, value in environment.items() if name != "MAKEFLAGS"})
    return objects


def _verilator_include(program, environment):
    root = environment.get("VERILATOR_ROOT") or subprocess.run(
        [program, "--getenv", "VERILATOR_ROOT"], env=environment, capture_output=True, text=True, check=True,
    ).stdout.strip()
    return Path(root) / "include"


def _tool(command, folder, environment):
    run = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if run.returncode:
        tail = "\n".join(run.stdout.splitlines()[-12:])
        raise AdafireError(f"{Path(command[0]).name} failed while compiling the core:\n{tail}")


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
        folder = Path(folder)
        try:
            params = CoreParams(**json.loads((folder / "manifest.json").read_text())["parameters"])
            verilog = (folder / "core.v").read_text()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} is not a folder made by `adafire generate` ({error}): generate it again."
            ) from error
        network = load_network(folder / "network.safetensors")
        return cls(compile_core(verilog, params, progress), schedule_on(network, params), **stalls)

    @property
    def lanes(self):
        """Lanes of the core."""
        return self.schedule.params.lanes

    @property
    def network(self):
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

    def run(self, x, progress=None):
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
        busy = 4 * taps * self.network.timesteps + 4 * np.prod(self.network.source.shape)
        return int((10000 + busy) / (1 - self.stalls))

    def __del__(self):
        if getattr(self, "_core", None):
            self._library.core_destroy(self._core)
