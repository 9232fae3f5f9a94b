"""The command line on recordings of events: evaluated, streamed to a board, and what cannot be is one paragraph."""

import json

import numpy as np
import pytest

from gen.data.events import Cut, frames
from gen.data.forms import parse_form, with_form
from gen.data.recordings import NpzEvents
from gen.netfile import save_network
from host.content import read_manifest
from host.streaming import Reckoning
from hw.emit import generate
from sim.golden import Golden
from tests.host.fake_board import FakeBoard, make_folder
from tests.host.fake_line import PtyBoard
from tests.kit.random_networks import random_network

SEED, STEP, COUNT = 11, 4000, 6  # five frames of 2 x 4 x 9 pixels that are 0 or 1


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the network, its generated folder and recordings of 20 ms; and what the fake board knows."""
    path = tmp_path_factory.mktemp("events")
    network = random_network(SEED, sources=("frames",), max_layers=3, max_neurons=400, max_weights=1500)
    network = with_form(network, parse_form(f"events:step={STEP}us,size=4x9"))
    save_network(network, path / "net.safetensors")
    folder, _, stream = make_folder(path / "core", network)
    rng, held = np.random.default_rng(SEED), []
    for number in range(COUNT):
        place = np.sort(rng.choice(5 * 2 * 4 * 9, 60, replace=False))
        t, p, y, x = np.unravel_index(place, (5, 2, 4, 9))
        held.append((t * STEP + number, x, y, p))
    arrays = {name: np.concatenate(values) for name, values in zip("txyp", zip(*held))}
    offsets = 60 * np.arange(COUNT + 1)
    np.savez(path / "r.npz", offsets=offsets, label=np.arange(COUNT) % network.classes, **arrays)
    return path, network, {stream: network}


def expected(files):
    path, network, _ = files
    events = NpzEvents(path / "r.npz", Cut(STEP), network.frames, size=(4, 9))
    x = np.stack([frames(events.recording(number), Cut(STEP), 5, (4, 9)) for number in range(COUNT)])
    result = Golden(network).run(x)
    ends = [events.ends(number)[step - 1] / 1000 for number, step in enumerate(result.exit_steps)]
    return result, np.array(ends)


def test_evaluate_reads_recordings_by_the_form_of_the_network(adafire, files):
    result, _ = expected(files)
    payload = adafire("evaluate", files[0] / "net.safetensors", "--data", files[0] / "r.npz", "--json").json
    assert payload["images"] == COUNT and payload["mean_timesteps"] == result.exit_steps.mean()


def test_a_stream_tells_how_long_a_decision_took(adafire, files, tmp_path):
    path, _, library = files
    result, ends = expected(files)
    with PtyBoard(FakeBoard(path / "core", library), tmp_path / "port") as fake:
        words = ("run", path / "core", "--port", fake.port, "--data", path / "r.npz", "--stream")
        payload = adafire(*words, "--json").json
        table = adafire(*words, "--limit", "2")
    assert payload["mean_timesteps"] == result.exit_steps.mean() and "cycles_per_image" not in payload
    latency = payload["latency_ms"]
    assert latency["how"] == "measured" and sum(latency["histogram"]["recordings"]) == COUNT
    assert latency["mean"] > ends.mean() and latency["least"] > ends.min()
    assert "From the first event to the decision (measured): median" in table.out and table.code == 0


def test_a_report_reckons_the_latency(adafire, files, tmp_path, monkeypatch):
    result, ends = expected(files)
    monkeypatch.setattr("host.report.measure._profile", lambda *_: None)  # without compiling a core
    generate(files[1], lanes=4, out=tmp_path / "core")
    outcome = adafire("report", tmp_path / "core", "--data", files[0] / "r.npz", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "core/report.json").read_text())["latency_ms"]
    late = Reckoning.of(*read_manifest(tmp_path / "core"))
    assert found["how"] == "reckoned" and sum(found["histogram"]["recordings"]) == COUNT
    assert found["mean"] == pytest.approx((ends + 1e3 * (late.frame_s + late.step_s + late.answer_s)).mean())
    page = (tmp_path / "core/report.html").read_text()
    assert "From the first event to the decision" in page and f"{found['median']:.1f} ms in the median" in page


def test_what_cannot_be_is_one_paragraph(adafire, files, tmp_path):
    path = files[0]
    (tmp_path / "cut.bin").write_bytes(b"\x01\x02\x80\x00\x01\x02")
    (tmp_path / "none.raw").write_bytes(b"")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 5, 2, 4, 9), np.uint8))
    save_network(random_network(1, sources=("direct",)), tmp_path / "still.safetensors")
    evaluate, run = ("evaluate", path / "net.safetensors"), ("run", path / "core", "--port", "sim", "--stream")
    for words, data, text in (
        (evaluate, tmp_path / "cut.bin", "cut.bin has 6 bytes, no whole number of events of 5: it is cut off"),
        (evaluate, tmp_path / "none.raw", "none.raw has no header, or ends within an event"),
        (("evaluate", tmp_path / "still.safetensors"), path / "r.npz", "r.npz holds recordings of events: say how"),
        (run, tmp_path / "x.npz", "x.npz holds images without times"),
    ):
        outcome = adafire(*words, "--data", data)
        assert outcome.code == 2 and outcome.out == "" and text in outcome.err, outcome
        assert outcome.err.count("\n") == 1
