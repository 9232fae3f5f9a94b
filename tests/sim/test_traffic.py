"""Words derived from plan and counters: of a small network by hand, of others from what must hold of any."""

from dataclasses import replace

import numpy as np
import pytest

from gen.exit_rule import ExitRule
from gen.intnet import TILES, IntegerNetwork
from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY, Pool, Readout, Source, Spiking, Synapse
from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.program import cursor_fields, output_fields, pass_fields, stage_fields, synapse_fields, words_of
from gen.result import Result
from sim.hardware_energy import ADD_PJ_PER_BIT, MULTIPLY_PJ_PER_BIT2, SRAM_PJ_PER_BIT, estimated
from sim.traffic import memory_traffic, neurons_fired, rounds_of_stages
from sim.golden import Golden
from tests.gen.plan.reader import gathered, read_program
from tests.kit.ports import PortCounter
from tests.kit.random_networks import SECOND, random_images, random_network, random_staged_network

STEPS = np.array([3, 1, 2])
BUSY = np.array([700, 300, 500])


def spiking(name, source, channels, inputs, kernel, **geometry):
    weight = np.ones((channels, inputs, kernel, kernel), int)
    each = np.ones(channels, int)
    return Spiking(name, [Synapse(source, weight, **geometry)], each, 4 * each, each, 7, 12, 4 * each)


def small(order="steps", rule=True):
    """4 x 4 pixels; 6 channels from 3 x 3 windows, 2 x 2 of them pooled; 4 channels of these; two classes."""
    readout = Readout("z", [Synapse("b", np.ones((2, 4, 2, 2), int))], np.zeros(2, int), np.full(2, 4))
    return IntegerNetwork(
        Source((1, 4, 4)), [
            spiking("a", INPUT, 6, 1, 3, padding=(1, 1)), Pool("p", "a", "sum", (2, 2), (2, 2)),
            spiking("b", "p", 4, 6, 1), readout,
        ], 3, ExitRule("entropy", 1, 1, (1, 1, 1)) if rule else ExitRule(), order=order,
    )


def counted(steps=STEPS):
    """Return the result of three images that ran so many timesteps."""
    zeros = np.zeros(len(steps), np.int64)
    return Result(zeros, steps, np.zeros((len(steps), 2)), zeros, zeros + 1000, 9 * BUSY, BUSY)


@pytest.mark.parametrize("groups", [1, 2])
def test_the_words_of_a_small_network(groups):
    """Of its passes: 96 neurons and 100 taps of the input for each of 2 tiles; 16 neurons, 4 taps of 2 words; 2, 4.

    The groups share the words of the last: each has both neurons, and their values.
    """
    plan = make_plan(small(), width=4, groups=groups)
    moved = {name: (read, written) for name, (read, written, _) in memory_traffic(plan, counted()).items()}
    first, later = np.ones(3, int), STEPS - 1
    expected = {
        "image": (100 * 2 * first, 16 * groups * first),  # its current is kept
        "maps": ((4 * 2 + 4) * STEPS, (4 * 2 + 4) * groups * STEPS),
        "weights": (BUSY, 0 * first),
        "parameters": ((96 + 16 + 2 * groups) * STEPS, 0 * first),
        "states": ((96 + 16) * later, (96 + 16) * STEPS),
        "currents": (96 * later, 96 * first),
        "outputs": (groups * (2 * later + 2 * 2 * STEPS + 2), groups * 2 * STEPS),
        "limits": (STEPS, 0 * first),
    }
    for memory, (read, written) in expected.items():
        assert (moved[memory][0] == read).all() and (moved[memory][1] == written).all(), memory
    assert moved.keys() == expected.keys() | {"program"}
    # Of each pass its block, a synapse's block, and for each tile a step of both cursors; a quick core reads each once.
    tiles = sum(int(np.prod(list(p.walk.turns.values()))) for p in plan.passes)
    steps = sum(1 + sum(turns > 1 for turns in p.walk.turns.values()) for p in plan.passes)
    block, synapse, output, cursor, stage = (words_of(fields(plan.params)) for fields in (
        pass_fields, synapse_fields, output_fields, cursor_fields, stage_fields,
    ))
    round_ = 3 * (block + synapse) + tiles * (output + cursor)
    assert (moved["program"][0] == round_ * STEPS).all()
    quick = plan_on(plan.network, replace(plan.params, quick=1, stages=2))
    kept = round_ - (tiles - steps) * (output + cursor)
    assert (memory_traffic(quick, counted())["program"][0] == stage + kept * STEPS).all()


def test_in_tile_order_the_same_words_move_but_for_those_of_decisions():
    plans = (make_plan(small(order, rule=False), width=4, groups=2) for order in ("steps", TILES))
    by_step, by_tile = (memory_traffic(plan, counted(np.array([3, 3, 3]))) for plan in plans)
    for memory in ("image", "weights", "parameters", "states", "currents"):  # a pool is not fused in tile order
        assert [moved.tolist() for moved in by_step[memory][:2]] == [moved.tolist() for moved in by_tile[memory][:2]]
    assert (by_step["outputs"][1] == by_tile["outputs"][1]).all()
    assert (by_step["outputs"][0] - by_tile["outputs"][0] == 2 * 2 * 2).all()  # two decisions less


@pytest.mark.parametrize("seed", range(12))
def test_every_neuron_fires_once_a_timestep_whatever_the_groups(seed):
    """Those of a shared readout once in each group."""
    network = random_network(seed, contract=SECOND)
    plans = [make_plan(network, width=4, groups=groups) for groups in (1, 2, 4)]
    assert len({len(plan.passes) for plan in plans}) == 1
    for passes in zip(*(plan.passes for plan in plans)):
        fired = {neurons_fired(plan, p) for plan, p in zip(plans, passes)}
        layer = passes[0].layer
        each = {plan.params.groups if p.loops.shared else 1 for plan, p in zip(plans, passes)}
        assert fired == {n * int(np.prod(network.shapes[layer.name])) for n in each}, layer.name


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("neuron", [ADAFIRE, INVERSE_LEAKY])
def test_the_words_looked_up_are_those_of_the_program(seed, neuron):
    network = random_network(seed, contract=SECOND, neuron=neuron, max_neurons=600, max_weights=3000)
    plan = make_plan(network, width=4, groups=(1, 2, 4)[seed % 3])
    moved = memory_traffic(plan, counted(np.array([network.timesteps] * 3)))
    read, (_, _, blocks) = {"image": 0, "maps": 0}, read_program(plan)
    for p, block in zip(plan.passes, blocks):
        for number, (fields, _) in enumerate(block["sources"]):
            words = sum(len(tile) for group in range(plan.params.groups) for tile in gathered(block, number, group))
            read["image" if fields["image"] else "maps"] += (
                words // p.steps if p.keep else words * plan.stages[0].rounds
            )
    assert {memory: moved[memory][0].tolist() for memory in read} == {name: [n] * 3 for name, n in read.items()}


@pytest.fixture(scope="module")
def counter():
    plans = [make_plan(network, width=4, groups=2) for network in drawn_networks()]
    return PortCounter.for_plan(plan_on(plans[0].network, covering(plans)))


def drawn_networks():
    """Networks of every kind, small."""
    sizes = dict(max_neurons=600, max_weights=3000)
    return [
        *(random_network(seed, contract=SECOND, **sizes) for seed in range(14)),
        *(random_network(seed, neuron=INVERSE_LEAKY, **sizes) for seed in range(4)),
    ]


@pytest.mark.parametrize("number", range(18))
def test_the_memories_of_a_core_move_these_words(counter, number):
    network = drawn_networks()[number]
    counter.load(plan_on(network, counter.plan.params))
    x = random_images(network, number, 4)
    moved, counted = memory_traffic(counter.plan, counter.run(x)), counter.count(x)
    for memory, (read, written) in counted.items():
        if memory == "outputs":  # decisions and results are not counted
            assert (moved[memory][0] >= read).all()
        else:
            assert (moved[memory][0] == read).all(), memory
        assert memory == "image" or (moved[memory][1] == written).all(), memory


def test_stages_run_until_one_answers():
    drawn = (random_staged_network(seed, sources=("direct",)) for seed in range(9))
    network = next(network for network in drawn if len(network.stages) == 2)
    plan = make_plan(network, width=4, groups=1)
    golden = Golden(network).run(random_images(network, 1, 20))
    rounds = rounds_of_stages(plan, golden)
    first, second = plan.stages
    assert (rounds[0] == np.minimum(golden.exit_steps, first.rounds)).all()
    assert ((rounds[1] > 0) == (golden.stages == 1)).all()
    assert (rounds[1] <= second.rounds).all()


def test_without_the_busy_cycles_the_weights_are_unknown():
    plan = make_plan(small(), width=4, groups=1)
    moved = memory_traffic(plan, replace(counted(), busy_cycles=None))
    assert [name for name, (read, _, _) in moved.items() if read is None] == ["weights"]


def test_energy_is_that_of_words_and_operations():
    plan, result = make_plan(small(), width=4, groups=2), counted()
    cost, moved = estimated(plan, result), memory_traffic(plan, result)
    bits = sum((read + written) * width for read, written, width in moved.values())
    burst = plan.params.burst_bits
    additions = 1000 + (96 * (2 + burst) + 16 * (2 + burst) + 2 * 2 * 2) * STEPS - 96 * (STEPS - 1)
    assert (cost["additions"] == additions).all()
    assert np.allclose(cost["memory_estimated_uJ"], bits * SRAM_PJ_PER_BIT / 1e6)
    product = 1000 * plan.params.weight_bits * plan.params.operand_bits * MULTIPLY_PJ_PER_BIT2
    arithmetic = (product + additions * plan.params.acc_bits * ADD_PJ_PER_BIT) / 1e6
    assert np.allclose(cost["arithmetic_estimated_uJ"], arithmetic)
    assert np.allclose(cost["hardware_estimated_uJ"], cost["memory_estimated_uJ"] + arithmetic)
