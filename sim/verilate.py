"""Verilog and a C++ harness become one library or program: Verilator and g++, cached by content."""

import hashlib
import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gen.cache import cache_folder, is_whole, keep
from gen.device import Progress
from gen.errors import AdafireError
from sim.cells import with_cells
from sim.toolchain import choose_simulator, tool_environment, verilator_program

__all__ = ["compile_part", "compile_verilog"]

LOG = logging.getLogger("adafire.sim")

VERILATE = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint",
            "-Wno-style", "--no-timing", "--output-split", "15000")
COMPILE = ("-std=gnu++17", "-fPIC", "-w", "-DVL_THREADED=0")
OFTEN, ONCE = "-O1", "-O0"  # what a model does in every cycle, and what it does when it is made
BUNDLE = 1 << 20  # bytes of C++ compiled at once
HEADERS = {OFTEN: "often.hpp", ONCE: "once.hpp"}  # Verilator's own, a second before the first line: compiled ahead


def compile_verilog(
    top: str, sources: list[str], harness: Path, defines: Sequence[str] = (), *, headers: Sequence[Path] = (),
    objects: Sequence[Path] = (), program: bool = False, progress: Progress | None = None,
) -> Path:
    """Compile Verilog texts and a harness; return the path of the shared library, or of the program.

    Parameters
    ----------
    top : str
        Name of the outermost module; the harness includes ``V<top>.h``.
    sources : list of str
        Verilog texts.
    harness : path of a C++ file
    defines : list of str
        Options ``-DNAME=VALUE`` for the harness.
    headers : list of paths
        What the harness includes from its own folder.
    objects : list of paths
        Of `compile_part`, to be linked with it.
    program : whether the harness has a ``main``.
    progress : callable(step, fraction) or None

    Raises
    ------
    ToolMissing
        Without Verilator or a C++ compiler.
    AdafireError
        With the last lines of the tool that failed.
    """
    choose_simulator("verilator")
    sources, linked = with_cells(sources), [str(path) for path in objects]
    key = _key(top, [*sources, *_texts(harness, headers), *linked], defines)
    made = cache_folder() / "models" / f"{key}{'' if program else '.so'}"
    if is_whole(made):
        LOG.info("compiled before: %s", made)
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    if progress:
        progress("compiling the core", 0.0)
    with tempfile.TemporaryDirectory(prefix="adafire-model-") as folder:
        work, environment = Path(folder), tool_environment()
        own, runtime = _compiled(top, sources, harness, defines, work, environment)
        kind = [] if program else ["-shared"]
        _tool(["g++", *kind, "-o", "made", *own, *linked, *runtime, "-pthread"], work, environment)
        keep(work / "made", made)
    return made


def compile_part(
    top: str, sources: list[str], harness: Path, defines: Sequence[str] = (), *, headers: Sequence[Path] = (),
) -> list[Path]:
    """Compile, as `compile_verilog`, what several designs are linked with; return the paths of its objects.

    The harness is all that they see of it.
    """
    choose_simulator("verilator")
    sources = with_cells(sources)
    key = _key(top, [*sources, *_texts(harness, headers)], defines)
    folder = cache_folder() / "models" / f"part-{key}"
    told = folder / "objects"
    if not is_whole(told) or not all(is_whole(folder / name) for name in told.read_text().split()):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="adafire-model-") as place:
            work = Path(place)
            objects, _ = _compiled(top, sources, harness, defines, work, tool_environment())
            for name in objects:
                keep(work / name, folder / name)
            (work / "objects").write_text("\n".join(objects))
            keep(work / "objects", told)
    return [folder / name for name in told.read_text().split()]


def _texts(harness, headers):
    return [harness.read_text(), *(header.read_text() for header in headers)]


def _key(top, texts, defines):
    """Return the name in the cache of what is compiled from these texts with these tools."""
    identity = [*texts, verilator_program(), *_verilate(top), *COMPILE, OFTEN, ONCE, *defines]
    return hashlib.sha256("\0".join(identity).encode()).hexdigest()[:24]


def _verilate(top):
    return ("--cc", "--top-module", top, *VERILATE)


def _compiled(top, sources, harness, defines, work, environment):
    """Compile a design and its harness in the folder ``work``; return the names of its objects, and the runtime's."""
    verilator = verilator_program()
    names = [f"source_{number}.v" for number in range(len(sources))]
    for name, text in zip(names, sources):
        (work / name).write_text(text)
    _tool([verilator, *_verilate(top), "--Mdir", "obj", *names], work, environment)
    runtime, ahead, includes = _runtime(verilator, work, environment)
    units = _bundled(sorted((work / "obj").glob("*.cpp")), harness, ahead, work)
    flags = [*COMPILE, *defines, f"-I{harness.parent}", *includes, "-Iobj"]
    return _make_objects(work, units, flags, environment), runtime


def _runtime(verilator, work, environment):
    """Return Verilator's own runtime: its objects, the folder of its `HEADERS`, and the options that name their place.

    They are compiled once. A compiler that another one has followed reads the headers themselves.
    """
    include = _verilator_include(verilator, environment)
    includes = [f"-I{include}", f"-I{include / 'vltstd'}"]
    units = [include / name for name in ("verilated.cpp", "verilated_threads.cpp") if (include / name).exists()]
    texts = [path.read_text() for path in (*units, *sorted(include.glob("verilated*.h")))]
    identity = chr(0).join([verilator, *COMPILE, *HEADERS, *HEADERS.values(), *texts])
    folder = cache_folder() / "models" / f"runtime-{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
    folder.mkdir(exist_ok=True)
    objects = [folder / f"{unit.stem}.o" for unit in units]
    made = [*objects, *(folder / f"{name}.gch" for name in HEADERS.values())]
    if not all(map(is_whole, made)):
        for name in HEADERS.values():
            (work / name).write_text('#include "verilated.h"\n')
            keep(work / name, folder / name)
        levels = [(unit, OFTEN) for unit in units] + [(work / name, level) for level, name in HEADERS.items()]
        for place, new in zip(made, _make_objects(work, levels, [*COMPILE, *includes], environment)):
            keep(work / new, place)
    return objects, folder, includes


def _bundled(generated, harness, ahead, work):
    """Write C++ files that include the generated ones and the harness, in order, up to `BUNDLE` bytes each.

    They begin with one of the `HEADERS` in the folder ``ahead``.

    Returns
    -------
    list of (path, how well to compile it) : Verilator names ``__Slow`` what runs once
    """
    bundles = []
    for level in (ONCE, OFTEN):
        units = [unit for unit in generated if unit.stem.endswith("__Slow") == (level == ONCE)]
        room = 0
        for unit in units if level == ONCE else [*units, harness]:
            size = unit.stat().st_size
            if size > room:
                room = BUNDLE
                bundles.append((work / f"bundle_{len(bundles)}.cpp", level, []))
            bundles[-1][2].append(f'#include "{unit}"\n')
            room -= size
    for path, level, lines in bundles:
        path.write_text("".join([f'#include "{ahead / HEADERS[level]}"\n', *lines]))
    return [(path, level) for path, level, _ in bundles]


def _make_objects(work, units, flags, environment):
    objects = [f"{unit.stem}.o" for unit, _ in units]
    rules = ["all: " + " ".join(objects)]
    rules += [
        f"{made}:\n\tg++ {level} {' '.join(flags)} -c -o $@ {unit}" for made, (unit, level) in zip(objects, units)
    ]
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
    LOG.info("runs in %s: %s", folder, shlex.join(map(str, command)))
    run = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if run.returncode:
        tail = "\n".join(run.stdout.splitlines()[-12:])
        raise AdafireError(f"{Path(command[0]).name} failed while compiling the core:\n{tail}")
