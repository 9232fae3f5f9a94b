"""`adafire report`: a generated folder, and images if there are any, become report.html and report.json."""

import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np

from gen.data.datasets import open_for
from gen.data.recordings import EventSet
from gen.errors import InputError
from gen.folders import check_output_file, whole_files
from gen.inputs import input_values
from host.content import read_manifest
from host.judge import judge_of
from host.report.costs import energy
from host.report.facts import facts
from host.report.measure import decide, measure
from host.report.page import MARKER, render
from host.report.sources import sources
from host.streaming import Reckoning, latency
from sim.bench.folder import read_folder
from sim.golden import Golden

__all__ = ["SCHEMA", "make_report"]

SCHEMA = 2
OF_IMAGES = ("accuracy", "exits", "latency_ms", "counted_images", "passes", "cycles", "traffic", "image")
JUDGED = 64          # images at a time
MAP_VALUES = 2**26   # logits of all positions and timesteps, images together


def make_report(
    folder, data=None, split="test", limit=None, image=None, out=None, force=False, decode=None, *, progress
):
    """Write the report of the core in ``folder``; return where it is and its main figures.

    Parameters
    ----------
    folder : path made by `hw.emit.generate`
    data, split : as `gen.data.datasets.open_dataset` takes them; without data: what needs no images
    limit : use the first ``limit`` images only
    image : number of the image whose spikes are shown; by default the first of those that ran longest
    decode : the user's own decoder, where the network's task has one
    out : .html file to write, the same numbers in JSON beside it; by default ``folder``/report.html
    force : overwrite files that are no report
    progress : host.console.Report

    Raises
    ------
    InputError
        Before anything slow: a folder, data or output that cannot be used.
    AdafireError
        The simulated core does not do what the golden model does.
    """
    start = time.perf_counter()
    folder = Path(folder)
    out = folder / "report.html" if out is None else Path(out)
    plan = read_folder(folder)
    _check_output(out, force)
    report = facts(folder, plan)
    x, y, known, judge, ends = _images(plan.network, data, split, limit, image, decode, progress)
    report |= dict.fromkeys(OF_IMAGES) | {"energy": energy(plan)}
    report["provenance"]["data"] = known
    if x is not None:
        progress.stage(f"Golden model: {len(x)} images")
        decisions = decide(plan.network, x, progress)
        report |= measure(plan, folder, x, y, decisions, image, progress)
        report |= {"latency_ms": _latency(folder, ends, decisions.steps)}
        report["accuracy"] |= {"task": _judged(plan.network, x, judge, progress)}
    report |= {"speed": _speed(report), **sources(report, folder, data, split, limit, image)}
    report = {"report": MARKER, "schema": SCHEMA, **report}
    json_file = out.with_suffix(".json")
    whole_files({out: render(report, json_file.name), json_file: json.dumps(report, indent=1) + "\n"})
    accuracy, cycles = report["accuracy"] or {}, report["cycles"] or {}
    labelled = accuracy.get("measured_against") == "labels"
    return {
        "report": str(out), "json": str(json_file), "bytes": out.stat().st_size,
        "images": accuracy.get("images"), "accuracy": accuracy["early_exit"] if labelled else None,
        "mean_timesteps": accuracy.get("mean_timesteps"),
        "simulated_images": report["counted_images"] if cycles else None,
        "cycles_per_image": cycles.get("per_image"), "lane_utilization": cycles.get("lane_utilization"),
        "seconds": time.perf_counter() - start,
    }


def _check_output(out, force):
    if out.suffix != ".html":
        raise InputError(f"A report is an HTML page: name it {out.with_suffix('.html')}, not {out}.")
    for file in (out, out.with_suffix(".json")):
        check_output_file(file, None if force else MARKER, "report (--force overwrites it)")


def _judged(network, x, judge, progress):
    """Return what the network's task is measured by beyond accuracy, of the golden model with its exit rule."""
    if judge is None:
        return {}
    golden = Golden(network)
    for start in range(0, len(x), JUDGED):
        part = x[start : start + JUDGED]
        judge(part, None, golden.run(part))
        progress(min(start + JUDGED, len(x)), len(x))
    return judge.as_dict()


def _images(network, data, split, limit, image, decode, progress):
    """Return (x, y, what is known of them, who judges them, when frames are complete), or Nones without data.

    The last, microseconds [N, T] from the first event on, only of recordings of events.
    Where the output that decides is a map, there are as many as memory holds the logits of.
    """
    if data is None:
        if limit is not None or image is not None:
            raise InputError("--limit and --image choose among images: give them with --data D.")
        return None, None, None, None, None
    images = open_for(network, data, split, progress)
    input_values(network, images.first(1))
    judge = judge_of(network, images, decode)
    if network.dense:
        values = network.timesteps * math.prod(network.stages[0].shapes[network.readout.name])
        limit = images.count(min(limit or len(images), max(1, MAP_VALUES // values)))
    if image is not None and not 0 <= image < images.count(limit):
        raise InputError(f"--image {image}: there are images 0 to {images.count(limit) - 1}.")
    x, y = images.load(limit)
    digest = hashlib.sha256(images.path.read_bytes() if images.path else x.data)
    ends = np.stack([images.ends(n) for n in range(len(x))]) if isinstance(images, EventSet) else None
    known = {"file": images.name, "images": len(x), "of": len(images), "sha256": digest.hexdigest()}
    return x, y, known, judge, ends


def _latency(folder, ends, steps):
    """Return `host.streaming.latency`, reckoned, of recordings that are decided after so many ``steps``; or None."""
    if ends is None:
        return None
    reckoning = Reckoning.of(*read_manifest(folder))
    return latency([reckoning.decision(e, step) for e, step in zip(ends / 1e6, steps)], "reckoned")


def _speed(report):
    """Return how fast images go at the routed clock, where both halves are known."""
    if not report["cycles"] or not report["timing"]:
        return None
    clock = report["timing"]["clock_mhz"]
    seconds = report["cycles"]["per_image"] / (1e6 * clock)
    return {"milliseconds": 1e3 * seconds, "images_per_second": 1 / seconds, "clock_mhz": clock}
