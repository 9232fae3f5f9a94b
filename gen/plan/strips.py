"""The input as *strips*: a word holds all that a kernel row covers.

Maps of one or two channels leave most of a word empty, and a window reads a word for each of its taps. Where all that
reads the input moves over it in the same columns, a word is stored for each of these columns, with the values of every
tap of a row: a window then reads a word for each of its rows, and zeros cost nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from gen.layers import INPUT
from gen.plan.passes import Pass
from gen.window import Window

__all__ = ["Strips", "find_strips"]

MOST_CHANNELS = 2  # more of them give a tile as many events as its taps are
MOST_VALUES = 8    # of a word: a wider one costs more than it saves
MOST_WORDS = 2**12  # of a map: a larger one takes too many block RAMs


@dataclass(frozen=True)
class Strips:
    """How the rows of an input map of ``channels`` and ``width`` columns become words.

    ``kernel``, ``stride`` and ``before``, the padding on the left, are those along a row. Each of the ``columns`` words
    holds ``kernel`` positions, ``channels`` values each, the leftmost first.
    """

    channels: int
    width: int
    kernel: int
    stride: int
    before: int
    columns: int

    @property
    def values(self) -> int:
        """Values of a word."""
        return self.kernel * self.channels

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

    def window(self, window: Window) -> Window:
        """Return how the window of a synapse moves over the words."""
        top, _, bottom, _ = window.padding
        return replace(
            window, kernel=(window.kernel[0], 1), stride=(window.stride[0], 1), padding=(top, 0, bottom, 0))

    def of_map(self, values: np.ndarray) -> np.ndarray:
        """Return [..., channels, rows, width] as it is stored, [..., values of a word, rows, columns]."""
        after = self.row_values // self.channels - self.width
        padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(self.before, after)])
        reach = (self.columns - 1) * self.stride + 1
        return np.concatenate([padded[..., k : k + reach : self.stride] for k in range(self.kernel)], axis=-3)


def find_strips(passes: Iterable[Pass], shape: tuple[int, int, int], lanes: int) -> Strips | None:
    """Return the strips that all of ``passes`` which read an input of ``shape`` can share; None where there are none.

    A word has at most ``lanes`` values.
    """
    channels, rows, width = shape
    readers = [s for p in passes for s in p.synapses if s.source == INPUT]
    found = {
        Strips(channels, width, s.kernel[1], s.stride[1], s.padding[1], s.output_shape(shape)[2]) for s in readers}
    if len(found) != 1 or channels > MOST_CHANNELS or any(s.groups > 1 for s in readers):
        return None
    strips, = found
    narrow = 1 < strips.kernel and strips.values <= min(lanes, MOST_VALUES)
    plain = all(s.dilation[1] == s.upsample[0] == s.upsample[1] == 1 for s in readers)
    fits = strips.before < strips.kernel and strips.stride <= strips.kernel and rows * strips.columns <= MOST_WORDS
    return strips if narrow and plain and fits else None
