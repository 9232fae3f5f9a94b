"""`gen.plan.tiles` and `gen.plan.walk.share_loops`: how wide tiles are, how groups share them."""

import numpy as np
import pytest

from gen.errors import UnsupportedNetwork
from gen.intnet import IntegerNetwork
from gen.layers import INPUT, Pool, Source, Synapse
from gen.plan.grouping import tile_window
from gen.plan.plan import make_plan
from tests.gen.plan.networks import readout, spiking


def conv(source, outputs, inputs, kernel=1, groups=1, **window):
    return Synapse(source, np.ones((outputs, inputs // groups, kernel, kernel), int), groups=groups, **window)


def planned(*layers, shape=(1, 4, 4), timesteps=1, **options):
    return make_plan(IntegerNetwork(Source(shape), layers, timesteps), **options)


@pytest.mark.parametrize("synapse, tile_channels, window", [
    (conv(INPUT, 8, 8), 4, (8, None, 4)), (conv(INPUT, 8, 8, groups=8), 4, (4, 1, 1)),
    (conv(INPUT, 8, 8, groups=2), 4, (4, 1, 4)), (conv(INPUT, 8, 8, groups=2), 8, (8, 1, 4)),
    (conv(INPUT, 8, 8, groups=2), 2, (4, 2, 2)), (conv(INPUT, 4, 8, groups=4), 2, (4, 1, 1)),
], ids=["conv", "depthwise", "half", "both halves", "part of a group", "two to one"])
def test_what_one_tile_reads(synapse, tile_channels, window):
    assert tile_window(synapse, tile_channels) == window


def test_depthwise_layers_pools_and_identities_are_dense():
    plan = planned(
        spiking("a", [conv(INPUT, 20, 1)]),
        spiking("b", [conv("a", 20, 20, 3, 20, padding=(1, 1)), conv("a", 20, 20, groups=20)]),
        Pool("c", "b", "max", (3, 3), (1, 1)), readout("out", conv("c", 3, 20, 2)), width=8, groups=1,
    )
    assert [[s.dense for s in p.walk.sources] for p in plan.passes] == [[False], [True, True], [True], [False]]
    assert [p.tile_channels for p in plan.passes] == [8, 8, 8, 3]
    assert plan.params.dense == plan.params.maximum == 1
    # of the first layer 3 tiles, of a depthwise tile a word a tap; of the pool one; of the readout 20 a tap
    assert plan.params.weights == 3 + 3 * 9 + 3 + 1 + 4 * 20


def test_a_depthwise_layer_of_the_input_is_gathered_channel_by_channel():
    plan = planned(spiking("a", [conv(INPUT, 3, 3, 3, 3)]), readout("out", conv("a", 2, 3, 2)), shape=(3, 4, 4))
    assert not plan.passes[0].walk.sources[0].dense and plan.params.dense == 0


def test_a_source_has_whole_words_for_every_window():
    """Two groups of 6 channels: tiles of 6 read windows of 6, so their source has words of 6."""
    plan = planned(
        spiking("a", [conv(INPUT, 12, 1)]), spiking("b", [conv("a", 12, 12, groups=2)]),
        readout("out", conv("b", 2, 12)), shape=(1, 1, 1), width=8, groups=1,
    )
    assert [p.tile_channels for p in plan.passes] == [6, 6, 2]
    assert plan.passes[1].blocks == 1 and plan.passes[1].walk.turns["tiles"] == 2


def test_tiles_that_share_a_window_are_a_block():
    plan = planned(
        spiking("a", [conv(INPUT, 32, 1)]), spiking("b", [conv("a", 32, 32, groups=2)]),
        readout("out", conv("b", 2, 32)), shape=(1, 1, 1), width=4, groups=2,
    )
    turns = plan.passes[1].walk.turns
    assert (turns["blocks"], turns["tiles"], plan.passes[1].walk.parts) == (2, 4, 1)


def test_groupings_that_suit_no_tile_are_refused_by_name():
    layer = spiking("b", [conv("a", 36, 36, groups=4), conv("a", 36, 36, groups=6)])
    with pytest.raises(UnsupportedNetwork, match="layer 'b': its synapses group the channels in ways that no tiles of"):
        planned(spiking("a", [conv(INPUT, 36, 1)]), layer, readout("out", conv("b", 2, 36)), shape=(1, 1, 1), width=4,
                groups=1)


@pytest.mark.parametrize("synapse, line", [
    (conv(INPUT, 5, 3, 4), True), (conv(INPUT, 5, 3, 4, padding=(1, 1)), False), (conv(INPUT, 5, 3, 2), False),
    (conv(INPUT, 3, 3, 4, groups=3), False),
], ids=["whole", "padded", "part", "depthwise"])
def test_an_input_that_is_read_as_a_whole_is_one_line(synapse, line):
    plan = planned(readout("out", synapse), shape=(3, 4, 4), lanes=16)
    region = plan.regions[0, INPUT, 0]
    assert region.line == line
    assert (plan.params.image_tile, plan.params.image_words) == ((16, 3) if line else (3, 16))


@pytest.mark.parametrize("channels, columns, groups, parts, positions", [
    (8, 6, 4, 1, 4), (16, 6, 4, 2, 2), (32, 6, 4, 4, 1), (24, 6, 4, 4, 1), (8, 1, 4, 1, 1), (64, 1, 2, 2, 1),
    (8, 3, 2, 1, 2), (40, 4, 4, 1, 4),
])
def test_groups_share_the_tiles_in_the_fewest_turns(channels, columns, groups, parts, positions):
    layers = spiking("a", [conv(INPUT, channels, 1)]), readout("out", conv("a", 2, channels))
    plan = planned(*layers, shape=(1, 1, columns), width=8, groups=groups)
    walk = plan.passes[0].walk
    assert (walk.parts, walk.positions) == (parts, positions)
    out = plan.passes[1].walk
    assert (out.parts, out.positions) == (1, groups if out.shared else 1), "outputs run on one group, or it is shared"


def test_columns_of_an_upsampled_map_are_not_shared_out():
    plan = planned(
        spiking("a", [conv(INPUT, 4, 1)]), spiking("b", [conv("a", 4, 4, upsample=(1, 2))]),
        readout("out", conv("b", 2, 4)), width=4, groups=2,
    )
    assert [p.walk.positions for p in plan.passes] == [2, 1, 1]
