"""`hw.link.piece_order` against integers."""

import numpy as np

from hw.link.piece_order import PieceOrder
from tests.kit.streams import play

BITS = 11


def compared(pairs, **inputs):
    """Compare pairs of ``byte`` sources and fixed inputs; return (same, before, zero) of each."""
    rows = []
    for number, fixed in pairs:
        rows += [{**fixed, **inputs, "place": n, "byte": number >> 8 * n & 255, "enable": 1} for n in range(4)]
        rows += 2 * [{"enable": 0, "byte": 0x55}]
    return play(PieceOrder(BITS), rows, "same", "before", "zero")[5::6]


def near(rng, number):
    """Return numbers around one: itself, its neighbours, itself with a byte changed."""
    return [number, number + 1, max(0, number - 1), number ^ 1 << int(rng.integers(0, 32)), number & 0xFF00]


def test_positions():
    rng = np.random.default_rng(0)
    pairs = [
        (brought, {"position": position})
        for position in (0, 1, 255, 256, 65535, 2**24 - 1, *rng.integers(0, 2**24, 25).tolist())
        for brought in (0, *near(rng, position))
    ]
    seen = compared(pairs)
    for (brought, fixed), verdict in zip(pairs, seen):
        position = fixed["position"]
        assert verdict == (brought == position, brought < position, brought == 0), (brought, position)


def test_ends_of_images():
    rng = np.random.default_rng(1)
    pairs = []
    for wide in (0, 1):
        for _ in range(60):
            size, left = int(rng.integers(1, 2 ** rng.integers(2, 23))), int(rng.integers(0, 2**BITS))
            total = size << wide
            for end in near(rng, total):
                if 0 <= end - left < 2**24 and end < 2**32:
                    pairs.append((0, {"position": end - left, "left": left, "size": size, "wide": wide}))
    seen = compared(pairs, measuring=1)
    assert {verdict[:2] for verdict in seen} == {(0, 0), (0, 1), (1, 0)}
    for (_, fixed), (same, before, _) in zip(pairs, seen):
        total, end = fixed["size"] << fixed["wide"], fixed["position"] + fixed["left"]
        assert (same, before) == (total == end, total < end), fixed
