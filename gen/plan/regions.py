"""Where maps, states and currents lie: what never lives at the same time shares memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gen.intnet import IntegerNetwork
from gen.layers import INPUT
from gen.plan.passes import Pass
from gen.plan.tiles import Tiling

__all__ = ["Region", "place_maps", "place_states"]


@dataclass(frozen=True)
class Region:
    """Where a map lies in its memory: ``base``, words of a position, channels of a word, its size in positions.

    The input has a memory of its own, and begins at 0 of a slot. ``line``: it is stored as one position; ``same``: it
    is the same at all timesteps. In tile order the ``versions`` of any other map, one a timestep, lie in a row, and so
    do frames that are kept together.
    """

    base: int
    words_per_position: int
    tile_channels: int
    rows: int
    columns: int
    line: bool = False
    same: bool = False
    versions: int = 1

    @property
    def words(self) -> int:
        """Words of one timestep's map."""
        return self.rows * self.columns * self.words_per_position


def place_maps(network: IntegerNetwork, passes: list[Pass], tiling: Tiling) -> dict[tuple[str, int], Region]:
    """Return {(name, timestep): region} of the input and of every stored map of a stage.

    Timestep 0 stands for a map that is overwritten at each timestep, and for the input. In tile order there is a region
    for every timestep, that of timestep 1 tells how many there are.
    """
    last_read = {}
    for i, p in enumerate(passes):
        last_read |= dict.fromkeys((p.writes, *p.reads), i)

    def words(p):
        return -(-network.shapes[p.stored][0] // p.tile_channels)

    made = [
        (i, p.writes, Region(0, words(p), p.tile_channels, p.rows, p.columns, versions=p.steps))
        for i, p in enumerate(passes) if p.writes and not p.first_channel
    ]
    lives = [(i, max(last_read.get(key, i), i), region.words * region.versions) for i, key, region in made]
    regions = {(INPUT, 0): _input(network, tiling)}
    for (_, (name, first), region), base in zip(made, _share(lives)):
        for n in range(region.versions):
            regions[name, first + n] = replace(region, base=base + n * region.words)
    return regions


def _input(network, tiling):
    channels, rows, columns = network.source.shape
    if tiling.line:
        channels, rows, columns = channels * rows * columns, 1, 1
    same = network.source.kind == "direct"
    words = -(-channels // tiling.image_tile)
    return Region(0, words, tiling.image_tile, rows, columns, tiling.line, same, tiling.kept)


def place_states(network: IntegerNetwork, passes: list[Pass]) -> tuple[list[Pass], int, int]:
    """Return the passes with a place for states and kept currents, and the words that a neuron has of both.

    Neurons that live for one update have no state. In tile order every tile begins at the first word again. A layer of
    a two-phase network lives from its first pass to its last; in any other network each layer lives all the time.
    """
    if any(p.steps > 1 for p in passes):
        fires = [p.beats for p in passes if p.layer.fires]
        keeps = [p.beats for p in passes if p.keep]
        return passes, max(fires, default=0), max(keeps, default=0)
    lives = _lives(network, passes) if network.timesteps > 1 else {}
    bases, states, currents, placed = dict(zip(lives, _share(lives.values()))), 0, 0, []
    for p in passes:
        base = bases.get((p.layer.name, p.first_channel))
        placed.append(replace(p, state=base or 0, current=currents if p.keep else 0))
        states = max(states, base + p.state_words) if base is not None else states
        currents += p.state_words if p.keep else 0
    return placed, states, currents


def _lives(network, passes):
    """Return {(layer, first channel): (first pass, last pass, words)} of the layers with states."""
    lives = {}
    for i, p in enumerate(passes):
        if p.layer.fires:
            key = p.layer.name, p.first_channel
            first = lives[key][0] if key in lives else i
            lives[key] = (first, i, p.state_words) if network.two_phase else (0, len(passes), p.state_words)
    return lives


def _share(lives):
    """Return the base of every one of (first pass, last pass, size), so that what lives together lies apart."""
    placed = []
    for born, died, size in lives:
        base = 0
        for start, end in sorted((base, end) for b, d, base, end in placed if b <= died and born <= d):
            if base + size <= start:
                break
            base = max(base, end)
        placed.append((born, died, base, base + size))
    return [base for _, _, base, _ in placed]
