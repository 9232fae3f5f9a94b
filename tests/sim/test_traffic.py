"""Words derived from schedule and counters, against the words that the memories of compiled cores really move."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from gen.layers import ADAFIRE, INVERSE_LEAKY
from gen.layout.estimate import estimate_memories
from gen.layout.program import CoreParams
from gen.layout.schedule import build_schedule, schedule_on
from sim.golden import Golden
from sim.ports import PortCounter
from tests.kit.random_networks import random_images, random_network
from sim.traffic import memory_traffic

SEEDS = (0, 3, 5, 8, 9, 11, 14, 21, 26, 33)
SEPARATED = (2, 7)
DRAWN = [*((seed, ADAFIRE) for seed in SEEDS), *((seed, INVERSE_LEAKY) for seed in SEPARATED)]
IMAGES = 8


@pytest.fixture(scope="module", params=[4, 8], ids=["one neuron", "a neuron for each lane"])
def core(request):
    """A core that runs all the networks."""
    schedules = [build_schedule(random_network(seed, neuron=neuron), request.param) for seed, neuron in DRAWN]
    params = reduce(CoreParams.covering, [schedule.params for schedule in schedules])
    return PortCounter.for_schedule(schedule_on(schedules[0].network, params))


def test_the_networks_are_of_all_kinds():
    networks = [random_network(seed) for seed in SEEDS]
    assert {network.source.kind for network in networks} == {"direct", "frames"}
    assert {network.exit_rule.kind for network in networks} == {"off", "entropy", "confidence", "margin"}
    synapses = [s for network in networks for layer in network.layers for s in layer.synapses]
    assert any(s.groups > 1 for s in synapses) and any(max(s.dilation) > 1 for s in synapses)
    passes = [p for network in networks for p in build_schedule(network, 4).passes]
    assert {p.keep for p in passes} == {True, False}
    assert any(not p.layer.weighted for p in passes), "maps that no counter sees"


@pytest.mark.parametrize(("seed", "neuron"), DRAWN)
def test_every_memory_moves_the_words_that_are_derived(core, seed, neuron):
    network = random_network(seed, neuron=neuron)
    core.load(schedule_on(network, core.schedule.params))
    x = random_images(network, seed, IMAGES)
    counted = core.count(x)  # before `run`, whose last image leaves the core still reading the program
    moved = memory_traffic(core.schedule, core.run(x), x)
    assert moved.keys() == counted.keys() == estimate_memories(core.schedule.params).keys()
    for memory, (read, written, bits) in moved.items():
        assert (read == counted[memory][0]).all() and (written == counted[memory][1]).all(), (seed, memory)
        assert bits == estimate_memories(core.schedule.params)[memory][0]


def test_without_the_busy_cycles_what_they_count_is_unknown():
    network = random_network(8)
    schedule, x = build_schedule(network, 8), random_images(network, 8, 3)
    result = Golden(network).run(x)
    moved = memory_traffic(schedule, result, x)
    assert [name for name, (read, _, _) in moved.items() if read is None] == ["weights", "events"]
    known = memory_traffic(schedule, replace(result, busy_cycles=np.array([5, 6, 7])), x)
    assert known["weights"][0].tolist() == known["events"][0].tolist() == [5, 6, 7]
    assert (known["states"][1] == moved["states"][1]).all()
