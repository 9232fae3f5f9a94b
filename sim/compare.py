"""What the core's probe must show for an image, and the first value in which it does not.

The probe shows every tile as it leaves the neurons: the pass it belongs to, one count and one state (the readout:
one logit) per lane. Tiles come timestep by timestep, pass by pass, in the order of `gen.layout.passes.Pass.order`; the
passes of a two-phase network come once and are its timesteps. A spiking layer shows its own map, also where a pool is
fused behind it; a pass of a pool by itself shows the pool's. Lanes that hold no channel are not compared, nor are the
counts of the readout and of a layer that only accumulates, and the states of a pool.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np


__all__ = [
    "Answer", "Difference", "ProbeTable", "answer_difference", "compare_image", "compared_values", "expected_probe",
    "first_difference",
]

NOTHING = "nothing"


@dataclass(frozen=True)
class Difference:
    """One value that is not what the golden model says.

    kind : ``count``, ``state``, ``logit``; ``pass`` where a tile is missing or of another layer; ``exit step``,
        ``class``, ``events``, ``synaptic ops`` of the answer, which have no layer, and no timestep
    neuron : (channel, row, column), or None
    phase : `gen.layout.passes.Pass.phase` of a two-phase network: what it does with that timestep
    """

    kind: str
    expected: object
    got: object
    layer: str | None = None
    timestep: int | None = None
    neuron: tuple[int, int, int] | None = None
    phase: str | None = None

    def __str__(self):
        where = []
        if self.layer is not None:
            where.append(f"layer {self.layer!r}")
        if self.timestep is not None:
            where.append(f"timestep {self.timestep}" + (f" {self.phase}" if self.phase else ""))
        if self.neuron is not None:
            where.append("neuron (channel {}, row {}, column {})".format(*self.neuron))
        return f"{', '.join([*where, self.kind])}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, eq=False)
class ProbeTable:
    """The tiles of one image in the order they leave the neurons; int64 [tiles] and [tiles, lanes].

    ``count_mask`` and ``state_mask``, bool [tiles, lanes], say which entries of ``counts`` and ``states`` mean
    something; the others are 0.
    """

    pass_index: np.ndarray
    timestep: np.ndarray
    counts: np.ndarray
    states: np.ndarray
    count_mask: np.ndarray
    state_mask: np.ndarray

    def __len__(self):
        return len(self.pass_index)


@dataclass(frozen=True, eq=False)
class Answer:
    """What the core answers for one image, as in `gen.result.Result`; ``logits`` int64 [classes]."""

    class_: int
    exit_step: int
    events: int
    synaptic_ops: int
    logits: np.ndarray


@dataclass(frozen=True, eq=False)
class _Layout:
    """The tiles of one run through the passes: `ProbeTable`'s columns, and which neuron every lane holds."""

    pass_index: np.ndarray
    row: np.ndarray
    column: np.ndarray
    channel: np.ndarray
    count_mask: np.ndarray
    state_mask: np.ndarray


@lru_cache(maxsize=8)
def _layout(schedule):
    parts, lane = [], np.arange(schedule.params.lanes)
    for index, p in enumerate(schedule.passes):
        row, column, first = p.order()
        channel = first[:, None] + lane
        used = (lane < p.tile_channels) & (channel < p.channels)
        parts.append((
            np.full(len(row), index), row, column, np.minimum(channel, p.channels - 1),
            used & (p.stored is not None), used & p.layer.weighted,
        ))
    return _Layout(*(np.concatenate(column) for column in zip(*parts)))


def expected_probe(schedule, trace):
    """Return the `ProbeTable` of an image.

    Parameters
    ----------
    schedule : gen.layout.schedule.Schedule
    trace : sim.golden.Trace of the image in ``schedule.network``
    """
    two_phase, layout, lanes = schedule.network.two_phase, _layout(schedule), schedule.params.lanes
    steps = 1 if two_phase else trace.exit_step
    counts, states = np.zeros((2, steps, *layout.channel.shape), np.int64)
    for index, p in enumerate(schedule.passes):
        rows = layout.pass_index == index
        at = (layout.channel[rows], layout.row[rows, None], layout.column[rows, None])
        fired, update = ([p.stores_at - 1], [p.update - 1]) if two_phase else (slice(None), slice(None))
        if not p.layer.emits:
            states[:, rows] = trace.logits[update][:, at[0]]
        if p.stored:
            counts[:, rows] = trace.counts[p.layer.name][fired][:, *at]
        if p.layer.fires:
            states[:, rows] = trace.states[p.layer.name][update][:, *at]
    timestep = np.array([p.timestep for p in schedule.passes])[layout.pass_index]
    if not two_phase:
        timestep = np.repeat(np.arange(1, steps + 1), len(layout.pass_index))
    return ProbeTable(
        np.tile(layout.pass_index, steps), timestep,
        (counts * layout.count_mask).reshape(-1, lanes), (states * layout.state_mask).reshape(-1, lanes),
        np.tile(layout.count_mask, (steps, 1)), np.tile(layout.state_mask, (steps, 1)),
    )


def compared_values(schedule, expected):
    """Return how many values a comparison with ``expected`` looks at, by kind, the answer's included."""
    is_readout = np.array([not p.layer.emits for p in schedule.passes])
    states, readout = expected.state_mask.sum(axis=1), is_readout[expected.pass_index]
    return {
        "counts": int(expected.count_mask.sum()), "states": int(states[~readout].sum()),
        "logits": int(states[readout].sum()) + schedule.network.classes,
        "classes": 1, "exit_steps": 1, "events": 1, "synaptic_ops": 1,
    }


def first_difference(schedule, expected, pass_index, counts, states, *, complete=True):
    """Return the first `Difference` between ``expected`` and the tiles seen, or None.

    Parameters
    ----------
    expected : ProbeTable
    pass_index, counts, states : integers [tiles], [tiles, lanes], [tiles, lanes], as the probe showed them
    complete : whether the image ran to its end; one that was given up may show fewer tiles
    """
    seen = min(len(expected), len(pass_index))
    wrong_count = expected.count_mask[:seen] & (expected.counts[:seen] != counts[:seen])
    wrong_state = expected.state_mask[:seen] & (expected.states[:seen] != states[:seen])
    wrong_pass = expected.pass_index[:seen] != pass_index[:seen]
    wrong = np.flatnonzero(wrong_pass | (wrong_count | wrong_state).any(axis=1))
    if not len(wrong):
        if len(pass_index) == len(expected) or (len(pass_index) < len(expected) and not complete):
            return None
        tile = seen
    else:
        tile = int(wrong[0])
    if not len(wrong) or wrong_pass[tile]:
        return _wrong_tile(schedule, expected, tile, pass_index)
    lane = int(np.argmax(wrong_count[tile] | wrong_state[tile]))
    values, kind = (counts, "count") if wrong_count[tile, lane] else (states, "state")
    right = expected.counts if kind == "count" else expected.states
    where = _neuron(schedule, expected, tile, lane)
    if kind == "state" and where[0] == schedule.network.readout.name:
        kind = "logit"
    return Difference(kind, int(right[tile, lane]), int(values[tile, lane]), *where)


def answer_difference(schedule, trace, answer):
    """Return the first `Difference` between the golden model's answer and the core's, or None."""
    readout = schedule.network.readout.name
    if answer.exit_step != trace.exit_step:
        return Difference("exit step", trace.exit_step, answer.exit_step)
    wrong = np.flatnonzero(trace.logits[-1] != answer.logits)
    if len(wrong):
        c = int(wrong[0])
        return Difference(
            "logit", int(trace.logits[-1, c]), int(answer.logits[c]), readout, trace.exit_step, (c, 0, 0),
        )
    for kind, right, got in (
        ("class", trace.class_, answer.class_), ("events", trace.events, answer.events),
        ("synaptic ops", trace.synaptic_ops, answer.synaptic_ops),
    ):
        if right != got:
            return Difference(kind, right, got)
    return None


def compare_image(schedule, trace, probe, answer):
    """Return the first `Difference` of a whole image, or None; ``probe`` is (pass_index, counts, states).

    An exit at the wrong timestep is named as such, not as the tiles that are missing or too many.
    """
    expected = expected_probe(schedule, trace)
    common = len(probe[0]) != len(expected) and answer.exit_step != trace.exit_step
    shown = tuple(column[: len(expected)] for column in probe) if common else probe
    return (
        first_difference(schedule, expected, *shown, complete=not common)
        or answer_difference(schedule, trace, answer)
    )


def _neuron(schedule, expected, tile, lane):
    """Return (layer, timestep, (channel, row, column), phase) of a lane of a tile."""
    layout = _layout(schedule)
    place = tile % len(layout.pass_index)
    neuron = (int(layout.channel[place, lane]), int(layout.row[place]), int(layout.column[place]))
    p = schedule.passes[layout.pass_index[place]]
    return p.layer.name, int(expected.timestep[tile]), neuron, p.phase if p.timestep else None


def _wrong_tile(schedule, expected, tile, pass_index):
    """Return the difference where the tile seen belongs to another pass, or one of both is missing."""
    def layer(column):
        if tile >= len(column):
            return NOTHING
        index = int(column[tile])
        return repr(schedule.passes[index].title) if index < len(schedule.passes) else f"number {index}"

    where: tuple[Any, ...] = _neuron(schedule, expected, tile, 0) if tile < len(expected) else ()
    return Difference("pass", layer(expected.pass_index), layer(pass_index), *where)
