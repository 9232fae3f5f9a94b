"""`adafire convert` with its searches: what it writes, what it refuses."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from gen.data.train import save
from gen.netfile import load_network
from sim.golden import Golden


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("convert"), np.random.default_rng(2)
    torch.manual_seed(2)
    module = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
                           nn.Flatten(), nn.Linear(32, 4))
    x = rng.integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)
    save(module, x, folder / "model.pt2")
    with torch.no_grad():
        y = module(torch.as_tensor(x).float() / 255).argmax(1).numpy()
    np.savez(folder / "data.npz", x=x, y=y)
    return folder


def converted(adafire, files, out, *options):
    return adafire("convert", files / "model.pt2", "--calibration", files / "data.npz", "--out", out, *options)


def test_searches_leave_their_fronts_beside_the_network(adafire, files, tmp_path):
    options = ("--search-burst", 1.0, "--compress", 20, "--weight-memory", 8 * 500, "--search-lanes", 4, "--json")
    told = converted(adafire, files, tmp_path / "net.safetensors", *options).json
    assert [path.rsplit("/")[-1] for path in told["fronts"]] == [
        f"net.{name}.{suffix}" for name in ("search_burst", "weight_memory", "compress") for suffix in ("json", "svg")
    ]
    network = load_network(tmp_path / "net.safetensors")
    searches = network.provenance["searches"]
    for name, front in searches.items():
        assert json.loads((tmp_path / f"net.{name}.json").read_text()) == front
        assert len(front["front"]) > 1 and 0 <= front["taken"] < len(front["front"])
    assert searches["search_burst"]["unit"] == "cycles per image of 4 lanes"
    assert {layer.name: layer.burst for layer in network.layers if hasattr(layer, "burst")} == (
        searches["search_burst"]["choice"]
    )
    compressed = searches["compress"]["choice"]
    assert {name: least for name, (_, least) in compressed.items()} == (
        {layer.name: layer.min_burst for layer in network.layers if hasattr(layer, "burst")}
    )
    assert told["weight_memory_bits"] <= 8 * 500
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert converted(adafire, files, tmp_path / "net.safetensors", *options).code == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_info_of_a_searched_network_is_readable(adafire, files, tmp_path):
    assert converted(adafire, files, tmp_path / "net.safetensors", "--search-burst", 1.0).code == 0
    shown = adafire("info", tmp_path / "net.safetensors")
    searched = load_network(tmp_path / "net.safetensors").provenance["searches"]["search_burst"]
    told = " ".join(shown.out.split()).replace(" │ │ ", " ")
    for name, cap in searched["choice"].items():
        assert shown.code == 0 and re.search(f"chosen: search_burst │ burst caps: .*{name}={cap}[,.]", told)
    assert f"{searched['reference_cost']:,.0f} -> {searched['front'][searched['taken']][0]:,.0f} synaptic" in told


def test_weights_that_do_not_fit_are_refused_and_nothing_is_left(adafire, files, tmp_path):
    outcome = converted(adafire, files, tmp_path / "net.safetensors", "--weight-memory", 100)
    assert outcome.code == 2 and not list(tmp_path.iterdir())
    assert "The network's 614 weights take at least 1,228 bits, more than the 100 of weight_memory" in outcome.err


def test_inverse_leaky_neurons(adafire, files, tmp_path):
    out = tmp_path / "net.safetensors"
    assert converted(adafire, files, out, "--neuron", "inverse_leaky", "--timesteps", 5).code == 0
    with np.load(files / "data.npz") as data:
        found = Golden(load_network(out)).run(data["x"])
        assert (found.classes == data["y"]).mean() > 0.9 and (found.exit_steps == 5).all()
    refused = converted(adafire, files, out, "--neuron", "inverse_leaky", "--exit", "margin")
    assert refused.code == 2 and "has no early exit" in refused.err


def test_few_bits_are_better_calibrated(adafire, files, tmp_path):
    errors = []
    with np.load(files / "data.npz") as data:
        x = data["x"]
    program = torch.export.load(files / "model.pt2").module()
    with torch.no_grad():
        wanted = program(torch.as_tensor(x).float() / 255).numpy()
    for flag in ("--no-calibrate-weights", "--calibrate-weights"):
        out = tmp_path / f"{flag}.safetensors"
        assert converted(adafire, files, out, "--weight-bits", 3, "--timesteps", 8, "--exit", "off", flag).code == 0
        network = load_network(out)
        z = Golden(network).run(x).logits / network.provenance["logit_scale"] / 8
        errors.append(np.square(z - wanted).mean())
    assert errors[1] < errors[0]


def test_a_task_and_its_labels(adafire, files, tmp_path):
    (tmp_path / "names.txt").write_text("north\neast \nsouth\nwest\n\n", encoding="utf-8")
    out, options = tmp_path / "net.safetensors", ("--task", "classify", "--labels", tmp_path / "names.txt")
    told = converted(adafire, files, out, *options, "--fit", "crop", "--json").json
    assert told["task"] == {"kind": "classify", "labels": ["north", "east", "south", "west"], "fit": "crop"}
    assert load_network(out).task.labels == ("north", "east", "south", "west")
    shown = adafire("info", out).out
    for words in ("task ", "north, east, south, west", "pictures: fit"):
        assert words in shown


@pytest.mark.parametrize(("options", "words"), [
    (("--labels", "few.txt"), "2 labels, the network has 4 classes"),
    (("--labels", "hole.txt"), "line 2 is empty"),
    (("--labels", "none.txt"), "none.txt cannot be read"),
    (("--labels", "empty.txt"), "it is empty"),
    (("--labels", "bytes.txt"), "bytes.txt cannot be read"),
    (("--decode", "wrong.py"), "wrong.py cannot be read"),
    (("--decode", "yolo", "--decode-option", "anchors"), "must be NAME=VALUE, not 'anchors'"),
])
def test_tasks_that_do_not_suit_leave_nothing(adafire, files, tmp_path, monkeypatch, options, words):
    texts = {"few.txt": "a\nb\n", "hole.txt": "a\n\nb\n", "empty.txt": "\n", "wrong.py": "def decode(:\n"}
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name, text in texts.items():
        (work / name).write_text(text)
    (work / "bytes.txt").write_bytes(b"\xff\xfe")
    before = sorted(path.name for path in work.iterdir())
    outcome = converted(adafire, files, work / "net.safetensors", *options)
    assert outcome.code == 2 and words in outcome.err and outcome.err.strip().count("\n") == 0
    assert sorted(path.name for path in work.iterdir()) == before
