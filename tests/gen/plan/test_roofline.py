"""`gen.plan.roofline`: what bounds each layer, by what the core does and what the memory moves."""

from dataclasses import replace

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import Source, Synapse
from gen.plan.activity import Activity, StageActivity, find_activity
from gen.plan.blocks import stage_blocks, words_moved
from gen.plan.estimate import expected_cycles, written_words
from gen.plan.plan import make_plan
from gen.plan.regions import Room
from gen.plan.roofline import LANES, STATES, WEIGHTS, roofline
from tests.gen.plan.networks import layered, readout, spiking

FAST, SLOW = 1e-6, 1000.0  # cycles of a word from outside


def plans():
    network = layered(8, 8, 8, channels=32)
    return make_plan(network, 16), make_plan(network, 16, room=Room(weights=1, maps=1, image=0))


def test_inside_the_chip_lanes_bound_every_layer_and_fill_the_time():
    inside, _ = plans()
    bounds = roofline(inside, SLOW)
    assert {of.bound for of in bounds} == {LANES} and not any(of.words for of in bounds)
    assert sum(of.compute for of in bounds) == pytest.approx(expected_cycles(inside).cycles, rel=0.2)


def test_a_memory_that_is_slow_enough_bounds_a_layer_and_a_fast_one_none():
    _, outside = plans()
    assert {of.bound for of in roofline(outside, FAST)} == {LANES}
    assert LANES not in {of.bound for of in roofline(outside, SLOW)}
    assert WEIGHTS in {of.bound for of in roofline(outside, SLOW)}


def test_the_words_of_all_layers_are_those_that_move():
    _, outside = plans()
    stage, rounds = outside.stages[0], outside.stages[0].rounds
    moved = sum(words_moved(block, outside.params) for block in stage_blocks(stage.passes, outside.regions))
    moved += sum(written_words(outside, p) for p in stage.passes)
    assert sum(of.words for of in roofline(outside, FAST)) == pytest.approx(rounds * moved)
    assert [of.layer for of in roofline(outside, FAST)] == [layer.name for layer in outside.network.layers]


def test_states_outside_are_read_and_written_in_the_rounds_that_run():
    plan = make_plan(replace(layered(8, 8, 8, channels=32, side=6), timesteps=3), 16, room=Room(states=0))
    running = np.array([1, 0.5, 0.25])
    maps = find_activity(plan.network).stages[0].maps
    bounds = roofline(plan, SLOW, Activity((StageActivity(running, maps),), "made up"))
    each = 32 * 6 * 6 / 4  # states of 8 bits, four to a word
    assert [of.words for of in bounds] == [each * (1 + 2 * 0.5 + 0.25)] * 2 + [0]
    assert [of.bound for of in bounds] == [STATES, STATES, LANES]


def test_an_input_outside_is_written_there_too():
    rng = np.random.default_rng(0)
    network = IntegerNetwork(Source((3, 12, 12)), [
        spiking("conv", [Synapse("input", rng.integers(-7, 8, (16, 3, 3, 3)))]),
        readout("out", Synapse("conv", rng.integers(-7, 8, (4, 16, 10, 10)))),
    ], timesteps=1)
    inside, outside = (make_plan(network, 16, room=Room(weights=1, image=image)) for image in (None, 0))
    assert outside.params.image_ring and outside.params.image_pieces == 1
    stage, params = outside.stages[0], outside.params
    moved = sum(words_moved(block, params) for block in stage_blocks(stage.passes, outside.regions))
    first, last = roofline(outside, FAST)
    assert first.words + last.words == moved + 12 * 12
    assert sum(of.words for of in roofline(inside, FAST)) < moved
