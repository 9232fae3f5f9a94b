"""What images tell: the golden model's decisions, events and operations per pass, the simulated core's cycles."""

from dataclasses import dataclass, replace

import numpy as np

from gen.errors import AdafireError, ToolMissing
from gen.inputs import input_values
from gen.layers import INPUT
from gen.plan.estimate import expected_cycles
from gen.result import classes_of
from host.report.costs import energy, traffic
from host.report.layers import title
from host.report.pictures import counts_picture, image_picture
from sim.energy import operations
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
    counted = _Counted(plan, x[:count], progress)
    profile = _profile(folder, counted, decisions, x[:count], progress)
    result = Golden(network).run(x[:count])
    if profile:
        result = replace(result, cycles=profile.result.cycles, busy_cycles=profile.result.busy_cycles)
    chosen = int(np.argmax(decisions.steps)) if image is None else image
    return {
        "accuracy": _accuracy(network, decisions, y),
        "exits": _exits(network, x, y, decisions),
        "counted_images": count,
        "passes": _passes(plan, counted, profile),
        "cycles": _cycles(plan, profile),
        "traffic": traffic(plan, result),
        "energy": energy(plan, result, x[:count]),
        "image": _image(network, x[chosen], chosen, y, decisions),
    }


class _Counted:
    """Counts of the golden model in the shapes of `sim.profile.Profile`: events and operations.

    ran : of each stage of the network bool [N, timesteps]
    """

    def __init__(self, plan, x, progress):
        golden, rounds = Golden(plan.network), max(stage.rounds for stage in plan.stages)
        self.ran = [np.zeros((len(x), stage.timesteps), bool) for stage in plan.network.stages]
        self.events, self.operations = np.zeros((2, len(x), rounds, len(plan.passes)), np.int64)
        values = input_values(plan.network, x)
        for n, image in enumerate(x):
            traces = golden.traces(image)
            for ran, trace in zip(self.ran, traces):
                ran[n, : trace.exit_step] = True
            for stage in plan.stages:
                if stage.number == len(traces):  # the one before has answered
                    break
                trace = traces[stage.number]
                passes = [p for p in stage.passes if p.image == n % plan.layout.images]
                for turn in range(min(stage.rounds, trace.exit_step)):
                    self._count(stage.network, passes, n, turn, {INPUT: values[n], **trace.counts})
            progress(n + 1, len(x))

    def _count(self, network, passes, n, turn, counts):
        """Count what the passes of one round of a stage do for an image."""
        maps = _Maps(network, counts, turn)
        for p in passes:
            if is_read(network, p):
                own = slice(p.first_channel, p.first_channel + p.channels)
                self.events[n, turn, p.index] = np.count_nonzero(maps.of(p, p.writes)[:, own])
            if p.layer.weighted:
                channels, *size = network.shapes[p.layer.name]
                of_layer = sum(
                    operations(synapse, maps.of(p, key) != 0, size).sum()
                    for synapse, key in zip(p.synapses, p.reads)
                )
                self.operations[n, turn, p.index] = of_layer * p.channels // channels


class _Maps:
    """What the passes of one round read and store of an image: {name: counts [timesteps, C, H, W]}."""

    def __init__(self, network, counts, turn):
        self._network, self._counts, self._turn = network, counts, turn

    def of(self, p, key):
        """Return [timesteps, C, H, W] of what pass ``p`` reads or stores as ``key``, (name, timestep or image)."""
        (name, timestep), maps = key, self._counts[key[0]]
        timestep = 0 if name in p.per_image else timestep
        if name == INPUT and self._network.source.kind == "direct":
            return maps[None] if self._turn == 0 else maps[None][:0]  # its current is kept
        return maps if p.steps > 1 else maps[[(timestep or self._turn + 1) - 1]]


def is_read(network, p):
    """Return whether the map that a pass stores is read by synapses, so that its counts are events."""
    return p.stored is not None and any(reader.weighted for reader in network.readers[p.stored])


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


def _passes(plan, counted, profile):
    """Return one dict for all passes of a layer: a pool by itself is one too."""
    found = []
    for number, ran in enumerate(counted.ran):
        stages = [stage for stage in plan.stages if stage.number == number]
        cycles = profile and {kind: _by_layer(stages, values) for kind, values in profile.cycles.items()}
        events, ops = _by_layer(stages, counted.events, fired=True), _by_layer(stages, counted.operations)
        found += [
            _pass(plan, p, events[:, :, i], ops[:, :, i], ran[:, : events.shape[1]],
                  cycles and {kind: values[:, :, i] for kind, values in cycles.items()})
            for i, p in enumerate(_last_passes(stages).values())
        ]
    return found


def _last_passes(stages):
    """Return {name: the last pass} of every layer that has one, in the order in which they begin."""
    return {p.layer.name: p for stage in stages for p in stage.passes}


def _by_layer(stages, values, fired=False):
    """Return the part [N, timesteps, layers] of ``stages`` of one network in [N, rounds, P] of all passes.

    In tile order it is [N, 1, layers]. A pass of a two-phase network that takes one timestep and fires another belongs
    to the first, or with ``fired`` to the second.
    """
    network, layers = stages[0].network, list(_last_passes(stages))
    two_phase, turns = network.two_phase, network.timesteps if network.two_phase else stages[0].rounds
    total = np.zeros((len(values), turns, len(layers)), np.int64)
    for p in (p for stage in stages for p in stage.passes):
        if not two_phase:
            total[:, :, layers.index(p.layer.name)] += values[:, :turns, p.index]
            continue
        timestep = p.stores_at or p.reads_at if fired else p.reads_at or p.stores_at
        total[:, timestep - 1, layers.index(p.layer.name)] += values[:, 0, p.index]
    return total


def _pass(plan, p, events, ops, ran, cycles):
    network = plan.network.stages[p.stage]
    layers = [title(plan.network, p.stage, each.name) for each in (p.layer, p.pool) if each]
    stored = int(np.prod(network.shapes[p.stored])) * p.steps if is_read(network, p) else 0
    by_timestep = _by_timestep(events, ran)
    entry = {
        "name": " + ".join(layers), "layers": layers,
        "kind": p.layer.role,
        "stored_shape": list(network.shapes[p.stored]) if p.stored else None, "stored": stored,
        "events": float(events.sum(axis=1).mean()), "events_by_timestep": by_timestep,
        "density_by_timestep": [None if e is None or not stored else e / stored for e in by_timestep],
        "operations": float(ops.sum(axis=1).mean()), "operations_by_timestep": _by_timestep(ops, ran),
        "cycles": None,
    }
    if cycles is not None:
        total = np.sum(list(cycles.values()), axis=0)
        lane_cycles = plan.params.lanes * total.sum()
        entry |= {
            "cycles": float(total.sum(axis=1).mean()), "cycles_by_timestep": _by_timestep(total, ran),
            "kinds": {kind: float(values.sum(axis=1).mean()) for kind, values in cycles.items() if values.any()},
            "lane_utilization": float(ops.sum() / lane_cycles) if lane_cycles else 0.0,
        }
    return entry


def _by_timestep(values, ran):
    """Return the mean of [N, T] over the images that ran each timestep, None where none did."""
    return [float(values[ran[:, t], t].mean()) if ran[:, t].any() else None for t in range(ran.shape[1])]


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
