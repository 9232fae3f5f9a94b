"""What a network is for: what goes with which outputs, and what the file says of it."""

from dataclasses import replace

import numpy as np
import pytest

from gen import netfile
from gen.errors import InputError
from gen.heads import HEADS, pairs
from gen.intnet import IntegerNetwork, StagedNetwork
from gen.exit_rule import ExitRule
from gen.layers import INPUT, Readout, Source, Synapse
from gen.netfile import load_network, network_hash, save_network
from gen.task import BGR, CLASSIFY, DETECT, SEGMENT, STRETCH, VALUES, Decoder, Task

SSD = {"sizes": [[10, [20, 30]], [40]]}
SHAPES = {"b1": (8, 4, 6), "b2": (4, 2, 3), "s1": (6, 4, 6), "s2": (3, 2, 3)}
ROLES = {"boxes": ("b1", "b2"), "scores": ("s1", "s2")}


def network(channels=3, side=1, **changes):
    """Return a network of one readout, of ``side`` x ``side`` positions."""
    kernel = 4 // side
    weight = np.arange(channels * kernel * kernel).reshape(channels, 1, kernel, kernel) % 7 - 3
    readout = Readout("out", [Synapse(INPUT, weight, (kernel, kernel))], np.arange(channels), np.full(channels, 8))
    return IntegerNetwork(Source((1, 4, 4)), [readout], 1, **changes)


def test_what_nobody_said_is_usual():
    assert network().task == Task(CLASSIFY) and network(side=2).task == Task(VALUES)
    dense = replace(network(), layers=network(side=2).layers)
    assert dense.task == Task(VALUES)


@pytest.mark.parametrize("task", [
    Task(CLASSIFY, ("cat", "dog", "Käse")), Task(VALUES), Task(CLASSIFY, fit=STRETCH, colors=BGR),
    Task(DETECT, decoder=Decoder("mine.py", options={"score": 0.25, "any": [1, {"x": None}]})),
])
def test_a_task_comes_back_from_a_file_and_the_bits_are_the_same(tmp_path, task):
    plain, path = network(), tmp_path / "net.safetensors"
    told = replace(plain, stated_task=task)
    save_network(told, path)
    assert load_network(path).task == task
    assert network_hash(told) == network_hash(plain) == network_hash(load_network(path))
    assert netfile._read(path)[0]["schema"] == 4


def test_a_file_without_a_task_is_what_it_was(tmp_path):
    save_network(network(), tmp_path / "plain.safetensors")
    save_network(network(stated_task=Task(CLASSIFY)), tmp_path / "usual.safetensors")
    assert (tmp_path / "plain.safetensors").read_bytes() == (tmp_path / "usual.safetensors").read_bytes()
    assert netfile._read(tmp_path / "plain.safetensors")[0]["schema"] == 1


def test_stages_share_a_task(tmp_path):
    task, path = Task(CLASSIFY, ("a", "b", "c")), tmp_path / "net.safetensors"
    first = network(exit_rule=ExitRule("margin", limits=(5,)))
    staged = StagedNetwork((first, network(stated_task=task)))
    save_network(staged, path)
    assert staged.task == load_network(path).task == task and network_hash(load_network(path)) == network_hash(staged)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: network(stated_task=Task(CLASSIFY, ("a", "b"))), "2 labels, the network has 3 classes"),
    (lambda: network(side=2, stated_task=Task(CLASSIFY)), "2 x 2 positions"),
    (lambda: network(stated_task=Task(SEGMENT)), "has one position"),
    (lambda: network(1, 2, stated_task=Task(SEGMENT, ("a", "b", "c"))), "3 labels, the network has 2 classes"),
    (lambda: Task(DETECT), "needs a decoder"),
    (lambda: Task(CLASSIFY, decoder=Decoder("ssd")), "has none of"),
    (lambda: Task("guess"), "must be one of classify, segment, detect, values, not 'guess'"),
    (lambda: Task(CLASSIFY, fit="squash"), "letterbox, stretch, crop"),
    (lambda: Task(CLASSIFY, colors="cmyk"), "rgb, bgr"),
    (lambda: Task(CLASSIFY, ("",)), "1 to 200 characters"),
    (lambda: Decoder("rcnn"), "ssd, yunet, yolo, or a file NAME.py"),
    (lambda: Decoder("ssd", {"boxes": "out"}), "lists of names"),
])
def test_what_does_not_go_together(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_file_of_another_task_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    save_network(network(stated_task=Task(CLASSIFY, ("a", "b", "c"))), path)
    header, tensors = netfile._read(path)
    for task in ({"kind": "classify", "labels": ["a"]}, {"kind": "cook"}, {"what": 1}, "text", {"kind": "detect"}):
        with pytest.raises((InputError, TypeError, AttributeError)):
            netfile._build({**header, "task": task, "provenance": {}}, tensors)


def test_classes_of_a_head():
    assert Decoder("ssd", ROLES, SSD).classes(SHAPES) == 2
    assert Decoder("ssd", ROLES, SSD | {"activation": "sigmoid"}).classes(SHAPES) == 3
    assert Decoder("ssd", ROLES, SSD | {"background": False}).classes(SHAPES) == 3
    yunet = {"boxes": ("b",), "scores": ("s",), "objects": ("o",)}
    assert Decoder("yunet", yunet).classes({"b": (4, 2, 2), "s": (5, 2, 2), "o": (1, 2, 2)}) == 5
    assert Decoder("yolo", {"grid": ("g",)}, {"anchors": [[1, 2]]}).classes({"g": (16, 2, 2)}) == 3
    assert Decoder("yolo", {"grid": ("g",)}, {"anchors": [[1, 2]]}).classes({"g": (10, 2, 2)}) == 1
    assert Decoder("mine.py").classes({}) is None
    assert pairs([3, [4, 5]]) == [(3, 3), (4, 5)]


@pytest.mark.parametrize(("name", "outputs", "options", "shapes", "words"), [
    ("ssd", ROLES, {}, SHAPES, "needs the option sizes"),
    ("ssd", ROLES, SSD | {"colour": 1}, SHAPES, "no option 'colour'"),
    ("ssd", ROLES, SSD | {"score": 2}, SHAPES, "a number, 0 to 1, not 2"),
    ("ssd", ROLES, SSD | {"sizes": [[10]]}, SHAPES, "for 1 levels, the network has 2"),
    ("ssd", ROLES, SSD | {"sizes": [[10], [40]]}, SHAPES, "level 1 has 1 anchors"),
    ("ssd", ROLES, SSD | {"sizes": "large"}, SHAPES, "sizes must be a list"),
    ("ssd", {"boxes": ("b1",)}, SSD, SHAPES, "needs outputs for scores"),
    ("ssd", ROLES | {"boxes": ("b1",)}, SSD, SHAPES, "as many boxes as scores"),
    ("ssd", ROLES | {"scores": ("s2", "s1")}, SSD, SHAPES, "maps of several sizes"),
    ("ssd", ROLES | {"boxes": ("b1", "zz")}, SSD, SHAPES, "no output 'zz'"),
    ("ssd", ROLES | {"eyes": ("b1", "b2")}, SSD, SHAPES, "knows no outputs 'eyes'"),
    ("ssd", ROLES, SSD, SHAPES | {"s2": (4, 2, 3)}, r"one number of classes, 1 or more, not \[2, 3\]"),
    ("yunet", {"boxes": ("b1",), "scores": ("s1",)}, {}, SHAPES, "boxes of 4 channels"),
    ("yolo", {"grid": ("b1",)}, {"anchors": [[1, 2]]}, SHAPES, "needs 5 channels"),
])
def test_what_a_head_refuses(name, outputs, options, shapes, words):
    with pytest.raises(InputError, match=words):
        Decoder(name, outputs, options).classes(shapes)


@pytest.mark.parametrize("head", HEADS.values(), ids=list(HEADS))
def test_what_stands_for_an_option_is_allowed(head):
    given = {name: [[10]] for name in ("sizes", "anchors") if name in head.options}
    settled = head.settled(given)
    assert settled.keys() == head.options.keys()
    assert head.settled({name: value for name, value in settled.items() if value is not None}) == settled
