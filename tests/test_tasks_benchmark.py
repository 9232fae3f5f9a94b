"""`benchmarks.tasks`: what a board refuses, what is kept of a comparison, what a row says bounds a core."""

import json
from argparse import Namespace

import numpy as np
import pytest

from benchmarks.tasks import bound, compared, figures, offers, rows
from gen.errors import InputError
from gen.intnet import IntegerNetwork
from gen.layers import Readout, Source, Spiking, Synapse
from gen.netfile import save_network
from gen.plan.plan import make_plan


def network(side=6, channels=4):
    rng = np.random.default_rng(0)
    layer = Spiking(
        "a", [Synapse("input", rng.integers(-7, 8, (channels, 1, 3, 3)))], bias=np.zeros(channels, int),
        theta=np.full(channels, 900), v_init=np.full(channels, 450), burst=7, state_bits=16,
        weight_bits=np.full(channels, 4),
    )
    weight = rng.integers(-7, 8, (3, channels, side - 2, side - 2))
    readout = Readout("z", [Synapse("a", weight)], np.zeros(3, int), np.full(3, 4))
    return IntegerNetwork(Source((1, side, side)), [layer, readout], timesteps=2)


def test_a_board_that_is_too_small_is_told_in_the_words_of_generate():
    told = list(offers(network(24, 8), "net", ["icebreaker", "ulx3s_85f", "ulx3s_45f"]))
    (name, words), row = told
    assert name == "net, 1BitSquared iCEBreaker" and "does not fit 1BitSquared iCEBreaker" in words
    assert row.name == "net, Radiona ULX3S 85F" and row.chosen.target.name == "ulx3s_85f"
    none = list(offers(network(24, 8), "net", ["icebreaker"]))[-1]
    assert none.chosen is None and none.name == "net, core for no board" and none.plan.params.lanes == 16


def test_a_comparison_is_kept_and_goes_on(tmp_path):
    plan, log = make_plan(network(), 4), tmp_path / "compared.jsonl"
    images = np.random.default_rng(1).integers(0, 256, (3, 1, 6, 6), dtype=np.uint8)
    first = compared(plan, images[:2], log)
    assert [record["difference"] for record in first] == [None, None] and first[0]["cycles"] > 0
    with log.open("a") as file:
        file.write('{"difference": nu')  # killed while it wrote
    record = {**first[1], "difference": "planted"}
    log.write_text(log.read_text().replace(json.dumps(first[1]), json.dumps(record)))
    assert compared(plan, images[:2], log) == [first[0], record]  # as it was kept, nothing runs
    assert [each["difference"] for each in compared(plan, images, log)] == [None, "planted", None]
    assert len(log.read_text().splitlines()) == 4
    assert compared(make_plan(network(channels=5), 4), images[:1], log)[0]["values"] > first[0]["values"]


def test_figures_of_a_row():
    row = list(offers(network(), "net", ["ulx3s_85f"]))[0]
    lanes, groups = row.plan.params.lanes, row.plan.params.groups
    record = {"difference": None, "cycles": 988, "busy": 494 * groups, "synaptic_ops": 247 * lanes, "values": 5}
    told = figures(row, [record, {**record, "difference": "layer 'a'"}], 0.0)
    assert told["inputs equal"] == "1 of 2" and told["first_difference"] == "layer 'a'"
    assert told["values compared"] == 10 and told["images a second"] == 80e6 / 1000
    assert told["what bounds it"].startswith("walks and neurons between events")
    assert told["what bounds it"].endswith("(events 50%, lanes 25%)")
    assert figures(row, [record], 2000.0)["images a second"] == 40e3
    assert bound(row, 0.9, 0.8).startswith("its lanes") and bound(row, 0.9, 0.2).startswith("channels that leave lanes")


def test_a_network_without_data_is_refused(tmp_path):
    save_network(network(), tmp_path / "net.safetensors")
    options = Namespace(networks=[str(tmp_path / "net.safetensors")], boards=["ulx3s_85f"], images=1, cocotb=0,
                        out=tmp_path)
    with pytest.raises(InputError, match="names no data"):
        list(rows(options))
