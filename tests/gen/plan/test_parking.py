"""`gen.plan.parking`: which states lie outside the chip, where, and how many words move."""

from dataclasses import replace
from itertools import combinations

import pytest

from gen.intnet import TILES
from gen.layers import INPUT, INVERSE_LEAKY
from gen.plan.estimate import expected_cycles
from gen.plan.parking import may_park, moves_of_rounds, parked_end, parked_moves, parked_words
from gen.plan.placement import placed_plan
from gen.plan.plan import core_room, make_plan, plan_on
from gen.plan.regions import Room
from gen.plan.resources import core_resources, link_resources
from gen.plan.target import find_target
from tests.gen.plan.networks import SHAPE, chained, layered
from tests.gen.plan.reader import read_program
from tests.kit.random_networks import SECOND, random_network, random_staged_network

NONE = Room(states=0)
CHAIN = {"a": [INPUT], "b": ["a"], "c": ["b"]}
PLACES = SHAPE[1] * SHAPE[2]


def random_plan(seed, room=NONE):
    """Return the plan of a random network that has states, for groups and neurons of some number."""
    draw = random_staged_network if seed % 5 == 4 else random_network
    kinds = {} if seed % 5 == 4 else {"contract": SECOND, "rules": ["margin"]}
    network = draw(seed, max_neurons=1500, **kinds)
    width, groups = (4, 8, 16)[seed % 3], (1, 2, 4)[seed % 4 % 3]
    return make_plan(network, width=width, groups=groups, neurons=1 + seed % 2, room=room)


def words_taken(p, group):
    """Return the words that the states of a group take, each in whole groups of four bits."""
    bits = sum(-(-lanes // p.neurons) for lanes in p.order(group)[3].tolist()) * (p.layer.state_bits + 3 & ~3)
    return p.neurons * -(-bits // 32)


@pytest.mark.parametrize("seed", range(20))
def test_each_state_of_a_group_has_its_place_and_no_two_passes_share_one(seed):
    plan = random_plan(seed)
    groups = plan.params.groups
    for stage in plan.stages:
        extents = []
        for p in stage.passes:
            parks = p.layer.fires and may_park(stage.network, stage.passes)
            assert (p.parked is not None) == parks, f"seed {seed}: {p.title}"
            words = [parked_words(p, group) for group in range(groups)]
            if p.parked is None:
                assert not any(words) and not parked_end(p), f"seed {seed}"
                continue
            assert not p.keep
            assert words == [words_taken(p, group) for group in range(groups)], f"seed {seed}: {p.title}"
            assert max(words) == words[0] <= plan.params.parked, f"seed {seed}: {p.title}"
            extents.append((p.parked, parked_end(p)))
            ends = [p.parked + group * words[0] + own for group, own in enumerate(words) if own]
            assert max(ends) <= extents[-1][1], f"seed {seed}: {p.title}"
        for (a, b), (c, d) in combinations(extents, 2):
            assert b <= c or d <= a, f"seed {seed}"
        assert all(plan.bases.states + end <= plan.params.outside for _, end in extents), f"seed {seed}"
    all_may = all(may_park(stage.network, stage.passes) for stage in plan.stages if stage.network.timesteps > 1)
    assert not all_may or plan.params.states == 0, f"seed {seed}"


@pytest.mark.parametrize("seed", range(8))
def test_the_program_says_where_they_lie(seed):
    plan = random_plan(seed)
    _, _, blocks = read_program(plan)
    for p, fields in zip(plan.passes, blocks):
        if plan.params.parked:
            own = [parked_words(p, group) for group in range(plan.params.groups)]
            assert fields["parks"] == (p.parked is not None), f"seed {seed}: {p.title}"
            assert [fields[f"parked_{group}"] for group in range(len(own))] == own, f"seed {seed}: {p.title}"
            if p.parked is not None:
                assert fields["park"] == plan.bases.states + p.parked, f"seed {seed}: {p.title}"
                assert fields["digits"] == (p.layer.state_bits + 3) // 4, f"seed {seed}: {p.title}"


@pytest.mark.parametrize("room, parked", [(4, ""), (3.9, "c"), (2, "bc"), (1.9, "ac"), (1, "ac"), (0, "abc")])
def test_the_largest_stay_on_the_chip_as_far_as_they_fit(room, parked):
    """``room`` for the states of so many layers; the first one keeps as many currents."""
    words = int(room * SHAPE[0] * PLACES)
    plan = make_plan(chained(CHAIN, timesteps=3), 4, room=Room(states=words))
    assert "".join(p.layer.name for p in plan.passes if p.parked is not None) == parked
    assert plan.params.states + plan.params.currents <= words


def test_a_board_with_a_memory_keeps_the_states_that_fit():
    network = replace(layered(8, 8, 8, 8, channels=32, side=40), timesteps=4)  # 154,000 states of 8 bits
    board = find_target("ulx3s_12f")
    plan = placed_plan(network, 16, board)
    used = core_resources(plan.params, board)["bram"] + link_resources(board)["bram"]
    assert plan.params.parked and used <= board.bram_blocks
    assert plan_on(network, plan.params).digest == plan.digest, "a folder is read as it was written"
    assert placed_plan(network, 16, replace(board, dram=None)).params.parked == 0
    slow, fast = (expected_cycles(plan, pace=pace).cycles for pace in (9, 8))
    moved = sum(parked_moves(p, 1) for p in plan.passes) * moves_of_rounds(4).sum()
    assert slow - fast >= 0.5 * moved, "the memory bounds it"


@pytest.mark.parametrize("network", [
    chained(CHAIN, timesteps=1), chained(CHAIN, timesteps=3, order=TILES), chained(CHAIN, 3, neuron=INVERSE_LEAKY),
], ids=["one timestep", "tile order", "two-phase"])
def test_states_that_live_for_a_tile_or_a_phase_stay_on_the_chip(network):
    plan, inside = make_plan(network, 4, room=NONE), make_plan(network, 4)
    assert plan.params == inside.params and plan.digest == inside.digest


@pytest.mark.parametrize("seed", range(10))
def test_a_network_on_the_core_that_was_made_for_it_is_the_same(seed):
    whole = random_plan(seed, Room())
    for share in (0.6, 0.3, 0):
        room = Room(states=int(share * (whole.params.states + whole.params.currents)))
        plan = random_plan(seed, room)
        again = make_plan(plan.network, width=plan.params.width, groups=plan.params.groups, neurons=plan.params.neurons,
                          room=core_room(plan.params))
        if again.params == plan.params:
            assert plan_on(plan.network, plan.params).digest == plan.digest, f"seed {seed}"
        else:
            assert len(plan.stages) > 1, f"seed {seed}: stages of other sizes share a memory"


def test_they_move_twice_in_all_rounds_but_the_first_and_the_last():
    assert moves_of_rounds(1).tolist() == [0]
    assert moves_of_rounds(2).tolist() == [1, 1]
    assert moves_of_rounds(5).tolist() == [1, 2, 2, 2, 1]
