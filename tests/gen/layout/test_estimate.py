"""`gen.layout.estimate`: block RAM by the part's shapes, cycles that follow the work."""

from dataclasses import replace

import pytest

from gen.layout.estimate import estimate_cycles, estimate_memories, estimate_resources, place_weights
from gen.layout.program import CoreParams, memory_shapes
from gen.layout.schedule import build_schedule
from gen.layout.target import find_target
from tests.kit.random_networks import random_network

SEEDS = [2, 5, 11, 23]


@pytest.mark.parametrize("seed", SEEDS)
def test_more_timesteps_cost_more_cycles_and_more_lanes_no_more(seed):
    network = replace(random_network(seed, sources=("direct",), rules=("off",)), timesteps=4)
    narrow, wide = build_schedule(network, 2), build_schedule(network, 16)
    steps = [estimate_cycles(narrow, timesteps=t) for t in (1, 2, 4)]
    assert steps == sorted(steps) and steps[0] < steps[2] == estimate_cycles(narrow)
    assert estimate_cycles(wide) <= estimate_cycles(narrow)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_memory_is_counted(seed):
    params = build_schedule(random_network(seed), 8).params
    memories = estimate_memories(params)
    assert set(memory_shapes(params)) < set(memories)
    assert memories["states"] == (8 * params.state_bits, params.states)


def test_block_rams_follow_the_shapes_of_the_part():
    params = build_schedule(random_network(2), 8).params
    deep = replace(params, weights=2048, weight_bits=8, lanes=9, neurons=9)
    ecp5 = find_target("ulx3s_85f")
    used = [estimate_resources(replace(deep, weights=n), ecp5)["bram"] for n in (1024, 2048, 2049)]
    assert used[1] - used[0] == 4, "72 bits: 4 blocks of 18 bits up to 1024 words, 8 of 9 bits up to 2048"
    assert used[2] > used[1]


SMALL = dict(
    lanes=4, neurons=1, weight_bits=8, value_bits=9, index_bits=6, offset_bits=9, loop_bits=2, acc_bits=21,
    state_bits=20, theta_bits=14, bias_bits=16, events=192, pointers=98, weights=498, parameters=9, states=192,
    currents=128, layers=3, synapses=1, burst=7, classes=10, class_tiles=3, maximum=0, softmax=0, program=39, spram=2,
)
RESIDUAL = SMALL | dict(
    value_bits=8, index_bits=7, offset_bits=10, loop_bits=3, bias_bits=15, events=832, pointers=195, weights=2740,
    parameters=23, states=512, currents=256, layers=5, synapses=2, program=113,
)
WIDE = RESIDUAL | dict(
    lanes=16, neurons=16, offset_bits=9, loop_bits=2, pointers=82, weights=729, parameters=6, states=128, currents=64,
    class_tiles=1, softmax=1, program=98, spram=0,
)


@pytest.mark.parametrize("board, sizes, synthesized", [
    # by Yosys 0.70; a table is a logic cell of the iCE40, carries and distributed memory included for the ECP5
    ("icebreaker", SMALL, {"lut": 3274, "ff": 2062, "bram": 18, "dsp": 4}),
    ("icebreaker", RESIDUAL, {"lut": 4287, "ff": 2616, "bram": 24, "dsp": 4}),
    ("ulx3s_85f", WIDE, {"lut": 10537, "ff": 13919, "bram": 30, "dsp": 18}),
], ids=["small", "residual", "wide"])
def test_synthesis_needs_no_more_than_the_estimate_and_not_much_less(board, sizes, synthesized):
    estimated = estimate_resources(CoreParams(**sizes), find_target(board))
    for kind, used in synthesized.items():
        assert used <= estimated[kind] <= 1.35 * used + 3, (kind, used, estimated[kind])


def test_single_port_memory_takes_weights_then_states_where_there_is_enough():
    params = build_schedule(random_network(5), 4).params
    wide = replace(params, weights=40000)
    assert [place_weights(p, find_target(b)).spram for p, b in (
        (params, "icebreaker"), (wide, "icebreaker"), (replace(params, lanes=16, neurons=16), "icebreaker"),
        (params, "ulx3s_85f"),
    )] == [2, 0, 0, 0]


def test_more_lanes_need_more_of_everything():
    network = random_network(5)
    few, many = (estimate_resources(build_schedule(network, n).params, find_target("ulx3s_85f")) for n in (2, 32))
    assert all(few[kind] < many[kind] for kind in ("lut", "ff", "dsp"))
