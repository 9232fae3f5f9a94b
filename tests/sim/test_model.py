"""The compiled RTL against the golden model: random networks, one core per number of lanes.

Networks of the kind "mixed" have narrow layers; a core for those of the kind "alike" lacks the hardware for them.
"""

from functools import reduce

import numpy as np
import pytest

from gen.errors import DoesNotFit
from gen.layers import INVERSE_LEAKY
from gen.layout.program import CoreParams
from gen.layout.schedule import build_schedule, schedule_on
from hw.verilog import core_verilog
from sim.compare import Answer, compare_image
from sim.golden import Golden
from sim.model import CompiledCore, without_contents
from tests.kit.random_networks import random_images, random_network

IMAGES = 3
KINDS = {"any": {}, "mixed": {"layer_bits": (2, 3, 4, 8)}, "alike": {"layer_bits": (8,)}}
QUICK = [
    (2, "any", range(0, 70)), (4, "mixed", range(220, 270)), (5, "alike", range(70, 140)),
    (16, "any", range(140, 220)),
]
SEPARATED = [(3, 4), (8, 220)]  # lanes, first seed
LONG = [
    (lanes, kind, range(1000 * lanes, 1000 * lanes + 240))
    for kind, all_lanes in (("any", (1, 3, 4, 7, 8, 13, 16, 32, 64)), ("mixed", (1, 4, 6, 16)), ("alike", (1, 9)))
    for lanes in all_lanes
]


def shared_core(networks, lanes):
    """Return the parameters of one core that runs all of ``networks``."""
    return reduce(CoreParams.covering, (build_schedule(network, lanes).params for network in networks))


def differences(core, network, seed):
    """Run images with every probe value compared, after an aborted one; return the differences found."""
    rng = np.random.default_rng(seed)
    x, golden, found = random_images(network, seed, IMAGES), Golden(network), []
    core.abort(x[0], int(rng.integers(0, 2000)))
    for image in x:
        result, probe = core.probe(image[None])
        lanes = core.lanes
        answer = Answer(
            int(result.classes[0]), int(result.exit_steps[0]), int(result.events[0]), int(result.synaptic_ops[0]),
            result.logits[0],
        )
        table = probe[:, 1], probe[:, 2 : 2 + lanes], probe[:, 2 + lanes :]
        found.append(compare_image(core.schedule, golden.trace(image), table, answer))
    return [str(difference) for difference in found if difference]


def check(lanes, kind, seeds, separated=()):
    """Run random networks on one core, after those of ``seeds`` the separated ones of the other seeds."""
    networks = [(f"random_network({seed})", seed, random_network(seed, **KINDS[kind])) for seed in seeds]
    networks += [
        (f"random_network({seed}, neuron=INVERSE_LEAKY)", seed,
         random_network(seed, neuron=INVERSE_LEAKY, **KINDS[kind])) for seed in separated
    ]
    params = shared_core([network for *_, network in networks], lanes)
    assert params.narrow == (kind != "alike")
    core, wrong = None, {}
    for name, seed, network in networks:
        schedule = schedule_on(network, params)
        if core is None:
            core = CompiledCore.for_schedule(schedule, stalls=0.3, seed=lanes)
        else:
            core.load(schedule)
        found = differences(core, network, seed)
        if found:
            wrong[f"{name}, {kind}, {lanes} lanes"] = found
    assert not wrong


@pytest.mark.parametrize("lanes, kind, seeds", QUICK, ids=[f"{lanes}-lanes-{kind}" for lanes, kind, _ in QUICK])
def test_random_networks_equal_the_golden_model(lanes, kind, seeds):
    check(lanes, kind, seeds)


@pytest.mark.parametrize("lanes, first", SEPARATED, ids=[f"{lanes}-lanes" for lanes, _ in SEPARATED])
def test_a_core_runs_separated_networks_and_others(lanes, first):
    check(lanes, "any", range(first, first + 6), range(first, first + 50))


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 2, 4, 5, 16, 64])
def test_many_separated_networks_equal_the_golden_model(lanes):
    check(lanes, "any", range(lanes, lanes + 5), range(1000 * lanes, 1000 * lanes + 240))


@pytest.mark.slow
@pytest.mark.parametrize("lanes, kind, seeds", LONG, ids=[f"{lanes}-lanes-{kind}" for lanes, kind, _ in LONG])
def test_thousands_of_random_networks_equal_the_golden_model(lanes, kind, seeds):
    check(lanes, kind, seeds)


@pytest.fixture(scope="module")
def core():
    lanes, _, seeds = QUICK[0]
    networks = [random_network(seed) for seed in seeds]
    return CompiledCore.for_schedule(schedule_on(networks[0], shared_core(networks, lanes)), stalls=0.3, seed=lanes)


def test_order_and_repetition_change_no_bit(core):
    network = random_network(9)
    core.load(schedule_on(network, core.schedule.params))
    x = random_images(network, 9, 12)
    first = core.run(x)
    order = np.random.default_rng(9).permutation(len(x))
    for again, reference in ((core.run(x), slice(None)), (core.run(x[order]), order)):
        for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
            assert (getattr(again, name) == getattr(first, name)[reference]).all(), name


def test_stalls_cost_cycles_and_change_nothing_else(core):
    network = random_network(9)
    core.load(schedule_on(network, core.schedule.params))
    x = random_images(network, 9, 4)
    stalled, core.stalls = core.run(x), 0.0
    smooth = core.run(x)
    core.stalls = 0.3
    assert (smooth.logits == stalled.logits).all()
    assert (smooth.cycles < stalled.cycles).all()
    assert (smooth.busy_cycles == stalled.busy_cycles).all()


def test_a_network_too_large_for_the_core_is_refused(core):
    small = core.schedule.params
    candidates = map(random_network, range(500, 900))
    network = next(n for n in candidates if build_schedule(n, small.lanes).params.events > small.events)
    with pytest.raises(DoesNotFit, match="events: the network needs"):
        schedule_on(network, small)


def test_networks_of_one_core_are_compiled_once():
    networks = [random_network(seed, max_layers=2, max_weights=300) for seed in (3, 4)]
    params = shared_core(networks, 2)
    full = [core_verilog(schedule_on(network, params)) for network in networks]
    empty = [without_contents(text) for text in full]
    assert full[0] != full[1] and empty[0] == empty[1] and len(empty[0]) < len(full[0])
    assert empty[0].count("initial begin") > 0  # of the tables that nothing writes
