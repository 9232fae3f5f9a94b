"""`adafire report` as a user meets it: numbers that are right, files that are whole, refusals that say why."""

import hashlib
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from gen.errors import InputError, ToolMissing
from gen.exit_rule import ExitRule
from gen.netfile import network_hash, save_network
from gen.task import CLASSIFY, DETECT, SEGMENT
from hw.emit import generate
from sim.golden import Golden
from sim.metrics import evaluate
from sim.profile import ProfiledCore
from tests.host.without_yosys import without_yosys
from tests.kit.random_networks import random_images, random_network, random_staged_network
from tests.kit.task_networks import NETWORKS

SEED, OTHERS, LANES, IMAGES = 0, (8, 9, 11, 14, 21), 4, 12  # the core of tests/sim/test_profile.py
BUILT = {
    "board": "ulx3s_85f", "lanes": LANES, "lut": 5123, "ff": 6001, "bram": 17, "dsp": 7, "fmax_mhz": 80.0,
    "clock_mhz": 62.5, "slack_ns": 3.5, "critical_path": "core.gather -> core.lanes", "seed": 2,
    "bitstream": "top.bit", "core_only": False, "kind": "post-route", "tools": {"yosys": "Yosys 0.70"},
}


@pytest.fixture(scope="module")
def network():
    return random_network(SEED)


@pytest.fixture(scope="module")
def core(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "core"
    generate(network, board="ulx3s_85f", lanes=LANES, out=folder, also=map(random_network, OTHERS))
    return folder


@pytest.fixture(scope="module")
def images(network, tmp_path_factory):
    """Twelve images, three of which the network gets wrong."""
    folder = tmp_path_factory.mktemp("images")
    x = random_images(network, SEED, IMAGES)
    y = Golden(network).run(x).classes
    y[:3] = (y[:3] + 1) % network.classes
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "unlabelled.npz", x=x)
    np.savez(folder / "parts.npz", x_train=x[:4], y_train=y[:4], x_test=x[:0])
    np.savez(folder / "wrong_shape.npz", x=x[..., :-1], y=y)
    return folder


@pytest.fixture
def folder(core, tmp_path):
    """A copy of the core's folder, to write into."""
    return shutil.copytree(core, tmp_path / "core")


def report_of(folder, name="report.json"):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def report(core, images, tmp_path_factory):
    from host.cli import main

    out = tmp_path_factory.mktemp("out") / "report.html"
    assert main(["report", core, "--data", images / "data.npz", "--out", out]) == 0
    return report_of(out.parent)


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


def test_networks_that_a_report_cannot_tell_of(adafire, tmp_path, monkeypatch):
    without_yosys(monkeypatch)
    drawn = (random_staged_network(seed, sources=("direct",), max_layers=3) for seed in range(100))
    generate(next(network for network in drawn if len(network.stages) == 2), lanes=4, out=tmp_path / "core")
    outcome = adafire("report", tmp_path / "core")
    assert outcome.code == 2 and "a network of one stage, and this one has 2 stages" in outcome.err


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


def test_post_route_figures(adafire, folder):
    (folder / "build").mkdir()
    (folder / "build" / "report.json").write_text(json.dumps(BUILT))
    assert adafire("report", folder).code == 0
    report, page = report_of(folder), (folder / "report.html").read_text()
    used = {resource["name"]: resource["built"] for resource in report["resources"]}
    assert used == {name: BUILT[name] for name in ("lut", "ff", "bram", "dsp")}
    assert report["timing"] == {
        "fmax_mhz": 80.0, "clock_mhz": 62.5, "slack_ns": 3.5, "seed": 2,
        "critical_path": "core.gather -> core.lanes",
    }
    assert report["built"] == {"kind": "post-route", "of": "the whole Radiona ULX3S 85F design", "file": "top.bit"}
    assert all(text in page for text in ("80.00 MHz", "3.500 ns", "core.gather -&gt; core.lanes", "5,123"))
    assert report["provenance"]["tools"] == BUILT["tools"]


def test_images_a_second_at_the_routed_clock(adafire, folder, images):
    (folder / "build").mkdir()
    (folder / "build" / "report.json").write_text(json.dumps(BUILT | {"bitstream": None, "core_only": True}))
    assert adafire("report", folder, "--data", images / "data.npz").code == 0
    report = report_of(folder)
    assert report["speed"]["images_per_second"] == pytest.approx(62.5e6 / report["cycles"]["per_image"])
    assert report["built"]["of"] == "the core alone"


def test_a_board_of_the_vendors_tool_has_resources_and_no_clock(adafire, folder):
    unrouted = {"fmax_mhz": None, "slack_ns": None, "critical_path": None, "bitstream": None, "project": "top.tcl"}
    (folder / "build").mkdir()
    (folder / "build" / "report.json").write_text(json.dumps(BUILT | unrouted | {"kind": "synthesis estimate"}))
    assert adafire("report", folder).code == 0
    report, page = report_of(folder), (folder / "report.html").read_text()
    assert report["timing"] is None and report["resources"][0]["built"] == BUILT["lut"]
    assert report["figures"]["resources"][1]["kind"] == "synthesis estimate"
    assert "top.tcl" in page and "highest clock" not in page


@pytest.mark.parametrize("text, what", [
    ("{", "not what `adafire build` writes (JSONDecodeError"),
    ("[]", "not what `adafire build` writes (TypeError"),
    (json.dumps({"lut": 3}), "not what `adafire build` writes (KeyError: 'ff')"),
    (json.dumps(BUILT | {"fmax_mhz": "fast"}), "not what `adafire build` writes (ValueError: fmax_mhz is 'fast')"),
    (json.dumps(BUILT | {"fmax_mhz": 0}), "not what `adafire build` writes (ValueError: fmax_mhz is 0)"),
    (json.dumps(BUILT | {"lanes": 16}), "of another core (ulx3s_85f, 16 lanes; this one is ulx3s_85f, 4 lanes)"),
])
def test_a_broken_build_report(adafire, folder, text, what):
    (folder / "build").mkdir()
    (folder / "build" / "report.json").write_text(text)
    outcome = adafire("report", folder)
    assert outcome.code == 2 and what in outcome.err and "build again" in outcome.err
    assert not (folder / "report.html").exists()


def test_its_own_report_is_overwritten_with_the_same_bytes(adafire, folder, images):
    words = ("report", folder, "--data", images / "data.npz")
    assert adafire(*words).code == 0
    first = [(folder / name).read_bytes() for name in ("report.html", "report.json")]
    assert adafire(*words).code == 0
    assert [(folder / name).read_bytes() for name in ("report.html", "report.json")] == first


@pytest.mark.parametrize("name", ["page.html", "page.json"])
def test_a_file_that_is_no_report_is_kept(adafire, folder, tmp_path, name):
    (tmp_path / name).write_text("years of work")
    words = ("report", folder, "--out", tmp_path / "page.html")
    outcome = adafire(*words)
    assert outcome.code == 2 and outcome.err == (
        f"{tmp_path / name} is no earlier report: give --force to overwrite it, or another name with --out.\n"
    )
    assert (tmp_path / name).read_text() == "years of work"
    assert adafire(*words, "--force").code == 0 and report_of(tmp_path, "page.json")["schema"] == 2
    assert "page.json" in (tmp_path / "page.html").read_text()


def test_an_interrupt_leaves_the_earlier_report(adafire, folder, monkeypatch):
    def interrupt(*_words):
        raise KeyboardInterrupt

    assert adafire("report", folder).code == 0
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("host.report.make.os.replace", interrupt)
    assert adafire("report", folder).code == 130
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("words, text", [
    (("missing",), "missing is not a folder made by `adafire generate`: manifest.json cannot be read"),
    (("images",), "is not a folder made by `adafire generate`"),
    (("core", "--limit", "3"), "--limit and --image choose among images: give them with --data D."),
    (("core", "--image", "3"), "--limit and --image choose among images: give them with --data D."),
    (("core", "--data", "missing.npz"), "missing.npz does not exist"),
    (("core", "--data", "images/wrong_shape.npz"), "The network takes images of shape"),
    (("core", "--data", "images/data.npz", "--image", "12"), "--image 12: there are images 0 to 11."),
    (("core", "--data", "images/data.npz", "--limit", "2", "--image", "2"), "--image 2: there are images 0 to 1."),
    (("core", "--out", "report.pdf"), "name it report.html, not report.pdf."),
    (("core", "--out", "nowhere/report.html"), "Nothing can be written in nowhere: choose another place"),
    (("core", "--out", "folder.html"), "folder.html is a folder: choose another name for the report with --out."),
])
def test_refusals(adafire, core, images, tmp_path, monkeypatch, words, text):
    def slow(*_args, **_options):
        raise AssertionError("something slow ran")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ProfiledCore, "from_folder", slow)
    (tmp_path / "core").symlink_to(core)
    (tmp_path / "images").symlink_to(images)
    (tmp_path / "folder.html").mkdir()
    outcome = adafire("report", *words)
    assert outcome.code == 2 and outcome.out == "" and text in outcome.err, outcome.err
    assert adafire("report", *words, "--json").json == {"error": outcome.err.strip(), "exit_code": 2}


def test_an_altered_folder_is_refused(adafire, folder):
    (folder / "core.v").write_text("module adafire_core; endmodule")
    outcome = adafire("report", folder)
    assert outcome.code == 2 and "it was altered or damaged since" in outcome.err


def test_provenance(report, network, core):
    manifest = json.loads((core / "manifest.json").read_text())
    p = report["provenance"]
    assert p["network"] == network_hash(network) == report["network"]["hash"]
    assert p["files"].items() >= manifest["hashes"].items() and p["generated_with"] == manifest["versions"]
    assert p["build_id"] == manifest["build_id"] and p["data"]["images"] == p["data"]["of"] == IMAGES


def test_the_python_call_refuses_alike(core):
    from host.console import Report
    from host.report.make import make_report

    with pytest.raises(InputError, match="name it core.html, not core.txt"):
        make_report(core, out="core.txt", progress=Report())
