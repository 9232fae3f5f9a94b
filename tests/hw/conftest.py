"""Sizes of a small core for the tests of its components."""

import pytest

from gen.layout.program import CoreParams

SMALL = dict(
    weight_bits=8, value_bits=9, index_bits=8, offset_bits=10, loop_bits=6, acc_bits=24, state_bits=16,
    theta_bits=12, bias_bits=16, events=64, pointers=32, weights=64, parameters=8, states=16, currents=16,
    layers=3, synapses=2, burst=15, classes=5, class_tiles=2, maximum=1, softmax=1,
    program=64,
)


@pytest.fixture
def sizes():
    """Return a function: ``sizes(lanes=5)`` is a `CoreParams` small in everything else, a neuron for each lane."""
    return lambda lanes=3, neurons=None, **changes: CoreParams(
        lanes=lanes, neurons=neurons or lanes, **{**SMALL, **changes},
    )
