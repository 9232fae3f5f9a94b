"""`build`: from a generated folder to a board's bitstream, in named steps, or to the figures of the core alone.

Steps: elaborate (Amaranth: RTLIL and constraints), synthesis (Yosys), place and route (nextpnr, up to three seeds),
bitstream. A clock that no seed reaches is lowered to one that the routed design carried, and all of it done again: a
bitstream always meets its timing. For parts that need Vivado: its project and a synthesis by Yosys, for an estimate.
Finished builds are kept in the cache by what went into them.
"""

import json
import logging
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

from gen.cache import cache_folder
from gen.errors import AdafireError, InputError
from gen.folders import put_in_place, whole_folder, work_beside
from hw.board.board_top import TOP
from hw.board.flows import CELLS
from hw.board.order import REPORT, place_order
from hw.board.post_route import shares
from hw.board.steps import FAILED, SHELL, Steps, make_bitstream, make_project, route_core
from hw.board.tools import tool_version

__all__ = ["build"]

LOG = logging.getLogger("adafire.hw")
DROPPED = ("*.il", "*.config", "*.asc", "*.routed.json", f"{TOP}.json", f"{SHELL}.json", CELLS)


def build(folder, clock_mhz=None, core_only=False, seed=None, progress=None):
    """Make the bitstream for the board that ``folder`` was generated for, or the vendor's project that makes it.

    Parameters
    ----------
    folder : path of a folder made by `generate`
    clock_mhz : float or None
        The core's clock, 0.1 to 1,000; by default the board's (`gen.plan.target.Target.core_mhz`).
    core_only : bool
        Route the core alone in a shell of five pins (`hw.board.shell`), for its figures; no bitstream.
    seed : int or None
        Of the placer: this one only.
    progress : callable(step, fraction) or None

    Returns
    -------
    dict : the report, also in ``folder``/build/report.json, beside the bitstream, the constraints and the logs.

    Raises
    ------
    InputError : no generated folder, a clock that the PLL cannot make, the core alone without open tools, files of
        others in ``folder``/build.
    ToolMissing : a tool is not installed.
    DoesNotFit : the tools find no room for the design.
    AdafireError : a tool failed, or no clock was met; the logs are in ``folder``/build-failed, and an earlier
        build stays.
    """
    order = place_order(Path(folder), clock_mhz, core_only, seed)
    report = progress or (lambda step, fraction: None)
    kept = cache_folder() / "builds" / order.key
    if (kept / REPORT).exists():
        with whole_folder(order.folder / "build") as work:
            shutil.copytree(kept, work, dirs_exist_ok=True)
    else:
        with _work_folder(order.folder) as work:
            start = time.perf_counter()
            make = route_core if core_only else make_bitstream if order.flow else make_project
            figures = make(order, work, Steps(order, work, report))
            figures = _described(order, figures) | {"seconds": round(time.perf_counter() - start, 1)}
            for pattern in DROPPED:  # they are large, and made again from what is there
                for file in work.glob(pattern):
                    file.unlink()
            figures["files"] = sorted([*(file.name for file in work.iterdir()), REPORT])
            (work / REPORT).write_text(json.dumps(figures, indent=2) + "\n")
        _keep(order.folder / "build", kept)
    shutil.rmtree(order.folder / FAILED, ignore_errors=True)
    report("done", 1.0)
    figures = json.loads((order.folder / "build" / REPORT).read_text())
    return figures | _next(order, figures)


def _keep(made, kept):
    """Copy a build into the cache, if that can be written: the build itself is whole without it."""
    try:
        with whole_folder(kept, keep=True) as copy:
            shutil.copytree(made, copy, dirs_exist_ok=True)
    except (InputError, OSError) as error:
        LOG.warning("the build is not kept for another time: %s", error)


def _described(order, figures):
    """Return the report: the figures, what they are of, and what a user does next."""
    target = order.board.target
    return {
        "board": target.name, "lanes": order.manifest["lanes"], **figures, "asked_mhz": order.clock_mhz,
        "shares": shares(figures, target), "core_only": order.core_only,
        "uart": order.board.uart,
        "tools": {name: tool_version(name) for name in order.tools},
    }


def _next(order, figures):
    """Return what depends on where the folder is: the files, and the commands that bring them onto the board."""
    made, load = order.folder / "build", order.board.program
    if figures["bitstream"]:
        file = str(made / figures["bitstream"])
        kept = _kept(order, file, str(made / figures["flash"])) if figures.get("flash") else {}
        return {"bitstream": file, "program": load.format(bitstream=file), **kept}
    if not figures.get("project"):
        return {"program": None}
    script, load = figures["project"], load.format(bitstream=f"{TOP}.bit")
    return {"project": str(made / script), "program": f"cd {made} && vivado -mode batch -source {script} && {load}"}


def _kept(order, bitstream, flash):
    """Return what brings the bitstream, and what loads the core, into the board's flash."""
    places = {0: bitstream, order.board.target.flash.offset: flash}
    commands = [order.board.store.format(offset=offset, file=file) for offset, file in places.items()]
    return {"flash": flash, "store": " && ".join(commands)}


@contextmanager
def _work_folder(folder):
    """Yield a new folder; it becomes ``build`` at the end, or vanishes with an interrupt, or keeps its logs as
    ``build-failed`` with an error of a tool."""
    with work_beside(folder / "build") as work:
        work.chmod(0o755)
        try:
            yield work
        except AdafireError:
            put_in_place(work, folder / FAILED)
            raise
        put_in_place(work, folder / "build")
