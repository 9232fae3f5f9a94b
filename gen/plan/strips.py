"""The input as *strips*: a word holds all that a kernel row, or the whole kernel, covers.

Maps of one or two channels leave most of a word empty, and a window reads a word for each of its taps. Where all that
reads the input moves over it in the same columns, a word is stored for each of these columns, with the values of every
tap of a row: a window then reads a word for each of its rows, and zeros cost nothing at all. Where it moves over it in
the same rows too, a word may hold all rows of the window: a tile then reads a single word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from gen.layers import INPUT
from gen.plan.passes import Pass
from gen.window import POINT, Window

__all__ = ["FORMS", "NO_STRIPS", "UNCUT", "Cut", "Strips", "find_strips"]

FORMS = {"rows": 1, "windows": 0}  # of strips: name to `Cut.rows`
NO_STRIPS = "no"  # as a user asks for none
MOST_CHANNELS = 2  # more of them give a tile as many events as its taps are
MOST_VALUES = 8    # of a word for a kernel row: a wider one costs more than it saves
MOST_WORDS = 2**12  # of a map: a larger one takes too many block RAMs


class Cut(NamedTuple):
    """Into which strips an input may be cut: of how many values at most, and for how many kernel rows.

    ``rows`` is 1 for one row; 0 for whole windows of any size; a larger number for whole windows of so many rows and
    just so many values, as a core stores them, or one row where they do not suit.
    """

    values: int
    rows: int = 1


UNCUT = Cut(0)


@dataclass(frozen=True)
class Strips:
    """How the rows of an input map of ``channels``, ``height`` rows and ``width`` columns become words.

    ``kernel``, ``stride`` and ``before``, the padding on the left, are those along a row. Each of the ``columns`` words
    holds ``kernel`` positions of ``rows`` rows, ``channels`` values each, the upper left one first. ``above`` and
    ``below``: the padding of whole windows; of a single row the walk knows it.
    """

    channels: int
    height: int
    width: int
    kernel: int
    stride: int
    before: int
    columns: int
    rows: int = 1
    above: int = 0
    below: int = 0

    @property
    def kernel_row_values(self) -> int:
        """Values of a word that are those of one row."""
        return self.kernel * self.channels

    @property
    def values(self) -> int:
        """Values of a word."""
        return self.rows * self.kernel_row_values

    @property
    def row_values(self) -> int:
        """Values of a row that are looked at one after another: all of the map's, and the padding on the right."""
        return self.channels * max(self.width, (self.columns - 1) * self.stride + self.kernel - self.before)

    @property
    def first_values(self) -> int:
        """Values of a row with which its first word is whole."""
        return self.channels * (self.kernel - self.before)

    @property
    def step_values(self) -> int:
        """Values with which a further word is."""
        return self.channels * self.stride

    @property
    def stored_rows(self) -> int:
        """Rows of words: of whole windows as many that every row of words meets zeros where the map has none."""
        return self.height + max(self.above, self.below)

    @property
    def map_values(self) -> int:
        """Values of a map that are looked at one after another, zeros included."""
        return self.stored_rows * self.row_values

    def first_word(self, row: int) -> int:
        """Return where the first word of the map goes, of those for row ``row`` of the window: behind the last again.

        In the words for row k of the window row r of the map lies in row r + above - k, counted around.
        """
        return (self.above - row) % self.stored_rows * self.columns

    def window(self, window: Window) -> Window:
        """Return how the window of a synapse moves over the words."""
        if self.rows > 1:
            return replace(POINT, stride=(window.stride[0], 1))
        top, _, bottom, _ = window.padding
        return replace(
            window, kernel=(window.kernel[0], 1), stride=(window.stride[0], 1), padding=(top, 0, bottom, 0))

    def of_map(self, values: np.ndarray) -> np.ndarray:
        """Return [..., channels, rows, width] as it is stored, [..., values of a word, rows, columns]."""
        after = self.row_values // self.channels - self.width
        last = self.stored_rows + self.rows - 1 - self.above - self.height
        padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(self.above, last), (self.before, after)])
        reach = (self.columns - 1) * self.stride + 1
        return np.concatenate([
            padded[..., row : row + self.stored_rows, k : k + reach : self.stride]
            for row in range(self.rows) for k in range(self.kernel)], axis=-3)


def find_strips(passes: Iterable[Pass], shape: tuple[int, int, int], cut: Cut) -> Strips | None:
    """Return the strips that all of ``passes`` that read an input of ``shape`` can share; None where there are none."""
    channels, rows, width = shape
    readers = [s for p in passes for s in p.synapses if s.source == INPUT]
    found = {Strips(channels, rows, width, s.kernel[1], s.stride[1], s.padding[1], s.output_shape(shape)[2])
             for s in readers}
    if len(found) != 1 or channels > MOST_CHANNELS or any(s.groups > 1 for s in readers):
        return None
    strips, = found
    narrow = 1 < strips.kernel and strips.values <= min(cut.values, MOST_VALUES)
    plain = all(s.dilation[1] == s.upsample[0] == s.upsample[1] == 1 for s in readers)
    fits = strips.before < strips.kernel and strips.stride <= strips.kernel and rows * strips.columns <= MOST_WORDS
    if not (narrow and plain and fits):
        return None
    return strips if cut.rows == 1 else _whole(strips, readers, cut) or strips


def _whole(strips, readers, cut):
    """Return the strips of whole windows, None where they do not suit."""
    found = {replace(strips, rows=s.kernel[0], above=s.padding[0], below=s.padding[2]) for s in readers}
    if len(found) != 1 or any(s.dilation[0] > 1 for s in readers):
        return None
    whole, = found
    just = cut.rows == 0 or (whole.rows, whole.values) == (cut.rows, cut.values)
    fits = 1 < whole.rows and whole.above < whole.rows and whole.values <= cut.values
    return whole if just and fits and whole.stored_rows * whole.columns <= MOST_WORDS else None
