"""`adafire verify`: the Verilog of a generated folder beside the golden model, bit for bit.

Under cocotb, in a process of its own, or compiled (`sim.checked`).
"""

import importlib.util
import json
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from gen.cache import cache_folder
from gen.errors import AdafireError, InputError, ToolMissing
from gen.inputs import input_values
from gen.plan.estimate import expected_cycles
from sim.bench.folder import read_folder
from sim.bench.job import Job
from sim.bench.launch import launched
from sim.checked import check_folder
from sim.toolchain import COMPILED, choose_simulator
from sim.waves import keep_waves, plan_window

__all__ = ["verify"]

LOG = logging.getLogger("adafire.sim")

KINDS = ("counts", "states", "logits", "classes", "exit_steps", "events", "synaptic_ops")
POLL_SECONDS = 0.1
SILENCE_SECONDS = 1800   # without a result, of an image of up to so many cycles; of a longer one in proportion
SILENCE_CYCLES = 200_000
LOG_TAIL = 12
COCOTB_SPEED = 20_000  # cycles a second, with Verilator; Icarus has fewer
LONG_MINUTES = 10  # that are worth a word before


def verify(folder, x, images=20, simulator=None, seed=0, progress=None, waves=None, wave_image=None,
           wave_step=None, once=False):
    """Simulate the core in ``folder`` and compare every value it computes with the golden model.

    Parameters
    ----------
    folder : made by `hw.emit.generate`
    x : uint8 images [N, C, H, W], or [N, H, W] for one channel; [N, T, C, H, W] for a network of frames
    images : the first so many of them are run in order; some again: twice, in random order, after an aborted
        one, after one cut short, and after the memories were loaded through the load port. A core of a batch takes
        several together, in the last run the last image again where some are missing
    simulator : ``icarus``, ``verilator`` or None for what is installed, under cocotb; ``compiled``: the Verilog in C++,
        for networks of many cycles, with fewer runs again (`sim.checked.check_folder`), and with the board's own
        memory outside at its timing
    seed : of the pauses in every stream and of the choice of images
    progress : called with (text, fraction done)
    waves : file for a waveform (.vcd from Verilator, .fst from Icarus), a save file beside it (`sim.waves`)
    wave_image, wave_step : what the waveform shows: this image of ``x``, counted from 0, by default the first one (of
        a batch those run with it are the ones behind it), and this timestep of it, counted from 1, by default all of
        them
    once : whether no image is run again, for networks of many cycles

    Returns
    -------
    images : int
    mismatches : runs, of an image or of a batch, in which some value differs, or that never ended
    compared : values compared, by kind
    cycles_per_image, lane_utilization : float, over the images that were sent without pauses; None if none ended
    simulator : str
    first_difference : str, or None
    save_file : of the waveform, for GTKWave; None without one
    seconds : float, wall time

    Raises
    ------
    InputError : the folder or the images are not usable; a waveform of the compiled core.
    ToolMissing : no simulator, or no cocotb.
    AdafireError : the simulator failed; says where its log is. The memory outside did not keep its times.
    """
    start = time.perf_counter()
    plan = read_folder(folder)
    if images < 1:
        raise InputError(f"The number of images must be at least 1, not {images}.")
    x = np.asarray(x)
    count = len(x[:images])
    if not count:
        raise InputError("There are no images to verify with: give at least one.")
    input_values(plan.network, x[:images])
    if simulator == COMPILED and waves is not None:
        raise InputError(
            "The compiled core writes no waveform: leave it out, or name icarus or verilator as the simulator.")
    if simulator != COMPILED and importlib.util.find_spec("cocotb_tools") is None:
        raise ToolMissing("cocotb is not installed, which runs the simulation: pip install 'cocotb>=2.1,<3'.")
    simulator = choose_simulator(simulator)
    window = plan_window(waves, wave_image, wave_step, simulator, plan.network, x)
    progress, save_file = progress or (lambda text, fraction: None), None
    if simulator == COMPILED:
        records = check_folder(folder, plan, x[:count], int(seed), progress, once)
    else:
        records, save_file = _under_cocotb(folder, plan, x, count, simulator, int(seed), progress, window, once)
    return {
        "images": count, **_figures(records, plan), "simulator": simulator,
        "first_difference": _first_difference(records, seed, simulator), "save_file": save_file and str(save_file),
        "seconds": time.perf_counter() - start,
    }


def _under_cocotb(folder, plan, x, count, simulator, seed, progress, window, once):
    """Run the scenarios of `sim.bench.scenarios`; return their records and the waveform's save file, or None."""
    with tempfile.TemporaryDirectory(prefix="adafire-verify-") as work:
        work = Path(work)
        job = Job(
            folder=str(Path(folder).absolute()), count=count, records=str(work / "records"), work=str(work),
            simulator=simulator, seed=seed, waves=window.file is not None, wave_image=window.image,
            wave_step=window.step, once=once, batch=plan.layout.images,
        )
        job.write_images(x)
        _foretell(plan, sum(job.planned.values()))
        records = _simulate(job, job.planned, _longest_silence(plan), progress)
        return records, keep_waves(window, work, simulator, plan, folder) if job.waves else None


def _foretell(plan, runs):
    """Say how long so many runs may take, where it is long."""
    images = runs * plan.layout.images
    minutes = images * expected_cycles(plan).interval / COCOTB_SPEED / 60
    if minutes > LONG_MINUTES:
        LOG.warning(
            "%d images of some %s cycles each may take %s under cocotb; --once runs each once, --simulator compiled is "
            "quick.", images,
            f"{expected_cycles(plan).cycles:,.0f}",
            f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.0f} hours",
        )


def _longest_silence(plan):
    """Return the seconds without a result after which a simulator is taken to hang."""
    return SILENCE_SECONDS * max(1, plan.layout.images * expected_cycles(plan).interval / SILENCE_CYCLES)


def _simulate(job, planned, silence, progress):
    """Run `sim.bench.simulate` in a process group of its own; return its records."""
    work = Path(job.work)
    with launched("sim.bench.simulate", job, work) as process:
        records, silent = _follow(process, Path(job.records), sum(planned.values()), silence, progress)
    if silent or set(planned) - {record["scenario"] for record in records if record.get("done")}:
        what = f"gave no result for {silence:g} seconds" if silent else "failed"
        log, tail = _keep_log(work / "log")
        raise AdafireError(
            f"The simulation with {job.simulator} (seed {job.seed}) {what}; its whole log is {log} and ends so:\n{tail}"
        )
    return records


def _keep_log(file):
    """Move the log to where it stays; return its path and its last lines, cocotb's table of tests left out."""
    folder = cache_folder() / "logs"
    folder.mkdir(exist_ok=True)
    handle, log = tempfile.mkstemp(prefix="verify-", suffix=".log", dir=folder)
    os.close(handle)
    shutil.copyfile(file, log)
    lines = [line for line in file.read_text(errors="replace").splitlines() if " **" not in line]
    return log, "\n".join(lines[-LOG_TAIL:])


def _follow(process, file, total, silence, progress):
    """Report progress until the process ends; return (records, whether it was silent for too long)."""
    progress("compiling the simulator", 0.0)
    heard, size = time.monotonic(), 0
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        now = file.stat().st_size if file.exists() else 0
        if now != size:
            heard, size = time.monotonic(), now
            runs = sum("done" not in record for record in _records(file))
            progress("simulating", min(runs / total, 1.0))
        if time.monotonic() - heard > silence:
            return _records(file), True
    return _records(file), False


def _records(file):
    """Return the records written so far, a line still being written left out."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _figures(records, plan):
    runs = [record for record in records if "done" not in record]
    timed = [record for record in runs if "cycles" in record]
    cycles = sum(record["cycles"] for record in timed)
    return {
        "mismatches": sum(record["difference"] is not None for record in runs),
        "compared": {kind: sum(record.get("compared", {}).get(kind, 0) for record in runs) for kind in KINDS},
        "cycles_per_image": cycles / (plan.layout.images * len(timed)) if cycles else None,
        "lane_utilization": sum(r["synaptic_ops"] for r in timed) / (plan.params.lanes * cycles) if cycles else None,
    }


def _first_difference(records, seed, simulator):
    for record in records:
        if record.get("difference") is not None:
            images = record["images"]
            which = f"image{'s' * (len(images) > 1)} {' '.join(map(str, images))}, " if images else ""
            return f"{record['difference']} ({which}scenario {record['scenario']!r}, seed {seed}, {simulator})"
    return None
