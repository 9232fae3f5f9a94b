"""What images tell: the golden model's decisions and exits, the simulated core's cycles, one image in full."""

from dataclasses import dataclass, replace

import numpy as np

from gen.errors import AdafireError, ToolMissing
from gen.plan.estimate import expected_cycles
from gen.result import classes_of
from host.report.costs import energy, traffic
from host.report.counted import Counted
from host.report.layers import title
from host.report.passes import pass_entries
from host.report.pictures import counts_picture, image_picture
from sim.golden import Golden, exits

__all__ = ["Decisions", "decide", "measure"]

CYCLE_BUDGET = 8_000_000  # cycles, estimated, that a report simulates: seconds
MOST_IMAGES = 100
CHUNK = 256
EXAMPLES, WRONG = 6, 2    # images shown of each exit step, and how many of them wrong ones if there are


@dataclass(frozen=True, eq=False)
class Decisions:
    """What the golden model makes of N images: every logit, and where its exit rule stops.

    logits : int64 [N, T, classes]; steps : int64 [N], 1..T; classes : int64 [N], at that step

    Timesteps are those of all stages, one behind the other.

    Where the output that decides is a map, logits are [N, T, classes, H, W] and classes [N, H, W].
    """

    logits: np.ndarray
    steps: np.ndarray
    classes: np.ndarray


def decide(network, x, progress=None):
    """Return the `Decisions` of the golden model on ``x``."""
    goldens, logits = [Golden(stage) for stage in network.stages], []
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK]
        logits.append(np.concatenate([golden.all_logits(part) for golden in goldens], axis=1))
        if progress:
            progress(min(start + CHUNK, len(x)), len(x))
    z = np.concatenate(logits)
    steps, last = np.full(len(z), network.timesteps), network.timesteps
    for stage in reversed(network.stages):
        begun = last - stage.timesteps
        for t in range(stage.timesteps, 0, -1):
            steps[exits(stage.exit_rule, z[:, begun + t - 1], t)] = begun + t
        last = begun
    return Decisions(z, steps, classes_of(z[np.arange(len(z)), steps - 1]))


def measure(plan, folder, x, y, decisions, image, progress):
    """Return the parts of a report that need images, as a dict of plain values.

    Parameters
    ----------
    plan : gen.plan.plan.Plan of the network in ``folder``
    x, y : images that the network takes, and labels or None
    decisions : `decide` of them
    image : number of the one to show, or None for the first of those that ran longest
    progress : host.console.Report

    Raises
    ------
    AdafireError : the simulated core does not do what the golden model does.
    """
    network, batch = plan.network, plan.layout.images
    count = int(np.clip(CYCLE_BUDGET // expected_cycles(plan).cycles, 1, min(MOST_IMAGES, len(x))))
    count = min(len(x), batch * max(1, count // batch))  # whole runs, if there are as many
    progress.stage(f"Counting events and operations of {count} images")
    counted = Counted(plan, x[:count], progress)
    profile = _profile(folder, counted, decisions, x[:count], progress)
    result = Golden(network).run(x[:count])
    if profile:
        result = replace(result, cycles=profile.result.cycles, busy_cycles=profile.result.busy_cycles)
    chosen = int(np.argmax(decisions.steps)) if image is None else image
    return {
        "accuracy": _accuracy(network, decisions, y),
        "exits": _exits(network, x, y, decisions),
        "counted_images": count,
        "passes": pass_entries(plan, counted, profile),
        "cycles": _cycles(plan, profile),
        "traffic": traffic(plan, result),
        "energy": energy(plan, result, x[:count]),
        "image": _image(network, x[chosen], chosen, y, decisions),
    }


def _profile(folder, counted, decisions, x, progress):
    """Return the `sim.profile.Profile` of the images, or None without Verilator; checked against the counts."""
    from sim.profile import ProfiledCore

    progress.stage("Simulating the core (a new one is compiled first)")
    try:
        core = ProfiledCore.from_folder(folder, progress=progress)
    except ToolMissing:
        return None
    profile = core.profile(x, progress=progress)
    steps = decisions.steps[: len(x)]
    same = (
        (profile.result.exit_steps == steps).all()
        and (profile.result.logits == decisions.logits[np.arange(len(x)), steps - 1]).all()
        and (profile.events == counted.events).all() and (profile.lane_cycles == counted.operations).all()
    )
    if not same:
        raise AdafireError(
            f"The core simulated from {folder} does not do what the golden model does, so there is nothing to "
            "report: `adafire verify` names the first difference."
        )
    return profile


def _accuracy(network, decisions, y):
    """Return how often the class is right after every number of timesteps, and where the exit rule stops."""
    classes = np.stack([classes_of(decisions.logits[:, t]) for t in range(network.timesteps)], axis=1)
    truth = classes[:, -1] if y is None else y
    return {
        "images": len(classes), "measured_against": "the decision after all timesteps" if y is None else "labels",
        "timesteps": [float((classes[:, t] == truth).mean()) for t in range(network.timesteps)],
        "early_exit": float((decisions.classes == truth).mean()),
        "mean_timesteps": float(decisions.steps.mean()),
    }


def _exits(network, x, y, decisions):
    """Return one dict per timestep after which images stopped; of a map no image is right or wrong as a whole."""
    found, dense = [], network.dense
    wrong = np.zeros(len(x)) if y is None else (decisions.classes != y).reshape(len(x), -1).mean(axis=1)
    for t in np.unique(decisions.steps):
        stopped = np.flatnonzero(decisions.steps == t)
        failed = (wrong[stopped] > 0) & (not dense)
        shown = [*stopped[failed][:WRONG], *stopped[~failed]][:EXAMPLES]
        found.append({
            "timestep": int(t), "images": len(stopped),
            "accuracy": None if y is None else float(1 - wrong[stopped].mean()),
            "examples": [
                {
                    "image": int(n), "class": None if dense else int(decisions.classes[n]),
                    "label": None if y is None or dense else int(y[n]),
                    "picture": image_picture(x[n], network.source),
                }
                for n in shown
            ],
        })
    return found


def _cycles(plan, profile):
    """Return the cycles of a mean image and what became of each lane's; None without a simulation."""
    if profile is None:
        return None
    lanes, result = plan.params.lanes, profile.result
    kinds = {kind: int(cycles.sum()) for kind, cycles in profile.cycles.items()}
    total, used, busy = sum(kinds.values()), int(profile.lane_cycles.sum()), kinds.pop("busy")
    shares = {"useful": used / (lanes * total), "idle": (lanes * busy - used) / (lanes * total)}
    machine = {kind: float(cycles[:, :, -1].sum(axis=1).mean()) for kind, cycles in profile.cycles.items()}
    return {
        "per_image": float(result.cycles.mean()),
        "least": int(result.cycles.min()), "most": int(result.cycles.max()),
        "lane_utilization": result.lane_utilization(lanes),
        "shares": shares | {kind: count / total for kind, count in kinds.items()},
        "machine": {kind: cycles for kind, cycles in machine.items() if cycles},
        "by_exit_step": {
            int(t): float(result.cycles[result.exit_steps == t].mean()) for t in np.unique(result.exit_steps)
        },
    }


def _image(network, image, number, y, decisions):
    """Return one image, its logits, and the burst counts of every spiking layer that ran, in hex digits."""
    traces, dense = Golden(network).traces(image), network.dense
    layers = [
        {
            "name": title(network, at, layer.name), "shape": list(network.stages[at].shapes[layer.name]),
            "burst": layer.burst, "timesteps": [_fired(counts, layer.burst) for counts in trace.counts[layer.name]],
        }
        for at, trace in enumerate(traces) for layer in network.stages[at].layers if layer.fires
    ]
    steps = sum(trace.exit_step for trace in traces)
    return {
        "image": number, "label": None if y is None or dense else int(y[number]),
        "class": None if dense else traces[-1].class_, "exit_step": steps,
        "logits": [] if dense else decisions.logits[number, :steps].tolist(),
        "picture": image_picture(image, network.source), "layers": layers,
    }


def _fired(counts, burst):
    """Return the burst counts [C, H, W] of a layer at one timestep, as a picture and in numbers."""
    picture, width, height = counts_picture(counts, burst)
    return {
        "firing": int(np.count_nonzero(counts)), "spikes": int(counts.sum()), "largest": int(counts.max()),
        "counts": "".join(f"{count:x}" for count in counts.ravel().tolist()),
        "picture": picture, "width": width, "height": height,
    }
