"""`hw.core.halves` against arithmetic: whole words, lower and upper halves, every sign."""

import numpy as np
import pytest

from hw.core.halves import Halves
from tests.kit.streams import play


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_every_lane_takes_its_weight_or_its_half(sizes, bits):
    rng, half = np.random.default_rng(bits), bits // 2
    params = sizes(width=4, weight_bits=bits, narrow=1)
    rows, wanted = [], []
    for narrow, upper in [*np.ndindex(2, 2)] * 40:
        lanes = rng.integers(0, 2**bits, 4)
        rows.append({"word": sum(int(v) << bits * n for n, v in enumerate(lanes)), "narrow": narrow, "upper": upper})
        width = half if narrow else bits
        values = (lanes >> half * (narrow & upper)) % 2**width
        wanted.append(np.where(values >= 2 ** (width - 1), values - 2**width, values).tolist())
    seen = play(Halves(params), [*rows, {}], "weights")
    assert [weights for weights, in seen[1:]] == wanted
