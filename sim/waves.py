"""Waveforms of `verify`: which image and timestep they show, and the save file for GTKWave beside them.

The waveform begins and ends with the timestep that was asked for; the last one's result belongs to it. It has the
whole core as ``adafire.core`` and the plain words of `sim.bench.view` beside it.
"""

import shutil
from dataclasses import dataclass
from io import StringIO
from itertools import groupby
from pathlib import Path

from vcd.gtkw import GTKWSave

from gen.errors import InputError
from gen.folders import check_output_file, whole_files, work_beside
from gen.inputs import input_values
from gen.intnet import TILES
from sim.bench.folder import core_text
from sim.bench.job import WAVES
from sim.bench.view import TOP, View
from sim.golden import Golden

__all__ = ["Window", "keep_waves", "plan_window", "write_save_file"]

SIGNALS_WIDTH = 300


@dataclass(frozen=True)
class Window:
    """What a waveform shows: a timestep of an image, or all of them for None; no ``file``, no waveform."""

    file: Path | None = None
    image: int = 0
    step: int | None = None


def plan_window(file, image, step, simulator, network, x):
    """Return the `Window` that was asked for, checked before anything is simulated.

    Parameters
    ----------
    file : path, its suffix the one that ``simulator`` writes, or None
    image : number in ``x``; None for the first
    step : 1 to the image's exit step; None for all, as it must be for a two-phase network, one in tile order, and one
        of stages
    """
    if file is None:
        if image is not None or step is not None:
            raise InputError("An image or a timestep was named for the waveform, but no file: give --waves FILE.")
        return Window()
    suffix, file = Path(WAVES[simulator]).suffix, Path(file).absolute()
    if file.suffix != suffix:
        raise InputError(f"{simulator} writes {suffix} waveforms: name the file {file.with_suffix(suffix)}.")
    check_output_file(file)
    image = 0 if image is None else image
    if not 0 <= image < len(x):
        raise InputError(f"There is no image {image} to show: there are {len(x)}, counted from 0.")
    input_values(network, x[image : image + 1])
    if step is not None and any(stage.two_phase or stage.order == TILES for stage in network.stages):
        raise InputError(
            "A two-phase network goes through its timesteps layer by layer, one in tile order tile by tile, so none of "
            "them is one piece of the waveform: name none, and find it by the signal in_timestep."
        )
    if step is not None and len(network.stages) > 1:
        raise InputError("A network of stages has timesteps of the same number in each: name none for the waveform.")
    last = Golden(network).trace(x[image]).exit_step
    if step is not None and not 1 <= step <= last:
        raise InputError(
            f"Image {image} has no timestep {step} to show: the network exits after timestep {last} of it, and they "
            "are counted from 1."
        )
    return Window(file, image, step)


def keep_waves(window, work, simulator, plan, folder):
    """Move the waveform from the folder of the run to where it was asked for; return the save file beside it."""
    with work_beside(window.file) as beside:
        whole = beside / window.file.name
        shutil.move(Path(work) / WAVES[simulator], whole)
        whole.rename(window.file)
    return write_save_file(window, View(plan, core_text(folder)))


def write_save_file(window, view):
    """Write beside the waveform what GTKWave shows of it, the groups of ``view``; return the path."""
    path, text = window.file.with_suffix(".gtkw"), StringIO()
    save = GTKWSave(text)
    save.comment(f"adafire verify: {view.shown(window.image)}, " + (
        "every timestep" if window.step is None else f"timestep {window.step}"
    ))
    save.dumpfile(str(window.file))
    save.savefile(str(path))
    save.signals_width(SIGNALS_WIDTH)
    save.sst_expanded(True)
    save.treeopen(TOP)
    save.trace(f"{TOP}.clk")
    for title, parts in groupby(view.groups.items(), key=lambda item: item[0].partition("/")[0]):
        with save.group(title):
            for name, signals in parts:
                _write_group(save, name.partition("/")[2], signals)
    whole_files({path: text.getvalue()})
    return path


def _write_group(save, title, signals):
    """Write signals, in a group of their own, closed, if they have a title."""
    if title:
        save.begin_group(title, closed=True)
    for seen in signals:
        bits = f"[{seen.width - 1}:0]" if seen.width > 1 else ""
        save.trace(seen.path + bits, alias=seen.name, datafmt=seen.format)
    if title:
        save.end_group(title, closed=True)
