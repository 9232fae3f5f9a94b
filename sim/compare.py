"""What the core's probe must show of an image, and the first value in which it does not.

Every group shows its neurons as they fire, one a cycle: the pass, a count and a state (of a readout the output's
value). A round goes through the passes of a stage in order, each group through its own tiles
(`gen.plan.passes.Pass.order`) and in each through the lanes. A network in step order has a round for each timestep; one
in tile order runs all timesteps of a tile in a row, a two-phase network has passes for its timesteps: both have one
round. A spiking layer shows its own map, also where a pool is fused behind it; a pool by itself shows its counts. The
counts of readouts and of layers that accumulate only mean nothing, nor do the states of pools. Where the groups share
the inputs of readouts, the value of an output is the sum of what they show, and is compared as one of group 0.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gen.result import HEADER_WORDS, result_words

__all__ = ["Difference", "Expected", "answer_difference", "compare_image", "compared_values", "expected_probe",
           "first_difference"]

NOTHING = "nothing"


@dataclass(frozen=True)
class Difference:
    """One value that is not what the golden model says.

    kind : ``count``, ``state``, ``output``; ``pass`` where a neuron is missing or of another layer; ``timesteps``,
        ``class``, ``events``, ``synaptic ops`` of the answer, which have no layer, and no timestep
    neuron : (channel, row, column), or None
    phase : `gen.plan.passes.Pass.phase` of a two-phase network: what it does with that timestep
    stage : from 0; None of a network without stages
    image : of those that a core runs together, from 0; None where it runs one alone
    """

    kind: str
    expected: object
    got: object
    layer: str | None = None
    timestep: int | None = None
    neuron: tuple[int, int, int] | None = None
    phase: str | None = None
    stage: int | None = None
    image: int | None = None

    def __str__(self):
        where = [] if self.image is None else [f"image {self.image + 1} of those together"]
        if self.stage is not None:
            where.append(f"stage {self.stage + 1}")
        if self.layer is not None:
            where.append(f"layer {self.layer!r}")
        if self.timestep is not None:
            where.append(f"timestep {self.timestep}" + (f" {self.phase}" if self.phase else ""))
        if self.neuron is not None:
            where.append("neuron (channel {}, row {}, column {})".format(*self.neuron))
        return f"{', '.join([*where, self.kind])}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, eq=False)
class Expected:
    """The neurons of one group in the order in which they fire; int64 and bool [fired].

    ``run`` numbers the passes as they are run, one behind the other, over rounds and stages; ``index`` is that of the
    pass in the program. ``counts`` and ``states`` mean something where ``has_count`` and ``has_state``.
    """

    run: np.ndarray
    index: np.ndarray
    timestep: np.ndarray
    channel: np.ndarray
    row: np.ndarray
    column: np.ndarray
    counts: np.ndarray
    states: np.ndarray
    has_count: np.ndarray
    has_state: np.ndarray

    def __len__(self):
        return len(self.index)


def _timestep(p):
    """Return the timestep that a pass of a two-phase network takes or fires; 0 of one that is run at every one."""
    return (p.stores_at or p.reads_at) if p.steps == 1 else 0


@lru_cache(maxsize=512)
def _neurons(p, group):
    """Return int64 (channel, row, column, step) of the neurons that a group fires in one round of a pass."""
    row, column, first, lanes, step = (np.asarray(values, np.int64) for values in p.order(group))
    lane = np.arange(lanes.sum()) - np.repeat(np.cumsum(lanes) - lanes, lanes)
    return np.repeat(first, lanes) + lane, *(np.repeat(values, lanes) for values in (row, column, step))


def _fired(p, trace, group, round_):
    """Return the columns of `Expected`, but for ``run``, of a group in one round of a pass."""
    channel, row, column, step = _neurons(p, group)
    name, place = p.layer.name, (channel, row, column)
    time = step + round_  # from 0
    fired, updated, timestep = time, time, time + 1
    if _timestep(p):
        fired, updated, timestep = p.stores_at - 1, p.update - 1, np.full_like(step, _timestep(p))
    counts, states = np.zeros((2, len(channel)), np.int64)
    if p.stored:
        counts = trace.counts[name][fired, *place]
    has_state = p.layer.weighted and not (p.loops.shared and group)
    if has_state:
        states = (trace.states if p.layer.fires else trace.outputs)[name][updated, *place]
    flags = np.full(len(channel), p.stored is not None), np.full(len(channel), has_state)
    return np.full_like(step, p.index), timestep, *place, counts, states, *flags


def expected_probe(plan, traces):
    """Return the `Expected` of every group for an image.

    Parameters
    ----------
    plan : gen.plan.plan.Plan
    traces : of every stage that runs, as `sim.golden.Golden.traces` has them; of a batch of all its images
    """
    groups = []
    for group in range(plan.params.groups):
        parts, run = [], 0
        for stage in plan.stages:
            if stage.number >= len(traces):
                break
            for round_ in range(min(stage.rounds, traces[stage.number].exit_step)):
                for p in stage.passes:
                    columns = _fired(p, traces[p.stage + p.image], group, round_)
                    parts.append((np.full_like(columns[0], run), *columns))
                    run += 1
        groups.append(Expected(*(np.concatenate(column) for column in zip(*parts))))
    return groups


def compared_values(plan, expected):
    """Return how many values a comparison with ``expected`` looks at, by kind, the answer's included."""
    is_readout = np.array([not p.layer.emits for p in plan.passes])
    outputs = sum(int((e.has_state & is_readout[e.index]).sum()) for e in expected)
    answer = result_words(plan.network, plan.layout.images) - HEADER_WORDS
    return {
        "counts": sum(int(e.has_count.sum()) for e in expected),
        "states": sum(int(e.has_state.sum()) for e in expected) - outputs,
        "logits": outputs + answer, "classes": 1, "exit_steps": 1, "events": 1, "synaptic_ops": 1,
    }


def first_difference(plan, expected, probe, *, complete=True):
    """Return the first `Difference` between ``expected`` and the neurons seen, or None.

    Parameters
    ----------
    expected : list of `Expected`, one a group
    probe : `sim.compiled_core.Probe` of one image
    complete : whether the image ran to its end; one that was given up may show fewer neurons
    """
    found, (states, whole) = [], _added_up(plan, probe)
    for group, right in enumerate(expected):
        own = probe.group == group
        seen = probe.index[own], probe.count[own], states[own]
        at = _first_wrong(right, *seen, whole[own], complete)
        if at is not None:
            run = right.run[at] if at < len(right) else np.inf
            found.append((run, at, group, seen))
    if not found:
        return None
    _, at, group, seen = min(found, key=lambda entry: entry[:3])
    return _difference(plan, expected[group], at, *seen)


def _added_up(plan, probe):
    """Return the states, those of shared readouts in group 0 with the other groups' added; which are ``whole``.

    A value is not where another group has not shown its share: it was given up.
    """
    states, whole = probe.state.astype(np.int64), np.ones(len(probe.state), bool)
    if plan.layout.shared:
        of_readout = np.isin(probe.index, [p.index for p in plan.passes if p.loops.shared])
        first, *others = (np.flatnonzero(of_readout & (probe.group == group)) for group in range(plan.params.groups))
        for own in others:
            both = min(len(first), len(own))
            states[first[:both]] += probe.state[own[:both]]
            whole[first[both:]] = False
        half = 1 << plan.params.acc_bits - 1
        states[first] = (states[first] + half) % (2 * half) - half
    return states, whole


def _first_wrong(right, index, counts, states, whole, complete):
    """Return the number of the first neuron that is wrong, missing or too many; None if all are right."""
    both = min(len(right), len(index))
    wrong = (
        (right.index[:both] != index[:both])
        | (right.has_count[:both] & (right.counts[:both] != counts[:both]))
        | (right.has_state[:both] & whole[:both] & (right.states[:both] != states[:both]))
    )
    if wrong.any():
        return int(np.argmax(wrong))
    return both if len(index) > len(right) or (complete and len(index) < len(right)) else None


def _difference(plan, right, at, index, counts, states):
    """Return the `Difference` of neuron ``at`` of a group."""
    where: dict = {}
    if at < len(right):
        p = plan.passes[right.index[at]]
        where = {
            "layer": p.layer.name, "timestep": int(right.timestep[at]),
            "neuron": (int(right.channel[at]), int(right.row[at]), int(right.column[at])),
            "phase": p.phase if _timestep(p) else None,
            "stage": p.stage if len(plan.network.stages) > 1 else None,
            "image": p.image if plan.layout.images > 1 else None,
        }
    if at >= len(right) or at >= len(index) or right.index[at] != index[at]:
        return Difference("pass", _title(plan, right.index, at), _title(plan, index, at), **where)
    if right.has_count[at] and right.counts[at] != counts[at]:
        return Difference("count", int(right.counts[at]), int(counts[at]), **where)
    kind = "state" if plan.passes[right.index[at]].layer.emits else "output"
    return Difference(kind, int(right.states[at]), int(states[at]), **where)


def _title(plan, index, at):
    if at >= len(index):
        return NOTHING
    return repr(plan.passes[index[at]].title) if index[at] < len(plan.passes) else f"number {index[at]}"


def answer_difference(plan, traces, result, n=0):
    """Return the first `Difference` between the golden model's answer and image ``n`` of a `Result`, or None.

    In a batch ``n`` counts runs, and the result has a row for each of its images.
    """
    images = plan.layout.images
    rows = range(n * images, (n + 1) * images)
    timesteps, steps = sum(trace.exit_step for trace in traces), int(result.exit_steps[rows].sum())
    if steps != timesteps:
        return Difference("timesteps", timesteps, steps)
    for image, (trace, row) in enumerate(zip(traces[-images:], rows)):
        if different := _output_difference(plan.network, trace, result, row, timesteps if images == 1 else 1):
            return different if images == 1 else replace(different, image=image)
    for kind, right, got in (
        ("events", sum(t.events for t in traces), result.events[rows].sum()),
        ("synaptic ops", sum(t.synaptic_ops for t in traces), result.synaptic_ops[rows].sum()),
    ):
        if right != got:
            return Difference(kind, right, int(got))
    return None


def _output_difference(network, trace, result, row, timesteps):
    """Return the first `Difference` of an image's outputs or class, or None."""
    for name in network.outputs:
        right, got = trace.outputs[name][-1], result.outputs[name][row]
        if (right != got).any():
            c, y, x = (int(i) for i in np.argwhere(right != got)[0])
            return Difference("output", int(right[c, y, x]), int(got[c, y, x]), name, timesteps, (c, y, x))
    right, got = np.asarray(trace.class_), np.asarray(result.classes[row])
    return Difference("class", right.tolist(), got.tolist()) if (right != got).any() else None


def compare_image(plan, traces, probe, result, n=0):
    """Return the first `Difference` of a whole image, or None; ``probe`` is that image's `sim.compiled_core.Probe`.

    An exit at the wrong timestep is named as such, not as the neurons that are missing or too many.
    """
    expected = expected_probe(plan, traces)
    answer = answer_difference(plan, traces, result, n)
    if answer and answer.kind == "timesteps":
        shown = np.zeros(len(probe.index), bool)
        for group, right in enumerate(expected):
            shown[np.flatnonzero(probe.group == group)[: len(right)]] = True
        return first_difference(plan, expected, probe.chosen(shown), complete=False) or answer
    return first_difference(plan, expected, probe) or answer
