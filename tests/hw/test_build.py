"""`hw.build`: what the tools report, what is left behind; one real run among the slow tests."""

import json

import pytest

from gen.errors import AdafireError
from hw import build
from hw.emit import generate
from sim.random_networks import random_network


def timing(fmax, luts):
    return {
        "utilization": {"TRELLIS_COMB": {"used": luts}, "TRELLIS_FF": {"used": 7}, "DP16KD": {"used": 3}},
        "fmax": {"clk": {"achieved": fmax, "constraint": 90}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": [
                {"delay": 99, "from": {"cell": "pin"}, "to": {"cell": "core.far"}}]},
            {"from": "posedge clk", "to": "posedge clk", "path": [
                {"delay": 1, "from": {"cell": "core.lanes.a"}, "to": {"cell": "core.lanes.b"}},
                {"delay": 2, "from": {"cell": "core.lanes.b"}, "to": {"cell": "core.neuron_0.u"}}]},
        ],
    }


def test_figures_are_those_of_the_clocked_paths(tmp_path):
    (tmp_path / "timing.json").write_text(json.dumps(timing(91.236, 1234)))
    assert build._figures(tmp_path) == {
        "lut": 1234, "ff": 7, "bram": 3, "dsp": 0, "fmax_mhz": 91.24,
        "critical_path": "core.lanes.a -> core.neuron_0.u",
    }


@pytest.fixture
def core(tmp_path):
    generate(random_network(3), board="ulx3s_25f", lanes=2, out=tmp_path / "core")
    return tmp_path / "core"


def test_a_tool_that_fails_leaves_its_log_and_no_build(core, monkeypatch):
    monkeypatch.setattr(build, "_program", lambda name: "false")
    with pytest.raises(AdafireError, match="yosys failed, see .*build-failed/yosys.log"):
        build.synthesize(core)
    assert (core / "build-failed" / "yosys.log").exists() and not (core / "build").exists()


def test_an_interrupt_leaves_nothing(core, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    before = sorted(path.name for path in core.iterdir())
    monkeypatch.setattr(build, "_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build.synthesize(core)
    assert sorted(path.name for path in core.iterdir()) == before


@pytest.mark.slow
def test_a_small_core_is_routed(core):
    figures = build.synthesize(core, clock_mhz=60)
    assert figures == json.loads((core / "build" / "report.json").read_text())
    assert figures["board"] == "ulx3s_25f" and figures["lanes"] == 2
    assert figures["fmax_mhz"] > 60 and 0 < figures["lut"] < 24288 and figures["dsp"] >= 2
    assert "core." in figures["critical_path"]
