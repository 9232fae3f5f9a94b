"""`hw.machine.wide_memory` against a list, over the widths of its columns."""

import numpy as np
import pytest

from hw.machine.wide_memory import WideMemory
from tests.kit.streams import play


@pytest.mark.parametrize("depth, width", [(1, 5), (7, 100), (32, 40), (33, 40), (600, 40), (1100, 20), (2100, 9)])
def test_words_are_kept_and_read_a_cycle_later(depth, width):
    rng = np.random.default_rng(depth)
    words = [int(w) & ((1 << width) - 1) for w in rng.integers(0, 2**62, depth)]
    memory, rows, expected = WideMemory(width, depth=depth, init=list(words)), [], []
    for _ in range(120):
        where, at = (int(a) for a in rng.integers(0, depth, 2))
        value, enable = int(rng.integers(0, 2**62)) & ((1 << width) - 1), int(rng.random() < 0.5)
        rows.append({"write_enable": enable, "write_address": where, "write_data": value, "address": at})
        expected.append(words[at])
        if enable:
            words[where] = value
    seen = play(memory, [*rows, {"write_enable": 0}], "data")
    assert [data for data, in seen[1:]] == expected, f"seed {depth}"


def test_the_word_stands_while_reading_is_off():
    rows = [{"address": 1, "read_enable": 1}, {"address": 0, "read_enable": 0}, {}, {"read_enable": 1}, {}]
    assert [data for data, in play(WideMemory(8, depth=40, init=[3, 5]), rows, "data")[1:]] == [5, 5, 5, 3]
