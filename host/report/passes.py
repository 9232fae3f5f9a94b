"""The table of passes: events, operations and cycles of each layer, of a mean image and by timestep."""

import numpy as np

from host.report.counted import is_read
from host.report.layers import title

__all__ = ["pass_entries"]


def pass_entries(plan, counted, profile):
    """Return one dict for all passes of a layer: a pool by itself is one too.

    Parameters
    ----------
    plan : gen.plan.plan.Plan
    counted : host.report.counted.Counted
    profile : sim.profile.Profile, or None for no cycles
    """
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
