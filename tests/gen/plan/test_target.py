"""Boards as data: the figures of their parts, and the words for a wrong name."""

import pytest

from gen.errors import InputError
from gen.plan.target import TARGETS, BlockRam, find_target


def test_boards_of_the_plan_are_there():
    assert {
        "ulx3s_85f", "orangecrab_r0_2_85f", "ecpix5_85f", "icebreaker", "tang_nano_9k", "tang_nano_20k", "arty_a7_35",
    } <= set(TARGETS)
    assert len(TARGETS) == 15


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_budget_is_whole(target):
    assert set(target.budget) == {"lut", "ff", "bram", "dsp"} and min(target.budget.values()) > 0
    assert target.bram_bits == target.bram_blocks * target.bram.bits
    assert all(width * depth <= target.bram.bits for width, depth in target.bram.shapes)
    assert target.flow.open == (target.family != "xilinx7")


@pytest.mark.parametrize("width, depth, blocks", [
    (36, 512, 1), (37, 512, 2), (18, 1024, 1), (18, 1025, 2), (1, 16384, 1), (8, 2048, 1), (128, 1024, 8), (16, 1, 1),
])
def test_block_ram_count(width, depth, blocks):
    assert TARGETS["ulx3s_85f"].bram.count(width, depth) == blocks


def test_block_ram_count_takes_the_best_shape():
    assert BlockRam("TOY", 8, ((8, 1), (1, 8))).count(2, 8) == 2


@pytest.mark.parametrize("name", ["ulx3s_85f", "ULX3S-85F", " Ulx3s_85F "])
def test_find_forgives_case_and_hyphens(name):
    assert find_target(name) is TARGETS["ulx3s_85f"]


def test_unknown_board_names_the_nearest():
    with pytest.raises(InputError) as error:
        find_target("tangnano9k")
    assert str(error.value) == (
        "There is no board 'tangnano9k': the nearest names are tang_nano_9k, tang_nano_20k; "
        "`adafire boards` lists all 15."
    )


def test_unknown_board_with_nothing_near():
    with pytest.raises(InputError, match=r"There is no board 'q': `adafire boards` lists all 15\.$"):
        find_target("q")
