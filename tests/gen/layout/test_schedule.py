"""`gen.layout.schedule`: every neuron once, memory shared only by maps that never live together, sizes that fit."""

from itertools import combinations

import numpy as np
import pytest

from gen.errors import DoesNotFit
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Readout, Source, Spiking, Synapse
from gen.layout.image import memory_image
from gen.layout.passes import is_row_segment, segment_words, synapse_words, window_channels
from gen.layout.program import memory_shapes
from gen.layout.schedule import build_schedule, schedule_on
from tests.kit.random_networks import random_network

LANES = (1, 2, 3, 5, 8, 16, 33, 64)
SEEDS = range(40)


def schedule(seed):
    return build_schedule(random_network(seed, max_neurons=800), LANES[seed % len(LANES)])


@pytest.mark.parametrize("seed", SEEDS)
def test_passes_run_every_neuron_once(seed):
    s = schedule(seed)
    network = s.network
    fused = [p.pool.name for p in s.passes if p.pool]
    names = [layer.name for layer in network.layers if layer.name not in fused]
    assert [p.layer.name for p in s.passes] == names
    for p in s.passes:
        channels, height, width = network.shapes[p.layer.name]
        seen = np.zeros((height, width, channels), int)
        for row, column, first in zip(*p.order()):
            seen[row, column, first : first + p.tile_channels] += 1
        assert (seen == 1).all(), p.layer.name
        assert len(p.order()[0]) == p.runs and p.tile_channels <= s.params.lanes


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fused_pool_has_no_other_reader_and_whole_windows(seed):
    s = schedule(seed)
    for p in s.passes:
        if p.pool:
            assert s.network.readers[p.layer.name] == (p.pool,)
            rows, columns, _ = p.order()
            window = p.window[0] * p.window[1]
            for axis, size in ((rows, p.window[0]), (columns, p.window[1])):
                pooled = (axis // size).reshape(-1, window)
                assert (pooled == pooled[:, :1]).all(), "a window's tiles run one after another"


def lifetimes(s):
    """Return {map: (pass that writes it, last pass that needs it)}; the input is written before pass 0."""
    direct = s.network.source.kind == "direct"
    lives = {(INPUT, 0): [-1, -1]} | {p.writes: [n, n] for n, p in enumerate(s.passes) if p.stored}
    for n, p in enumerate(s.passes):
        for read in p.reads:
            forever = read == (INPUT, 0) and direct and not p.keep and not s.network.two_phase
            lives[read][1] = max(lives[read][1], len(s.passes) if forever else n)
    return lives


@pytest.mark.parametrize("seed", SEEDS)
def test_maps_that_live_together_do_not_share_memory(seed):
    s = schedule(seed)
    lives = lifetimes(s)
    assert set(lives) == set(s.regions)
    extents = {}
    for (name, timestep), region in s.regions.items():
        channels, height, width = s.network.shapes[name]
        assert region.tiles == -(-channels // region.tile_channels)
        extents[name, timestep] = ((region.events, region.events + channels * height * width),
                                   (region.pointers, region.pointers + height * width * region.tiles + 1))
        events, pointers = extents[name, timestep]
        assert events[1] <= s.params.events and pointers[1] <= s.params.pointers
    for one, other in combinations(s.regions, 2):
        if lives[one][0] <= lives[other][1] and lives[other][0] <= lives[one][1]:
            for (a, b), (c, d) in zip(extents[one], extents[other]):
                assert b <= c or d <= a, f"{one} and {other}"


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_states_currents_and_parameters_have_their_own_words(seed):
    s = schedule(seed)
    claims = {"weights": [], "states": [], "currents": [], "parameters": []}
    for p in s.passes:
        claims["weights"] += [(base, synapse_words(p, synapse))
                              for base, synapse in zip(p.weight_bases, p.synapses)]
        claims["parameters"].append((p.parameter_base, p.tiles))
        claims["states"] += [(p.state_base, p.runs)] * p.layer.fires
        claims["currents"] += [(p.current_base, p.runs)] * p.keep
    for name, words in claims.items():
        end = 0
        for base, size in words:
            assert base == end, name
            end += size
        assert getattr(s.params, name) == max(1, end), name


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tile_never_straddles_a_part_of_a_group(seed):
    for p in schedule(seed).passes:
        for synapse in p.synapses:
            per_group = synapse.weight.shape[0] // synapse.groups
            if synapse.groups > 1:
                assert p.tile_channels % per_group == 0 or per_group % p.tile_channels == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_the_core_is_wide_enough_for_every_proved_range(seed):
    s = schedule(seed)
    network, p = s.network, s.params
    for layer in network.layers:
        if layer.weighted:
            for low, high in (network.current_range(layer), network.membrane_range(layer)):
                assert -(2 ** (p.acc_bits - 1)) <= low.min() and high.max() < 2 ** (p.acc_bits - 1)
    for low, high in network.value_ranges.values():
        assert -(2 ** (p.value_bits - 1)) <= low and high < 2 ** (p.value_bits - 1)
        assert high < 2 ** (p.acc_bits - 1), "a pool's sum passes the neuron"
    assert all(p.state_bits >= layer.state_bits for layer in network.layers if layer.fires)
    memory_image(s)


def conv(groups=1, outputs=8, inputs=8, kernel=(3, 3), dilation=(1, 1)):
    weight = np.ones((outputs, inputs // groups, *kernel), int)
    return Synapse(INPUT, weight, dilation=dilation, groups=groups)


@pytest.mark.parametrize("synapse, tile_channels, window, row, words", [
    (conv(), 4, (8, None, 4), True, (24, 1)),
    (conv(dilation=(2, 1)), 4, (8, None, 4), True, (24, 1)),
    (conv(dilation=(1, 2)), 4, (8, None, 4), False, (8, 3)),
    (conv(kernel=(3, 1), dilation=(1, 2)), 4, (8, None, 4), True, (8, 1)),
    (conv(groups=8), 4, (4, 1, 1), False, (4, 3)),
    (conv(groups=2), 4, (4, 1, 4), False, (4, 3)),
    (conv(groups=2), 8, (8, 1, 4), False, (8, 3)),
    (conv(groups=2), 2, (4, 2, 2), False, (4, 3)),
    (conv(groups=4, outputs=4), 2, (4, 1, 1), False, (4, 3)),
], ids=["conv", "tall", "wide", "column", "depthwise", "half", "both halves", "part of a group", "grouped"])
def test_what_one_tile_reads(synapse, tile_channels, window, row, words):
    assert window_channels(synapse, tile_channels) == window
    assert is_row_segment(synapse) == row
    assert segment_words(synapse, tile_channels) == words


def spiking(name, source, outputs, inputs):
    ones = np.ones(outputs, int)
    synapse = Synapse(source, np.ones((outputs, inputs, 1, 1), int))
    return Spiking(name, [synapse], ones, ones, ones, 1, 4, 4 * ones)


def readout(source, inputs, classes):
    return Readout("out", [Synapse(source, np.ones((classes, inputs, 1, 1), int))], np.zeros(classes, int),
                   np.full(classes, 4))


@pytest.mark.parametrize("lanes", [1, 4, 64])
@pytest.mark.parametrize("layers", [
    [readout(INPUT, 1, 40)],
    [spiking("a", INPUT, 40, 1), readout(INPUT, 1, 2)],
    [spiking("a", INPUT, 50, 1), readout("a", 50, 2)],
], ids=["classes", "unread map", "wide map"])
def test_maps_wider_than_what_they_are_made_from(layers, lanes):
    """Once too narrow: the place of a channel did not fit the program's fields."""
    memory_image(build_schedule(IntegerNetwork(Source((1, 1, 1)), layers, 1), lanes))


def test_another_network_on_an_existing_core():
    small, large = (random_network(seed, max_neurons=300) for seed in (2, 9))
    cores = [build_schedule(network, 4).params for network in (small, large)]
    both = cores[0].covering(cores[1])
    for network in (small, large):
        s = schedule_on(network, both)
        assert s.params == both
        for name, words in memory_image(s).items():
            assert len(words) <= memory_shapes(both)[name][0]
    short = [n for n, (core, other) in enumerate(zip(cores, reversed(cores))) if core.shortages(other)]
    assert short
    text = "The network does not fit the core. .*: the network needs .*, the core has"
    with pytest.raises(DoesNotFit, match=text):
        schedule_on((large, small)[short[0]], cores[short[0]])
