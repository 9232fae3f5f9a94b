"""How many channels a tile holds, chosen for all maps at once, and in which form the input lies.

A tile of channels is a word of the map it makes. It is as wide as a group where nothing forces less:

- A tile reads one window of channels of each source, so it must not straddle groups of channels; and the windows of
  all synapses must move along with the two loops `blocks` and `tiles`.
- Where tiles read different windows, a window must be whole words of its source.
- A pool has the tiles of the map it reads, for it takes whole words, lane by lane. A depthwise synapse does so too
  where the tiles agree; elsewhere it is gathered like any other grouped synapse.

The input may have the *line form*: where every reader looks at the whole of it at once, it is stored as one position.
Or it is cut into *strips* (`gen.plan.strips`), if that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

from gen.errors import UnsupportedNetwork
from gen.layers import INPUT
from gen.plan.grouping import is_dense, reads_whole, tile_window
from gen.plan.passes import Pass
from gen.plan.strips import UNCUT, Cut, Strips, find_strips

__all__ = ["Tiling", "choose_tiles"]


@dataclass(frozen=True)
class Tiling:
    """How the input lies.

    image_tile : values in a word
    line : it has the line form
    strips : those it is cut into
    kept : frames of an image that are kept together, 1: each is given up when its round has ended
    """

    image_tile: int
    line: bool
    strips: Strips | None = None
    kept: int = 1


def choose_tiles(
    stages: list[list[Pass]], networks, lanes: int, cut: Cut = UNCUT
) -> tuple[list[list[Pass]], Tiling]:
    """Return the passes of all stages with ``tile_channels`` and ``blocks``, and the `Tiling` of the input.

    ``cut``: the strips that the input may be cut into.

    Raises
    ------
    UnsupportedNetwork
        For layers of which no tile suits all groupings.
    """
    channels, height, width = networks[0].source.shape
    line = _reads_lines(stages, (height, width))
    kept = _kept(stages, networks[0])
    if kept > 1:
        cut = Cut(cut.values)  # the next frame lies where rows of zeros would
    strips = None if line else find_strips(chain(*stages), networks[0].source.shape, cut)
    values = strips.values if strips else channels * (height * width if line else 1)
    tiles: dict[str | tuple[int, str], int] = {INPUT: min(lanes, values)}
    for passes in stages:
        tiles |= {_key(p): min(lanes, p.channels) for p in passes}
    while _narrowed(stages, tiles):
        pass
    problems = [
        f"layer {p.layer.name!r}: its synapses group the channels in ways that no tiles of {lanes} lanes suit"
        for passes in stages for p in passes if _periods(p, tiles) is None
    ]
    if problems:
        raise UnsupportedNetwork(problems)
    chosen = [
        [replace(p, tile_channels=tiles[_key(p)], blocks=_blocks(p, tiles)) for p in passes] for passes in stages
    ]
    return chosen, Tiling(tiles[INPUT], line, strips, kept)


def _kept(stages, network):
    """Return the frames kept together: a later stage looks at all of them again, tile order at all for every tile."""
    again = len(stages) > 1 or any(p.steps > 1 for p in stages[0])
    return network.frames if network.source.kind == "frames" and again else 1


def _reads_lines(stages, size):
    readers = [s for passes in stages for p in passes for s in p.synapses if s.source == INPUT]
    return all(reads_whole(s, size) for s in readers)


def _key(p):
    return p.stage, p.stored or p.layer.name


def _source_key(p, synapse):
    return INPUT if synapse.source == INPUT else (p.stage, synapse.source)


def _narrowed(stages, tiles):
    """Narrow the first tile that breaks a rule; return whether there was one."""
    for passes in stages:
        for p in passes:
            if _narrow_pool(p, tiles) or (p.layer.weighted and _narrow_layer(p, tiles)):
                return True
    return False


def _narrow_pool(p, tiles):
    if p.layer.weighted:
        return False
    own, source = _key(p), _source_key(p, p.synapses[0])
    if tiles[own] == tiles[source]:
        return False
    tiles[own] = tiles[source] = min(tiles[own], tiles[source])
    return True


def _narrow_layer(p, tiles):
    own = _key(p)
    if _periods(p, tiles) is None and tiles[own] > 1:
        tiles[own] -= 1
        return True
    for synapse in p.synapses:
        key = _source_key(p, synapse)
        if synapse.groups == 1 or is_dense(synapse, tiles[key], tiles[own]) or tiles[own] >= p.channels:
            continue
        window = tile_window(synapse, tiles[own])[0]
        if window % tiles[key]:
            tiles[key] = next(n for n in range(tiles[key], 0, -1) if window % n == 0)
            return True
        if p.channels % tiles[own] and window != tiles[key]:  # the last window would end amid its words
            tiles[own] -= 1
            return True
    return False


def _periods(p, tiles):
    """Return the set of how many tiles share a window, where some do and others do not; None if no loops suit that."""
    tile, periods = tiles[_key(p)], set()
    for synapse in p.synapses:
        if synapse.groups == 1 or is_dense(synapse, tiles[_source_key(p, synapse)], tile):
            continue
        out_group = synapse.weight.shape[0] // synapse.groups
        if tile % out_group and out_group % tile:
            return None
        periods |= {max(1, out_group // tile)} - {1}
    return periods if len(periods) <= 1 else None


def _blocks(p, tiles):
    periods = _periods(p, tiles)
    return -(-p.channels // tiles[_key(p)]) // next(iter(periods)) if periods else 1
