"""The verbs that need a network and nothing else: `info` and `evaluate`, on files good and bad."""

from dataclasses import replace

import nir
import numpy as np
import pytest

from gen.netfile import network_hash, save_network
from gen.plan.weights import ideal_bits, word_bits
from gen.task import CLASSIFY, DETECT, SEGMENT, VALUES
from host.describe import describe
from sim.golden import Golden
from sim.metrics import evaluate
from tests.kit.random_networks import random_images, random_network
from tests.kit.task_networks import NETWORKS

SEED = 0  # spiking layers, pools, a residual; an entropy rule over four timesteps


@pytest.fixture(scope="module")
def network():
    return random_network(SEED)


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    x = random_images(network, SEED, 12)
    y = Golden(network).run(x).classes
    y[:3] = (y[:3] + 1) % network.classes
    save_network(network, folder / "net.safetensors")
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "unlabelled.npz", x=x)
    np.savez(folder / "wrong_shape.npz", x=x[:, :, :-1], y=y)
    np.savez(folder / "wrong_labels.npz", x=x, y=y + network.classes)
    np.savez(folder / "floats.npz", x=x / 255, y=y)
    whole = (folder / "net.safetensors").read_bytes()
    (folder / "truncated.safetensors").write_bytes(whole[:-5])
    (folder / "altered.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (folder / "text.safetensors").write_text("hello")
    return folder


def test_info_shows_every_layer(adafire, files, network):
    outcome = adafire("info", files / "net.safetensors")
    assert outcome.code == 0 and outcome.err == ""
    assert all(f" {layer.name} " in outcome.out for layer in network.layers)
    assert network_hash(network) in outcome.out


def test_provenance_is_brief(adafire, files, network):
    origin = {"settings": {"exit": "off", "bits": {"a": 8}}, "thresholds": {"a": [0.5, 2.0, 1.0, 0.25, 3.5]},
              "silent": {}, "pairs": [1, 2]}
    save_network(replace(network, provenance=origin), files / "told.safetensors")
    told = adafire("info", files / "told.safetensors").out
    for text in ("bits=(a=8), exit=off", "a=0.25..3.5", "none", "1, 2"):
        assert f" {text} " in told


def test_of_a_detectors_outputs_none_decides(adafire, tmp_path):
    origin = {"calibration": {"output_errors": {"a": 0.01234567891, "b": 0.5}}}
    for kind in (DETECT, SEGMENT):
        save_network(replace(NETWORKS[kind], provenance=origin), tmp_path / f"{kind}.safetensors")
    told = adafire("info", tmp_path / "detect.safetensors").out
    assert "output_errors=(a=0.0123457, b=0.5)" in told and "output a" in told and "decides" not in told
    assert "output_errors" in adafire("info", tmp_path / "segment.safetensors").out


def test_info_as_json(adafire, files, network):
    payload = adafire("info", files / "net.safetensors", "--json").json
    assert payload == {"network": str(files / "net.safetensors"), **describe(network)}


@pytest.mark.parametrize("kind", NETWORKS)
def test_classes_are_those_that_a_task_tells_apart(kind):
    described, expected = describe(NETWORKS[kind]), {CLASSIFY: 2, SEGMENT: 2, DETECT: 1, VALUES: None}[kind]
    assert described["classes"] == expected
    assert len(described["task"].get("labels", ())) in (0, expected)


def test_description_adds_up(network):
    described = describe(network)
    spiking = [layer for layer in network.layers if layer.fires]
    states = sum(int(np.prod(network.shapes[layer.name])) * layer.state_bits for layer in spiking)
    readout = described["layers"][-1]
    assert described["state_memory_bits"] == states + network.classes * readout["accumulator_bits"]
    assert described["weight_memory_bits"] == ideal_bits(network, word_bits(network))
    for layer in described["layers"]:
        assert layer["weight_memory_bits"] in (width * layer["weights"] for width in range(2, 9))
    assert described["weights"] == sum(layer["weights"] for layer in described["layers"]) > 0


def test_evaluate_is_what_the_golden_model_does(adafire, files, network):
    payload = adafire("evaluate", files / "net.safetensors", "--data", files / "data.npz", "--json").json
    with np.load(files / "data.npz") as data:
        expected = evaluate(Golden(network), data["x"], data["y"])
    assert payload["images"] == 12 and payload["accuracy"] == 0.75 and payload["device"] == "golden"
    for key in ("mean_timesteps", "exit_histogram", "events_per_image", "synaptic_ops_per_image"):
        assert payload[key] == expected[key]


def test_evaluate_reads_the_first_images_only(adafire, files):
    words = ("evaluate", files / "net.safetensors", "--data", files / "data.npz", "--limit", "3", "--json")
    payload = adafire(*words).json
    assert (payload["images"], payload["accuracy"]) == (3, 0.0)


def test_evaluate_as_a_table(adafire, files):
    outcome = adafire("evaluate", files / "net.safetensors", "--data", files / "data.npz")
    assert outcome.code == 0 and outcome.err == "" and "75.00 %" in outcome.out


def test_evaluate_shows_where_images_stop(adafire, files):
    words = ("evaluate", files / "net.safetensors", "--data", files / "data.npz")
    payload, shown = adafire(*words, "--json").json, adafire(*words).out
    rows = [line.split("│")[1:-1] for line in shown.partition("Where images stop")[2].splitlines() if "%" in line]
    assert [int(row[1]) for row in rows] == payload["exit_histogram"] and sum(payload["exit_histogram"]) == 12
    right = [float(row[4].strip(" %") or 0) / 100 * int(row[1]) for row in rows]
    assert sum(right) == pytest.approx(9, abs=0.01)
    assert [("█" in row[3]) for row in rows] == [count > 0 for count in payload["exit_histogram"]]


def test_evaluate_without_labels(adafire, files):
    words = ("evaluate", files / "net.safetensors", "--data", files / "unlabelled.npz")
    assert "unknown: there are no labels" in adafire(*words).out
    payload = adafire(*words, "--json").json
    assert payload["accuracy"] is None and payload["exit_accuracy"] is None


@pytest.mark.parametrize("name, text", [
    ("missing.safetensors", "does not exist: check the name, or make it with `adafire convert`."),
    ("truncated.safetensors", "it is truncated or of another kind."),
    ("altered.safetensors", "is damaged: its content does not match its digest."),
    ("text.safetensors", "cannot be read as a network file"),
    (".", "is a folder, not a network file"),
])
@pytest.mark.parametrize("verb", ["info", "evaluate"])
def test_a_bad_network_file(adafire, files, verb, name, text):
    data = ("--data", files / "data.npz") if verb == "evaluate" else ()
    outcome = adafire(verb, files / name, *data)
    assert outcome.code == 2 and outcome.out == "" and text in outcome.err
    assert adafire(verb, files / name, *data, "--json").json == {"error": outcome.err.strip(), "exit_code": 2}


@pytest.mark.parametrize("name, text", [
    ("missing.npz", "missing.npz does not exist: check the name"),
    ("net.safetensors", "is not an .npz file"),
    ("wrong_shape.npz", "give the images the network was converted for."),
    ("wrong_labels.npz", "y must hold labels in 0.."),
    ("floats.npz", "x must be uint8, not float64"),
])
def test_bad_data(adafire, files, name, text):
    outcome = adafire("evaluate", files / "net.safetensors", "--data", files / name)
    assert outcome.code == 2 and outcome.out == "" and text in outcome.err


def test_unknown_device(adafire, files):
    words = ("evaluate", files / "net.safetensors", "--data", files / "data.npz", "--device", "/dev/ttyUSB0")
    outcome = adafire(*words)
    assert outcome.code == 2 and "There is no device '/dev/ttyUSB0'" in outcome.err


def test_export_writes_a_graph(adafire, tmp_path):
    save_network(random_network(4, sources=("direct",), max_neurons=600), tmp_path / "net.safetensors")
    outcome = adafire("export", tmp_path / "net.safetensors", "--out", tmp_path / "net.nir", "--json")
    assert outcome.code == 0, outcome.out
    graph = nir.read(tmp_path / "net.nir", type_check=False)
    assert outcome.json["edges"] == len(graph.edges) and sum(outcome.json["nodes"].values()) == len(graph.nodes)
    told = adafire("export", tmp_path / "net.safetensors", "--out", tmp_path / "net.nir").out
    assert "Written to" in told and " IF " in told and " edges " in told
    assert "task" in outcome.json["metadata"] and " left out " in told and outcome.json["left_out"] == ["exit rule"]


def test_export_to_another_format_or_of_no_network(adafire, files, tmp_path):
    outcome = adafire("export", files / "net.safetensors", "--out", tmp_path / "net.onnx")
    assert outcome.code == 2 and "net.onnx must end in .nir" in outcome.err
    outcome = adafire("export", files / "text.safetensors", "--out", tmp_path / "net.nir")
    assert outcome.code == 2 and "cannot be read as a network file" in outcome.err
    assert not list(tmp_path.iterdir())
