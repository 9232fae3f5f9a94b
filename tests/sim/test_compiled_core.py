"""The compiled RTL against the golden model: random networks of every kind, one core for each size of it."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from amaranth.back import verilog

from gen.errors import AdafireError, DoesNotFit, UnsupportedNetwork
from gen.layers import INVERSE_LEAKY
from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.regions import Room
from hw.core.contents import ContentFiles
from hw.core.core import Core
from sim.compiled_core import CompiledCore
from sim.emptied import without_contents
from sim.golden import Golden
from sim.traffic import memory_traffic
from tests.kit.compared import differences
from tests.kit.random_networks import FIRST, SECOND, random_images, random_network, random_staged_network

IMAGES, IMAGES_OUTSIDE = 4, 2  # of a network, where all lies on the chip and where not
KINDS = {  # a share of the networks of every core
    "first": lambda seed: random_network(seed, contract=FIRST),
    "second": lambda seed: random_network(seed, contract=SECOND),
    "mixed": lambda seed: random_network(seed, contract=SECOND, layer_bits=(2, 3, 4, 8)),
    "frames": lambda seed: random_network(seed, contract=SECOND, sources=("frames",)),
    "two-phase": lambda seed: random_network(seed, contract=SECOND, neuron=INVERSE_LEAKY),
    "ruleless": lambda seed: random_network(seed, contract=SECOND, rules=("off",)),  # often in tile order
    "staged": lambda seed: random_staged_network(seed, max_layers=3, sources=(("direct", "frames")[seed % 2],)),
}
CORES = [(4, 1, 1), (4, 2, 2), (8, 1, 4), (4, 4, 1), (16, 1, 2)]  # lanes of a group, groups, neurons of a group
QUICK = [(4, 2, 2), (8, 1, 4), (16, 1, 2), (8, 2, 2), (16, 4, 1)]  # of all cores, those that keep steps
FETCHING = [(4, 1, 1), (8, 2, 2), (4, 4, 1)]  # those that fetch weights from outside the chip
PARKING = [(4, 2, 2), (8, 1, 4)]  # those whose states alone lie outside
LONG = [(8, 1, 4), (8, 2, 2)]  # of both, those that wait for `make test-all`
LARGE = [(16, 1, 1), (8, 2, 1), (8, 4, 2), (16, 2, 4), (16, 4, 1), (16, 2, 8)]
EACH, FEW, SOME, MANY = 4, 2, 14, 38  # networks of a kind
REFUSED = 3  # at most, of those of a core with so many of them
ALL, WEIGHTS_OUTSIDE, MAPS_OUTSIDE = Room(), Room(weights=1), Room(weights=1, maps=1)
STATES_OUTSIDE, PARAMETERS_OUTSIDE = Room(states=0), Room(parameters=0)
EVERYTHING_OUTSIDE = Room(weights=1, maps=1, image=0, states=0, parameters=0)
PAIRS = (2, 11, 14, 33, 46, 51, 52, 53)  # seeds of networks whose core takes two input values in a cycle
DAMAGED = 5  # every so many networks, a damaged load comes before the right one


def drawn(width, groups, each=EACH):
    """Yield (what to call it, seed, network)."""
    first = 1000 * width + 100 * groups
    for kind, draw in KINDS.items():
        for seed in range(first, first + each):
            yield f"{kind} {seed}", seed, draw(seed)


@lru_cache(maxsize=1)
def one_core(width, groups, neurons, each, room, upsampled=True):
    """Return (networks as `drawn`, one core that runs all of them); it is compiled once for two tests in a row.

    Without ``upsampled`` those that upsample a map are left out.
    """
    networks = [row for row in drawn(width, groups, each) if upsampled or not upsamples(row[-1])]
    if each == MANY:
        several = len(networks)
        networks = [row for row in networks if is_run(row[-1], width)]
        assert len(networks) >= several - REFUSED
    if room.image is not None:
        networks = [row for row in networks
                    if make_plan(row[-1], width=width, groups=groups, room=room).params.image_ring]
    params = shared_core([network for *_, network in networks], width, groups, neurons, room)
    params = replace(params, quick=int((width, groups, neurons) in QUICK))
    return networks, CompiledCore.for_plan(plan_on(networks[0][-1], params, room), stalls=0.3, seed=width)


def upsamples(network):
    """Return whether a layer looks at a map enlarged."""
    layers = [layer for stage in network.stages for layer in stage.layers]
    return any(max(part.window.upsample) > 1 for layer in layers for part in layer.inputs)


def is_run(network, width):
    """Return whether a core runs a network: some group channels in ways that no tiles of so many lanes suit."""
    try:
        return bool(make_plan(network, width=width, groups=1))
    except UnsupportedNetwork:
        return False


def shared_core(networks, width, groups, neurons, room=ALL):
    """Return the parameters of one core that runs all of ``networks``, those that can be with an input in strips."""
    size = {"width": width, "groups": groups, "neurons": neurons, "room": room}
    return covering(
        [make_plan(network, **size, strips="rows") for network in networks], None if room is ALL else room)


def load_damaged(core, plan, seed):
    """Load words one bit of which is wrong: of the last word, or of the digest; see that it is noticed."""
    rng = np.random.default_rng(seed)
    stream = plan.load_stream.copy()
    stream[rng.choice([-1, -4])] ^= np.uint32(1 << int(rng.integers(32)))
    with pytest.raises(AdafireError, match="found its memory image damaged"):
        core.load_stream(stream)


def check(width, groups, neurons, each=EACH, room=ALL, upsampled=True):
    """Run random networks of every kind on one core, with ``room`` on the chip; ``upsampled`` as of `one_core`."""
    networks, core = one_core(width, groups, neurons, each, room, upsampled)
    wrong = {}
    for name, seed, network in networks:
        plan = plan_on(network, core.plan.params, room)
        assert room.weights is None or plan.contents["outside"].any()
        if seed % DAMAGED == 0:
            load_damaged(core, plan, seed)
        core.load(plan)
        if room is not ALL and seed % DAMAGED == 1:  # what lies outside the chip too, through the load port
            core.load_stream(plan.load_stream)
        core.stalls = 0.3 * (seed % 3 > 0)
        try:
            found = differences(core, network, seed, IMAGES if room is ALL else IMAGES_OUTSIDE)
        except AdafireError as error:  # the core hangs
            error.add_note(name)
            raise
        if found:
            wrong[name] = found
    assert not wrong, f"{groups} groups of {width} lanes and {neurons} neurons"


@pytest.mark.parametrize("width, groups, neurons", [
    pytest.param(*core, marks=pytest.mark.slow) if core in LONG else core for core in CORES
])
def test_random_networks_equal_the_golden_model(width, groups, neurons):
    check(width, groups, neurons)


@pytest.mark.parametrize("width, groups, neurons, each", [
    (4, 2, 2, EACH), *(pytest.param(*core, MANY, marks=pytest.mark.slow) for core in ((4, 2, 2), (8, 1, 4))),
])
def test_cores_that_keep_steps_and_upsample_nothing(width, groups, neurons, each):
    """They make a tile in two cycles, others in three."""
    check(width, groups, neurons, each, upsampled=False)


@pytest.mark.parametrize("width, groups, neurons", [
    pytest.param(*core, marks=pytest.mark.slow) if core in LONG else core for core in FETCHING
])
def test_maps_and_weights_outside_the_chip_change_no_bit(width, groups, neurons):
    """All of them lie there, the memory stalls, and what is given up is given up amid a block too."""
    check(width, groups, neurons, SOME, MAPS_OUTSIDE)


@pytest.mark.parametrize("width, groups, neurons", [pytest.param(4, 1, 1, marks=pytest.mark.slow), (4, 4, 1)])
def test_an_input_outside_the_chip_changes_no_bit(width, groups, neurons):
    """So do maps, weights, states and parameters of these networks, of those whose input passes by row by row."""
    check(width, groups, neurons, FEW, EVERYTHING_OUTSIDE)


@pytest.mark.parametrize("width, groups, neurons", [
    pytest.param(*core, marks=pytest.mark.slow) if core in LONG else core for core in PARKING
])
def test_states_outside_the_chip_change_no_bit(width, groups, neurons):
    check(width, groups, neurons, EACH, STATES_OUTSIDE)


def test_every_parked_state_moves_as_often_as_it_is_said():
    """On the core of the test before."""
    (networks, core), moved = one_core(*PARKING[0], EACH, STATES_OUTSIDE), 0
    for name, seed, network in networks:
        plan = plan_on(network, core.plan.params, STATES_OUTSIDE)
        core.load(plan)
        before = core.moved
        read, written, _ = memory_traffic(plan, core.run(random_images(network, seed, 4)))["outside"]
        assert core.moved - before == read.sum() + written.sum(), name
        moved += core.moved - before
    assert moved


@pytest.mark.parametrize("width, groups, neurons", [(4, 2, 2)])
def test_parameters_outside_the_chip_change_no_bit(width, groups, neurons):
    check(width, groups, neurons, FEW, PARAMETERS_OUTSIDE)


@pytest.mark.slow
@pytest.mark.parametrize("width, groups, neurons", FETCHING)
def test_hundreds_of_networks_with_all_of_it_outside_the_chip(width, groups, neurons):
    check(width, groups, neurons, MANY, EVERYTHING_OUTSIDE)


@pytest.mark.slow
@pytest.mark.parametrize("width, groups, neurons", FETCHING)
def test_hundreds_of_networks_with_weights_outside_the_chip(width, groups, neurons):
    check(width, groups, neurons, MANY, WEIGHTS_OUTSIDE)


@pytest.mark.slow
@pytest.mark.parametrize("width, groups, neurons", FETCHING)
def test_hundreds_of_networks_with_parameters_outside_the_chip(width, groups, neurons):
    check(width, groups, neurons, MANY, PARAMETERS_OUTSIDE)


@pytest.mark.slow
@pytest.mark.parametrize("width, groups, neurons", PARKING)
def test_hundreds_of_networks_with_states_outside_the_chip(width, groups, neurons):
    check(width, groups, neurons, MANY, STATES_OUTSIDE)


@pytest.mark.slow
@pytest.mark.parametrize("width, groups, neurons", [*CORES, *LARGE])
def test_thousands_of_random_networks_equal_the_golden_model(width, groups, neurons):
    check(width, groups, neurons, MANY)


def test_so_many_networks_are_drawn():
    """At least: of the second contract 220 in `make test`, 200 beside a tiny chip, 2,000 different ones in all."""
    def quick(cores):
        return sum(core not in LONG for core in cores)

    second = len(KINDS) - 1
    assert second * (EACH * quick(CORES) + SOME * quick(FETCHING)) >= 220
    assert len(KINDS) * (SOME * quick(FETCHING) + EACH * quick(PARKING)) >= 200
    lanes_and_groups = {core[:2] for core in (*CORES, *LARGE)}  # they are the seed
    assert (second * MANY - REFUSED) * len(lanes_and_groups) >= 2000


@pytest.fixture(scope="module")
def core():
    networks = [random_network(seed, contract=SECOND) for seed in PAIRS]
    return CompiledCore.for_plan(plan_on(networks[0], shared_core(networks, 4, 2, 2)), seed=1)


@pytest.fixture
def images(core):
    """Of one of these networks, which is on that core."""
    network = random_network(PAIRS[0], contract=SECOND)
    core.load(plan_on(network, core.plan.params))
    return random_images(network, PAIRS[0], 12)


def test_input_values_come_in_pairs(core, images):
    assert core.plan.params.input_values == 2
    golden, found = Golden(core.network).run(images), core.run(images)
    assert (found.logits == golden.logits).all() and (found.exit_steps == golden.exit_steps).all()


def test_order_and_repetition_change_no_bit(core, images):
    first = core.run(images)
    order = np.random.default_rng(9).permutation(len(images))
    for again, reference in ((core.run(images), slice(None)), (core.run(images[order]), order)):
        for name in ("classes", "exit_steps", "logits", "events", "synaptic_ops"):
            assert (getattr(again, name) == getattr(first, name)[reference]).all(), name


def test_stalls_cost_cycles_and_change_nothing_else(core, images):
    smooth, cycles = core.run(images), core.cycles
    core.stalls = 0.6
    stalled, stalled_cycles = core.run(images), core.cycles
    core.stalls = 0.0
    assert (smooth.logits == stalled.logits).all()
    assert stalled_cycles > cycles
    assert (smooth.busy_cycles == stalled.busy_cycles).all()


def test_images_follow_one_another_while_one_is_computed(core, images):
    together = core.run(images)
    cycles, alone = core.cycles, 0
    for image in images:
        core.run(image[None])
        alone += core.cycles
    assert together.cycles.sum() <= cycles < alone


def test_a_network_too_large_for_the_core_is_refused(core):
    small = core.plan.params
    candidates = (random_network(seed, contract=SECOND) for seed in range(500, 900))
    network = next(n for n in candidates if make_plan(n, width=4, groups=2).params.map_words > small.map_words)
    with pytest.raises(DoesNotFit, match="map_words: the network needs"):
        plan_on(network, small)


def test_a_damaged_load_is_noticed_and_another_one_mends_it(core, images):
    right = core.run(images[:2])
    stream = core.plan.load_stream.copy()
    stream[len(stream) // 2] ^= 1 << 7
    with pytest.raises(AdafireError, match="found its memory image damaged"):
        core.load_stream(stream)
    core.load(core.plan)
    assert (core.run(images[:2]).logits == right.logits).all()


@pytest.mark.parametrize("files", [None, ContentFiles], ids=["contents in the text", "contents in files"])
def test_networks_of_one_core_are_compiled_once(files):
    networks = [random_network(seed, max_layers=2, max_weights=300) for seed in (3, 4)]
    params = shared_core(networks, 4, 1, 1)
    full = [
        verilog.convert(Core(params, plan_on(network, params).contents), name="adafire_core", emit_src=False,
                        platform=files and files()) for network in networks
    ]
    assert files or full[0] != full[1]
    first, second = (without_contents(text, params) for text in full)
    assert first == second != full[0]


@pytest.fixture(scope="module")
def fetching():
    """A core all of whose weights and parameters lie outside the chip, its network, and images."""
    network = random_network(PAIRS[0], contract=SECOND)
    room = Room(weights=1, parameters=0)
    plan = plan_on(network, shared_core([network], 4, 2, 2, room), room)
    return CompiledCore.for_plan(plan), random_images(network, PAIRS[0], 6)


def test_a_word_that_has_changed_outside_the_chip_is_a_fault_and_no_result(fetching):
    core, x = fetching
    right, rng = core.run(x), np.random.default_rng(3)
    for _ in range(8):
        address, bits = int(rng.integers(core.plan.params.outside)), 1 << int(rng.integers(32))
        core.spoil(address, bits)
        with pytest.raises(AdafireError, match="gave no result"):
            core.run(x[:1])
        core.spoil(address, bits)
        with pytest.raises(AdafireError, match="gave no result"):
            core.run(x[:1])  # what was fetched may lie anywhere: it stays a fault until the next load
        core.load(core.plan)
        assert (core.run(x).logits == right.logits).all()


def test_every_word_is_fetched_once_in_a_round(fetching):
    core, x = fetching
    before = core.moved
    result = core.run(x)
    rounds = result.exit_steps.sum() if core.plan.stages[0].rounds > 1 else len(x)
    assert core.moved - before == rounds * core.plan.params.outside
    words = memory_traffic(core.plan, result)["outside"][0]
    assert words.sum() == rounds * core.plan.params.outside
