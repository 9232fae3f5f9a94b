"""What one tile reads of a map: which channels, lane by lane or one by one, with how many weights."""

from __future__ import annotations

from gen.layers import INPUT, Synapse

__all__ = ["is_dense", "reads_whole", "share_words", "tile_window", "weight_sizes", "weight_words"]


def is_dense(synapse: Synapse, source_tile: int, tile_channels: int) -> bool:
    """Return whether words of the source are taken lane by lane: lane i of a word goes to lane i of the tile."""
    depthwise = synapse.groups == synapse.weight.shape[0] and synapse.weight.shape[1] == 1
    return synapse.source != INPUT and depthwise and source_tile == tile_channels


def reads_whole(synapse: Synapse, size) -> bool:
    """Return whether all outputs of a synapse have one position, which looks at the whole of a map of ``size``."""
    return (
        synapse.groups == 1 and tuple(synapse.kernel) == tuple(size) and not any(synapse.padding)
        and synapse.dilation == synapse.upsample == (1, 1)
    )


def share_words(synapse: Synapse, source_tile: int, groups: int) -> int:
    """Return the words that a group reads, at most, of a map whose words ``groups`` share (`gen.plan.sharing`)."""
    return -(-synapse.window.area * -(-synapse.weight.shape[1] // source_tile) // groups)


def tile_window(synapse: Synapse, tile_channels: int) -> tuple[int, int | None, int]:
    """Return (input channels that one tile reads, tiles that share them, output channels of an event).

    None: all tiles share them.
    """
    if synapse.groups == 1:
        return synapse.weight.shape[1], None, tile_channels
    out_group, in_group = synapse.weight.shape[0] // synapse.groups, synapse.weight.shape[1]
    if tile_channels >= out_group:
        return tile_channels // out_group * in_group, 1, out_group
    return in_group, out_group // tile_channels, tile_channels


def weight_words(synapse: Synapse, tile_channels: int, dense: bool) -> int:
    """Return the weight words that one tile reads of a synapse."""
    return synapse.window.area * (1 if dense else tile_window(synapse, tile_channels)[0])


def weight_sizes(p, passes) -> tuple[int, ...]:
    """Return the memory words that a group has of the weights of each synapse of a pass, one of ``passes``.

    All pools share one word of ones, which is not counted.
    """
    tiles = {other.stored: other.tile_channels for other in passes}

    def words(synapse):
        source_tile = tiles.get(synapse.source, 0)
        if p.loops.shared:
            of_tile = share_words(synapse, source_tile, p.loops.positions) * source_tile
        else:
            of_tile = weight_words(synapse, p.tile_channels, is_dense(synapse, source_tile, p.tile_channels))
        size = of_tile * p.loops.channel_turns
        return -(-size // 2) if p.narrow else size

    return tuple(map(words, p.synapses)) if p.layer.weighted else ()
