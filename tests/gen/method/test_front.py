"""Fronts: the point that a budget buys, JSON and picture."""

import json

import pytest

from gen.errors import InputError
from gen.method.front import front_of, save_front

OPTIONS = {
    "a": ((8, 4, 2), (80, 40, 20), (0.0, 0.25, 1.0)),
    "b": ((8, 4), (160, 80), (0.0, 0.125)),
}


def test_a_budget_buys_the_least_loss():
    front = front_of("weight bits", "bits", OPTIONS, 240)
    taken = front.within(160)
    assert taken.choice() == {"a": 8, "b": 4} and taken.points[taken.taken].cost == 160
    assert front.within(159).choice() == {"a": 4, "b": 4}
    assert front.within(1000).choice() == {"a": 8, "b": 8}
    assert front.within(99) is None


def test_what_json_holds():
    told = json.loads(json.dumps(front_of("weight bits", "bits", OPTIONS, 240).within(160).as_dict()))
    assert told == {
        "search": "weight bits", "unit": "bits", "reference_cost": 240, "choice": {"a": 8, "b": 4},
        "tried": {"a": [8, 4, 2], "b": [8, 4]},
        "front": [[100, 1.125], [120, 0.375], [160, 0.125], [240, 0]], "taken": 2,
    }


def test_a_long_front_is_thinned_and_keeps_the_point_taken():
    costs = list(range(400))
    front = front_of("burst caps", "operations", {"a": (costs, costs, [-c for c in costs])}, 400).within(137)
    told = front.as_dict()
    assert len(told["front"]) <= 101 and told["front"][told["taken"]] == [137, -137]


def test_the_picture_is_the_same_twice_and_nothing_else_is_left(tmp_path):
    told = front_of("weight bits", "bits", OPTIONS, 240).within(160).as_dict()
    paths = save_front(told, tmp_path / "net.bits")
    first = [path.read_bytes() for path in paths]
    save_front(told, tmp_path / "net.bits")
    assert [path.read_bytes() for path in paths] == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.bits.json", "net.bits.svg"]
    assert json.loads(first[0]) == told and first[1].startswith(b"<?xml") and b"weight bits" in first[1]


def test_a_folder_that_is_none(tmp_path):
    told = front_of("weight bits", "bits", OPTIONS, 240).within(160).as_dict()
    with pytest.raises(InputError, match="net.json cannot be written .* name a folder you may write to"):
        save_front(told, tmp_path / "nowhere" / "net")
