"""The report of a core that takes several images together: of each image its own part, and a word on the others."""

import numpy as np
import pytest

from gen.plan.regions import Room
from hw.emit import generate
from sim.golden import Golden
from sim.metrics import evaluate
from tests.host.report.core import report_of
from tests.kit.little_room import leave_room
from tests.kit.random_networks import random_images
from tests.kit.verified import batch_network

BATCH = 3


@pytest.mark.parametrize("images, counted", [pytest.param(7, 6, marks=pytest.mark.slow), (2, 2)])
def test_a_core_that_takes_several_images_together(adafire, tmp_path, monkeypatch, images, counted):
    network = batch_network()
    with monkeypatch.context() as patch:
        leave_room(patch, Room(weights=1))
        generate(network, lanes=4, out=tmp_path / "core", batch=BATCH)
    x = random_images(network, 1, images)
    np.savez(tmp_path / "data.npz", x=x)
    assert adafire("report", tmp_path / "core", "--data", tmp_path / "data.npz").code == 0
    report, golden = report_of(tmp_path / "core"), evaluate(Golden(network), x[:counted])
    passes, cycles = report["passes"], report["cycles"]
    assert (report["core"]["batch"], report["counted_images"]) == (BATCH, counted)
    assert [p["name"] for p in passes] == ["conv + pool", "wide", "deep", "out"]
    assert sum(p["operations"] for p in passes) == pytest.approx(golden["synaptic_ops_per_image"])
    assert sum(p["events"] for p in passes) == pytest.approx(golden["events_per_image"])
    assert sum(cycles["shares"].values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for p in passes for share in p["density_by_timestep"] if share is not None)
    if counted % BATCH == 0:  # whole runs
        found = sum(p["cycles"] for p in passes) + sum(cycles["machine"].values())
        assert found == pytest.approx(cycles["per_image"])
        assert cycles["shares"]["useful"] == pytest.approx(cycles["lane_utilization"])
    page = (tmp_path / "core" / "report.html").read_text()
    assert "that takes 3 images together." in page and "cycles an image, 3 together" in page
    together = round(BATCH * cycles["per_image"])
    assert f"of 3 images, which are run together and answered together after {together:,}" in page
    assert any("--batch 3" in figure["command"] for figure in report["figures"]["memory"] if figure["command"])
