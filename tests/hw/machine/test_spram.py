"""`hw.machine.spram`: the Verilog with the model of the cell keeps every word, wider and deeper than one block."""

import pytest
from amaranth.back import rtlil

from hw.machine.spram import CELL, LoadableSinglePort


@pytest.mark.parametrize("lanes, weights, blocks", [
    (1, 100, 1), (2, 16384, 1), (4, 3000, 2), (2, 16385, 2), (3, 20000, 4),
])
def test_blocks_side_by_side_and_in_banks(sizes, lanes, weights, blocks):
    params = sizes(lanes=lanes, weights=weights, spram=1)
    text = rtlil.convert(LoadableSinglePort(params, "weights"), name="memory", emit_src=False)
    assert text.count(f"cell \\{CELL} ") == blocks == params.spram_blocks


def test_states_are_counted_beside_the_weights(sizes):
    params = sizes(lanes=2, neurons=1, weights=100, states=9000, state_bits=20, spram=2)
    assert params.spram_blocks == 1 + 4


def test_without_it_no_block_is_counted(sizes):
    assert sizes().spram_blocks == 0
