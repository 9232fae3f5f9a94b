"""`gen.layout.program`: sizes of a core, blocks of bit fields."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from gen.errors import InputError
from gen.layout.program import (MEMORIES, WORD_BITS, CoreParams, header_fields, layer_fields, memory_shapes, pack,
                         synapse_fields, words_of)

SIZES = dict(
    lanes=4, neurons=4, weight_bits=8, value_bits=9, index_bits=8, offset_bits=10, loop_bits=6, acc_bits=24,
    state_bits=16, theta_bits=12, bias_bits=16, events=64, pointers=32, weights=100, parameters=8, states=16,
    currents=16, layers=3, synapses=2, burst=7, classes=5, class_tiles=2, maximum=1, softmax=1, separated=0, program=64,
    spram=0, least=2, narrow=0,
)


def params(**changes):
    return CoreParams(**{**SIZES, **changes})


def unpack(layout, words):
    """Return {field: value} of a block's words."""
    bits, values = sum(word << (WORD_BITS * n) for n, word in enumerate(words)), {}
    for name, (width, signed) in layout.items():
        value, bits = bits % 2**width, bits >> width
        values[name] = value - 2**width if signed and value >= 2 ** (width - 1) else value
    assert bits == 0, "what pads the last word is zero"
    return values


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fields", [header_fields, layer_fields, synapse_fields])
def test_what_is_packed_is_unpacked(fields, seed):
    layout, rng = fields(params()), np.random.default_rng(seed)
    ends = {name: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
            for name, (bits, signed) in layout.items()}
    for draw in (min, max, lambda end: int(rng.integers(*end, endpoint=True))):
        values = {name: draw(end) for name, end in ends.items()}
        words = pack(layout, values)
        assert len(words) == words_of(layout) and all(0 <= word < 2**WORD_BITS for word in words)
        assert unpack(layout, words) == values


@pytest.mark.parametrize("value, range_", [(-1, "0..7"), (8, "0..7"), (-5, "-4..3"), (4, "-4..3")])
def test_a_value_outside_its_field_is_refused(value, range_):
    layout = {"a": (3, range_[0] == "-"), "b": (4, False)}
    text = f"program field a holds {value}, outside {range_}: the core is too small"
    with pytest.raises(InputError, match=text):
        pack(layout, {"a": value, "b": 0})


@pytest.mark.parametrize("values", [{"a": 0}, {"a": 0, "b": 0, "c": 0}])
def test_a_block_has_exactly_its_fields(values):
    with pytest.raises(KeyError, match="fields missing or unknown"):
        pack({"a": (3, False), "b": (4, False)}, values)


@pytest.mark.parametrize("changes, text", [
    ({"lanes": 0, "neurons": 1}, "the number of lanes must be 1..64, not 0"),
    ({"lanes": 65}, "the number of lanes must be 1..64, not 65"),
    ({"events": 0}, "the core parameter events must be a positive integer, not 0"),
    ({"states": 2.5}, "the core parameter states must be a positive integer, not 2.5"),
    ({"neurons": 2}, "4 lanes have 4 neurons or share one, not 2"),
    ({"acc_bits": 33}, "accumulators have at most 32 bits, not 33"),
    ({"weight_bits": 7, "narrow": 1}, "weight words of 7 bits a lane cannot be halved, for narrow layers"),
])
def test_impossible_sizes_are_refused(changes, text):
    with pytest.raises(InputError, match=text):
        params(**changes)


def test_shortages_name_every_size_that_is_too_small():
    core, needed = params(), params(events=70, weights=101, weight_bits=4)
    assert core.shortages(needed) == [
        "events: the network needs 70, the core has 64", "weights: the network needs 101, the core has 100",
    ]
    assert needed.shortages(core) == ["weight_bits: the network needs 8, the core has 4"]


def test_a_covering_core_is_short_of_nothing():
    one, other = params(events=70, layers=2), params(weights=300, synapses=1, offset_bits=14)
    both = one.covering(other)
    assert both == other.covering(one)
    assert not both.shortages(one) and not both.shortages(other)
    assert (both.events, both.weights, both.layers, both.synapses) == (70, 300, 3, 2)
    assert both.program == both.program_words


def test_a_core_that_halves_its_words_has_them_of_even_width():
    both = params(weight_bits=6, narrow=1).covering(params(weight_bits=7))
    assert (both.weight_bits, both.narrow, both.halved_bits) == (8, 1, 8)
    assert params().halved_bits == 0 and params().covering(params(weight_bits=7)).weight_bits == 8


@pytest.mark.parametrize("events, weights", [(1, 1), (63, 64), (64, 65), (4095, 4096)])
def test_addresses_have_room_for_the_end(events, weights):
    core = params(events=events, weights=weights)
    assert 2**core.event_address_bits > events and 2**core.weight_address_bits > weights
    assert 2 ** params(weights=weights, narrow=1).weight_address_bits > 2 * weights


def test_memories_have_one_value_per_lane():
    core = params()
    shapes = memory_shapes(core)
    assert tuple(shapes) == MEMORIES
    assert shapes == {"program": (64, 32), "weights": (100, 4 * 8), "theta": (8, 4 * 12), "bias": (8, 4 * 16),
                      "v_init": (8, 4 * 16), "limits": (64, 32)}
    shared = memory_shapes(replace(core, neurons=1))
    assert shared["theta"] == (32, 12) and shared["weights"] == shapes["weights"]
    assert replace(core, lanes=8, neurons=8).program_words >= core.program_words
    assert set(asdict(core)) == set(SIZES)
