"""The expected probe against a walk through the tiles by hand, and the difference that is named."""

from dataclasses import replace

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import Pool, Readout, Source, Spiking, Synapse
from gen.layout.schedule import build_schedule
from sim.compare import (
    Answer, Difference, answer_difference, compare_image, compared_values, expected_probe, first_difference,
)
from sim.golden import Golden
from tests.kit.random_networks import random_images, random_network

SMALL = dict(max_layers=4, max_neurons=300, max_weights=1500, max_channels=6, max_size=6, max_timesteps=3)


def spiking(rng, name, source, shape, theta, **geometry):
    n = shape[0]
    return Spiking(
        name, [Synapse(source, rng.integers(-7, 8, shape), **geometry)], bias=rng.integers(-9, 9, n),
        theta=np.full(n, theta), v_init=np.full(n, theta // 2), burst=7, state_bits=16, weight_bits=np.full(n, 4),
    )


def small_network():
    """A layer with a pool fused behind it, a layer, a pool by itself, a readout of three classes."""
    rng = np.random.default_rng(0)
    return IntegerNetwork(Source((1, 7, 6)), [
        spiking(rng, "a", "input", (5, 1, 3, 3), 900, padding=(1, 1)),
        Pool("p", "a", "max", (2, 2), (2, 2)),
        spiking(rng, "b", "p", (3, 5, 1, 1), 20),
        Pool("q", "b", "sum", (2, 2), (1, 1)),
        Readout("z", [Synapse("q", rng.integers(-7, 8, (3, 3, 2, 2)))], np.zeros(3, int), np.full(3, 4)),
    ], timesteps=2)


def example(seed=None, lanes=4):
    network = small_network() if seed is None else random_network(seed, **SMALL)
    schedule = build_schedule(network, lanes)
    return schedule, Golden(network).trace(random_images(network, seed or 0, 1)[0])


def tiles_by_hand(schedule, trace):
    """Yield (pass, timestep, lane to (count, state)) with plain loops, as the docstring of the schedule says."""
    for t in range(trace.exit_step):
        for index, p in enumerate(schedule.passes):
            height, width = p.window
            for row, column, tile, dy, dx in np.ndindex(p.rows, p.columns, p.tiles, height, width):
                lanes = {}
                for lane in range(p.tile_channels):
                    c, y, x = tile * p.tile_channels + lane, row * height + dy, column * width + dx
                    if c >= p.channels:
                        break
                    if not p.layer.emits:
                        lanes[lane] = None, trace.logits[t, c]
                        continue
                    state = trace.states[p.layer.name][t, c, y, x] if p.layer.fires else None
                    lanes[lane] = trace.counts[p.layer.name][t, c, y, x], state
                yield index, t + 1, lanes


@pytest.mark.parametrize("seed", [None, *range(30)])
def test_the_expected_probe_is_the_walk_by_hand(seed):
    schedule, trace = example(seed, lanes=1 + (seed or 2) % 5)
    probe = expected_probe(schedule, trace)
    walk = list(tiles_by_hand(schedule, trace))
    assert len(probe) == len(walk) == trace.exit_step * sum(p.runs for p in schedule.passes)
    for tile, (index, timestep, lanes) in enumerate(walk):
        assert (probe.pass_index[tile], probe.timestep[tile]) == (index, timestep)
        for lane in range(schedule.params.lanes):
            count, state = lanes.get(lane, (None, None))
            for value, mask, shown in (
                (count, probe.count_mask, probe.counts), (state, probe.state_mask, probe.states)
            ):
                assert mask[tile, lane] == (value is not None) and shown[tile, lane] == (value or 0)


def test_the_small_network_holds_every_kind_of_pass_and_fires():
    schedule, trace = example()
    assert [type(p.layer) for p in schedule.passes] == [Spiking, Spiking, Pool, Readout]
    assert schedule.passes[0].pool.name == "p" and schedule.passes[0].channels == 5
    assert all(counts.any() for counts in trace.counts.values()) and trace.exit_step == 2


def test_every_value_is_counted():
    schedule, trace = example()
    compared = compared_values(schedule, expected_probe(schedule, trace))
    assert compared["counts"] == sum(
        trace.counts[p.layer.name].size for p in schedule.passes if p.layer.emits
    )
    assert compared["states"] == sum(states.size for states in trace.states.values())
    assert compared["logits"] == trace.logits.size + schedule.network.classes
    assert all(compared[kind] == 1 for kind in ("classes", "exit_steps", "events", "synaptic_ops"))


def seen(probe):
    return probe.pass_index.copy(), probe.counts.copy(), probe.states.copy()


def answer(trace, **changes):
    right = Answer(trace.class_, trace.exit_step, trace.events, trace.synaptic_ops, trace.logits[-1].copy())
    return replace(right, **changes)


def test_equal_tables_do_not_differ_whatever_idle_lanes_hold():
    schedule, trace = example(lanes=5)
    probe = expected_probe(schedule, trace)
    passes, counts, states = seen(probe)
    assert not probe.count_mask.all() and not probe.state_mask.all()
    counts[~probe.count_mask] = 7
    states[~probe.state_mask] = -7
    assert first_difference(schedule, probe, passes, counts, states) is None
    assert compare_image(schedule, trace, (passes, counts, states), answer(trace)) is None


def test_the_first_of_two_wrong_values_is_named():
    schedule, trace = example()
    probe = expected_probe(schedule, trace)
    passes, counts, states = seen(probe)
    tiles = np.flatnonzero((probe.pass_index == 0) & (probe.timestep == 2))
    tile, lane = tiles[3], 1
    counts[tile, lane] += 1
    states[tiles[5], 0] += 1
    row, column, first = schedule.passes[0].order()
    difference = first_difference(schedule, probe, passes, counts, states)
    assert difference == Difference(
        "count", probe.counts[tile, lane], probe.counts[tile, lane] + 1, "a", 2,
        (first[3] + lane, row[3], column[3]),
    )
    assert str(difference) == (
        f"layer 'a', timestep 2, neuron (channel {first[3] + lane}, row {row[3]}, column {column[3]}), "
        f"count: expected {probe.counts[tile, lane]}, got {probe.counts[tile, lane] + 1}"
    )
    counts[tile, lane] -= 1
    assert first_difference(schedule, probe, passes, counts, states).kind == "state"


def test_a_wrong_logit_is_no_state():
    schedule, trace = example()
    probe = expected_probe(schedule, trace)
    passes, counts, states = seen(probe)
    tile = np.flatnonzero(probe.pass_index == len(schedule.passes) - 1)[0]
    states[tile, 0] -= 3
    difference = first_difference(schedule, probe, passes, counts, states)
    assert (difference.kind, difference.layer, difference.neuron) == ("logit", "z", (0, 0, 0))
    assert (difference.expected, difference.got) == (trace.logits[0, 0], trace.logits[0, 0] - 3)


def test_tiles_missing_too_many_or_of_another_layer():
    schedule, trace = example()
    probe = expected_probe(schedule, trace)
    names = [p.layer.name for p in schedule.passes]
    short = tuple(column[:-1] for column in seen(probe))
    assert str(first_difference(schedule, probe, *short)).endswith(f"pass: expected {names[-1]!r}, got nothing")
    assert first_difference(schedule, probe, *short, complete=False) is None
    long = tuple(np.concatenate([column, column[:1]]) for column in seen(probe))
    assert str(first_difference(schedule, probe, *long)) == f"pass: expected nothing, got {names[0]!r}"
    passes, counts, states = seen(probe)
    passes[0] = 1
    assert str(first_difference(schedule, probe, passes, counts, states)).endswith(
        f"timestep 1, neuron (channel 0, row 0, column 0), pass: expected {names[0]!r}, got {names[1]!r}"
    )
    passes[0] = 15
    assert first_difference(schedule, probe, passes, counts, states).got == "number 15"


@pytest.mark.parametrize("change, kind", [
    ({"exit_step": 9}, "exit step"), ({"class_": 99}, "class"), ({"events": -1}, "events"),
    ({"synaptic_ops": -1}, "synaptic ops"),
])
def test_every_figure_of_the_answer_is_compared(change, kind):
    schedule, trace = example()
    (name, wrong), = change.items()
    difference = answer_difference(schedule, trace, answer(trace, **change))
    assert difference == Difference(kind, getattr(trace, name), wrong)
    assert str(difference) == f"{kind}: expected {getattr(trace, name)}, got {wrong}"
    assert answer_difference(schedule, trace, answer(trace)) is None


def test_a_wrong_logit_of_the_answer():
    schedule, trace = example()
    logits = trace.logits[-1] + np.eye(len(trace.logits[-1]), dtype=np.int64)[-1]
    difference = compare_image(schedule, trace, seen(expected_probe(schedule, trace)), answer(trace, logits=logits))
    assert (difference.kind, difference.timestep, difference.got) == ("logit", trace.exit_step, logits[-1])


def test_an_exit_at_the_wrong_timestep_is_named_as_such():
    schedule, trace = example()
    probe = expected_probe(schedule, trace)
    early = tuple(column[: -sum(p.runs for p in schedule.passes)] for column in seen(probe))
    difference = compare_image(schedule, trace, early, answer(trace, exit_step=trace.exit_step - 1))
    assert difference == Difference("exit step", trace.exit_step, trace.exit_step - 1)
    early[1][0, 0] += 1
    assert compare_image(schedule, trace, early, answer(trace, exit_step=1)).kind == "count"
