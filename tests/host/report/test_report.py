"""`adafire report` as a user meets it: its numbers are right, and what it cannot tell it says."""

import hashlib
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from gen.errors import ToolMissing
from gen.exit_rule import ExitRule
from gen.netfile import save_network
from gen.task import CLASSIFY, DETECT, SEGMENT
from hw.emit import generate
from sim.golden import Golden
from sim.metrics import evaluate
from sim.profile import ProfiledCore
from tests.host.report.core import IMAGES, LANES, SEED, report_of
from tests.host.without_yosys import without_yosys
from tests.kit.random_networks import random_images, random_network, random_staged_network
from tests.kit.task_networks import NETWORKS


def test_it_says_where_it_is(adafire, folder, images):
    outcome = adafire("report", folder, "--data", images / "data.npz", "--json")
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.json["report"] == str(folder / "report.html")
    assert outcome.json["json"] == str(folder / "report.json")
    assert outcome.json["images"] == outcome.json["simulated_images"] == IMAGES
    assert outcome.json["accuracy"] == 0.75
    assert outcome.json["bytes"] == (folder / "report.html").stat().st_size
    table = adafire("report", folder, "--data", images / "data.npz").out
    assert "75.00" in table and "report.html" in re.sub(r"[\s│]", "", table)  # a long path goes over several lines


def test_the_parts_are_all_there(report):
    assert {
        "report", "schema", "core", "network", "accuracy", "exits", "passes", "cycles", "memories", "resources",
        "timing", "energy", "traffic", "image", "provenance", "figures", "command",
    } <= set(report)
    assert set(report["figures"]) == {
        "network", "accuracy", "cycles", "image", "memory", "resources", "energy", "provenance",
    }
    kinds = {source["kind"] for figure in report["figures"].values() for source in figure}
    assert kinds == {"read", "golden", "simulated", "estimated", "convention"}


def test_accuracy_and_exits_are_those_of_the_golden_model(report, network, images):
    with np.load(images / "data.npz") as data:
        x, y = data["x"], data["y"]
    early = evaluate(Golden(network), x, y)
    fixed = [
        evaluate(Golden(replace(network, timesteps=t, exit_rule=ExitRule())), x, y)["accuracy"]
        for t in range(1, network.timesteps + 1)
    ]
    assert report["accuracy"]["timesteps"] == fixed
    assert report["accuracy"]["early_exit"] == early["accuracy"] == 0.75
    assert report["accuracy"]["mean_timesteps"] == early["mean_timesteps"]
    histogram = [0] * len(early["exit_histogram"])
    for stopped in report["exits"]:
        histogram[stopped["timestep"] - 1] = stopped["images"]
        assert all(example["label"] == y[example["image"]] for example in stopped["examples"])
    assert histogram == early["exit_histogram"]
    right = sum(stopped["images"] * stopped["accuracy"] for stopped in report["exits"])
    assert right == pytest.approx(0.75 * IMAGES)


def test_events_operations_and_cycles_add_up(report, network, core, images):
    with np.load(images / "data.npz") as data:
        golden = evaluate(Golden(network), data["x"])
        result = ProfiledCore.from_folder(core).run(data["x"])
    passes, cycles = report["passes"], report["cycles"]
    assert sum(p["operations"] for p in passes) == pytest.approx(golden["synaptic_ops_per_image"])
    assert sum(p["events"] for p in passes) == pytest.approx(golden["events_per_image"])
    assert cycles["per_image"] == pytest.approx(result.cycles.mean())
    assert cycles["lane_utilization"] == pytest.approx(result.lane_utilization(LANES))
    assert sum(p["cycles"] for p in passes) + sum(cycles["machine"].values()) == pytest.approx(cycles["per_image"])
    assert sum(cycles["shares"].values()) == pytest.approx(1)
    assert cycles["shares"]["useful"] == pytest.approx(cycles["lane_utilization"])
    for p in passes:
        assert sum(p["kinds"].values()) == pytest.approx(p["cycles"])
    assert report["traffic"]["weights"] == [result.busy_cycles.mean(), 0]


def test_timesteps_weighted_by_who_ran_them_give_the_mean(report):
    exits = {stopped["timestep"]: stopped["images"] for stopped in report["exits"]}
    ran = [sum(n for t, n in exits.items() if t >= step) / IMAGES for step in range(1, max(exits) + 1)]
    for p in report["passes"]:
        for name in ("events", "operations", "cycles"):
            by_timestep = p[f"{name}_by_timestep"]
            assert by_timestep[len(ran):] == [None] * (len(by_timestep) - len(ran))
            assert sum(share * value for share, value in zip(ran, by_timestep)) == pytest.approx(p[name])


def test_the_image_shown_is_the_first_that_ran_longest(report, network, images):
    with np.load(images / "data.npz") as data:
        x = data["x"]
    steps = Golden(network).run(x).exit_steps
    shown = report["image"]
    assert shown["image"] == int(np.argmax(steps)) and shown["exit_step"] == steps.max()
    trace = Golden(network).trace(x[shown["image"]])
    assert shown["logits"] == trace.logits.tolist() and shown["class"] == trace.class_
    for layer in shown["layers"]:
        for t, step in enumerate(layer["timesteps"]):
            counts = [int(digit, 16) for digit in step["counts"]]
            assert counts == trace.counts[layer["name"]][t].ravel().tolist()
            assert step["spikes"] == sum(counts) and step["firing"] == np.count_nonzero(counts)


def test_another_image_can_be_asked_for(adafire, folder, images):
    words = ("report", folder, "--data", images / "data.npz", "--limit", 5, "--image", 4)
    assert adafire(*words).code == 0
    report = report_of(folder)
    assert report["image"]["image"] == 4 and report["accuracy"]["images"] == 5
    assert report["provenance"]["data"]["of"] == IMAGES
    assert report["command"].endswith("--limit 5 --image 4")


def test_another_part_of_the_data_can_be_asked_for(adafire, folder, images):
    assert adafire("report", folder, "--data", images / "parts.npz", "--split", "train").code == 0
    report = report_of(folder)
    assert report["accuracy"]["early_exit"] == 0.25 and report["provenance"]["data"]["file"] == "parts.npz"
    for told in (report["command"], *(figure["command"] for figure in report["figures"]["accuracy"])):
        assert "parts.npz --split train" in told


def test_a_folder_of_images(adafire, folder, images, tmp_path):
    (tmp_path / "shards").mkdir()
    shutil.copy(images / "data.npz", tmp_path / "shards")
    assert adafire("report", folder, "--data", tmp_path / "shards", "--limit", "4").code == 0
    with np.load(images / "data.npz") as data:
        digest = hashlib.sha256(data["x"][:4].tobytes()).hexdigest()
    assert report_of(folder)["provenance"]["data"] == {
        "file": str(tmp_path / "shards"), "images": 4, "of": IMAGES, "sha256": digest,
    }


def test_a_network_whose_passes_run_all_timesteps_of_a_tile(adafire, tmp_path, monkeypatch):
    monkeypatch.setattr(ProfiledCore, "from_folder", missing)
    without_yosys(monkeypatch)
    network = replace(random_network(SEED), order="tiles", exit_rule=ExitRule())
    generate(network, board="ulx3s_85f", lanes=4, out=tmp_path / "core")
    x = random_images(network, SEED, 4)
    np.savez(tmp_path / "data.npz", x=x)
    assert adafire("report", tmp_path / "core", "--data", tmp_path / "data.npz").code == 0
    report, golden = report_of(tmp_path / "core"), evaluate(Golden(network), x)
    assert sum(p["operations"] for p in report["passes"]) == pytest.approx(golden["synaptic_ops_per_image"])
    assert sum(p["events"] for p in report["passes"]) == pytest.approx(golden["events_per_image"])
    assert all(p["events_by_timestep"] == [p["events"]] for p in report["passes"])
    assert all(0 <= share <= 1 for p in report["passes"] for share in p["density_by_timestep"] if share is not None)


def test_a_network_of_stages(adafire, tmp_path):
    drawn = (random_staged_network(seed, sources=("direct",), max_layers=3) for seed in range(100))
    network, x = next(
        (network, x) for seed, network in enumerate(drawn) for x in [random_images(network, seed, 12)]
        if len(network.stages) == 2 and len(np.unique(Golden(network).run(x).stages)) == 2
    )
    generate(network, board="ulx3s_85f", lanes=4, out=tmp_path / "core")
    np.savez(tmp_path / "data.npz", x=x)
    outcome = adafire("report", tmp_path / "core", "--data", tmp_path / "data.npz")
    assert outcome.code == 0, outcome.err
    report, golden, result = report_of(tmp_path / "core"), evaluate(Golden(network), x), Golden(network).run(x)
    first = network.stages[0].timesteps
    assert {name.partition("/")[0] for p in report["passes"] for name in p["layers"]} == {"1", "2"}
    assert sum(p["operations"] for p in report["passes"]) == pytest.approx(golden["synaptic_ops_per_image"])
    assert sum(p["events"] for p in report["passes"]) == pytest.approx(golden["events_per_image"])
    assert report["accuracy"]["mean_timesteps"] == pytest.approx(golden["mean_timesteps"])
    assert [(stopped["timestep"], stopped["images"]) for stopped in report["exits"]] == [
        (int(t), int(n)) for t, n in zip(*np.unique(result.exit_steps, return_counts=True))
    ]
    cycles = report["cycles"]
    assert sum(p["cycles"] for p in report["passes"]) + sum(cycles["machine"].values()) == pytest.approx(
        cycles["per_image"])
    shown = report["image"]
    assert shown["exit_step"] > first and shown["logits"][-1] == result.logits[shown["image"]].tolist()
    edges = {(source, layer) for source, layer, _ in report["network"]["graph"]}
    assert any(source == "input" and layer.startswith("2/") for source, layer in edges)
    assert all(name[:2] == other[:2] for name, other in edges if name != "input")


def spots(kind):
    """Return what `evaluate` measures a task by, and data of three pictures with two red windows in all."""
    x, truth = np.zeros((3, 3, 24, 32), np.uint8), np.zeros((3, 6, 8), int)
    x[0, 0, :4, :4] = x[1, 0, 4:8, 8:12] = 255
    truth[0, 0, 0] = truth[2, 5, 5] = 1
    boxes = np.array([[0, 0, 0, 0, 4, 4], [2, 0, 20, 20, 24, 24]])
    return {
        SEGMENT: ("mean intersection over union", "mean_iou", {"x": x, "y": truth}),
        DETECT: ("mean average precision at 0.5", "map50", {"x": x, "boxes": boxes}),
        CLASSIFY: ("", None, {"x": x, "y": np.array([0, 0, 1])}),
    }[kind]


@pytest.mark.parametrize("kind", [CLASSIFY, SEGMENT, DETECT])
def test_a_report_knows_the_task(adafire, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(ProfiledCore, "from_folder", missing)
    without_yosys(monkeypatch)
    words, name, arrays = spots(kind)
    generate(NETWORKS[kind], board="ulx3s_85f", lanes=4, out=tmp_path / "core")
    np.savez(tmp_path / "data.npz", **arrays)
    outcome = adafire("report", tmp_path / "core", "--data", tmp_path / "data.npz")
    assert outcome.code == 0, outcome.err
    save_network(NETWORKS[kind], tmp_path / "net.safetensors")
    measured = adafire("evaluate", tmp_path / "net.safetensors", "--data", tmp_path / "data.npz", "--json").json
    report, page = report_of(tmp_path / "core"), (tmp_path / "core" / "report.html").read_text()
    assert report["network"]["task"]["kind"] == kind and f"<dd>{kind}" in page and words in page
    for label in NETWORKS[kind].task.labels:
        assert label in page
    if name:
        assert report["accuracy"]["task"][name] == pytest.approx(measured[name])
        assert 0 < measured[name] < 1 and f"{100 * measured[name]:.2f}" in page
    if kind != DETECT:
        assert report["accuracy"]["early_exit"] == pytest.approx(measured["accuracy"])
    assert report["image"]["logits"] == [] or kind == CLASSIFY


def test_memories_and_resources(report):
    blocks = next(r for r in report["resources"] if r["name"] == "bram")
    assert sum(memory["blocks"] for memory in report["memories"]) == blocks["estimated"]
    assert all(memory["used_words"] <= memory["words"] for memory in report["memories"])
    assert all(memory["bits"] == memory["words"] * memory["width"] for memory in report["memories"])
    assert report["block"]["board"] == blocks["board"] == 208


def test_without_data_it_says_how_to_get_the_rest(adafire, folder):
    outcome = adafire("report", folder, "--json")
    assert outcome.code == 0 and outcome.json["images"] is None and outcome.json["accuracy"] is None
    report, page = report_of(folder), (folder / "report.html").read_text()
    assert all(report[name] is None for name in ("accuracy", "exits", "passes", "cycles", "traffic", "image"))
    assert report["energy"]["ann_macs"] > 0 and "convention_uJ" not in report["energy"]
    words = re.sub("<[^>]*>", "", page)
    assert words.count(f"need images: adafire report {folder} --data D") == 4
    assert "none: --data D adds" in adafire("report", folder).out


def test_without_labels_it_compares_with_all_timesteps(adafire, folder, network, images):
    words = ("report", folder, "--data", images / "unlabelled.npz", "--json")
    assert adafire(*words).json["accuracy"] is None
    report = report_of(folder)
    assert report["accuracy"]["measured_against"] == "the decision after all timesteps"
    assert report["accuracy"]["timesteps"][-1] == 1.0
    assert all(stopped["accuracy"] is None for stopped in report["exits"])
    assert "agreement with all timesteps" in (folder / "report.html").read_text()


def missing(*_args, **_options):
    raise ToolMissing("The simulator verilator is not installed.")


def test_without_verilator_cycles_are_estimated(adafire, folder, images, monkeypatch):
    monkeypatch.setattr(ProfiledCore, "from_folder", missing)
    assert adafire("report", folder, "--data", images / "data.npz").code == 0
    report, page = report_of(folder), (folder / "report.html").read_text()
    assert report["cycles"] is None and all(p["cycles"] is None for p in report["passes"])
    assert report["traffic"]["weights"] == [None, 0] and "hardware_estimated_uJ" not in report["energy"]
    assert report["energy"]["convention_spikes_uJ"] >= report["energy"]["convention_uJ"] > 0
    assert "Verilator is not installed here" in page
    assert {source["kind"] for source in report["figures"]["cycles"]} == {"golden", "estimated"}


def test_a_network_of_frames(adafire, tmp_path, monkeypatch):
    monkeypatch.setattr(ProfiledCore, "from_folder", missing)
    without_yosys(monkeypatch)
    network = next(n for n in map(random_network, range(100)) if n.source.kind == "frames")
    generate(network, board="ulx3s_85f", lanes=4, out=tmp_path / "core")
    x = random_images(network, 1, 6)
    np.savez(tmp_path / "data.npz", x=x)
    assert adafire("report", tmp_path / "core", "--data", tmp_path / "data.npz").code == 0
    report = report_of(tmp_path / "core")
    assert report["network"]["input"]["kind"] == "frames"
    golden = evaluate(Golden(network), x)
    assert sum(p["operations"] for p in report["passes"]) == pytest.approx(golden["synaptic_ops_per_image"])
    assert report["energy"]["first_layer_macs"] == 0, "frames are events"
    assert report["energy"]["acs"] == pytest.approx(golden["synaptic_ops_per_image"])


def test_a_core_that_computes_something_else_is_not_reported(adafire, folder, images, monkeypatch):
    def wrong(core, x, progress=None):
        profile = profiled(core, x, progress)
        profile.lane_cycles[-1, 0, 0] += 1
        return profile

    profiled = ProfiledCore.profile
    monkeypatch.setattr(ProfiledCore, "profile", wrong)
    outcome = adafire("report", folder, "--data", images / "data.npz")
    assert outcome.code == 1 and "does not do what the golden model does" in outcome.err
    assert "`adafire verify` names the first difference." in outcome.err
    assert not (folder / "report.html").exists() and not (folder / "report.json").exists()
