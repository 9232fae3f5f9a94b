"""What lies where on the chip: what never lives at the same time shares memory; where states and currents lie."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gen.intnet import IntegerNetwork
from gen.plan.passes import Pass
from gen.plan.strips import Strips
from gen.window import POINT, Window

__all__ = ["WHOLE", "Region", "Room", "place_states", "share_memory"]


@dataclass(frozen=True)
class Room:
    """Words that a group may have on the chip: of weights, of maps, of input maps; of states and kept currents, and of
    parameters, each of its neurons. None: as many as there are.

    ``map_bits``: of a count in a map's word; maps of wider counts are ``wide``. None: all counts have their bits.
    ``signed``: counts are in two's complement.
    """

    weights: int | None = None
    maps: int | None = None
    image: int | None = None
    states: int | None = None
    parameters: int | None = None
    map_bits: int | None = None
    signed: bool = False


WHOLE = Room()


@dataclass(frozen=True)
class Region:
    """Where a map lies in its memory: ``base``, words of a position, channels of a word, its size in positions.

    The input has a memory of its own, and begins at 0 of a slot. ``line``: it is stored as one position; ``strips``: a
    position is a column of these; ``same``: it is the same at all timesteps. In tile order the ``versions`` of any
    other map, one a timestep, lie in a row, and so do frames that are kept together. ``outside``: first word in the
    memory outside the chip, counted in words of maps from the first map there on; its ``base`` is 0 then. ``wide``: its
    counts have more bits than those of other maps.
    """

    base: int
    words_per_position: int
    tile_channels: int
    rows: int
    columns: int
    line: bool = False
    strips: Strips | None = None
    same: bool = False
    versions: int = 1
    outside: int | None = None
    wide: bool = False

    @property
    def words(self) -> int:
        """Words of one timestep's map."""
        return self.rows * self.columns * self.words_per_position

    def window(self, window: Window) -> Window:
        """Return how the window of a synapse moves over what is stored."""
        return POINT if self.line else self.strips.window(window) if self.strips else window

    def own_words(self, group: int, groups: int) -> np.ndarray:
        """Return int64 [words], which words a group reads of a map that ``groups`` share (`gen.plan.sharing`).

        Each has as many; the last ones may lie behind the map.
        """
        turns = np.arange(-(-self.words // groups))
        return group * len(turns) + turns if self.rows * self.columns == 1 else turns * groups + group

    def shared(self, groups: int) -> tuple[Region, Window]:
        """Return a map that ``groups`` share, and the window through which group 0 reads it: as `own_words` has them.

        Of a single position it is its own words; else the map has positions of one word, in one row where those of its
        rows do not share out.
        """
        words, of_row = len(self.own_words(0, groups)), self.columns * self.words_per_position
        if self.rows * self.columns == 1:
            return replace(self, words_per_position=words), POINT
        rows = 1 if of_row % groups else self.rows
        view = replace(self, rows=rows, columns=self.words // rows, words_per_position=1)
        return view, Window((rows, words // rows), dilation=(1, groups))


def place_states(network: IntegerNetwork, passes: list[Pass]) -> tuple[list[Pass], int, int]:
    """Return the passes with a place for states and kept currents, and the words that a neuron has of both.

    Neurons that live for one update have no state, and parked ones have it outside the chip. In tile order every tile
    begins at the first word again. A layer of a two-phase network lives from its first pass to its last; in any other
    network each layer lives all the time.
    """
    if any(p.steps > 1 for p in passes):
        fires = [p.beats for p in passes if p.layer.fires]
        keeps = [p.beats for p in passes if p.keep]
        return passes, max(fires, default=0), max(keeps, default=0)
    lives = _lives(network, passes) if network.timesteps > 1 else {}
    bases, states, currents, placed = dict(zip(lives, share_memory(lives.values()))), 0, 0, []
    for p in passes:
        base = bases.get((p.layer.name, p.first_channel))
        placed.append(replace(p, state=base or 0, current=currents if p.keep else 0))
        states = max(states, base + p.state_words) if base is not None else states
        currents += p.state_words if p.keep else 0
    return placed, states, currents


def _lives(network, passes):
    """Return {(layer, first channel): (first pass, last pass, words, 1)} of the layers with states."""
    lives = {}
    for i, p in enumerate(passes):
        if p.layer.fires and p.parked is None:
            key = p.layer.name, p.first_channel
            first = lives[key][0] if key in lives else i
            life = (first, i) if network.two_phase else (0, len(passes))
            lives[key] = *life, p.state_words, 1
    return lives


def share_memory(lives) -> list[int]:
    """Return the base of every (first pass, last pass, size, alignment), so that what lives together lies apart."""
    placed = []
    for born, died, size, whole in lives:
        base = 0
        for start, end in sorted((base, end) for b, d, base, end in placed if b <= died and born <= d):
            if base + size <= start:
                break
            base = max(base, -(-end // whole) * whole)
        placed.append((born, died, base, base + size))
    return [base for _, _, base, _ in placed]
