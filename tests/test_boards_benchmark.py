"""`benchmarks.boards`: what bounds a network on a board, and one that does not fit it."""

import pytest

from benchmarks.boards import bounds, figures
from gen.errors import DoesNotFit
from host.bounds import on_board
from tests.kit.random_networks import SECOND, random_network


def layer(bound, lanes, weights=0, maps=0, states=0):
    return {"bound": bound, "lanes_cycles": lanes, "weights_cycles": weights, "maps_cycles": maps,
            "states_cycles": states}


def test_the_shares_are_those_of_the_cycles_of_layers_that_something_bounds():
    layers = [layer("lanes", 600, 100, 20), layer("weights", 10, 250, 50), layer("lanes", 100), layer("maps", 1, 0, 2)]
    assert bounds(layers) == "lanes 70%, weights 30%"


def test_a_row_is_what_info_says_of_the_board(monkeypatch):
    network = random_network(2, contract=SECOND, max_neurons=300)
    found, row = on_board(network, "tang_nano_20k"), figures(network, "tang_nano_20k")
    assert (row["lanes"], row["images a second"], row["MB moved"]) == (found["lanes"], found["estimated_fps"], 0)
    assert row["what bounds it"] == "lanes 100%"

    def refused(*_):
        raise DoesNotFit("too large")

    monkeypatch.setattr("host.bounds.choose", refused)
    assert figures(network, "tang_nano_20k") == {"what bounds it": "does not fit"}


@pytest.mark.parametrize("board", ["ulx3s_85f", "arty_a7_100"])
def test_nothing_moves_where_all_of_it_is_on_the_chip(board):
    assert figures(random_network(3, contract=SECOND, max_neurons=300), board)["MB moved"] == 0
