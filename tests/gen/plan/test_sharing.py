"""`gen.plan.sharing`: which readouts are shared, and what each group then has of them."""

import numpy as np
import pytest

from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Source, Synapse
from gen.plan.outside import groups_of_parts
from gen.plan.plan import covering, make_plan, plan_on
from gen.plan.regions import Region, Room
from tests.gen.plan.networks import readout, spiking
from tests.gen.plan.reader import read_program

CHANNELS, SIDE = 8, 3


def synapse(source, outputs, inputs, side=1, **window):
    return Synapse(source, np.ones((outputs, inputs, side, side), int), **window)


def network(*outputs, channels=CHANNELS, side=SIDE):
    """Return a layer ``a`` over the input, and ``outputs``: the synapses of each."""
    layers = [spiking("a", [synapse(INPUT, channels, 1)])]
    layers += [readout(f"out{n}", *synapses) for n, synapses in enumerate(outputs)]
    return IntegerNetwork(Source((1, side, side)), layers, 2)


def whole(outputs=3, channels=CHANNELS, side=SIDE):
    """Return a synapse that looks at the whole of ``a``."""
    return synapse("a", outputs, channels, side)


SHARED = {
    "the whole of a map": network([whole()]),
    "two looks at it": network([whole(), whole()]),
    "two outputs": network([whole()], [whole(9)]),
    "words of one position that share out": network([whole(side=1, channels=32)], channels=32, side=1),
    "more words than one for each group": network([whole(channels=20)], channels=20),
}
NOT_SHARED = {
    "several positions": network([synapse("a", 3, CHANNELS, 2)]),
    "beside an output of several positions": network([whole()], [synapse("a", 3, CHANNELS)]),
    "a part of a map": network([synapse("a", 3, CHANNELS, 2, stride=(2, 2))]),
    "a map with an edge": network([synapse("a", 3, CHANNELS, 5, padding=(1, 1))]),
    "grouped channels": network([synapse("a", 2, CHANNELS // 2, SIDE, groups=2)]),
    "the input": network([synapse(INPUT, 3, 1, SIDE)]),
    "the input beside a map": network([whole(), synapse(INPUT, 3, 1, SIDE)]),
    "words of one position that do not share out": network([whole(side=1, channels=12)], channels=12, side=1),
    "a short last tile of one position": network([whole(6, side=1, channels=16)], channels=16, side=1),
    "fewer words than groups": network([whole(side=1, channels=4)], channels=4, side=1),
}


@pytest.mark.parametrize("name", SHARED)
def test_the_groups_share_what_looks_at_whole_maps(name):
    """All readouts, each group all channels; the gateware knows it from the header and the passes."""
    plan = make_plan(SHARED[name], width=4, groups=4)
    assert plan.params.shared == plan.layout.shared == 1
    header, _, blocks = read_program(plan)
    assert header["shared"] == 1
    for p, block in zip(plan.passes, blocks):
        assert p.loops.shared == (not p.layer.emits)
        if p.loops.shared:
            assert (p.loops.parts, p.loops.positions) == (1, 4)
            shares = (block["positions"], 3) if plan.params.windows else (block["part_bits"], 2)
            assert shares[0] == shares[1]
    assert [name for name in plan.memories if name.startswith("outputs")] == [f"outputs_{g}" for g in range(4)]


@pytest.mark.parametrize("name", NOT_SHARED)
def test_nothing_else_is_shared(name):
    plan = make_plan(NOT_SHARED[name], width=4, groups=4)
    assert plan.params.shared == plan.layout.shared == 0
    assert "outputs" in plan.memories and not any(p.loops.shared for p in plan.passes)


def test_one_group_shares_nothing_nor_who_is_told_not_to():
    for options in ({"groups": 1}, {"groups": 4, "shared": False}):
        assert not make_plan(SHARED["the whole of a map"], width=4, **options).layout.shared


@pytest.mark.parametrize("groups", [2, 4])
def test_each_group_has_its_share_of_the_weights_and_group_0_the_bias(groups):
    network = SHARED["more words than one for each group"]
    network.layers[-1].bias.setflags(write=True)
    network.layers[-1].bias[:] = 5
    alone, shared = (make_plan(network, width=4, groups=groups, shared=share) for share in (False, True))
    words, channels = 9 * 5, 4  # of the map, of each
    saved = alone.params.weights - shared.params.weights
    assert saved == channels * (words - -(-words // groups))
    readout = shared.passes[-1]
    for group in range(groups):
        parameters = shared.contents[f"parameters_{group}"]
        bias = parameters[readout.parameter] >> shared.params.theta_bits & (1 << shared.params.bias_bits) - 1
        assert bias == (5 if group == 0 else 0)


@pytest.mark.parametrize("rows, columns, each, groups, lines", [
    (3, 3, 1, 2, 1), (3, 4, 1, 4, 3), (3, 2, 2, 4, 3), (5, 3, 1, 4, 1), (2, 1, 1, 4, 1), (1, 1, 8, 4, 1),
])
def test_every_word_is_of_one_share(rows, columns, each, groups, lines):
    """The map is read row by row where the words of a row share out, else as one line of words."""
    region = Region(40, each, 4, rows, columns)
    shares = [region.own_words(group, groups) for group in range(groups)]
    assert len({len(share) for share in shares}) == 1
    words = np.concatenate(shares)
    assert sorted(words[words < region.words].tolist()) == list(range(region.words))
    view, window = region.shared(groups)
    assert view.rows == lines and (view.base, view.tile_channels) == (40, 4)
    down, right = (window.places(axis, size, 1)[0] for axis, size in enumerate((view.rows, view.columns)))
    places = (down[:, None] * view.columns + right).ravel()[:, None] * view.words_per_position
    assert (places + np.arange(view.words_per_position)).ravel().tolist() == shares[0].tolist()


def test_a_core_without_runs_such_a_network_on_group_0():
    """A core with shares runs others too: the header says so."""
    shared, other = SHARED["the whole of a map"], NOT_SHARED["several positions"]
    core = make_plan(shared, width=4, groups=2, shared=False).params
    assert not plan_on(shared, core).layout.shared
    both = covering([make_plan(network, width=4, groups=2) for network in (other, shared)])
    assert both.shared == 1
    for network, share in ((shared, 1), (other, 0)):
        plan = plan_on(network, both)
        assert plan.layout.shared == read_program(plan)[0]["shared"] == share


def test_weights_outside_the_chip_come_for_each_group_by_itself():
    plan = make_plan(SHARED["the whole of a map"], width=4, groups=2, room=Room(weights=1))
    readout = plan.passes[-1]
    assert readout.streamed and readout.loops.shared
    assert groups_of_parts(readout, 2) == [0b01, 0b10]
