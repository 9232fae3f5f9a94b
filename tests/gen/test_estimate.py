"""`gen.estimate`: block RAM by the part's shapes, cycles that follow the work."""

from dataclasses import replace

import pytest

from gen.estimate import estimate_cycles, estimate_memories, estimate_resources
from gen.program import memory_shapes
from gen.schedule import build_schedule
from gen.target import find_target
from sim.random_networks import random_network

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


def test_more_lanes_need_more_of_everything():
    network = random_network(5)
    few, many = (estimate_resources(build_schedule(network, n).params, find_target("ulx3s_85f")) for n in (2, 32))
    assert all(few[kind] < many[kind] for kind in ("lut", "ff", "dsp"))
