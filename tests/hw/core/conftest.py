"""Sizes of a small core for the tests of its components."""

import pytest

from gen.plan.params import CoreParams

SMALL = dict(
    width=4, groups=1, weight_bits=8, value_bits=9, count_bits=4, sum_bits=24, acc_bits=24, state_bits=16,
    theta_bits=12, bias_bits=16, burst=15, address_bits=12, place_bits=8, turns_bits=6, image_tile=3, image_words=24,
    image_slots=2, map_words=64, weights=64, parameters=16, outputs=16, limits=8, program=256, passes=4, stages=2,
    synapses=2, classes=5, positions=2, dense=1, maximum=1, tile_order=1,
)


@pytest.fixture
def sizes():
    """Return a function: ``sizes(width=8)`` is a `CoreParams` small in everything else."""
    def made(**changes):
        sizes = SMALL | changes
        return CoreParams(**{"map_bits": sizes["count_bits"], **sizes})

    return made
