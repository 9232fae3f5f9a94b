"""`gen.plan.plan` and `gen.plan.sizes`: cores as large as a network needs, networks on cores that exist."""

from dataclasses import replace

import numpy as np
import pytest

from gen.errors import DoesNotFit, InputError, UnsupportedNetwork
from gen.exit_rule import ExitRule
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.layers import INPUT, Pool, Source, Synapse
from gen.plan.estimate import expected_cycles
from gen.plan.lanes import LANES
from gen.plan.plan import Plan, covering, make_plan, plan_on
from gen.plan.program_words import spacing
from gen.plan.regions import Room
from tests.gen.plan.networks import chained, layered, readout, spiking
from tests.kit.random_networks import FIRST, SECOND, random_network

SMALL = dict(max_neurons=500, max_weights=2000)


def random_plan(seed, lanes):
    return make_plan(random_network(seed, contract=(FIRST, SECOND)[seed % 2], **SMALL), lanes)


@pytest.mark.parametrize("seed", range(30))
def test_contents_fill_memories_of_exactly_their_depth(seed):
    plan = random_plan(seed, sorted(LANES)[seed % 5])
    assert list(plan.contents) == [name for name, spec in plan.memories.items() if spec.loadable]
    for name, words in plan.contents.items():
        spec = plan.memories[name]
        assert len(words) == spec.depth, f"seed {seed}: {name}"
        assert all(0 <= word < 1 << spec.width for word in words), f"seed {seed}: {name}"


@pytest.mark.parametrize("seed", range(30))
def test_the_core_is_wide_enough_for_every_proved_range(seed):
    plan = random_plan(seed, 8)
    network, params = plan.network, plan.params
    for layer in network.layers:
        for low, high in (network.current_range(layer), network.membrane_range(layer)) if layer.weighted else ():
            assert -(2 ** (params.acc_bits - 1)) <= low.min() and high.max() < 2 ** (params.acc_bits - 1)
        if layer.weighted:
            low, high = 0, 0
            for s in layer.synapses:
                ends = s.weight[..., None] * network.value_ranges[s.source]
                low = low + ends.min(axis=-1).sum(axis=(1, 2, 3))
                high = high + ends.max(axis=-1).sum(axis=(1, 2, 3))
            assert -(2 ** (params.sum_bits - 1)) <= low.min() and high.max() < 2 ** (params.sum_bits - 1)
    for name, (low, high) in network.value_ranges.items():
        bits = params.value_bits if name == INPUT else params.signed_count_bits
        assert -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1), name
    assert params.signed == any(layer.signed for layer in network.layers if layer.fires)


@pytest.mark.parametrize("seed", range(20))
def test_one_core_runs_two_networks(seed):
    plans = [random_plan(seed, 8), random_plan(seed + 101, 8)]
    core = covering(plans)
    for plan in plans:
        on = plan_on(plan.network, core)
        assert on.params == core
        assert all(len(words) <= on.memories[name].depth for name, words in on.contents.items())
        assert plan_on(plan.network, plan.params).contents == plan.contents


def test_one_core_has_room_for_maps_that_lie_otherwise_on_it():
    """Alone, the sums of a network's pools have a second memory; beside one of wider counts they share words."""
    wide = make_plan(random_network(785300213, contract=SECOND, max_classes=1), width=4, groups=2)
    loud = chained({"a": [INPUT]})
    other = make_plan(replace(loud, layers=[replace(loud.layers[0], burst=255), loud.readout]), width=4, groups=2)
    assert wide.params.wide and wide.params.map_words == 540
    core = covering([wide, other])
    assert not core.wide and core.map_words == 556
    assert plan_on(wide.network, core).params == plan_on(other.network, core).params == core


@pytest.mark.parametrize("seed", range(5))
def test_a_core_that_is_too_small_says_in_what(seed):
    plan = random_plan(seed, 8)
    for name, text in (("weights", "the network needs"), ("program", "the network needs"), ("burst", "the core has")):
        size = getattr(plan.params, name)
        if size > 1:
            with pytest.raises(DoesNotFit, match=f"{name}: .*{text}.*Generate a larger core."):
                plan_on(plan.network, replace(plan.params, **{name: size - 1}))


def test_a_core_of_dense_layers_refuses_windows_and_one_with_windows_takes_both():
    line, maps = make_plan(layered(4, 4), 4), make_plan(chained({"a": [INPUT]}), 4)
    assert (line.params.windows, maps.params.windows) == (0, 1)
    assert len(line.contents["program"]) < len(plan_on(line.network, covering([line, maps])).contents["program"])
    with pytest.raises(DoesNotFit, match="windows that move over a map.*: the network needs them, the core has none"):
        plan_on(maps.network, replace(covering([line, maps]), windows=0))


def test_unsigned_counts_on_a_signed_core_take_a_bit_more():
    plan = make_plan(chained({"a": [INPUT]}), 4)
    core = replace(plan.params, signed=1, program=2 * plan.params.program)
    with pytest.raises(DoesNotFit, match="count_bits: the network needs 2, the core has 1"):
        plan_on(plan.network, core)
    assert plan_on(plan.network, replace(core, count_bits=2, map_bits=2)).params.signed


def reading(shape, kernel):
    """Return a network of one readout over an input of ``shape``."""
    return IntegerNetwork(Source(shape), [readout("out", Synapse(INPUT, np.ones((2, shape[0], *kernel), int)))], 1)


@pytest.mark.parametrize("shape, kernel, lanes, values", [
    ((1, 28, 28), (28, 28), 16, 4), ((1, 6, 5), (6, 5), 16, 2), ((1, 5, 5), (5, 5), 4, 1),  # read as a whole: a line
    ((1, 28, 28), (3, 3), 16, 1), ((3, 8, 8), (3, 3), 16, 1), ((2, 8, 8), (3, 3), 16, 2),
    ((6, 4, 4), (3, 3), 4, 2), ((24, 4, 4), (3, 3), 16, 4),
])
def test_as_many_values_come_in_a_cycle_as_end_with_words_and_positions(shape, kernel, lanes, values):
    plan = make_plan(reading(shape, kernel), lanes)
    assert plan.params.input_values == values
    beats = int(np.prod(shape)) / values
    assert expected_cycles(plan).interval >= beats
    slow = Plan(plan.network, replace(plan.params, input_values=1), plan.layout)
    assert expected_cycles(slow).interval >= values * beats


def test_zeros_of_strips_take_cycles_like_values():
    """Of an input that a few large steps look at, one waits for its values, and for the zeros behind them."""
    first = Synapse(INPUT, np.ones((2, 1, 3, 3), int), (6, 3), padding=(2, 1, 1, 2))
    network = IntegerNetwork(Source((1, 30, 30)), [readout("out", first)], 1)
    plans = [make_plan(network, 64, neurons=8, strips=form) for form in ("", "rows", "windows")]
    found = [expected_cycles(plan).interval for plan in plans]
    assert found == [30 * 30, 30 * 32, 32 * 32]


def test_one_core_takes_what_suits_all_networks():
    plans = [make_plan(reading(shape, (4, 4)), 4) for shape in ((1, 4, 4), (6, 5, 5))]
    assert [plan.params.input_values for plan in plans] == [4, 2]
    core = covering(plans)
    assert core.input_values == 2 and {plan_on(plan.network, core).params for plan in plans} == {core}
    with pytest.raises(DoesNotFit, match="input_values: the core takes 4 input values at a time.* into 2 at most"):
        plan_on(plans[1].network, replace(core, input_values=4))
    with pytest.raises(InputError, match="1, 2 or 4 input values"):
        replace(core, input_values=3)


def test_one_core_has_whole_windows_of_one_size():
    """Of others it has strips of a row, where one of the networks has none of them wide enough too."""
    def plans(*kernels):
        return [make_plan(reading((1, 8, 8), kernel), strips="windows") for kernel in kernels]

    def form(core):
        return core.image_rows, core.image_tile, bool(core.strips)

    point = make_plan(reading((3, 8, 8), (1, 1)))
    for number in (plans((3, 3), (3, 3)), [*plans((3, 3)), point], plans((3, 3), (1, 7))):
        assert form(covering(number)) == (3, 9, True)
    wide = make_plan(reading((10, 8, 8), (1, 1)))
    for kernels, others, tile in (((3, 3), (2, 8)), (), 8), (((3, 3), (4, 4)), (), 4), (((3, 3),), (wide,), 10):
        of_all = [*plans(*kernels), *others]
        core = covering(of_all)
        assert form(core) == (1, tile, True)
        assert all(plan_on(plan.network, core).layout.tiling.strips for plan in plans(*kernels))


def test_where_an_input_passes_by_no_other_lies_in_strips():
    plan = make_plan(reading((1, 8, 8), (3, 3)), strips="windows")
    other = make_plan(reading((2, 8, 8), (3, 3)), room=Room(weights=1, image=0))
    core = covering([plan, other])
    assert (core.strips, core.image_rows, core.image_tile) == (0, 1, 2)
    assert [plan_on(each.network, core).layout.tiling.strips for each in (plan, other)] == [None, None]


def test_one_core_has_one_number_of_lanes():
    plans = [make_plan(chained({"a": [INPUT]}), lanes) for lanes in (4, 8)]
    with pytest.raises(InputError, match="One core has one number of lanes"):
        covering(plans)


def test_a_wide_map_that_nobody_reads():
    """Once too narrow: the place of a channel did not fit the program's fields."""
    layers = [spiking("a", [Synapse(INPUT, np.ones((40, 1, 1, 1), int))]),
              readout("out", Synapse(INPUT, np.ones((2, 1, 1, 1), int)))]
    for lanes in LANES:
        assert make_plan(IntegerNetwork(Source((1, 1, 1)), layers, 1), lanes).contents["program"]


def test_outputs_lie_in_their_order_amid_the_layers():
    layers = [
        readout("map", Synapse(INPUT, np.ones((3, 1, 2, 2), int))),
        spiking("a", [Synapse(INPUT, np.ones((4, 1, 1, 1), int))]),
        readout("classes", Synapse("a", np.ones((5, 4, 4, 4), int))), Pool("last", "a", "sum", (2, 2), (2, 2)),
    ]
    plan = make_plan(IntegerNetwork(Source((1, 4, 4)), layers, 2, ExitRule("margin", limits=(3, 3), output="map")), 4)
    assert [plan.output_base(name) for name in ("map", "classes")] == [0, 27] and plan.params.outputs == 32
    assert (plan.params.classes, plan.params.positions) == (3, 9)


def test_spacing_waits_for_states():
    network = chained({"a": [INPUT]}, timesteps=3)
    plan = make_plan(network, 4)
    latency = plan.params.neuron_latency
    assert [spacing(p, plan.params) for p in plan.passes] == [4, 2]
    tiles = make_plan(replace(network, order="tiles"), 4)
    assert [spacing(p, tiles.params) for p in tiles.passes] == [latency + 4] * 2
    single = make_plan(network, 4, spram=2)
    assert [spacing(p, single.params) for p in single.passes] == [4 + single.params.single_port_spacing, 2]


def test_groups_store_their_words_one_after_another():
    layer = spiking("a", [Synapse(INPUT, np.ones((2, 1, 1, 1), int))])
    network = IntegerNetwork(Source((1, 4, 4)), [layer, readout("out", Synapse("a", np.ones((1, 2, 4, 4), int)))], 1)
    plan = make_plan(network, width=4, groups=4)
    assert [spacing(p, plan.params) for p in plan.passes] == [4, 1], "a readout stores none"


@pytest.mark.parametrize("window, apart", [((1, 1), 4), ((1, 2), 2), ((3, 1), 2), ((2, 2), 1), ((3, 3), 1)])
def test_a_word_of_a_pooling_window_has_all_its_tiles_time(window, apart):
    """Of one lane a tile, so that the neurons are no slower; in tile order the next timestep waits for the state."""
    layers = [spiking("a", [Synapse(INPUT, np.ones((1, 1, 1, 1), int))]), Pool("pooled", "a", "sum", window, window)]
    layers.append(readout("out", Synapse("pooled", np.ones((1, 1, 6 // window[0], 6 // window[1]), int))))
    network = IntegerNetwork(Source((1, 6, 6)), layers, 2)
    plan = make_plan(network, width=4, groups=4)
    assert [spacing(p, plan.params) for p in plan.passes] == [apart, 1]
    tiles = make_plan(replace(network, order="tiles"), width=4, groups=4)
    assert [spacing(p, tiles.params) for p in tiles.passes] == [tiles.params.neuron_latency + 4] * 2


def test_wide_groups_have_no_states_in_single_port_ram():
    network = chained({"a": [INPUT]}, timesteps=2)
    with pytest.raises(InputError, match="single-port RAM have at most 7 lanes for a neuron, not 16"):
        make_plan(network, 16, spram=2)
    assert make_plan(network, 16, spram=1).params.spram == 1


def test_more_timesteps_than_the_core_counts_are_refused(monkeypatch):
    monkeypatch.setattr("gen.plan.supported.CORE_TIMESTEPS", 3)
    with pytest.raises(UnsupportedNetwork, match="4 timesteps; the core runs at most 3"):
        make_plan(chained({"a": [INPUT]}, timesteps=4), 8)


@pytest.mark.parametrize("timesteps, order", [(4, "steps"), (4, "tiles"), (1, "steps")])
def test_stages_that_look_at_frames_keep_all_of_them(timesteps, order):
    one = replace(chained({"a": [INPUT]}, timesteps=timesteps), source=Source((1, 6, 6), "frames"))
    first = replace(one, exit_rule=ExitRule("margin", limits=(1,) * timesteps))
    plan = make_plan(StagedNetwork([first, replace(one, order=order)]), 8)
    assert plan.params.replay == (timesteps > 1) and plan.params.image_words == 36 * timesteps
    assert {plan.regions[n, INPUT, 0].versions for n in (0, 1)} == {timesteps}
    assert expected_cycles(plan).interval >= 36 * timesteps / plan.params.input_values
