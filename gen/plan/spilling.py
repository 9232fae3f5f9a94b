"""Which maps lie outside the chip, and how many of their words are held on it while a pass reads them.

A map that lies outside is written there word by word. A pass that reads it has a *ring* on the chip: a power of two of
words, in which word i of the map lies at place i modulo that number. Row by row of the pass, the rows of the map that
its windows reach next are copied into the ring, in the place of those that no window reaches any more.

Words that are written at rising addresses go in one burst, of `LONGEST_RUN` words at most; it begins when no more can
come, or none has for `PATIENCE` cycles.
"""

from __future__ import annotations

import numpy as np

from gen.layers import INPUT, Synapse
from gen.plan.passes import Pass

__all__ = [
    "LONGEST_RUN", "MOST_AHEAD", "PATIENCE", "bursts_written", "ring_words", "rows_ahead", "rows_read", "spillable",
]

MOST_AHEAD = 31  # rows of a pass that may be copied before they are begun
LONGEST_RUN = 16  # words of a map, or of the input
PATIENCE = 31  # cycles


def rows_read(p: Pass, synapse: Synapse, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 (first, past) [rows of the pass]: of a map of ``rows`` rows, which its synapse needs.

    ``first`` is the first row that is read then or later, ``past`` the one behind the last that is read until then.
    """
    places = synapse.window.places(0, rows, p.rows * p.window[0]).reshape(p.rows, -1)
    past = np.maximum.accumulate(places.max(axis=1) + 1)
    first = np.where(places < 0, rows, places).min(axis=1)
    return np.minimum.accumulate(first[::-1])[::-1], past


def ring_words(p: Pass, synapse: Synapse, region) -> int:
    """Return the words of a ring that holds what a row of the pass reads, and what the next one reads."""
    return 1 << int(_held(p, synapse, region, 0) - 1).bit_length()


def rows_ahead(p: Pass, sources) -> int:
    """Return how many further rows may be copied before they are begun; ``sources``: (synapse, region, ring) each."""
    ahead = 0
    while ahead < min(MOST_AHEAD, p.rows) and all(
        _held(p, synapse, region, ahead + 1) <= ring.words for synapse, region, ring in sources
    ):
        ahead += 1
    return ahead


def _held(p, synapse, region, ahead):
    """Return the most words between the first that a row reads, and the last that the row ``1 + ahead`` later does."""
    first, past = rows_read(p, synapse, region.rows)
    later = past[np.minimum(np.arange(p.rows) + 1 + ahead, p.rows - 1)]
    return max(1, int((later - first).max()) * region.columns * region.words_per_position)


def bursts_written(p: Pass, region, cycles: np.ndarray) -> np.ndarray:
    """Return float [rounds], in how many bursts a pass that takes so many ``cycles`` writes its map, in ``region``.

    The groups finish their tiles together: their words are neighbours as far as they share channels.
    """
    parts, positions = p.loops.parts, p.loops.positions
    words, one_turn = p.rows * p.columns * p.tiles, parts * positions
    of_position = p.tiles if positions == 1 else min(parts, p.tiles)
    whole = of_position == region.words_per_position
    longest = LONGEST_RUN if whole else min(LONGEST_RUN, of_position)
    slow = cycles * one_turn > PATIENCE * words
    return words / np.where(slow, min(longest, one_turn if whole else parts), longest)


def spillable(passes: list[Pass]) -> set[str]:
    """Return the names of the maps that may lie outside: written and read once a round, a timestep at a time.

    `INPUT` is one where it is read as a map.
    """
    names = {INPUT, *(p.stored for p in passes if p.stored)}
    for p in passes:
        if p.steps > 1 or p.reads_at or p.stores_at or p.update:
            names -= {p.stored, *(s.source for s in p.synapses)}
    return names
