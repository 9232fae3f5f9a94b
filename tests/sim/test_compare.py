"""The expected probe against a walk through the tiles in plain loops, and the difference that is named."""

from dataclasses import replace

import numpy as np
import pytest

from gen.intnet import TILES, IntegerNetwork
from gen.layers import INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from gen.plan.plan import make_plan
from sim.compiled_core import Probe
from sim.compare import (
    Difference, answer_difference, compare_image, compared_values, expected_probe, first_difference,
)
from sim.golden import Golden
from tests.kit.random_networks import SECOND, random_images, random_network, random_staged_network

SMALL = dict(max_layers=4, max_neurons=300, max_weights=1500, max_channels=6, max_size=6, max_timesteps=3)
DRAWN = {
    "none": lambda seed: small_network(),
    "first": lambda seed: random_network(seed, **SMALL),
    "second": lambda seed: random_network(seed, contract=SECOND, **SMALL),
    "two-phase": lambda seed: random_network(seed, neuron=INVERSE_LEAKY, **SMALL),
    "staged": lambda seed: random_staged_network(seed, sources=(("direct", "frames")[seed % 2],), **SMALL),
    "tiles": lambda seed: replace(small_network(), order=TILES),
    "shared": lambda seed: shared_network(),
}


def spiking(rng, name, source, shape, theta, **geometry):
    n = shape[0]
    return Spiking(
        name, [Synapse(source, rng.integers(-7, 8, shape), **geometry)], bias=rng.integers(-9, 9, n),
        theta=np.full(n, theta), v_init=np.full(n, theta // 2), burst=7, state_bits=16, weight_bits=np.full(n, 4),
    )


def small_network():
    """A layer with a pool fused behind it, a layer, a pool by itself, a readout of three classes and a map."""
    rng = np.random.default_rng(0)
    return IntegerNetwork(Source((1, 7, 6)), [
        spiking(rng, "a", "input", (5, 1, 3, 3), 900, padding=(1, 1)),
        Pool("p", "a", "max", (2, 2), (2, 2)),
        spiking(rng, "b", "p", (3, 5, 1, 1), 20),
        Pool("q", "b", "sum", (2, 2), (1, 1)),
        Readout("z", [Synapse("q", rng.integers(-7, 8, (3, 3, 2, 2)))], np.zeros(3, int), np.full(3, 4)),
        Readout("m", [Synapse("b", rng.integers(-7, 8, (2, 3, 1, 1)))], np.zeros(2, int), np.full(2, 4)),
    ], timesteps=2)


def shared_network():
    """A layer, and a readout of three classes that looks at the whole of its map."""
    rng = np.random.default_rng(0)
    return IntegerNetwork(Source((1, 4, 4)), [
        spiking(rng, "a", "input", (5, 1, 3, 3), 900, padding=(1, 1)),
        Readout("z", [Synapse("a", rng.integers(-7, 8, (3, 5, 4, 4)))], np.zeros(3, int), np.full(3, 4)),
    ], timesteps=2)


def example(kind="none", seed=0, width=4, groups=1):
    """Return a plan, the traces of an image, and what the golden model answers."""
    network = DRAWN[kind](seed)
    plan = make_plan(network, width=width, groups=groups)
    golden, image = Golden(network), random_images(network, seed, 1)
    return plan, golden.traces(image[0]), golden.run(image)


def by_hand(plan, traces, group):
    """Yield (pass, timestep, place, count, state) of every neuron that a group fires, in plain loops."""
    for stage, trace in zip(plan.stages, traces):
        for turn in range(min(stage.rounds, trace.exit_step)):
            for p in stage.passes:
                for row, column, first, lanes, step in zip(*p.order(group)):
                    for channel in range(first, first + lanes):
                        t, place = step + turn, (channel, row, column)
                        fired, updated = (p.stores_at - 1, p.update - 1) if stage.network.two_phase else (t, t)
                        count = trace.counts[p.layer.name][fired][place] if p.stored else None
                        state = None
                        if p.layer.weighted and not (p.loops.shared and group):
                            states = trace.states if p.layer.fires else trace.outputs
                            state = states[p.layer.name][updated][place]
                        timestep = (p.stores_at or p.reads_at) if stage.network.two_phase else t + 1
                        yield p.index, timestep, place, count, state


def seen(expected):
    """Return the `Probe` of a core that is right, the groups one behind the other."""
    groups = [np.full(len(e), number) for number, e in enumerate(expected)]
    index, counts, states = (
        np.concatenate([getattr(e, name) for e in expected]) for name in ("index", "counts", "states")
    )
    return Probe(np.zeros_like(index), index, np.concatenate(groups), counts, states)


@pytest.mark.parametrize("kind, seed, width, groups", [
    ("none", 0, 4, 1), ("tiles", 0, 4, 2), *(("first", s, 4, 1 + s % 2) for s in range(8)),
    *(("second", s, 8, (1, 2, 4)[s % 3]) for s in range(12)), *(("two-phase", s, 4, 1 + s % 2) for s in range(4)),
    *(("staged", s, 4, 2) for s in range(4)),
])
def test_the_expected_probe_is_the_walk_by_hand(kind, seed, width, groups):
    plan, traces, _ = example(kind, seed, width, groups)
    expected = expected_probe(plan, traces)
    assert len(expected) == groups
    for group, e in enumerate(expected):
        walk = list(by_hand(plan, traces, group))
        assert len(e) == len(walk)
        for n, (index, timestep, place, count, state) in enumerate(walk):
            assert (e.index[n], e.timestep[n]) == (index, timestep)
            assert (e.channel[n], e.row[n], e.column[n]) == place
            assert (e.has_count[n], e.has_state[n]) == (count is not None, state is not None)
            assert (e.counts[n], e.states[n]) == (count or 0, state or 0)


@pytest.mark.parametrize("kind", ["none", "tiles", "second"])
def test_every_neuron_is_compared_once_a_timestep(kind):
    plan, traces, _ = example(kind, width=4, groups=2)
    compared = compared_values(plan, expected_probe(plan, traces))
    trace, = traces
    stored = {p.layer.name for p in plan.passes if p.layer.emits}
    assert compared["counts"] == sum(trace.counts[name].size for name in stored)
    assert compared["states"] == sum(states.size for states in trace.states.values())
    assert compared["logits"] == sum(z.size + z[0].size for z in trace.outputs.values())
    assert all(compared[name] == 1 for name in ("classes", "exit_steps", "events", "synaptic_ops"))


@pytest.mark.parametrize("kind", DRAWN)
def test_what_is_right_does_not_differ_whatever_means_nothing(kind):
    plan, traces, result = example(kind, groups=2)
    expected = expected_probe(plan, traces)
    probe = seen(expected)
    probe.count[~np.concatenate([e.has_count for e in expected])] = 7
    fires = np.array([p.layer.emits for p in plan.passes])[probe.index]  # what readouts show is added up
    probe.state[~np.concatenate([e.has_state for e in expected]) & fires] = -7
    assert compare_image(plan, traces, probe, result) is None


def test_the_first_of_two_wrong_values_is_named():
    plan, traces, _ = example()
    e, = expected = expected_probe(plan, traces)
    first, second = np.flatnonzero((e.index == 0) & (e.timestep == 2))[[13, 27]]
    probe = seen(expected)
    probe.count[first] += 1
    probe.state[second] += 1
    difference = first_difference(plan, expected, probe)
    place = int(e.channel[first]), int(e.row[first]), int(e.column[first])
    assert difference == Difference("count", e.counts[first], e.counts[first] + 1, "a", 2, place)
    assert str(difference) == (
        "layer 'a', timestep 2, neuron (channel {}, row {}, column {}), ".format(*place)
        + f"count: expected {e.counts[first]}, got {e.counts[first] + 1}"
    )
    probe.count[first] -= 1
    assert first_difference(plan, expected, probe).kind == "state"


def test_of_two_groups_the_earlier_pass_is_named():
    plan, traces, _ = example(groups=2)
    expected = expected_probe(plan, traces)
    probe = seen(expected)
    in_second = len(expected[0])
    probe.state[in_second - 1] += 1  # the last neuron of group 0
    probe.count[in_second + 2] += 1
    difference = first_difference(plan, expected, probe)
    assert (difference.layer, difference.timestep, difference.kind) == ("a", 1, "count")
    e = expected[1]
    assert difference.neuron == (e.channel[2], e.row[2], e.column[2])


def test_a_wrong_output_is_no_state():
    plan, traces, _ = example()
    e, = expected = expected_probe(plan, traces)
    probe, at = seen(expected), np.flatnonzero(e.index == len(plan.passes) - 2)[0]
    probe.state[at] -= 3
    difference = first_difference(plan, expected, probe)
    assert (difference.kind, difference.layer, difference.neuron) == ("output", "z", (0, 0, 0))
    assert (difference.expected, difference.got) == (traces[0].logits[0, 0], traces[0].logits[0, 0] - 3)


@pytest.mark.parametrize("groups", [2, 4])
def test_what_groups_show_of_a_shared_output_is_added_up(groups):
    """Whatever each of them has, their sum is compared, in the accumulator's width; a wrong one in any is found."""
    plan, traces, _ = example("shared", groups=groups)
    assert plan.layout.shared
    expected = expected_probe(plan, traces)
    probe, rng = seen(expected), np.random.default_rng(groups)
    at = [np.flatnonzero((probe.group == group) & (probe.index == len(plan.passes) - 1)) for group in range(groups)]
    for own in at[1:]:
        moved = rng.integers(-2**(plan.params.acc_bits - 1), 2**(plan.params.acc_bits - 1), len(own))
        probe.state[own] += moved
        probe.state[at[0]] -= moved
    assert first_difference(plan, expected, probe) is None
    for group in range(groups):
        n = int(rng.integers(len(at[group])))
        probe.state[at[group][n]] += 1
        difference = first_difference(plan, expected, probe)
        assert (difference.kind, difference.got - difference.expected) == ("output", 1)
        assert difference.neuron == (n % 3, 0, 0) and difference.timestep == 1 + n // 3
        probe.state[at[group][n]] -= 1
    short = probe.chosen(np.arange(len(probe.state)) != at[-1][-1])
    assert first_difference(plan, expected, short).kind == "pass"
    assert first_difference(plan, expected, short, complete=False) is None


def test_the_timestep_of_a_two_phase_pass_and_the_stage_are_named():
    plan, traces, _ = example("two-phase", 1)
    expected = expected_probe(plan, traces)
    probe = seen(expected)
    at = int(np.argmax(expected[0].has_state))
    probe.state[at] += 1
    p = plan.passes[probe.index[at]]
    assert f"timestep {p.stores_at or p.reads_at} {p.phase}, " in str(first_difference(plan, expected, probe))
    plan, traces, _ = next(e for e in (example("staged", seed) for seed in range(20)) if len(e[1]) > 1)
    expected = expected_probe(plan, traces)
    probe = seen(expected)
    probe.state[-1] += 1
    assert str(first_difference(plan, expected, probe)).startswith(f"stage {len(traces)}, layer ")


def test_neurons_missing_too_many_or_of_another_layer():
    plan, traces, _ = example()
    expected = expected_probe(plan, traces)
    names = [p.layer.name for p in plan.passes]
    short = Probe(*(column[:-1] for column in seen(expected)))
    assert str(first_difference(plan, expected, short)).endswith(f"pass: expected {names[-1]!r}, got nothing")
    assert first_difference(plan, expected, short, complete=False) is None
    long = Probe(*(np.concatenate([column, column[:1]]) for column in seen(expected)))
    assert str(first_difference(plan, expected, long)) == f"pass: expected nothing, got {names[0]!r}"
    probe = seen(expected)
    probe.index[0] = 1
    assert str(first_difference(plan, expected, probe)).endswith(
        f"timestep 1, neuron (channel 0, row 0, column 0), pass: expected {names[0]!r}, got {names[1]!r}"
    )
    probe.index[0] = 15
    assert first_difference(plan, expected, probe).got == "number 15"


@pytest.mark.parametrize("name, kind", [
    ("exit_steps", "timesteps"), ("classes", "class"), ("events", "events"), ("synaptic_ops", "synaptic ops"),
])
def test_every_figure_of_the_answer_is_compared(name, kind):
    plan, traces, result = example()
    right = int(getattr(result, name)[0])
    difference = answer_difference(plan, traces, replace(result, **{name: np.array([right + 9])}))
    assert difference == Difference(kind, right, right + 9)
    assert str(difference) == f"{kind}: expected {right}, got {right + 9}"
    assert answer_difference(plan, traces, result) is None


def test_a_wrong_value_of_any_output_of_the_answer():
    plan, traces, result = example()
    for name in ("z", "m"):
        wrong = result.outputs[name].copy()
        wrong[0, -1, -1, -1] += 1
        changed = replace(result, outputs=result.outputs | {name: wrong})
        difference = compare_image(plan, traces, seen(expected_probe(plan, traces)), changed)
        place = tuple(size - 1 for size in wrong.shape[1:])
        assert difference == Difference("output", wrong[0][place] - 1, wrong[0][place], name, 2, place)


def test_an_exit_at_the_wrong_timestep_is_named_as_such():
    plan, traces, result = example(groups=2)
    expected = expected_probe(plan, traces)
    probe = seen([type(e)(*(column[: len(e) // 2] for column in vars(e).values())) for e in expected])
    early = replace(result, exit_steps=np.array([1]))
    assert compare_image(plan, traces, probe, early) == Difference("timesteps", 2, 1)
    probe.count[0] += 1
    assert compare_image(plan, traces, probe, early).kind == "count"
