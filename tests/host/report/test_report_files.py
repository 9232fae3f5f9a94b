"""What `adafire report` reads beside the core and writes: figures of builds, files that are whole, refusals."""

import json

import pytest

from gen.errors import InputError
from gen.generated import seal
from gen.manifest import MANIFEST, read_manifest
from gen.netfile import network_hash
from hw.emit import PARETO
from sim.profile import ProfiledCore
from tests.host.report.core import IMAGES, LANES, report_of


BUILT = {
    "board": "ulx3s_85f", "lanes": LANES, "lut": 5123, "ff": 6001, "bram": 17, "dsp": 7, "fmax_mhz": 80.0,
    "clock_mhz": 62.5, "slack_ns": 3.5, "critical_path": "core.gather -> core.lanes", "seed": 2,
    "bitstream": "top.bit", "core_only": False, "kind": "post-route", "tools": {"yosys": "Yosys 0.70"},
}


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


def test_a_choice_from_before_whole_windows(adafire, folder):
    """It said of strips whether there are any."""
    row, *_ = json.loads((folder / PARETO).read_text())
    (folder / PARETO).write_text(json.dumps([row | {"strips": False}, row | {"strips": True}]))
    manifest = read_manifest(folder)
    (folder / MANIFEST).unlink()
    seal(folder, manifest)
    assert adafire("report", folder).code == 0
    assert [row["strips"] for row in report_of(folder)["choices"]] == [False, "rows"]


@pytest.mark.parametrize("name", ["page.html", "page.json"])
def test_a_file_that_is_no_report_is_kept(adafire, folder, tmp_path, name):
    (tmp_path / name).write_text("years of work")
    words = ("report", folder, "--out", tmp_path / "page.html")
    outcome = adafire(*words)
    assert outcome.code == 2 and outcome.err == (
        f"{tmp_path / name} is no earlier report (--force overwrites it): choose another name, or move it away.\n"
    )
    assert (tmp_path / name).read_text() == "years of work"
    assert adafire(*words, "--force").code == 0 and report_of(tmp_path, "page.json")["schema"] == 2
    assert "page.json" in (tmp_path / "page.html").read_text()


def test_an_interrupt_leaves_the_earlier_report(adafire, folder, monkeypatch):
    def interrupt(*_words):
        raise KeyboardInterrupt

    assert adafire("report", folder).code == 0
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("gen.folders.os.replace", interrupt)
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
    (("core", "--out", "nowhere/report.html"), "nowhere does not exist: make it, or write report.html elsewhere."),
    (("core", "--out", "folder.html"), "folder.html is a folder: name the file to write."),
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
