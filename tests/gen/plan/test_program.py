"""`gen.plan.program`: blocks of bit fields."""

import numpy as np
import pytest

from gen.errors import InputError
from gen.plan.params import WORD_BITS
from gen.plan.plan import make_plan
from gen.plan.program import (
    cursor_fields, header_fields, output_fields, pack, pass_fields, stage_fields, synapse_fields, unpack, words_of,
)
from tests.kit.random_networks import SECOND, random_network

FIELDS = [header_fields, stage_fields, pass_fields, output_fields, synapse_fields, cursor_fields]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fields", FIELDS)
def test_what_is_packed_is_unpacked(fields, seed):
    params = make_plan(random_network(seed, contract=SECOND), (16, 32)[seed % 2]).params
    layout, rng = fields(params), np.random.default_rng(seed)
    ends = {name: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
            for name, (bits, signed) in layout.items()}
    for draw in (min, max, lambda end: int(rng.integers(*end, endpoint=True))):
        values = {name: draw(end) for name, end in ends.items()}
        words = pack(layout, values)
        assert len(words) == words_of(layout) and all(0 <= word < 2**WORD_BITS for word in words)
        assert unpack(layout, words) == values, f"seed {seed}"


@pytest.mark.parametrize("value, range_", [(-1, "0..7"), (8, "0..7"), (-5, "-4..3"), (4, "-4..3")])
def test_a_value_outside_its_field_is_refused(value, range_):
    layout = {"a": (3, range_[0] == "-"), "b": (4, False)}
    with pytest.raises(InputError, match=f"program field a holds {value}, outside {range_}: the core is too small"):
        pack(layout, {"a": value, "b": 0})


@pytest.mark.parametrize("values", [{"a": 0}, {"a": 0, "b": 0, "c": 0}])
def test_a_block_has_exactly_its_fields(values):
    with pytest.raises(KeyError, match="fields missing or unknown"):
        pack({"a": (3, False), "b": (4, False)}, values)
