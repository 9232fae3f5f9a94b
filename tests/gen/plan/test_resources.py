"""Estimates of what a core takes: memories by hand, and a synthesized core."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gen.data.digits import small_module
from gen.errors import DoesNotFit
from gen.method.convert import convert
from gen.plan.candidate import make_candidate
from gen.plan.candidates import candidates
from gen.plan.choice import choose
from gen.plan.memories import memory_table
from gen.plan.placement import placed_plan, with_spares
from gen.plan.plan import make_plan
from gen.plan.resources import ICE40_FREE, core_resources, link_resources, single_port_blocks
from gen.plan.target import find_target
from tests.gen.plan.networks import chained, layered
from tests.kit.random_networks import SECOND, random_network

ECP5, ICE40 = find_target("ulx3s_85f"), find_target("icebreaker")
WITHIN = 0.15  # of tables and flip-flops


def _small(exit):
    """Return the network of the smallest parts, untrained."""
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    return convert(small_module(), images, timesteps=4, exit=exit)


def _params(**changes):
    return replace(make_plan(layered(8, 8, channels=16), 16).params, **changes)


def test_blocks_are_those_of_the_memories():
    """36 bits a block at 512 words, 18 at 1,024, and so on; words of 128 bits are cut into columns, and into banks."""
    few = core_resources(_params(weights=512), ECP5)["bram"]
    for depth, columns in (
        (513, 8), (1024, 8), (1025, 15), (2049, 15 + 4), (4096, 32), (4097, 32 + 4), (17078, 128 + 8),
    ):
        assert core_resources(_params(weights=depth), ECP5)["bram"] - few == columns - 4, depth


def test_small_memories_take_no_block_where_tables_hold_words():
    params = _params(outputs=16)
    larger = replace(params, outputs=17)
    assert memory_table(params)["outputs"].small and not memory_table(larger)["outputs"].small
    assert core_resources(larger, ECP5)["bram"] - core_resources(params, ECP5)["bram"] == 1
    assert core_resources(larger, ICE40)["bram"] - core_resources(params, ICE40)["bram"] in (0, 1)


def test_a_multiplier_for_each_lane_and_two_for_softmax():
    params = _params(softmax=0)
    assert core_resources(params, ECP5)["dsp"] == 16
    assert core_resources(replace(params, softmax=1), ECP5)["dsp"] == 18


def test_more_lanes_and_more_features_take_more_logic():
    network = chained({"a": ["input"], "b": ["a"]})
    sizes = [core_resources(make_plan(network, lanes).params, ECP5)["lut"] for lanes in (4, 8, 16, 32, 64)]
    assert sizes == sorted(sizes) and sizes[-1] > 2 * sizes[0]
    plain = _params()
    for feature in ({"signed": 1}, {"softmax": 1}, {"dense": 1}, {"phase_bits": 2}, {"outside": 1}, {"quick": 1}):
        with_it, without = replace(plain, **feature), replace(plain, **dict.fromkeys(feature, 0))
        assert core_resources(with_it, ECP5)["lut"] > core_resources(without, ECP5)["lut"]


def test_states_outside_take_logic_for_each_group_and_neuron():
    """Yosys: 1,193 tables more with one neuron, and 1,743 with two, what fetches blocks (560) included."""
    sizes = []
    for neurons, digits in ((1, 2), (2, 2), (2, 4)):
        plain = _params(neurons=neurons, state_bits=4 * digits)
        parked = replace(plain, outside=4096, parked=64)
        sizes.append(core_resources(parked, ECP5)["lut"] - core_resources(replace(parked, parked=0), ECP5)["lut"])
    assert sizes == [160 + 402 + neurons * (270 + 75 * digits) for neurons, digits in ((1, 2), (2, 2), (2, 4))]


def test_steps_that_are_kept_take_tables():
    """Yosys: 144 for the 54 bits of a CNN for Fashion-MNIST, 187 for the 67 of a ResNet-20."""
    for bits, tables in (({"address_bits": 12, "place_bits": 6, "weights": 1100, "parameters": 16}, 144),
                         ({"address_bits": 14, "place_bits": 7, "weights": 17000, "parameters": 175}, 187)):
        sizes = [core_resources(_params(**bits, windows=1, quick=quick), ECP5)["lut"] for quick in (0, 1)]
        assert sizes[1] - sizes[0] == pytest.approx(tables, abs=8)


def test_cores_keep_steps_where_that_is_faster_and_the_part_has_the_tables():
    """Without that a tile is made in four cycles: a group of as many beats is no faster."""
    windows, dense = chained({"a": ["input"], "b": ["a"]}), layered(8, 8)

    def quick(lanes, neurons, board="ulx3s_12f", network=windows):
        return with_spares(make_plan(network, lanes, neurons=neurons), find_target(board)).params.quick

    boards = "ulx3s_12f", "arty_a7_35", "pynq_z2", "icebreaker", "tang_nano_9k", "tang_nano_20k"
    assert [quick(4, 2, board) for board in boards] == [1, 1, 1, 0, 0, 0]
    assert [quick(*core) for core in ((4, 1), (4, 2), (8, 2), (8, 4), (16, 4), (32, 4), (64, 4), (16, 8), (64, 8))] == [
        0, 1, 0, 1, 0, 0, 0, 1, 1]
    assert not quick(4, 2, network=dense)


def test_single_port_ram_holds_weights_first_then_states():
    network = layered(8, 8, channels=16)
    weights, states = placed_plan(network, 4, ICE40), placed_plan(chained({"a": ["input"], "b": ["a"]}), 4, ICE40)
    assert states.params.spram == 2 and weights.params.spram == 1  # the first one keeps no state
    assert single_port_blocks(weights.params) == 2 and single_port_blocks(states.params) <= ICE40.spram_blocks
    assert placed_plan(network, 4, ECP5).params.spram == 0


def test_the_link_stands_beside_the_core():
    assert all(link_resources(target)["lut"] > 500 for target in (ECP5, ICE40))


@pytest.mark.parametrize("exit, fits", [("off", True), ("entropy", False)])
def test_an_ice40_is_refused_what_the_tools_find_no_place_for(exit, fits):
    """`adafire build` of such a network without softmax, trained, ends with 4,764 of 5,280 cells, 1,400 of the link."""
    network = _small(exit)
    if fits:
        assert choose(candidates(network, ICE40)).used["lut"] == pytest.approx(4764 + ICE40_FREE, rel=0.05)
    else:
        with pytest.raises(DoesNotFit, match="does not fit 1BitSquared iCEBreaker .* It would fit "):
            choose(candidates(network, ICE40))


def test_a_tang_nano_has_the_lanes_that_nextpnr_finds_a_place_for():
    """`adafire build` of such a network, trained, on a Tang Nano 9K: 5,924 cells with 4 lanes, 6,510 with 8."""
    network, board = _small("margin"), find_target("tang_nano_9k")
    found = candidates(network, board)
    free = round(0.15 * board.luts)
    used = {each.lanes: each.used["lut"] - free for each in found if each.neurons == 1}
    assert used[4] == pytest.approx(5924, rel=0.05) and used[8] == pytest.approx(6510, rel=0.05)
    chosen = choose(found)
    assert chosen.lanes == 8 and chosen.used["dsp"] == 4


def test_flip_flops_of_a_tang_nano_stay_free_too():
    """Of such a network, trained, nextpnr takes 4,318, 384 of them where memories are in tables."""
    board = find_target("tang_nano_9k")
    chosen = choose(candidates(_small("margin"), board))
    assert (chosen.neurons, chosen.plan.params.strip_form) == (2, "rows")
    assert chosen.used["ff"] - round(0.2 * board.ffs) == pytest.approx(4318, rel=0.15)
    assert not make_candidate(chosen.plan.network, replace(board, ffs=5600), (), 8, neurons=2, strips="rows").fits


@pytest.mark.slow
@pytest.mark.parametrize("seed, lanes", [(3, 4), (1, 16)])
def test_a_synthesized_core_is_as_large_as_foretold(seed, lanes):
    from amaranth.back import rtlil

    from benchmarks.area import TOP, figures, synthesized
    from hw.core.core import Core
    from hw.names import plain_names

    network = random_network(seed, contract=SECOND, max_neurons=1500, max_weights=3000, max_size=12, max_timesteps=3)
    params = make_plan(network, lanes).params
    found = figures(synthesized(plain_names(rtlil.convert(Core(params, {}), name=TOP, emit_src=False))), TOP)
    expected = core_resources(params, ECP5)
    assert (found["DP16KD"], found["MULT18"]) == (expected["bram"], expected["dsp"])
    assert expected["lut"] == pytest.approx(found["comb"], rel=WITHIN)
    assert expected["ff"] == pytest.approx(found["FF"], rel=WITHIN)


def test_cores_of_many_neurons_spare_no_blocks():
    """Yosys' ABC ends without a word where they do."""
    network = chained({"a": ["input"]})
    spared = [with_spares(make_plan(network, lanes, neurons=neurons), ECP5).params.spare_blocks
              for lanes, neurons in ((16, 4), (64, 1), (64, 2), (32, 4))]
    assert spared == [1, 1, 0, 0]
