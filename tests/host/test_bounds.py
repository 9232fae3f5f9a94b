"""`adafire info --board`: what bounds each layer on a board's core, and why none fits."""

import pytest

from gen.netfile import save_network
from tests.gen.plan.networks import layered


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network file: too large for the iCEBreaker."""
    path = tmp_path_factory.mktemp("bounds") / "net.safetensors"
    save_network(layered(8, 8, 8, channels=512), path)
    return path


def test_every_board_asked_for_tells_its_layers_or_why_not(adafire, network):
    told = adafire("info", network, "--board", "ulx3s_85f", "--board", "icebreaker", "--json").json["boards"]
    assert [board["fits"] for board in told] == [True, False]
    layers, names = told[0]["layers"], [layer["name"] for layer in adafire("info", network, "--json").json["layers"]]
    assert [layer["layer"] for layer in layers] == names and told[0]["bytes_moved"] == 0
    assert all(layer["bound"] == "lanes" and layer["lanes_cycles"] > 0 for layer in layers)
    assert "does not fit 1BitSquared iCEBreaker" in told[1]["why"]


def test_the_table_has_a_row_a_layer_and_a_board_that_is_none_is_refused(adafire, network):
    shown = adafire("info", network, "--board", "ulx3s_85f")
    assert shown.code == 0 and "bound by" in shown.out and "images a second" in shown.out
    wrong = adafire("info", network, "--board", "ulx4s")
    assert wrong.code == 2 and "There is no board 'ulx4s'" in wrong.err
