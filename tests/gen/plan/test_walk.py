"""Every word that a plan makes the machine gather, against the windows of the network."""

from itertools import product

import numpy as np
import pytest

from gen.layers import ADAFIRE, INPUT, INVERSE_LEAKY
from gen.plan.lanes import LANES
from gen.plan.plan import make_plan
from tests.gen.plan.reader import gathered, read_program, stored_at, tiles_of
from tests.kit.random_networks import FIRST, SECOND, random_network

SMALL = dict(max_neurons=500, max_weights=1500, max_size=7, max_timesteps=3)


def _network(seed):
    neuron = INVERSE_LEAKY if seed % 5 == 4 else ADAFIRE
    return random_network(seed, contract=SECOND if seed % 3 else FIRST, neuron=neuron, **SMALL)


@pytest.mark.parametrize("seed", range(24))
def test_tiles_gather_the_windows(seed):
    lanes = sorted(LANES)[seed % len(LANES)]
    plan = make_plan(_network(seed), lanes)
    _, _, blocks = read_program(plan)
    for p, block in zip(plan.passes, blocks, strict=True):
        shares = {}  # of a tile and synapse, where the groups share its input
        for group, i in product(range(plan.params.groups), range(len(p.synapses))):
            words = gathered(block, i, group)
            tiles = zip(*p.order(group))
            for (row, column, first, count, step), found in zip(tiles, words, strict=True):
                expected = _expected(plan, p, i, (row, column), range(first, first + count))
                actual = _actual(plan, p, i, group, step, found, range(first, first + count))
                where = f"seed {seed}, {lanes} lanes, {p.title}, synapse {i}, group {group}"
                if p.loops.shared:
                    whole = shares.setdefault((i, first, step), {})
                    assert not whole.keys() & actual.keys(), where
                    whole |= actual
                    if group < plan.params.groups - 1:
                        continue
                    actual = whole
                assert actual == expected, f"{where}, tile {(row, column, first)}"


def _expected(plan, p, index, place, channels):
    """Return {(channel, row, column) read: weights of the tile's channels}."""
    synapse = p.synapses[index]
    size = plan.stages[p.stage].network.shapes[synapse.source][1:]
    rows, columns = (
        synapse.window.places(axis, size[axis], place[axis] + 1)[place[axis]].tolist() for axis in (0, 1)
    )
    out_group, in_group = synapse.weight.shape[0] // synapse.groups, synapse.weight.shape[1]
    found = {}
    for n, c in enumerate(channels):
        for (ky, row), (kx, column), i in product(enumerate(rows), enumerate(columns), range(in_group)):
            if row >= 0 and column >= 0:
                read = c // out_group * in_group + i, row, column
                found.setdefault(read, [0] * len(channels))[n] += int(synapse.weight[c, i, ky, kx])
    return found


def _actual(plan, p, index, group, step, words, channels):
    """Return the same of the words that a tile gathers, with weights from the group's memory."""
    synapse, source = p.synapses[index], p.walk.sources[index]
    network = plan.stages[p.stage].network
    image, shape = synapse.source == INPUT, network.shapes[synapse.source]
    region = plan.regions[(p.stage, INPUT, 0) if image else (p.stage, synapse.source, p.reads_at + step)]
    base = region.base + (step * region.words if image and region.versions > 1 else 0)
    places = stored_at(region, shape[0] * (shape[1] * shape[2] if region.line else 1))
    found = {}
    for address, weight in words:
        for lane, place in enumerate(places[address - base].tolist()):
            if place[0] < 0:
                continue
            if region.line:
                row, column, channel = np.unravel_index(place[0], (*shape[1:], shape[0]))
                place = int(channel), int(row), int(column)
            if source.dense:
                row = [0] * len(channels)
                if lane < len(channels):
                    row[lane] = _weight(plan, p, group, weight)[lane]
            else:
                row = _weight(plan, p, group, weight + lane)[: len(channels)]
            before = found.setdefault(tuple(place), [0] * len(channels))
            found[tuple(place)] = [a + b for a, b in zip(before, row)]
    return found


def _weight(plan, p, group, address):
    """Return the weights of all lanes in a weight word, which is half a memory word in a narrow pass."""
    bits = plan.params.weight_bits
    word, used, shift = plan.contents[f"weights_{group}"][address >> p.narrow], bits >> p.narrow, 0
    if p.narrow and address % 2:
        shift = used
    lanes = [word >> (lane * bits + shift) & ((1 << used) - 1) for lane in range(plan.params.width)]
    return [value - (value >> (used - 1) << used) for value in lanes]


@pytest.mark.parametrize("seed", range(24, 48))
def test_tiles_cover_the_map(seed):
    """All groups together run every neuron once, or each all of a shared one, and store every word of the map once."""
    lanes = sorted(LANES)[seed % len(LANES)]
    plan = make_plan(_network(seed), lanes)
    _, _, blocks = read_program(plan)
    for p, block in zip(plan.passes, blocks, strict=True):
        where = f"seed {seed}, {lanes} lanes, {p.title}"
        neurons, words = [], set()
        for group in range(plan.params.groups):
            order, tiles = p.order(group), tiles_of(block, group)
            for (row, column, first, count, step), (_, address, parameter, own) in zip(zip(*order), tiles, strict=True):
                assert count == own, where
                neurons += [(row, column, c, step) for c in range(first, first + count)]
                words.add(address)
                if p.layer.weighted:
                    bias = 0 if p.loops.shared and group else p.layer.bias[first]
                    assert _channel(plan, p, group, parameter) == bias % (1 << plan.params.bias_bits), where
        height, width = p.window
        expected = product(range(p.rows * height), range(p.columns * width), range(p.channels), range(p.steps))
        each = plan.params.groups if p.loops.shared else 1
        assert sorted(neurons) == sorted(each * list(expected)), where
        if p.writes:
            region = plan.regions[p.stage, *p.writes]
            assert words == set(range(region.base, region.base + region.words * p.steps)), where


def _channel(plan, p, group, address):
    """Return the bits of a channel's bias."""
    params = plan.params
    return plan.contents[f"parameters_{group}"][address] >> params.theta_bits & ((1 << params.bias_bits) - 1)
